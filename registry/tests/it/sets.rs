//! Write sets made by hand.

use fhir::{Instant, ResourceId, ResourceKey, ResourceType, VersionId};
use policy::{AccessRequest, Permit, Principal, Role};
use registry::error::{CommitError, ReadError};
use registry::index::IndexRows;
use registry::index::rows::{DateRow, StringRow, TokenRow};
use registry::search::{Criteria, ParseOptions};
use registry::store::Store;
use registry::write_set::{Action, CommittedVersion, Finish, Finished, Write, WriteSet};

/// `Type/id` as a key.
pub(crate) fn key(text: &str) -> ResourceKey {
    ResourceKey::parse(text).expect("a valid key")
}

/// A logical id.
pub(crate) fn id(text: &str) -> ResourceId {
    ResourceId::parse(text).expect("a valid id")
}

/// A version number.
pub(crate) fn version(number: u64) -> VersionId {
    VersionId::new(number).expect("a positive number")
}

/// Permit of a patient for own data of one type.
pub(crate) fn patient_permit(patient: &str, key: &ResourceKey) -> Permit {
    let principal = Principal::builder("user")
        .role(Role::Patient)
        .scopes("patient/*.rs")
        .patient(id(patient))
        .build();
    policy::decide(&principal, &AccessRequest::Read(key.clone())).expect("patients may read")
}

/// Stores a text, the version and the time.
pub(crate) struct Text(pub(crate) &'static str);

impl Finish for Text {
    fn finish(&self, version: VersionId, updated: Instant) -> Finished {
        let payload = format!("{} v{} {}", self.0, version.number(), updated);
        let mut entry = [7; 36];
        entry[4..12].copy_from_slice(&version.number().to_be_bytes());
        Finished { payload: payload.into_bytes(), entry, salt_id: [9; 16] }
    }
}

/// A write of a small text with a few index rows.
pub(crate) fn write(key_text: &str, previous: Option<u64>, text: &'static str) -> Write {
    let action = if previous.is_none() { Action::Create } else { Action::Update };
    Write {
        key: key(key_text),
        previous: previous.map(version),
        action,
        finish: std::sync::Arc::new(Text(text)),
        rows: rows(text),
        patients: Vec::new(),
        sort_us: None,
    }
}

/// A tombstone.
pub(crate) fn delete(key_text: &str, previous: u64) -> Write {
    Write {
        action: Action::Delete,
        rows: IndexRows::default(),
        ..write(key_text, Some(previous), "")
    }
}

/// Index rows of a text: its words as strings, its length as token, a date.
pub(crate) fn rows(text: &str) -> IndexRows {
    let length = i64::try_from(text.len()).expect("short");
    IndexRows {
        tokens: vec![TokenRow { param: 1, code_hash: 1 + length, sys_hash: 5 }; 2],
        dates: vec![DateRow { param: 2, lo: length, hi: length + 1 }],
        strings: text
            .split(' ')
            .map(|word| StringRow {
                param: 3,
                norm: word.to_lowercase().into(),
                exact: word.into(),
            })
            .collect(),
        ..IndexRows::default()
    }
}

/// A set of these writes and nothing else.
pub(crate) fn set(writes: Vec<Write>) -> WriteSet {
    WriteSet {
        writes,
        depends: Vec::new(),
        new_keys: Vec::new(),
        idempotency: None,
        access: None,
        reads: Vec::new(),
        erasing: None,
    }
}

/// Commits one write.
pub(crate) async fn commit_one(
    store: &dyn Store,
    write: Write,
) -> Result<CommittedVersion, CommitError> {
    let mut committed = store.commit(set(vec![write])).await?;
    Ok(committed.versions.remove(0))
}

/// Type of all test resources that belong to no patient.
pub(crate) const ORGANIZATION: ResourceType = ResourceType::ORGANIZATION;

/// Criteria as a gateway reads them, without parameters or terminology of its own.
pub(crate) fn criteria(of: ResourceType, text: &str) -> Result<Criteria, ReadError> {
    let options = ParseOptions { base_url: "", lenient: false, now_us: 0, codes: None };
    Criteria::parse(of, text, &options)
}
