//! Bundles that leave: searchsets and histories concatenated from stored bytes, without parsing.
//!
//! Shape: `{"resourceType":"Bundle","type":…,"total":…,"link":[…],"entry":[…]}`; an empty list is left out,
//! because FHIR forbids empty arrays.
//! Not here: bundles that come in (`fhir::bundle`).

use std::collections::HashSet;

use fhir::{ResourceKey, VersionId, write_json_string};
use registry::page::{HitMode, StoredVersion};
use registry::write_set::Action;

use crate::error::{Answered, Fault, FaultKind};
use crate::limits::ANSWER_BYTES_MAX;

/// HTTP verb that a history entry names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Method {
    /// Made by a create.
    Post,
    /// Made by an update.
    Put,
    /// A deletion.
    Delete,
}

impl Method {
    /// What made a version.
    pub fn of(action: Action) -> Self {
        match action {
            Action::Create => Self::Post,
            Action::Update => Self::Put,
            Action::Delete => Self::Delete,
        }
    }
}

/// Writes one bundle from front to back: links first, then entries.
pub struct Writer {
    out: Vec<u8>,
    part: Part,
    /// `fullUrl` of each entry of a response so far.
    answered: HashSet<String>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Part {
    Head,
    Links,
    Entries,
}

impl Writer {
    /// Begins a bundle of this type.
    pub fn new(bundle_type: &str, total: Option<u64>) -> Self {
        let mut out = Vec::with_capacity(4096);
        out.extend_from_slice(b"{\"resourceType\":\"Bundle\",\"type\":\"");
        out.extend_from_slice(bundle_type.as_bytes());
        out.push(b'"');
        if let Some(total) = total {
            out.extend_from_slice(format!(",\"total\":{total}").as_bytes());
        }
        Self { out, part: Part::Head, answered: HashSet::new() }
    }

    /// Adds a link. All links come before the first entry.
    pub fn link(&mut self, relation: &str, url: &str) {
        self.part(Part::Links, b",\"link\":[");
        self.text("{\"relation\":\"");
        self.text(relation);
        self.text("\",\"url\":");
        write_json_string(url, &mut self.out);
        self.text("}");
    }

    /// Adds a search hit.
    pub fn hit(&mut self, base: &str, key: &ResourceKey, mode: HitMode, body: &[u8]) {
        self.full_url(base, key);
        self.text(",\"resource\":");
        self.out.extend_from_slice(body);
        self.text(match mode {
            HitMode::Match => ",\"search\":{\"mode\":\"match\"}}",
            HitMode::Include => ",\"search\":{\"mode\":\"include\"}}",
        });
    }

    /// Makes room for so many entries like one with this body, up to a mebibyte.
    pub fn expect(&mut self, entries: usize, body: &[u8]) {
        let each = body.len() + ENTRY_BYTES;
        self.out.reserve(each.saturating_mul(entries).min(RESERVED_BYTES_MAX));
    }

    /// Adds an OperationOutcome about the search itself. It is stored nowhere, so its `fullUrl` is a new UUID.
    pub fn outcome(&mut self, body: &[u8]) {
        self.part(Part::Entries, b",\"entry\":[");
        self.text(&format!("{{\"fullUrl\":\"urn:uuid:{}\",\"resource\":", uuid::Uuid::now_v7()));
        self.out.extend_from_slice(body);
        self.text(",\"search\":{\"mode\":\"outcome\"}}");
    }

    /// Adds a history entry.
    pub fn version(
        &mut self,
        base: &str,
        stored: &StoredVersion,
        body: Option<&[u8]>,
        method: Method,
    ) {
        self.full_url(base, &stored.key);
        if let Some(body) = body {
            self.text(",\"resource\":");
            self.out.extend_from_slice(body);
        }
        let (verb, url, status) = match method {
            Method::Post => ("POST", stored.key.resource_type.name().to_owned(), "201"),
            Method::Put if stored.version == VersionId::FIRST => {
                ("PUT", stored.key.to_string(), "201")
            }
            Method::Put => ("PUT", stored.key.to_string(), "200"),
            Method::Delete => ("DELETE", stored.key.to_string(), "204"),
        };
        let (version, updated) = (stored.version.number(), stored.updated);
        self.text(&format!(
            ",\"request\":{{\"method\":\"{verb}\",\"url\":\"{url}\"}},\"response\":{{\"status\":\"{status}\",\
             \"etag\":\"W/\\\"{version}\\\"\",\"lastModified\":\"{updated}\"}}}}"
        ));
    }

    /// Adds an entry of a batch or transaction response; `response` is its `response` object. Of several entries about
    /// one resource the first has the `fullUrl`, which must not be there twice (FHIR R4 bundle.html, rule bdl-7).
    pub fn response(&mut self, full_url: Option<&str>, resource: Option<&[u8]>, response: &[u8]) {
        self.part(Part::Entries, b",\"entry\":[");
        self.text("{");
        if let Some(full_url) = full_url.filter(|url| self.answered.insert((*url).to_owned())) {
            self.text("\"fullUrl\":");
            write_json_string(full_url, &mut self.out);
            self.text(",");
        }
        if let Some(resource) = resource {
            self.text("\"resource\":");
            self.out.extend_from_slice(resource);
            self.text(",");
        }
        self.text("\"response\":");
        self.out.extend_from_slice(response);
        self.text("}");
    }

    /// Refuses an answer that outgrows memory. To be asked after every resource.
    ///
    /// # Errors
    /// 400, with what helps.
    pub fn expect_bounded(&self) -> Answered<()> {
        if self.out.len() <= ANSWER_BYTES_MAX {
            return Ok(());
        }
        let text =
            format!("the answer has more than {ANSWER_BYTES_MAX} bytes; ask for a smaller _count");
        Err(Fault::new(FaultKind::Invalid, text))
    }

    /// The finished bytes.
    pub fn finish(mut self) -> Vec<u8> {
        if self.part != Part::Head {
            self.out.push(b']');
        }
        self.out.push(b'}');
        self.out
    }

    fn full_url(&mut self, base: &str, key: &ResourceKey) {
        self.part(Part::Entries, b",\"entry\":[");
        self.text("{\"fullUrl\":");
        write_json_string(base, &mut self.out);
        // A name of a type and an id hold nothing that JSON escapes.
        self.out.pop();
        for part in ["/", key.resource_type.name(), "/", key.id.as_str(), "\""] {
            self.text(part);
        }
    }

    fn part(&mut self, part: Part, opening: &[u8]) {
        if self.part == part {
            self.out.push(b',');
            return;
        }
        if self.part != Part::Head {
            self.out.push(b']');
        }
        self.out.extend_from_slice(opening);
        self.part = part;
    }

    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }
}

/// What an entry has around its resource, about.
const ENTRY_BYTES: usize = 200;
const RESERVED_BYTES_MAX: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_bundle_has_no_empty_lists() {
        let bytes = Writer::new("searchset", Some(0)).finish();

        assert_eq!(bytes, br#"{"resourceType":"Bundle","type":"searchset","total":0}"#);
    }

    #[test]
    fn links_and_entries_close_their_lists() {
        let key = ResourceKey::parse("Patient/1").unwrap();
        let mut out = Writer::new("searchset", None);
        out.link("self", "http://h/Patient?name=\"x\"");
        out.hit("http://h", &key, HitMode::Match, b"{}");
        out.hit("http://h", &key, HitMode::Include, b"{}");

        let value: serde_json::Value = serde_json::from_slice(&out.finish()).unwrap();

        assert_eq!(value["link"][0]["url"], "http://h/Patient?name=\"x\"");
        assert_eq!(value["entry"][1]["fullUrl"], "http://h/Patient/1");
        assert_eq!(value["entry"][1]["search"]["mode"], "include");
    }
}
