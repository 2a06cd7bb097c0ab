//! Where a visit is: `Encounter.location` as the history of its places.
//!
//! R4, Encounter.location.status: at most one place is active, and none once the visit is cancelled.
//! Not here: how other elements join (`super`).

use std::borrow::Cow;

use fhir::{Node, Tree};

use super::{Members, identity, list, members, render, set};

/// Encounter.location: the incoming active location completes another one that was active.
pub(super) fn history(stored: Node<'_>, incoming: Node<'_>) -> Vec<u8> {
    let place = |n: Node<'_>| n.get("location").map(identity);
    let is_active =
        |n: Node<'_>| n.get("status").and_then(Node::as_str).as_deref() == Some("active");
    let current = incoming.items().find(|n| is_active(*n));
    let mut entries: Vec<Vec<u8>> = Vec::new();
    let mut found = false;
    for item in stored.items() {
        let Some(now) = current else {
            entries.push(item.raw().to_vec());
            continue;
        };
        if is_active(item) && place(item) == place(now) {
            found = true;
            entries.push(item.raw().to_vec());
        } else if is_active(item) {
            let end = now.get("period").and_then(|p| p.get("start"));
            entries.push(completed(item, end));
        } else {
            entries.push(item.raw().to_vec());
        }
    }
    for item in incoming.items() {
        let known = stored.items().any(|s| place(s) == place(item));
        let add = if is_active(item) { !found } else { !known };
        if add {
            entries.push(item.raw().to_vec());
        }
    }
    list(entries.iter().map(Vec::as_slice))
}

/// Nobody is anywhere in a cancelled visit: what was active is completed, at the end that the draft gives.
pub(super) fn leave(after: &mut Members<'_>, incoming: Node<'_>) {
    let value = |key: &str| after.iter().find(|(k, _)| k == key).map(|(_, bytes)| bytes.to_vec());
    if value("status").as_deref() != Some(b"\"cancelled\"") {
        return;
    }
    let Some(Ok(tree)) = value("location").map(Tree::parse) else { return };
    let end = incoming.get("location").and_then(|list| list.items().next());
    let end = end.and_then(|item| item.get("period")).and_then(|period| period.get("end"));
    let entries: Vec<Vec<u8>> = tree
        .root()
        .items()
        .map(|item| match item.get("status").and_then(Node::as_str).as_deref() {
            Some("active") => completed(item, end),
            _ => item.raw().to_vec(),
        })
        .collect();
    set(after, "location", Cow::Owned(list(entries.iter().map(Vec::as_slice))));
}

fn completed(item: Node<'_>, end: Option<Node<'_>>) -> Vec<u8> {
    let mut entry = members(item);
    set(&mut entry, "status", Cow::Borrowed(b"\"completed\""));
    if let Some(end) = end {
        let mut period = item.get("period").map(members).unwrap_or_default();
        set(&mut period, "end", Cow::Borrowed(end.raw()));
        set(&mut entry, "period", Cow::Owned(render(&period)));
    }
    render(&entry)
}
