//! A resource: a JSON document that is known to be one.
//!
//! Its bytes are the truth; nothing is rewritten here. Not here: the rules (`reader`), final bytes (`splice`).

use crate::issue::{Issue, IssueType};
use crate::reader::{ReadLimits, read};
use crate::tree::{HAS_KEY, KEY_ESCAPED, Node, Tree};
use crate::{ResourceId, ResourceType};

/// A resource of any type, as its bytes say it.
#[derive(Clone, Debug)]
pub struct Resource {
    tree: Tree,
    resource_type: ResourceType,
}

impl Resource {
    /// Reads a resource by all rules of the strict reader.
    ///
    /// # Errors
    /// The issues found, at most 50, each with its location.
    pub fn read(bytes: Vec<u8>, limits: &ReadLimits) -> Result<Self, Vec<Issue>> {
        Self::from_tree(read(bytes, limits)?)
    }

    /// Reads a resource that this server has stored: by the rules of JSON alone.
    ///
    /// # Errors
    /// The issues found: what is stored is broken.
    pub fn from_stored(bytes: Vec<u8>) -> Result<Self, Vec<Issue>> {
        Self::from_tree(Tree::parse(bytes)?)
    }

    /// Copies a resource out of a document that has been read, such as a bundle's entry, without parsing again.
    ///
    /// # Errors
    /// One issue when the node is no resource.
    pub fn from_node(node: Node<'_>) -> Result<Self, Vec<Issue>> {
        Self::from_tree(subtree(node))
    }

    fn from_tree(tree: Tree) -> Result<Self, Vec<Issue>> {
        let Some(resource_type) = type_of(tree.root()) else {
            let issue = Issue::error(IssueType::Structure, "this is not a resource of FHIR R4");
            return Err(vec![issue.at("Resource.resourceType")]);
        };
        Ok(Self { tree, resource_type })
    }

    /// The object itself.
    #[must_use]
    pub fn node(&self) -> Node<'_> {
        self.tree.root()
    }

    /// What `resourceType` says.
    #[must_use]
    pub fn resource_type(&self) -> ResourceType {
        self.resource_type
    }

    /// What `id` says; `None` when there is none or it is malformed.
    #[must_use]
    pub fn id(&self) -> Option<ResourceId> {
        ResourceId::parse(&self.node().get("id")?.as_str()?).ok()
    }

    /// The bytes as read.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.tree.bytes()
    }

    /// Gives the document back.
    #[must_use]
    pub fn into_tree(self) -> Tree {
        self.tree
    }
}

/// The type that an object's `resourceType` names.
#[must_use]
pub fn type_of(node: Node<'_>) -> Option<ResourceType> {
    ResourceType::parse(&node.get("resourceType")?.as_str()?)
}

fn subtree(node: Node<'_>) -> Tree {
    let span = node.span();
    let (first, end) = (node.place as usize, node.slot().skip as usize);
    let moved = span.start as u32;
    let mut slots = node.tree.slots[first..end].to_vec();
    for slot in &mut slots {
        slot.start -= moved;
        slot.end -= moved;
        slot.skip -= node.place;
        slot.key_start = slot.key_start.wrapping_sub(moved);
    }
    slots[0].flags &= !(HAS_KEY | KEY_ESCAPED);
    let keys = &node.tree.decoded_keys;
    let from = keys.partition_point(|(place, _)| *place as usize <= first);
    let to = keys.partition_point(|(place, _)| (*place as usize) < end);
    let keys = keys[from..to].iter();
    let decoded_keys = keys.map(|(place, key)| (place - node.place, key.clone())).collect();
    Tree { text: node.tree.text[span].to_owned(), slots, decoded_keys }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_copied_with_its_bytes_and_names() {
        let text = r#"{"x":[1,{"\u0072esourceType":"Patient", "id":"7","active":true}],"y":2}"#;
        let tree = Tree::parse(text.into()).unwrap();
        let node = tree.root().get("x").unwrap().children().nth(1).unwrap();

        let patient = Resource::from_node(node).unwrap();

        assert_eq!(patient.bytes(), node.raw());
        assert_eq!(patient.resource_type(), ResourceType::PATIENT);
        assert_eq!(patient.id().unwrap().as_str(), "7");
        assert_eq!(patient.node().get("active").unwrap().as_bool(), Some(true));
        assert_eq!(patient.node().key(), None);
        assert_eq!(patient.node().children().count(), 3);
    }

    #[test]
    fn what_has_no_known_type_is_no_resource() {
        for bad in ["{}", r#"{"resourceType":"Foo"}"#, r#"{"resourceType":1}"#, "[]", "1"] {
            assert!(Resource::from_stored(bad.into()).is_err(), "{bad}");
        }
    }
}
