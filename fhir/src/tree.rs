//! A JSON document: its bytes, and an arena of nodes that point into them.
//!
//! Nodes lie in document order; each knows where its subtree ends, so children and siblings are found without
//! links. Nothing is copied but strings with escapes. Not here: how it is built (`tree_build`), FHIR's rules (`reader`).

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use crate::issue::Issue;
use crate::json_text::decode_escapes;
use crate::tree_build::build;

/// Deepest nesting of objects and arrays that is read.
pub const DEPTH_MAX: usize = 64;

/// Deepest nesting of what is made of documents.
pub(crate) const DEPTH_MADE_MAX: usize = DEPTH_MAX + 16;

/// Most values a document may hold; bounds the arena to 48 MB. Synthea bundles have some 25 bytes a value.
pub const NODES_MAX: usize = 2_000_000;

/// A well-formed JSON document without duplicate keys; owns its bytes.
#[derive(Clone)]
pub struct Tree {
    pub(crate) text: String,
    pub(crate) slots: Vec<Slot>,
    /// Keys that were written with escapes, by place of their node, ascending.
    pub(crate) decoded_keys: Vec<(u32, Box<str>)>,
}

/// One value in the arena.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    /// Where the value starts and ends in the text, quotes and brackets included.
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// Place after the last node of this subtree.
    pub(crate) skip: u32,
    pub(crate) key_start: u32,
    pub(crate) key_len: u32,
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
}

/// The value is a member of an object.
pub(crate) const HAS_KEY: u8 = 1;
/// Its key was written with escapes.
pub(crate) const KEY_ESCAPED: u8 = 2;
/// The string was written with escapes.
pub(crate) const ESCAPED: u8 = 4;

/// The kinds of JSON values.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// Any number; its text is kept as written.
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

impl Tree {
    /// Reads a document by the rules of JSON alone: well-formed UTF-8 without byte order mark, no duplicate keys,
    /// no `\u0000`, no lone surrogates, no trailing bytes, at most [`DEPTH_MAX`] deep.
    ///
    /// # Errors
    /// All issues found before the first that makes going on senseless; at most 50, at least one.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, Vec<Issue>> {
        build(bytes, DEPTH_MAX)
    }

    /// Reads a document that was made here of documents that were read: a bundle is three levels deeper than what it
    /// holds, and one in a response to a batch six.
    pub(crate) fn parse_made(bytes: Vec<u8>) -> Result<Self, Vec<Issue>> {
        build(bytes, DEPTH_MADE_MAX)
    }

    /// The document, byte for byte.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Gives the document back.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.text.into_bytes()
    }

    /// The outermost value.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        Node { tree: self, place: 0 }
    }
}

impl fmt::Debug for Tree {
    /// Never the content: it may be a patient's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tree({} bytes, {} nodes)", self.text.len(), self.slots.len())
    }
}

/// One value of a document; as cheap as a reference.
#[derive(Clone, Copy)]
pub struct Node<'t> {
    pub(crate) tree: &'t Tree,
    pub(crate) place: u32,
}

impl<'t> Node<'t> {
    /// What kind of value it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.slot().kind
    }

    /// Name under which its object holds it; `None` for array items and the root.
    #[must_use]
    pub fn key(self) -> Option<&'t str> {
        let slot = self.slot();
        match slot.flags & (HAS_KEY | KEY_ESCAPED) {
            0 => None,
            HAS_KEY => {
                let start = slot.key_start as usize;
                Some(&self.tree.text[start..start + slot.key_len as usize])
            }
            _ => {
                let keys = &self.tree.decoded_keys;
                let at = keys.binary_search_by_key(&self.place, |(place, _)| *place).ok()?;
                Some(&keys[at].1)
            }
        }
    }

    /// The member of that name; `None` when there is none or this is no object.
    #[must_use]
    pub fn get(self, key: &str) -> Option<Node<'t>> {
        if self.kind() != Kind::Object {
            return None;
        }
        self.children().find(|child| child.key() == Some(key))
    }

    /// Members of an object or items of an array in document order; nothing for other kinds.
    #[must_use]
    pub fn children(self) -> Children<'t> {
        Children { tree: self.tree, next: self.place + 1, end: self.slot().skip }
    }

    /// Whether it is an array or object without content.
    #[must_use]
    pub fn is_empty(self) -> bool {
        matches!(self.kind(), Kind::Array | Kind::Object) && self.slot().skip == self.place + 1
    }

    /// Items of an array, or the value itself: what FHIRPath calls a collection.
    pub fn items(self) -> impl Iterator<Item = Node<'t>> {
        let array = self.kind() == Kind::Array;
        let children = array.then(|| self.children());
        children.into_iter().flatten().chain((!array).then_some(self))
    }

    /// The text of a string with its escapes resolved; `None` for other kinds.
    #[must_use]
    pub fn as_str(self) -> Option<Cow<'t, str>> {
        let slot = self.slot();
        if slot.kind != Kind::String {
            return None;
        }
        let inner = &self.tree.text[slot.start as usize + 1..slot.end as usize - 1];
        if slot.flags & ESCAPED == 0 {
            return Some(Cow::Borrowed(inner));
        }
        Some(Cow::Owned(decode_escapes(inner)))
    }

    /// A number as written; `None` for other kinds.
    #[must_use]
    pub fn number_text(self) -> Option<&'t str> {
        (self.kind() == Kind::Number).then(|| self.text())
    }

    /// The value of `true` and `false`; `None` for other kinds.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        (self.kind() == Kind::Bool).then(|| self.text() == "true")
    }

    /// The value's bytes as written, quotes and brackets included.
    #[must_use]
    pub fn raw(self) -> &'t [u8] {
        self.text().as_bytes()
    }

    /// Where the value's bytes lie in the document.
    #[must_use]
    pub fn span(self) -> Range<usize> {
        let slot = self.slot();
        slot.start as usize..slot.end as usize
    }

    /// The document it belongs to.
    #[must_use]
    pub fn tree(self) -> &'t Tree {
        self.tree
    }

    pub(crate) fn slot(self) -> &'t Slot {
        &self.tree.slots[self.place as usize]
    }

    fn text(self) -> &'t str {
        &self.tree.text[self.span()]
    }
}

impl fmt::Debug for Node<'_> {
    /// Never the content: it may be a patient's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({:?} at {:?})", self.kind(), self.span())
    }
}

/// Iterator over the children of a node.
#[derive(Clone, Debug)]
pub struct Children<'t> {
    tree: &'t Tree,
    next: u32,
    end: u32,
}

impl<'t> Iterator for Children<'t> {
    type Item = Node<'t>;

    fn next(&mut self) -> Option<Node<'t>> {
        if self.next >= self.end {
            return None;
        }
        let node = Node { tree: self.tree, place: self.next };
        self.next = node.slot().skip;
        Some(node)
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
