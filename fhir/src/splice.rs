//! Final bytes of a version: the accepted bytes with the server's `id` and `meta` in them.
//!
//! Every byte but those is kept as the client wrote it. Made in two steps, because only the writer knows version and
//! time: [`Template::prepare`] outside the write lock, [`Template::fill`] inside. Not here: who decides on the id.

use std::ops::Range;

use crate::tree::Kind;
use crate::{Instant, Node, ResourceId, VersionId};

/// A resource's bytes with two holes, for version and time.
#[derive(Clone)]
pub struct Template {
    bytes: Vec<u8>,
    /// Ascending places in `bytes`.
    holes: [(usize, Hole); 2],
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Hole {
    Version,
    Updated,
}

/// A stretch of the document and what takes its place.
struct Edit {
    span: Range<usize>,
    parts: Vec<Part>,
}

enum Part {
    Text(String),
    Hole(Hole),
}

impl Template {
    /// Puts in the `id` and makes room for `meta.versionId` and `meta.lastUpdated`, in place of the client's where it
    /// sent any. `replacements` are JSON values (such as resolved references) for spans of the node's document;
    /// those outside the node are ignored.
    ///
    /// # Panics
    /// When two replacements overlap: they come from one document's values.
    #[must_use]
    pub fn prepare(
        node: Node<'_>,
        id: &ResourceId,
        replacements: &[(Range<usize>, String)],
    ) -> Self {
        let within = node.span();
        let mut edits: Vec<Edit> = replacements
            .iter()
            .filter(|(span, _)| within.start < span.start && span.end < within.end)
            .map(|(span, text)| Edit { span: span.clone(), parts: vec![Part::Text(text.clone())] })
            .collect();
        edit_id_and_meta(node, id, &mut edits);
        edits.sort_by_key(|edit| edit.span.start);
        render(node, edits)
    }

    /// The final bytes; a plain concatenation.
    #[must_use]
    pub fn fill(&self, version: VersionId, updated: Instant) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len() + FILL_BYTES_MAX);
        let mut from = 0;
        for (at, hole) in self.holes {
            out.extend_from_slice(&self.bytes[from..at]);
            match hole {
                Hole::Version => out.extend_from_slice(version.to_string().as_bytes()),
                Hole::Updated => out.extend_from_slice(updated.to_string().as_bytes()),
            }
            from = at;
        }
        out.extend_from_slice(&self.bytes[from..]);
        out
    }

    /// Most bytes that [`Template::fill`] can make.
    #[must_use]
    pub fn filled_bytes_max(&self) -> usize {
        self.bytes.len() + FILL_BYTES_MAX
    }
}

fn edit_id_and_meta(node: Node<'_>, id: &ResourceId, edits: &mut Vec<Edit>) {
    let mut added = Vec::new();
    let mut anchor = node.get("resourceType");
    if let Some(old) = node.get("id") {
        anchor = Some(old);
        edits.push(Edit { span: old.span(), parts: vec![Part::Text(format!("\"{id}\""))] });
    } else {
        added.push(Part::Text(format!(",\"id\":\"{id}\"")));
    }
    if let Some(meta) = node.get("meta").filter(|meta| meta.kind() == Kind::Object) {
        edit_meta(meta, edits);
    } else {
        added.push(Part::Text(",\"meta\":{\"versionId\":\"".to_owned()));
        added.push(Part::Hole(Hole::Version));
        added.push(Part::Text("\",\"lastUpdated\":\"".to_owned()));
        added.push(Part::Hole(Hole::Updated));
        added.push(Part::Text("\"}".to_owned()));
    }
    let at = anchor.expect("a resource has a resourceType").span().end;
    if !added.is_empty() {
        edits.push(Edit { span: at..at, parts: added });
    }
}

/// Replaces the client's version and time where they stand, or puts new ones first.
fn edit_meta(meta: Node<'_>, edits: &mut Vec<Edit>) {
    let mut added = Vec::new();
    for (name, hole) in [("versionId", Hole::Version), ("lastUpdated", Hole::Updated)] {
        if let Some(old) = meta.get(name) {
            let quote = || Part::Text("\"".to_owned());
            edits.push(Edit { span: old.span(), parts: vec![quote(), Part::Hole(hole), quote()] });
            continue;
        }
        let comma = if added.is_empty() { "" } else { "," };
        added.push(Part::Text(format!("{comma}\"{name}\":\"")));
        added.push(Part::Hole(hole));
        added.push(Part::Text("\"".to_owned()));
    }
    if added.is_empty() {
        return;
    }
    if !meta.is_empty() {
        added.push(Part::Text(",".to_owned()));
    }
    let at = meta.span().start + 1;
    edits.push(Edit { span: at..at, parts: added });
}

fn render(node: Node<'_>, edits: Vec<Edit>) -> Template {
    let document = node.tree().bytes();
    let within = node.span();
    let mut bytes = Vec::with_capacity(within.len() + ADDED_BYTES);
    let mut holes = [(0, Hole::Version); 2];
    let mut dug = 0;
    let mut from = within.start;
    for edit in edits {
        bytes.extend_from_slice(&document[from..edit.span.start]);
        for part in edit.parts {
            match part {
                Part::Text(text) => bytes.extend_from_slice(text.as_bytes()),
                Part::Hole(hole) => {
                    holes[dug] = (bytes.len(), hole);
                    dug += 1;
                }
            }
        }
        from = edit.span.end;
    }
    bytes.extend_from_slice(&document[from..within.end]);
    Template { bytes, holes }
}

/// Longest version (19 digits) and the fixed width of a time.
const FILL_BYTES_MAX: usize = 19 + 27;
/// Guess for what an added id and meta take.
const ADDED_BYTES: usize = 160;

#[cfg(test)]
#[path = "splice_tests.rs"]
mod tests;
