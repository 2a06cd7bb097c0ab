//! Rules of bundles that are not invariants: the identity of entries.
//!
//! Spec: FHIR R4 bundle.html#bundle-unique (`Bundle.entry.fullUrl`).

use fhir::{IssueType, Node, ResourceType, type_of};

use crate::walk::Walk;

impl Walk<'_> {
    /// A bundle's entries; nothing for other resources.
    pub(crate) fn bundle(&self, node: Node<'_>) {
        if type_of(node) != Some(ResourceType::BUNDLE) {
            return;
        }
        let kind = node.get("type").and_then(Node::as_str).unwrap_or_default();
        for entry in node.get("entry").into_iter().flat_map(Node::children) {
            let url = entry.get("fullUrl").and_then(Node::as_str);
            let resource = entry.get("resource");
            let (Some(url), Some(resource)) = (url, resource) else {
                let exempt =
                    ["transaction", "batch", "transaction-response", "batch-response", "history"];
                if resource.is_some() && entry.get("fullUrl").is_none() && !exempt.contains(&&*kind)
                {
                    let text =
                        "an entry with a resource must have a fullUrl in this kind of bundle";
                    self.error(entry, IssueType::Required, text);
                }
                continue;
            };
            let id = resource.get("id").and_then(Node::as_str);
            let of = type_of(resource).map_or("", |of| of.name());
            let is_rest = url.starts_with("http://") || url.starts_with("https://");
            if is_rest && let Some(id) = id {
                let wanted = format!("/{of}/{id}");
                if !url.ends_with(&wanted) {
                    let text = "the fullUrl does not end with the type and id of the resource";
                    self.error(entry, IssueType::Invalid, text);
                }
            }
        }
    }
}
