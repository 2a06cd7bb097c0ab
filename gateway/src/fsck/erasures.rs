//! Erasures: each opens, stands in the log, and took its key with it; what is erased was erased by one of them.
//!
//! An erasure that was begun and has not ended is no finding: the next start of the gateway goes on with it.
//! Not here: the versions that were erased (`versions`), access records under their keys (`content`).

use std::collections::{HashMap, HashSet};

use fhir::{VersionId, VersionKey};
use ledger::Kind;
use registry::erasure::Erasure;
use repository::DataKey;

use super::content::Sealed;
use super::log::Waiting;
use super::report::About;
use super::{Check, PAGE};
use crate::access::record_key;
use crate::app::OpenError;
use crate::erasure::{Body, key_name};

/// All erasures, and what was seen of them.
#[derive(Default)]
pub(super) struct Erasures {
    all: Vec<Erasure>,
    /// `rid` of the patient by key id, and whether the key is gone.
    by_key: HashMap<u64, (i64, bool)>,
    entries: HashSet<[u8; 36]>,
    placed: HashSet<[u8; 36]>,
    tenant: Option<std::sync::Arc<DataKey>>,
}

impl Erasures {
    /// The patient whose key this was, when it is rightly gone.
    pub(super) fn patient_of(&self, key_id: u64) -> Option<i64> {
        self.by_key.get(&key_id).filter(|(_, is_gone)| *is_gone).map(|(rid, _)| *rid)
    }

    /// An entry stands in the log; false when it is of no erasure.
    pub(super) fn place(&mut self, entry: &[u8; 36]) -> bool {
        let is_one = self.entries.contains(entry);
        if is_one {
            self.placed.insert(*entry);
        }
        is_one
    }

    /// Why an erased payload is none, or not one of a known erasure.
    pub(super) fn why_not(&self, payload: &[u8], entry: &[u8; 36]) -> Option<&'static str> {
        let tenant = self.tenant.as_ref()?;
        match repository::check_erased(payload, entry, tenant) {
            Err(_) => Some("its content is gone, and what stands there was not made by an erasure"),
            Ok(key_id) if !self.by_key.contains_key(&key_id) => {
                Some("its content is gone, and no erasure tells of it")
            }
            Ok(_) => None,
        }
    }
}

impl Check<'_> {
    /// Takes all erasures.
    pub(super) async fn take_erasures(&mut self) -> Result<(), OpenError> {
        self.erasures.tenant = self.payloads.tenant_key().await.ok();
        let mut after = 0;
        loop {
            let read = self.store.erasures().list(after, PAGE).await;
            let page = self.rows("erasure", read)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.erasure_id;
            for erasure in page {
                let is_gone = erasure.ended.is_some();
                self.erasures.by_key.insert(erasure.key_id, (erasure.rid, is_gone));
                self.erasures.entries.insert(erasure.record.entry);
                self.erasures.all.push(erasure);
            }
        }
    }

    /// Each erasure opens its entry, which stands in the log or waits for it.
    pub(super) async fn check_erasures(
        &mut self,
        waiting: &Waiting,
        log_is_read: bool,
    ) -> Result<(), OpenError> {
        for erasure in std::mem::take(&mut self.erasures.all) {
            let name = format!("erasure {}", erasure.erasure_id);
            let record = &erasure.record;
            let key = VersionKey { key: record_key(&record.salt_id), version: VersionId::FIRST };
            let sealed = Sealed {
                kind: Kind::Erasure,
                key: &key,
                payload: &record.body,
                salt_id: &record.salt_id,
                entry: &record.entry,
            };
            if let Some(content) = self.content(&name, sealed).await? {
                let body: Option<Body> = serde_json::from_slice(&content.bytes).ok();
                if body.is_none_or(|body| body.key_id != key_name(erasure.key_id)) {
                    self.report.add(About::Erasure, &name, "its row names another data key");
                }
            }
            let stands = self.erasures.placed.contains(&record.entry)
                || waiting.bodies.contains(&record.entry);
            if log_is_read && !stands {
                let what = "is claimed, but stands neither in the log nor in the outbox";
                self.report.add(About::Erasure, &name, what);
            }
        }
        Ok(())
    }
}
