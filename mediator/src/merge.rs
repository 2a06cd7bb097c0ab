//! Joining what a message asserts with the stored version, element by element.
//!
//! Absent keeps, `""` deletes, present joins as the draft's [`WriteMode`](crate::WriteMode) says. The event time of the
//! last applied statement is kept in `meta.extension` ([`EVENT_TIME`], [`EVENT_LOCAL_TIME`]); guarded elements of an older
//! message are left alone (*stale*), fills and unions still apply. Every stored element that is not written keeps its bytes.
//! Not here: versions, `meta.versionId`, `meta.lastUpdated` (the store adds them).

mod location;

use std::{borrow::Cow, collections::HashSet};

use fhir::{Node, Tree};

use self::location::{history, leave};
use crate::{
    conversion::{Draft, FieldMode},
    event_time::Applied,
    json::write_text,
};

/// Extension of `Resource.meta` with the sender's time of the last applied event.
pub const EVENT_TIME: &str = "https://sealway.org/fhir/StructureDefinition/source-event-time";

/// The same for events whose time has no known offset: the time that the sender's clock showed.
pub const EVENT_LOCAL_TIME: &str =
    "https://sealway.org/fhir/StructureDefinition/source-event-local-time";

/// What joining a draft with the stored version gives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Merged {
    /// The stored version already says so; nothing to write.
    Unchanged,
    /// The message is older than what is stored; nothing to write.
    Stale,
    /// The draft merges two patients that are already merged the other way round; refuse the whole message with
    /// [`Reason::MergeCycle`](crate::Reason::MergeCycle).
    Cycle,
    /// The bytes of the next version, without `meta.versionId` and `meta.lastUpdated`.
    Write(Vec<u8>),
}

/// Joins a draft with the stored version of its resource, if there is one.
pub fn merge(existing: Option<&Tree>, draft: &Draft) -> Merged {
    let incoming = Tree::parse(draft.body.clone()).expect("drafts are written as valid JSON");
    let Some(existing) = existing else {
        let mut members = members(incoming.root());
        members.retain(|(key, _)| draft.write.of(key) != FieldMode::Ignore);
        stamp(&mut members, None, applied(draft, &incoming, Applied::default()));
        return Merged::Write(render(&members));
    };
    if reverses(existing.root(), incoming.root()) {
        return Merged::Cycle;
    }
    let stored_time = event_time(existing.root());
    let stale = is_older(draft, stored_time);
    let before = members(existing.root());
    let mut after = if draft.write.default == FieldMode::Whole {
        if stale { before.clone() } else { whole(existing.root(), incoming.root()) }
    } else {
        let mut after = before.clone();
        delete(&mut after, draft, stale);
        for node in incoming.root().children() {
            let Some(key) = node.key() else { continue };
            let mode = draft.write.of(key);
            let kept =
                matches!(key, "resourceType" | "id" | "meta") || (stale && mode.is_guarded());
            if !kept {
                join(&mut after, key, node, existing.root().get(key), mode);
            }
        }
        if !stale && draft.resource_type == "Encounter" {
            leave(&mut after, incoming.root());
        }
        after
    };
    let time = if stale { stored_time } else { applied(draft, &incoming, stored_time) };
    stamp(&mut after, existing.root().get("meta"), time);
    let mut unstamped = before;
    stamp(&mut unstamped, existing.root().get("meta"), stored_time);
    if after == unstamped {
        return if stale { Merged::Stale } else { Merged::Unchanged };
    }
    Merged::Write(render(&after))
}

/// True when the message is older than what is stored, so that what it asserts of guarded elements is left out.
pub fn is_stale(existing: &Tree, draft: &Draft) -> bool {
    let older = is_older(draft, event_time(existing.root()));
    older && Tree::parse(draft.body.clone()).is_ok_and(|body| asserts_guarded(draft, &body))
}

fn is_older(draft: &Draft, stored: Applied) -> bool {
    draft.event_time.is_some_and(|time| time.is_older_than(stored))
}

/// The event times after a draft that is not older was applied.
fn applied(draft: &Draft, incoming: &Tree, stored: Applied) -> Applied {
    let time = draft.event_time.filter(|_| asserts_guarded(draft, incoming));
    time.map_or(stored, |time| stored.with(time))
}

/// True when both link to the same patient, one as replaced and the other as replacing.
fn reverses(stored: Node<'_>, incoming: Node<'_>) -> bool {
    let links = |resource: Node<'_>| -> Vec<(String, String)> {
        let all = resource.get("link").into_iter().flat_map(Node::items);
        let text = |n: Option<Node<'_>>| n.and_then(Node::as_str).unwrap_or_default().into_owned();
        all.map(|l| (text(l.get("other").and_then(|o| o.get("reference"))), text(l.get("type"))))
            .filter(|(_, kind)| matches!(kind.as_str(), "replaces" | "replaced-by"))
            .collect()
    };
    let stored = links(stored);
    links(incoming).iter().any(|(other, kind)| stored.iter().any(|(o, k)| o == other && k != kind))
}

/// Members of an object: key and JSON bytes.
type Members<'t> = Vec<(Cow<'t, str>, Cow<'t, [u8]>)>;

fn members<'t>(object: Node<'t>) -> Members<'t> {
    object
        .children()
        .filter_map(|n| Some((Cow::Borrowed(n.key()?), Cow::Borrowed(n.raw()))))
        .collect()
}

/// The draft's members and nothing else but the stored `meta`.
fn whole<'t>(existing: Node<'t>, incoming: Node<'t>) -> Members<'t> {
    let mut after = members(incoming);
    if let Some(meta) = existing.get("meta") {
        after.push(("meta".into(), meta.raw().into()));
    }
    after
}

fn asserts_guarded(draft: &Draft, incoming: &Tree) -> bool {
    let is_content = |key: &str| !matches!(key, "resourceType" | "id" | "meta");
    incoming
        .root()
        .children()
        .filter_map(Node::key)
        .any(|key| is_content(key) && draft.write.of(key).is_guarded())
        || !draft.deletes.is_empty()
}

fn delete(after: &mut Members<'_>, draft: &Draft, stale: bool) {
    for path in &draft.deletes {
        let (top, rest) = path.split_once('.').map_or((path.as_str(), None), |(t, r)| (t, Some(r)));
        if stale || !matches!(draft.write.of(top), FieldMode::Replace | FieldMode::Members) {
            continue;
        }
        let Some(at) = after.iter().position(|(key, _)| key == top) else { continue };
        match rest {
            None => {
                after.remove(at);
            }
            Some(name) => {
                let Ok(tree) = Tree::parse(after[at].1.to_vec()) else { continue };
                let mut inner = members(tree.root());
                inner.retain(|(key, _)| key != name);
                if inner.is_empty() {
                    after.remove(at);
                } else {
                    after[at].1 = Cow::Owned(render(&inner));
                }
            }
        }
    }
}

fn join<'t>(
    after: &mut Members<'t>,
    key: &'t str,
    incoming: Node<'t>,
    stored: Option<Node<'t>>,
    mode: FieldMode,
) {
    let bytes: Cow<'t, [u8]> = match (mode, stored) {
        (FieldMode::Ignore, _) => return,
        (FieldMode::Fill, _) if has_choice(after, key) => return,
        (FieldMode::Union, Some(stored)) => Cow::Owned(union(stored, incoming)),
        (FieldMode::LocationHistory, Some(stored)) => Cow::Owned(history(stored, incoming)),
        (FieldMode::Members, Some(_)) => {
            let Some((_, current)) = after.iter().find(|(k, _)| k == key) else {
                return set(after, key, Cow::Borrowed(incoming.raw()));
            };
            let Ok(tree) = Tree::parse(current.to_vec()) else { return };
            let mut inner = members(tree.root());
            for node in incoming.children() {
                if let Some(name) = node.key() {
                    set(&mut inner, name, Cow::Borrowed(node.raw()));
                }
            }
            Cow::Owned(render(&inner))
        }
        _ => Cow::Borrowed(incoming.raw()),
    };
    set(after, key, bytes);
}

/// Sets a member and drops what may not stand beside it: other types of the same choice, the primitive's `_key`.
fn set<'t>(members: &mut Members<'t>, key: &'t str, bytes: Cow<'t, [u8]>) {
    if let Some(base) = choice(key) {
        members.retain(|(k, _)| k == key || choice(k.trim_start_matches('_')) != Some(base));
    }
    match members.iter_mut().find(|(k, _)| k == key) {
        Some((_, old)) if **old == *bytes => {}
        Some((_, old)) => {
            *old = bytes;
            let shadow = format!("_{key}");
            members.retain(|(k, _)| *k != shadow);
        }
        None => members.push((Cow::Borrowed(key), bytes)),
    }
}

fn has_choice(members: &Members<'_>, key: &str) -> bool {
    let base = choice(key);
    members.iter().any(|(k, _)| k == key || (base.is_some() && choice(k) == base))
}

/// The stem of a choice element (`deceasedBoolean` → `deceased`), for the choices that drafts use.
fn choice(key: &str) -> Option<&'static str> {
    CHOICES.iter().copied().find(|stem| {
        key.strip_prefix(stem)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
    })
}

fn union(stored: Node<'_>, incoming: Node<'_>) -> Vec<u8> {
    let known: HashSet<_> = stored.items().map(identity).collect();
    let fresh: Vec<&[u8]> =
        incoming.items().filter(|n| !known.contains(&identity(*n))).map(Node::raw).collect();
    if fresh.is_empty() {
        return stored.raw().to_vec();
    }
    list(stored.items().map(Node::raw).chain(fresh))
}

/// What makes two array items the same thing.
fn identity(item: Node<'_>) -> Vec<String> {
    let text =
        |node: Node<'_>, key: &str| node.get(key).and_then(Node::as_str).map(|t| t.to_string());
    let parts = [
        text(item, "system"),
        text(item, "value"),
        text(item, "reference"),
        item.get("other").and_then(|o| text(o, "reference")),
        item.get("condition").and_then(|o| text(o, "reference")),
    ];
    if parts.iter().all(Option::is_none) {
        return vec![String::from_utf8_lossy(item.raw()).into_owned()];
    }
    parts.into_iter().map(Option::unwrap_or_default).collect()
}

fn event_time(resource: Node<'_>) -> Applied {
    let Some(extensions) = resource.get("meta").and_then(|m| m.get("extension")) else {
        return Applied::default();
    };
    let read = |url: &str, value: &str| {
        let is_it = |e: &Node<'_>| e.get("url").and_then(Node::as_str).as_deref() == Some(url);
        let text = extensions.items().find(is_it)?.get(value)?.as_str()?;
        // A local time is kept as digits of an instant, without the Z.
        let text = if value == "valueInstant" { text } else { Cow::Owned(format!("{text}Z")) };
        fhir::Instant::parse(&text).ok().map(|i| i.micros())
    };
    Applied {
        utc_us: read(EVENT_TIME, "valueInstant"),
        local_us: read(EVENT_LOCAL_TIME, "valueString"),
    }
}

/// Writes `meta` without the server's members and with the event times.
fn stamp(members_of: &mut Members<'_>, stored: Option<Node<'_>>, time: Applied) {
    let mut meta: Members<'_> = stored.map(members).unwrap_or_default();
    meta.retain(|(key, _)| !matches!(key.as_ref(), "versionId" | "lastUpdated" | "extension"));
    let extensions = stored.and_then(|m| m.get("extension"));
    let is_ours = |e: &Node<'_>| {
        let url = e.get("url").and_then(Node::as_str);
        url.is_some_and(|url| [EVENT_TIME, EVENT_LOCAL_TIME].contains(&&*url))
    };
    let others = extensions.into_iter().flat_map(Node::items).filter(|e| !is_ours(e));
    let mut list_of: Vec<Vec<u8>> = others.map(|e| e.raw().to_vec()).collect();
    let text = |micros: i64| fhir::Instant::from_micros(micros).to_string();
    if let Some(time) = time.utc_us {
        list_of.push(extension(EVENT_TIME, "valueInstant", &text(time)));
    }
    if let Some(time) = time.local_us {
        let text = text(time);
        list_of.push(extension(EVENT_LOCAL_TIME, "valueString", text.trim_end_matches('Z')));
    }
    if !list_of.is_empty() {
        let bytes = list(list_of.iter().map(Vec::as_slice));
        meta.push((Cow::Borrowed("extension"), Cow::Owned(bytes)));
    }
    let at = members_of.iter().position(|(key, _)| key == "meta");
    if let Some(at) = at {
        members_of.remove(at);
    }
    if !meta.is_empty() {
        let after_id = members_of.iter().position(|(key, _)| key == "id").map_or(0, |at| at + 1);
        members_of.insert(after_id, (Cow::Borrowed("meta"), Cow::Owned(render(&meta))));
    }
}

fn extension(url: &str, key: &str, value: &str) -> Vec<u8> {
    let mut out = b"{\"url\":".to_vec();
    write_text(url, &mut out);
    out.push(b',');
    write_text(key, &mut out);
    out.push(b':');
    write_text(value, &mut out);
    out.push(b'}');
    out
}

fn list<'b>(items: impl IntoIterator<Item = &'b [u8]>) -> Vec<u8> {
    let mut out = vec![b'['];
    for (n, item) in items.into_iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        out.extend_from_slice(item);
    }
    out.push(b']');
    out
}

fn render(members: &Members<'_>) -> Vec<u8> {
    let mut out = vec![b'{'];
    for (n, (key, value)) in members.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        write_text(key, &mut out);
        out.push(b':');
        out.extend_from_slice(value);
    }
    out.push(b'}');
    out
}

/// Stems of the choice elements in drafts.
const CHOICES: &[&str] =
    &["deceased", "multipleBirth", "onset", "abatement", "effective", "occurrence", "value"];

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
