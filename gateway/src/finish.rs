//! The last step of a version, done by the writer once version and time are known.
//!
//! Splice, hash, commit, seal: microseconds, no I/O. Everything that could fail was done before.
//! Not here: templates (`fhir::Template`), envelopes (`repository::Sealer`).

use std::sync::Arc;

use fhir::{Instant, Template, VersionId};
use ledger::{Canon, ContentHash, EntryBody, Kind, Salt};
use registry::write_set::{Finish, Finished};
use repository::{Sealer, StagedObject};

/// Makes the stored form of one version.
pub(crate) struct VersionFinish {
    template: Arc<Template>,
    sealer: Sealer,
    staged: Option<StagedObject>,
    salt_id: [u8; 16],
    salt: Salt,
}

impl VersionFinish {
    /// Over a template whose content is known to be small enough to seal.
    pub(crate) fn new(
        template: Arc<Template>,
        sealer: Sealer,
        staged: Option<StagedObject>,
    ) -> Self {
        let salt_id = random_id();
        let salt = Salt::derive(sealer.salt_key().as_bytes(), Kind::ResourceVersion, &salt_id);
        Self { template, sealer, staged, salt_id, salt }
    }
}

impl Finish for VersionFinish {
    fn finish(&self, version: VersionId, updated: Instant) -> Finished {
        let content = self.template.fill(version, updated);
        let payload = match &self.staged {
            None => self.sealer.seal(version, &content),
            Some(staged) => self.sealer.seal_reference(version, &content, staged),
        };
        Finished {
            payload: payload.expect("the size was checked when the version was prepared"),
            entry: entry(Kind::ResourceVersion, &self.salt, &content),
            salt_id: self.salt_id,
        }
    }
}

/// Ledger entry, without its sequence number, for exact bytes.
pub(crate) fn entry(kind: Kind, salt: &Salt, body: &[u8]) -> [u8; 36] {
    let content = ContentHash::of(body);
    let commitment = ledger::commit(kind, Canon::Stored, salt, &content);
    EntryBody { kind, canon: Canon::Stored, commitment }.to_bytes()
}

/// 128 random bits that a salt is derived from.
pub(crate) fn random_id() -> [u8; 16] {
    let mut id = [0; 16];
    aws_lc_rs::rand::fill(&mut id).expect("the system gives randomness");
    id
}
