//! Opening what is sealed: data keys, envelopes, commitments.

use bytes::Bytes;
use fhir::{ResourceId, VersionKey};
use ledger::{Kind, Salt};
use repository::StoreError;

use super::report::About;
use super::{Check, PAGE};
use crate::app::OpenError;
use crate::finish;

/// Something sealed, with its entry.
pub(super) struct Sealed<'a> {
    pub(super) kind: Kind,
    /// What it was sealed as.
    pub(super) key: &'a VersionKey,
    pub(super) payload: &'a [u8],
    pub(super) salt_id: &'a [u8; 16],
    pub(super) entry: &'a [u8; 36],
}

/// What an envelope says.
pub(super) struct Content {
    pub(super) bytes: Bytes,
    /// Patients in whose compartments it was sealed; `None` when a key is missing.
    pub(super) patients: Option<Vec<ResourceId>>,
    /// `rid`s of patients who were erased since, and whose key would have opened it, too.
    pub(super) erased: Vec<i64>,
}

impl Check<'_> {
    /// The content; `None` when it does not open, which is reported under `name`. A content that its entry does not
    /// commit to is reported, and given.
    pub(super) async fn content(
        &mut self,
        name: &str,
        sealed: Sealed<'_>,
    ) -> Result<Option<Content>, OpenError> {
        let ids = match repository::key_ids(sealed.payload) {
            Ok(ids) => ids,
            Err(error) => {
                self.report.add(About::Content, name, error);
                return Ok(None);
            }
        };
        let compartments = self.payloads.compartments_of(&ids).await;
        let (mut patients, mut erased) = (Some(Vec::new()), Vec::new());
        for (id, compartment) in self.rows("data_key", compartments)? {
            match compartment {
                Ok(compartment) => {
                    let id = compartment.strip_prefix("Patient/").map(ResourceId::parse);
                    patients.iter_mut().for_each(|all| all.extend(id.clone().and_then(Result::ok)));
                }
                Err(_) if self.erasures.patient_of(id).is_some() => {
                    erased.extend(self.erasures.patient_of(id));
                }
                Err(why) => {
                    patients = None;
                    self.bad_key(id, &why);
                }
            }
        }
        if sealed.kind == Kind::Access && erased.len() == ids.len() {
            self.findings.accesses_erased += 1;
            return Ok(None);
        }
        let (bytes, salt_key) = match self.payloads.open_as(sealed.payload, sealed.key).await {
            Ok(opened) => opened,
            Err(StoreError::Unavailable(text)) => {
                return Err(OpenError::Folder(format!("object store: {text}")));
            }
            // The text is the same for an envelope and for the object that it names.
            Err(StoreError::Open(error)) => {
                self.report.add(About::Content, name, error);
                return Ok(None);
            }
            Err(error) => {
                self.report.add(About::Content, name, error);
                return Ok(None);
            }
        };
        let salt = Salt::derive(salt_key.as_bytes(), sealed.kind, sealed.salt_id);
        if finish::entry(sealed.kind, &salt, &bytes) == *sealed.entry {
            if !self.report.is_muted {
                match sealed.kind {
                    Kind::Access => self.findings.accesses_good += 1,
                    Kind::Erasure => self.findings.erasures_good += 1,
                    _ => self.findings.versions_good += 1,
                }
            }
        } else {
            self.report.add(About::Content, name, "its entry does not commit to it");
        }
        Ok(Some(Content { bytes, patients, erased }))
    }

    /// Every data key unwraps. Those that a version needs and does not find are reported by the version.
    pub(super) async fn keys(&mut self) -> Result<(), OpenError> {
        let mut after = i64::MIN;
        loop {
            let read = self.checks.keys(after, PAGE).await;
            let page = self.rows("data_key", read)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.key_id.cast_signed();
            for wrapped in &page {
                if self.erasures.patient_of(wrapped.key_id).is_some() {
                    self.bad_key(wrapped.key_id, &"is there, although it was erased");
                }
                if let Err(error) = self.payloads.try_unwrap(wrapped) {
                    self.bad_key(wrapped.key_id, &error);
                }
            }
        }
    }

    fn bad_key(&mut self, id: u64, why: &dyn std::fmt::Display) {
        if self.bad_keys.len() < BAD_KEYS_MAX && self.bad_keys.insert(id) {
            self.report.add(About::Key, format!("data key {id:016x}"), why);
        }
    }
}

/// Keys that are remembered as reported.
const BAD_KEYS_MAX: usize = 100_000;
