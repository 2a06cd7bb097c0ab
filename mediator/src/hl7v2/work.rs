//! A conversion under way: the message, the rules, and the drafts made so far.
//!
//! Directory resources (Practitioner, Organization, Location) are made at most once per key and filled up by later
//! mentions. Every other draft with a key that is already taken gets an ordinal suffix and a warning; two things of
//! one message are never merged because their keys collide.

use std::{borrow::Cow, collections::HashMap};

use super::{
    message::{Message, Slice},
    primitive::dtm::{Dtm, Offsets},
};
use crate::{
    json::{Json, Object},
    place::Place,
    rules::RuleSet,
    site::Site,
    stable_id::stable_id,
};

/// State shared by passes and datatype converters.
pub(crate) struct Work<'m> {
    pub(crate) message: &'m Message<'m>,
    pub(crate) rules: &'m RuleSet,
    pub(crate) site: &'m Site,
    pub(crate) offsets: Offsets,
    /// Trigger event, `A01`.
    pub(crate) event: &'m str,
    /// System of identifiers whose assigner is not stated: the sending facility.
    pub(crate) local_system: String,
    pub(crate) drafts: Vec<Building<'m>>,
    /// Position of a draft by its id; ids differ between types because the type is hashed into them.
    pub(crate) positions: HashMap<String, usize>,
    /// How often a key was used, by the id that it gives.
    pub(crate) uses: HashMap<String, u32>,
}

/// A draft under construction.
#[derive(Debug)]
pub(crate) struct Building<'m> {
    pub(crate) kind: &'static str,
    pub(crate) id: String,
    pub(crate) body: Object<'m>,
    pub(crate) deletes: Vec<String>,
}

impl<'m> Building<'m> {
    pub(crate) fn new(kind: &'static str, id: String) -> Self {
        Self { kind, id, body: Object::new(), deletes: Vec::new() }
    }

    pub(crate) fn reference(&self) -> Json<'m> {
        Json::reference(self.kind, &self.id)
    }
}

impl<'m> Work<'m> {
    /// Starts a draft whose key may collide within the message; the n-th of a key gets the suffix `#n`.
    pub(crate) fn start(
        &mut self,
        kind: &'static str,
        parts: &[&str],
        place: Place,
    ) -> Building<'m> {
        let mut id = stable_id(kind, parts);
        let uses = self.uses.entry(id.clone()).or_default();
        *uses += 1;
        if *uses > 1 {
            let suffix = format!("#{uses}");
            id = stable_id(kind, &[parts, &[&suffix]].concat());
            self.message.warn("key-collision", place);
        }
        // The id is taken from now on, also while the draft is being filled.
        self.push(Building::new(kind, id.clone()));
        Building::new(kind, id)
    }

    /// Adds a draft whose id is not taken.
    pub(crate) fn push(&mut self, draft: Building<'m>) -> usize {
        self.positions.insert(draft.id.clone(), self.drafts.len());
        self.drafts.push(draft);
        self.drafts.len() - 1
    }

    /// Puts a finished draft into the place that `start` took.
    pub(crate) fn finish(&mut self, draft: Building<'m>) {
        match self.find(&draft.id) {
            Some(at) => self.drafts[at] = draft,
            None => {
                self.push(draft);
            }
        }
    }

    /// Makes or fills up a directory resource and refers to it.
    pub(crate) fn directory(
        &mut self,
        kind: &'static str,
        parts: &[&str],
        members: Vec<(&'static str, Json<'m>)>,
    ) -> Json<'m> {
        let id = stable_id(kind, parts);
        let at = match self.find(&id) {
            Some(at) => at,
            None => self.push(Building::new(kind, id.clone())),
        };
        let body = &mut self.drafts[at].body;
        for (key, value) in members {
            if !body.has(key) {
                body.set(key, value);
            }
        }
        Json::reference(kind, &id)
    }

    pub(crate) fn find(&self, id: &str) -> Option<usize> {
        self.positions.get(id).copied()
    }

    /// System of an assigning authority given as namespace, universal id and its type.
    pub(crate) fn system(
        &self,
        namespace: Option<Cow<'m, str>>,
        universal: Option<Cow<'m, str>>,
        kind: Option<Cow<'m, str>>,
    ) -> Cow<'m, str> {
        for name in [&universal, &namespace].into_iter().flatten() {
            if let Some(uri) = self.rules.namespace(name) {
                return Cow::Borrowed(uri);
            }
        }
        if let Some(id) = universal.filter(|id| !id.contains(char::is_whitespace)) {
            let oid =
                |t: &str| t.bytes().all(|b| b.is_ascii_digit() || b == b'.') && t.contains('.');
            match kind.as_deref().unwrap_or_default().to_ascii_uppercase().as_str() {
                "ISO" | "" if oid(&id) => return Cow::Owned(format!("urn:oid:{id}")),
                "UUID" | "GUID" => return Cow::Owned(format!("urn:uuid:{}", id.to_lowercase())),
                "URI" | "URL" if id.contains(':') => return id,
                "ISO" | "L" | "M" | "N" => {}
                _ => return Cow::Owned(local_uri("universal", &id)),
            }
        }
        match namespace {
            Some(name) => Cow::Owned(local_uri("namespace", &name)),
            None => Cow::Owned(self.local_system.clone()),
        }
    }

    /// Assigning authority of an HD in one component (`HOSP1&1.2.3.4&ISO`).
    pub(crate) fn system_of_hd(&self, hd: Slice<'m>) -> Cow<'m, str> {
        self.system(hd.sub(1).text(), hd.sub(2).text(), hd.sub(3).text())
    }

    /// A timestamp; warns and gives nothing when it is not one.
    pub(crate) fn dtm(&self, slice: Slice<'m>) -> Option<(Dtm<'m>, Slice<'m>)> {
        let slice = if slice.component(1).is_empty() { slice } else { slice.component(1) };
        let text = slice.text()?;
        let parsed = match &text {
            Cow::Borrowed(text) => Dtm::parse(text),
            Cow::Owned(_) => None,
        };
        if parsed.is_none() {
            slice.refuse("timestamp-unreadable");
        }
        Some((parsed?, slice))
    }

    /// FHIR `dateTime` of a timestamp.
    pub(crate) fn date_time(&self, slice: Slice<'m>) -> Option<Json<'m>> {
        let (dtm, at) = self.dtm(slice)?;
        let (text, warning) = dtm.date_time(&self.offsets);
        if let Some(code) = warning {
            self.message.warn(code, at.place());
        }
        Some(Json::text(text))
    }
}

/// A system for a namespace that only has a local name: `urn:sealway:namespace:HOSP1`.
pub(crate) fn local_uri(kind: &str, name: &str) -> String {
    use std::fmt::Write as _;
    let mut uri = format!("urn:sealway:{kind}:");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':') {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}
