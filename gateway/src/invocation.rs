//! An operation that an entry of a bundle invokes: `GET Patient/1/$everything`, `POST Observation/$validate` and the like.
//!
//! Spec: FHIR R4 operations.html#request, http.html section 3.1.0.11. In parameters stand in the URL or, with POST, in
//! the resource of the entry. Not here: which operations there are and what they do (`http::operation`).

use bytes::Bytes;
use fhir::{Entry, Method, Node, ResourceId, ResourceType};

use crate::error::{Answered, Fault, FaultKind};
use crate::precondition::Tags;

/// One operation with what it is given.
#[derive(Clone)]
pub struct Invocation {
    /// Place of its entry in the bundle.
    pub(crate) entry: usize,
    /// `GET`, `HEAD` or `POST`.
    pub(crate) method: Method,
    /// Path below the base.
    pub(crate) path: String,
    /// Query, without its question mark.
    pub(crate) query: String,
    /// The type that it is invoked on; `None` for the whole system.
    pub(crate) of: Option<ResourceType>,
    /// The resource that it is invoked on.
    pub(crate) id: Option<ResourceId>,
    /// Its code, without the dollar sign.
    pub(crate) code: String,
    /// As the header `If-Match`.
    pub(crate) if_match: Option<Tags>,
    /// The resource of the entry as it stands in the bundle; empty without one.
    pub(crate) body: Bytes,
}

impl Invocation {
    /// Takes the URL of an entry apart; `None` when it names no operation.
    ///
    /// # Errors
    /// 400 for a malformed path, 405 for another method; each with its place within the entry.
    pub(crate) fn of(
        entry: &Entry<'_>,
        method: Method,
        (path, query): (&str, &str),
    ) -> Answered<Option<Self>> {
        if !path.contains('$') {
            return Ok(None);
        }
        if !matches!(method, Method::Get | Method::Head | Method::Post) {
            let text = "an operation is invoked by GET or POST";
            return Err(Fault::new(FaultKind::MethodNotAllowed, text).placed("request.method"));
        }
        let wrong = || {
            let text = "the url names no operation; one is [type]/$name or [type]/[id]/$name";
            Fault::new(FaultKind::Invalid, text).placed("request.url")
        };
        let steps: Vec<&str> = path.split('/').collect();
        let (of, id, code) = match steps[..] {
            [code] => (None, None, code),
            [of, code] => (Some(of), None, code),
            [of, id, code] => (Some(of), Some(id), code),
            _ => {
                let text = "an operation on a version is not offered in bundles";
                return Err(Fault::new(FaultKind::Unsupported, text).placed("request.url"));
            }
        };
        let code = code.strip_prefix('$').ok_or_else(wrong)?;
        let of = of.map(|name| ResourceType::parse(name).ok_or_else(wrong)).transpose()?;
        let id = id.map(|id| ResourceId::parse(id).map_err(|_| wrong())).transpose()?;
        let body = match (method, entry.resource) {
            (Method::Post, Some(node)) => Bytes::copy_from_slice(node.raw()),
            (Method::Post, None) | (_, None) => Bytes::new(),
            (_, Some(_)) => {
                let text = "a GET takes no resource; its parameters stand in the url";
                return Err(Fault::new(FaultKind::Invalid, text).placed("resource"));
            }
        };
        Ok(Some(Self {
            entry: entry.index,
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            of,
            id,
            code: code.to_owned(),
            if_match: None,
            body,
        }))
    }

    /// Whether its parameters may stand in a body.
    pub(crate) fn is_post(&self) -> bool {
        self.method == Method::Post
    }

    /// How it is called, for refusals: only what is plain of it.
    pub(crate) fn name(&self) -> String {
        let plain = self.code.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-');
        format!("${}", plain.take(CODE_SHOWN_MAX).collect::<String>())
    }

    /// Where its entry stands in the bundle.
    pub(crate) fn place(&self) -> String {
        format!("Bundle.entry[{}]", self.entry)
    }
}

/// Whether the resource of an entry is judged by the operation that the entry invokes, not by the reader before it:
/// `$validate` tells what is wrong with a resource.
pub(crate) fn judges_its_resource(entry: Node<'_>) -> bool {
    let url = entry.get("request").and_then(|request| request.get("url")).and_then(Node::as_str);
    url.is_some_and(|url| {
        let path = url.split('?').next().unwrap_or_default();
        path.rsplit('/').next() == Some("$validate")
    })
}

/// Characters of an unknown code that a refusal repeats.
const CODE_SHOWN_MAX: usize = 40;
