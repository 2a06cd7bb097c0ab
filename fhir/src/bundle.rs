//! Bundles: what kind, which entries, and in which order a transaction is applied.
//!
//! Spec: FHIR R4 bundle.html, http.html section 3.1.0.11.2. Not here: the shape of elements (`reader`), references
//! between entries, applying anything.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::issue::{Issue, IssueType};
use crate::{Node, ResourceType, Tree, resource::type_of};

/// A view of a bundle's document.
#[derive(Clone, Debug)]
pub struct Bundle<'t> {
    /// What `Bundle.type` says.
    pub kind: BundleKind,
    /// The entries in document order.
    pub entries: Vec<Entry<'t>>,
}

/// Value set `bundle-type`, a closed set of the standard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BundleKind {
    /// `document`
    Document,
    /// `message`
    Message,
    /// `transaction`: all or nothing.
    Transaction,
    /// `transaction-response`
    TransactionResponse,
    /// `batch`: each for itself.
    Batch,
    /// `batch-response`
    BatchResponse,
    /// `history`
    History,
    /// `searchset`
    Searchset,
    /// `collection`
    Collection,
}

/// One entry.
#[derive(Clone, Debug)]
pub struct Entry<'t> {
    /// Place in `Bundle.entry`, from 0.
    pub index: usize,
    /// What other entries call it.
    pub full_url: Option<Cow<'t, str>>,
    /// The resource's object.
    pub resource: Option<Node<'t>>,
    /// What is to be done.
    pub request: Option<EntryRequest<'t>>,
}

/// What `Bundle.entry.request` says.
#[derive(Clone, Debug)]
pub struct EntryRequest<'t> {
    /// The method.
    pub method: Method,
    /// The URL as written, relative to the base.
    pub url: Cow<'t, str>,
    /// As the header `If-Match`.
    pub if_match: Option<Cow<'t, str>>,
    /// As the header `If-None-Match`.
    pub if_none_match: Option<Cow<'t, str>>,
    /// As the header `If-None-Exist`: a query.
    pub if_none_exist: Option<Cow<'t, str>>,
    /// As the header `If-Modified-Since`, in the form of an instant.
    pub if_modified_since: Option<Cow<'t, str>>,
}

/// Value set `http-verb`; in the order in which a transaction is applied.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Method {
    /// `DELETE`
    Delete,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`, applied together with `PUT`.
    Patch,
    /// `GET`
    Get,
    /// `HEAD`, applied together with `GET`.
    Head,
}

impl<'t> Bundle<'t> {
    /// Takes a bundle apart that the reader has accepted. In a transaction every entry must say what is to be done,
    /// POST and PUT must have a resource, and no `fullUrl` may occur twice; in a batch the caller answers each entry.
    ///
    /// # Errors
    /// The issues, each with its location; also when the document is no bundle.
    pub fn read(tree: &'t Tree) -> Result<Self, Vec<Issue>> {
        let root = tree.root();
        if type_of(root) != Some(ResourceType::BUNDLE) {
            let issue = Issue::error(IssueType::Structure, "the resource is not a Bundle");
            return Err(vec![issue.at("Resource.resourceType")]);
        }
        let kind =
            root.get("type").and_then(Node::as_str).and_then(|code| BundleKind::parse(&code));
        let Some(kind) = kind else {
            let issue = Issue::error(IssueType::Required, "the bundle lacks its type");
            return Err(vec![issue.at("Bundle.type")]);
        };
        let list = root.get("entry").into_iter().flat_map(Node::children);
        let entries: Vec<Entry<'t>> =
            list.enumerate().map(|(index, node)| Entry::read(index, node)).collect();
        let issues = if kind == BundleKind::Transaction { check(&entries) } else { Vec::new() };
        if issues.is_empty() { Ok(Self { kind, entries }) } else { Err(issues) }
    }
}

impl BundleKind {
    /// The kind of a code.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Some(match code {
            "document" => Self::Document,
            "message" => Self::Message,
            "transaction" => Self::Transaction,
            "transaction-response" => Self::TransactionResponse,
            "batch" => Self::Batch,
            "batch-response" => Self::BatchResponse,
            "history" => Self::History,
            "searchset" => Self::Searchset,
            "collection" => Self::Collection,
            _ => return None,
        })
    }
}

impl<'t> Entry<'t> {
    fn read(index: usize, node: Node<'t>) -> Self {
        Self {
            index,
            full_url: node.get("fullUrl").and_then(Node::as_str),
            resource: node.get("resource"),
            request: node.get("request").and_then(EntryRequest::read),
        }
    }
}

impl<'t> EntryRequest<'t> {
    fn read(node: Node<'t>) -> Option<Self> {
        let text = |key| node.get(key).and_then(Node::as_str);
        Some(Self {
            method: Method::parse(&text("method")?)?,
            url: text("url")?,
            if_match: text("ifMatch"),
            if_none_match: text("ifNoneMatch"),
            if_none_exist: text("ifNoneExist"),
            if_modified_since: text("ifModifiedSince"),
        })
    }
}

impl Method {
    /// The method of a code of `http-verb`.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Some(match code {
            "DELETE" => Self::Delete,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            _ => return None,
        })
    }

    /// Which of the standard's four steps applies it: DELETE, POST, PUT or PATCH, GET or HEAD.
    fn step(self) -> u8 {
        match self {
            Self::Delete => 0,
            Self::Post => 1,
            Self::Put | Self::Patch => 2,
            Self::Get | Self::Head => 3,
        }
    }
}

/// Places in `entries` in the order in which a transaction is applied: DELETE, POST, PUT and PATCH, GET and HEAD,
/// each in document order; entries without a request come last.
#[must_use]
pub fn order_of_standard(entries: &[Entry<'_>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|at| entries[*at].request.as_ref().map_or(u8::MAX, |r| r.method.step()));
    order
}

fn check(entries: &[Entry<'_>]) -> Vec<Issue> {
    let mut issues = Vec::new();
    let mut seen = HashSet::new();
    for entry in entries {
        let at = |name: &str| format!("Bundle.entry[{}].{name}", entry.index);
        let Some(request) = &entry.request else {
            let text = "an entry of a transaction needs a request with method and url";
            issues.push(Issue::error(IssueType::Required, text).at(at("request")));
            continue;
        };
        let writes = matches!(request.method, Method::Post | Method::Put | Method::Patch);
        let is_operation = request.url.contains('$');
        if writes && entry.resource.is_none() && !is_operation {
            let text = "an entry that writes needs a resource";
            issues.push(Issue::error(IssueType::Required, text).at(at("resource")));
        }
        if let Some(full_url) = &entry.full_url
            && !seen.insert(full_url.as_ref())
            && writes
        {
            let text = "the fullUrl occurs more than once in the transaction";
            issues.push(Issue::error(IssueType::Invariant, text).at(at("fullUrl")));
        }
    }
    issues.truncate(crate::tree_build::ISSUES_MAX);
    issues
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(kind: &str, entries: &str) -> Tree {
        let text = format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{entries}]}}"#);
        Tree::parse(text.into()).unwrap()
    }

    fn entry(method: &str) -> String {
        format!(r#"{{"resource":{{}},"request":{{"method":"{method}","url":"Patient/1"}}}}"#)
    }

    #[test]
    fn a_transaction_is_ordered_as_the_standard_says() {
        let all = ["GET", "PUT", "POST", "HEAD", "DELETE", "PATCH", "POST"].map(entry).join(",");
        let tree = tree("transaction", &all);

        let bundle = Bundle::read(&tree).unwrap();

        assert_eq!(bundle.kind, BundleKind::Transaction);
        assert_eq!(order_of_standard(&bundle.entries), [4, 2, 6, 1, 5, 0, 3]);
    }

    #[test]
    fn an_entry_shows_its_url_resource_and_preconditions() {
        let text = r#"{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient","ifNoneExist":"identifier=a|b"}}"#;
        let tree = tree("batch", text);

        let bundle = Bundle::read(&tree).unwrap();

        let entry = &bundle.entries[0];
        assert_eq!(entry.full_url.as_deref(), Some("urn:uuid:1"));
        assert_eq!(entry.resource.and_then(type_of), Some(ResourceType::PATIENT));
        let request = entry.request.as_ref().unwrap();
        assert_eq!((request.method, request.url.as_ref()), (Method::Post, "Patient"));
        assert_eq!(request.if_none_exist.as_deref(), Some("identifier=a|b"));
        assert_eq!(request.if_match, None);
    }

    #[test]
    fn a_transaction_without_request_resource_or_with_a_repeated_url_is_refused() {
        let entries = r#"{"resource":{}},{"request":{"method":"PUT","url":"Patient/1"}},
            {"fullUrl":"urn:uuid:1","resource":{},"request":{"method":"POST","url":"Patient"}},
            {"fullUrl":"urn:uuid:1","resource":{},"request":{"method":"POST","url":"Patient"}}"#;

        let issues = Bundle::read(&tree("transaction", entries)).map(|_| ()).unwrap_err();

        let places: Vec<_> = issues.iter().filter_map(|i| i.expression.as_deref()).collect();
        let expected =
            ["Bundle.entry[0].request", "Bundle.entry[1].resource", "Bundle.entry[3].fullUrl"];
        assert_eq!(places, expected);
        assert!(Bundle::read(&tree("batch", entries)).is_ok());
    }

    #[test]
    fn what_is_no_bundle_is_refused() {
        for bad in [r#"{"resourceType":"Patient"}"#, r#"{"resourceType":"Bundle"}"#, "{}", "[]"] {
            let tree = Tree::parse(bad.into()).unwrap();
            assert!(Bundle::read(&tree).is_err(), "{bad}");
        }
    }
}
