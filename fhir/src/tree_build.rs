//! Bytes to [`Tree`]: a JSON parser in one loop, without recursion.
//!
//! Spec: RFC 8259; stricter where FHIR R4 json.html is (no duplicate keys, no `\u0000`).
//! Not here: FHIR's own rules (`reader`), the places of issues (`place`).

mod place;

use crate::issue::{Issue, IssueType};
use crate::json_scan::{Scan, escape_end, number_end, plain_end, space_end};
use crate::tree::{
    DEPTH_MADE_MAX, ESCAPED, HAS_KEY, KEY_ESCAPED, Kind, NODES_MAX, Node, Slot, Tree,
};

/// Most issues that are reported for one document.
pub(crate) const ISSUES_MAX: usize = 50;

/// Reads a document nested at most `depth_max` deep, which may be [`DEPTH_MADE_MAX`] at most.
pub(crate) fn build(bytes: Vec<u8>, depth_max: usize) -> Result<Tree, Vec<Issue>> {
    if bytes.len() >= BYTES_MAX {
        return Err(vec![Issue::error(IssueType::TooLong, "the document is larger than 2 GiB")]);
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        vec![Issue::error(IssueType::Structure, "the document is not well-formed UTF-8")]
    })?;
    let slots = Vec::with_capacity(slots_expected(text.len()));
    let tree = Tree { text: String::new(), slots, decoded_keys: Vec::new() };
    let mut builder = Builder {
        text: &text,
        at: 0,
        tree,
        frames: [Frame::default(); DEPTH_MADE_MAX],
        depth: 0,
        depth_max: depth_max.min(DEPTH_MADE_MAX),
        key: Key::default(),
        issues: Vec::new(),
    };
    if let Err(issue) = builder.document() {
        builder.issues.push(issue);
    }
    let Builder { mut tree, issues, .. } = builder;
    if !issues.is_empty() {
        return Err(issues);
    }
    tree.text = text;
    Ok(tree)
}

/// Room for the nodes of a usual document. A long one gets room for all nodes that it may have: what is not
/// used is never touched, and growing would hold the arena twice.
fn slots_expected(bytes: usize) -> usize {
    if bytes < LONG_BYTES { bytes / BYTES_PER_NODE + 8 } else { NODES_MAX.min(bytes) + 1 }
}

struct Builder<'a> {
    text: &'a str,
    at: usize,
    /// Its text is still empty: `text` is borrowed here until the end.
    tree: Tree,
    frames: [Frame; DEPTH_MADE_MAX],
    depth: usize,
    depth_max: usize,
    key: Key,
    issues: Vec<Issue>,
}

/// An object or array that is not closed yet.
#[derive(Clone, Copy, Default)]
struct Frame {
    place: u32,
    children: u32,
    /// One bit a key; only keys on one bit may be equal.
    seen: u64,
    clash: bool,
}

/// The key read before the value that follows.
#[derive(Clone, Copy, Default)]
struct Key {
    start: u32,
    len: u32,
    flags: u8,
}

impl Builder<'_> {
    fn document(&mut self) -> Result<(), Issue> {
        if self.text.starts_with('\u{feff}') {
            return Err(self.broken("starts with a byte order mark"));
        }
        self.skip_space();
        loop {
            self.value()?;
            if self.after_value()? {
                break;
            }
        }
        self.skip_space();
        if self.at < self.text.len() {
            return Err(self.broken("goes on after its end"));
        }
        Ok(())
    }

    /// Reads a scalar, an empty container, or opens a container and reads on to its first scalar.
    fn value(&mut self) -> Result<(), Issue> {
        loop {
            let opened = match self.peek() {
                Some(b'{') => self.open(Kind::Object)?,
                Some(b'[') => self.open(Kind::Array)?,
                _ => return self.scalar(),
            };
            if !opened {
                return Ok(());
            }
        }
    }

    /// Opens a container; answers whether a value of it follows.
    fn open(&mut self, kind: Kind) -> Result<bool, Issue> {
        if self.depth == self.depth_max {
            return Err(self.here(IssueType::Structure, TOO_DEEP));
        }
        let place = self.push(kind, self.at, self.at, 0)?;
        self.frames[self.depth] = Frame { place, ..Frame::default() };
        self.depth += 1;
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(closing(kind)) {
            self.close();
            return Ok(false);
        }
        self.key = Key::default();
        if kind == Kind::Object {
            self.key()?;
        }
        Ok(true)
    }

    /// Reads what follows a value; answers whether the document is complete.
    fn after_value(&mut self) -> Result<bool, Issue> {
        while self.depth > 0 {
            let kind = self.tree.slots[self.frames[self.depth - 1].place as usize].kind;
            self.skip_space();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.skip_space();
                    self.key = Key::default();
                    if kind == Kind::Object {
                        self.key()?;
                    }
                    return Ok(false);
                }
                Some(byte) if byte == closing(kind) => self.close(),
                Some(_) => return Err(self.broken("lacks a comma or a closing bracket")),
                None => return Err(self.broken("ends too early")),
            }
        }
        Ok(true)
    }

    fn close(&mut self) {
        self.at += 1;
        self.depth -= 1;
        let frame = self.frames[self.depth];
        let skip = self.tree.slots.len() as u32;
        let slot = &mut self.tree.slots[frame.place as usize];
        slot.end = self.at as u32;
        slot.skip = skip;
        if frame.clash {
            self.report_duplicates(frame.place);
        }
    }

    fn key(&mut self) -> Result<(), Issue> {
        match self.peek() {
            Some(b'"') => {}
            Some(_) => return Err(self.broken("lacks a property name in quotes")),
            None => return Err(self.broken("ends too early")),
        }
        let start = self.at + 1;
        let escaped = self.string()?;
        let raw = &self.text[start..self.at - 1];
        self.key = Key { start: start as u32, len: raw.len() as u32, flags: HAS_KEY };
        let frame = &mut self.frames[self.depth - 1];
        if escaped {
            self.key.flags |= KEY_ESCAPED;
            let place = self.tree.slots.len() as u32;
            let decoded = crate::json_text::decode_escapes(raw);
            self.tree.decoded_keys.push((place, decoded.into()));
            frame.clash = true;
        }
        let bit = 1 << (fingerprint(raw.as_bytes()) & 63);
        frame.clash |= frame.seen & bit != 0;
        frame.seen |= bit;
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(self.broken("lacks a colon after a property name"));
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    fn scalar(&mut self) -> Result<(), Issue> {
        let start = self.at;
        let (kind, flags) = match self.peek() {
            Some(b'"') => (Kind::String, if self.string()? { ESCAPED } else { 0 }),
            Some(b'-' | b'0'..=b'9') => {
                let Some(end) = number_end(self.text.as_bytes(), start) else {
                    return Err(self.broken("holds a malformed number"));
                };
                self.at = end;
                (Kind::Number, 0)
            }
            Some(b't') => (Kind::Bool, self.word("true")?),
            Some(b'f') => (Kind::Bool, self.word("false")?),
            Some(b'n') => (Kind::Null, self.word("null")?),
            Some(_) => return Err(self.broken("holds something that is no value")),
            None => return Err(self.broken("ends too early")),
        };
        self.push(kind, start, self.at, flags)?;
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<u8, Issue> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.broken("holds something that is no value"));
        }
        self.at += word.len();
        Ok(0)
    }

    /// Passes a string from its opening quote; answers whether it has escapes.
    fn string(&mut self) -> Result<bool, Issue> {
        let bytes = self.text.as_bytes();
        let mut escaped = false;
        self.at += 1;
        loop {
            self.at = plain_end(bytes, self.at);
            match bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => match escape_end(bytes, self.at) {
                    Scan::End(end) => self.at = end,
                    Scan::Nul => {
                        return Err(self.here(IssueType::Value, "a string must not hold \\u0000"));
                    }
                    Scan::Surrogate => {
                        return Err(
                            self.here(IssueType::Value, "a string holds half a surrogate pair")
                        );
                    }
                    Scan::Malformed => return Err(self.broken("holds a malformed escape")),
                },
                Some(_) => return Err(self.broken("holds a raw control character in a string")),
                None => return Err(self.broken("ends too early")),
            }
            escaped = true;
        }
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize, flags: u8) -> Result<u32, Issue> {
        let place = self.tree.slots.len() as u32;
        if place as usize == NODES_MAX {
            return Err(self.here(IssueType::TooLong, "the document holds too many values"));
        }
        if self.depth > 0 {
            self.frames[self.depth - 1].children += 1;
        }
        let slots = &mut self.tree.slots;
        if slots.len() == slots.capacity() {
            // Half as much again, never beyond the limit: doubling would cost a hostile body twice the memory.
            slots.reserve_exact((slots.len() / 2).clamp(1, NODES_MAX - slots.len()));
        }
        slots.push(Slot {
            start: start as u32,
            end: end as u32,
            skip: place + 1,
            key_start: self.key.start,
            key_len: self.key.len,
            kind,
            flags: flags | self.key.flags,
        });
        Ok(place)
    }

    fn key_of(&self, place: u32) -> &str {
        let slot = &self.tree.slots[place as usize];
        if slot.flags & KEY_ESCAPED != 0 {
            let node = Node { tree: &self.tree, place };
            return node.key().unwrap_or_default();
        }
        let start = slot.key_start as usize;
        &self.text[start..start + slot.key_len as usize]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        self.at = space_end(self.text.as_bytes(), self.at);
    }
}

fn closing(kind: Kind) -> u8 {
    if kind == Kind::Object { b'}' } else { b']' }
}

fn fingerprint(key: &[u8]) -> u64 {
    let first = key.first().copied().unwrap_or(0);
    let last = key.last().copied().unwrap_or(0);
    let middle = key.get(key.len() / 2).copied().unwrap_or(0);
    (u64::from(first) * 7 + u64::from(last) * 31 + u64::from(middle) * 13) ^ (key.len() as u64 * 5)
}

const TOO_DEEP: &str = "the document is nested deeper than 64 levels";
const BYTES_MAX: usize = i32::MAX as usize;
/// Guess for the first allocation of the arena.
const BYTES_PER_NODE: usize = 32;
/// Documents from this length on reserve for the worst.
const LONG_BYTES: usize = 8 << 20;
