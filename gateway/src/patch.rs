//! A PATCH on its way to a version: the document, and what becomes of a resource by it.
//!
//! It is applied to the bytes that the commit finds current; when they change meanwhile, it is applied again. The result
//! is read as strictly as any resource that is sent.
//! Not here: the forms of patches (`fhir::patch`), which media types mean which (`http::patch`).

use std::fmt;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fhir::patch::{PatchError, PatchKind, apply};
use fhir::{Issue, Node, ReadLimits, Tree};

use crate::error::{Answered, Fault, FaultKind};

/// What to change.
#[derive(Clone)]
pub struct Patch {
    kind: PatchKind,
    /// `None`: the resource of the bundle's entry.
    document: Option<Bytes>,
}

impl Patch {
    /// A patch of its own.
    pub fn new(kind: PatchKind, document: impl Into<Bytes>) -> Self {
        Self { kind, document: Some(document.into()) }
    }

    /// The patch in a bundle's entry: `Parameters` for FHIRPath Patch, a Binary for the others (FHIR R4
    /// http.html#patch).
    ///
    /// # Errors
    /// 400 when it is neither, 415 when the Binary is no patch.
    pub(crate) fn of_entry(resource: Node<'_>) -> Answered<Self> {
        let text = |key| resource.get(key).and_then(Node::as_str).unwrap_or_default();
        match text("resourceType").as_ref() {
            "Parameters" => Ok(Self { kind: PatchKind::FhirPath, document: None }),
            "Binary" => {
                let kind = kind_of_media(&text("contentType")).ok_or_else(|| {
                    let text = "contentType of a patch is application/json-patch+json \
                                or application/merge-patch+json";
                    Fault::new(FaultKind::UnsupportedMediaType, text)
                })?;
                let packed: String =
                    text("data").chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
                let document = STANDARD.decode(packed).map_err(|_| {
                    Fault::new(FaultKind::Invalid, "the data of the Binary is not base64")
                })?;
                Ok(Self::new(kind, document))
            }
            _ => Err(Fault::new(
                FaultKind::Invalid,
                "the resource of a PATCH is Parameters (FHIRPath Patch) or a Binary with a patch",
            )),
        }
    }

    /// Whether it is the entry's own resource, in which references to other entries are rewritten.
    pub(crate) fn is_of_document(&self) -> bool {
        self.document.is_none()
    }

    /// The resource as it becomes. `node` is the resource of the entry, with the text that takes the place of some of
    /// its values.
    ///
    /// # Errors
    /// 400 for a malformed patch, 422 for one that does not fit or whose result is no good resource.
    pub(crate) fn applied(
        &self,
        node: Option<Node<'_>>,
        replacements: &[(Range<usize>, String)],
        current: &[u8],
    ) -> Answered<Tree> {
        let patched = match (&self.document, node) {
            (Some(document), _) => apply(self.kind, document, current),
            (None, Some(node)) => apply(self.kind, &spliced(node, replacements), current),
            (None, None) => {
                return Err(Fault::new(FaultKind::Invalid, "a PATCH needs a resource"));
            }
        };
        let patched = patched.map_err(|error| refused(&error))?;
        let unfit = |issues| Fault { kind: FaultKind::Unprocessable, ..Fault::invalid(issues) };
        let tree = Tree::parse(patched).map_err(unfit)?;
        // The client has not sent this document, so its lines say nothing to it.
        match fhir::check(tree.root(), &ReadLimits::default()) {
            issues if issues.is_empty() => Ok(tree),
            issues => Err(unfit(issues)),
        }
    }
}

impl fmt::Debug for Patch {
    /// Never the content: it may be a patient's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Patch({:?})", self.kind)
    }
}

/// The kind of patch that a media type names.
pub(crate) fn kind_of_media(media: &str) -> Option<PatchKind> {
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media.as_str() {
        "application/json-patch+json" => Some(PatchKind::Json),
        "application/merge-patch+json" => Some(PatchKind::Merge),
        _ => None,
    }
}

/// A node's text with some of its values replaced.
fn spliced(node: Node<'_>, replacements: &[(Range<usize>, String)]) -> Vec<u8> {
    let (document, within) = (node.tree().bytes(), node.span());
    let mut inner: Vec<_> = replacements
        .iter()
        .filter(|(span, _)| within.start < span.start && span.end < within.end)
        .collect();
    inner.sort_by_key(|(span, _)| span.start);
    let (mut out, mut from) = (Vec::with_capacity(within.len()), within.start);
    for (span, text) in inner {
        out.extend_from_slice(&document[from..span.start]);
        out.extend_from_slice(text.as_bytes());
        from = span.end;
    }
    out.extend_from_slice(&document[from..within.end]);
    out
}

fn refused(error: &PatchError) -> Fault {
    let kind = match error {
        PatchError::Malformed(_) => FaultKind::Invalid,
        _ => FaultKind::Unprocessable,
    };
    let issues = error.issues().iter().map(|issue| match &issue.expression {
        // A place in JSON is no FHIRPath, so it stands in the text.
        Some(place) if place.starts_with('$') => {
            let text = format!("patch{}: {}", &place[1..], issue.text);
            Issue { text, expression: None, ..issue.clone() }
        }
        _ => issue.clone(),
    });
    Fault { kind, ..Fault::invalid(issues.collect()) }
}
