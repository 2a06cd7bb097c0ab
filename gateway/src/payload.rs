//! Payloads at rest: opening stored versions, and the data keys that new ones are sealed under.
//!
//! Keys are fetched by id or compartment and kept by the keyring; a compartment without a key gets one,
//! which the commit stores with the data. Large contents come from the object store.
//! Not here: envelopes and key wrapping (`repository`), where wrapped keys are kept (`registry`).

mod opened;

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fhir::{ResourceId, VersionId, VersionKey};
use policy::Permit;
use registry::error::ReadError;
use registry::page::StoredVersion;
use registry::store::Store;
use registry::write_set::{Match, MatchOutcome, WrappedKey};
use repository::{DataKey, KeyError, Keyring, Opened, PayloadStore, SaltKey, StoreError};

use self::opened::OpenedContents;
use crate::error::{Answered, Fault, FaultKind};

/// Opens and seals payloads of one installation.
pub struct Payloads {
    keyring: Keyring,
    objects: Arc<dyn PayloadStore>,
    store: Arc<dyn Store>,
    opened: OpenedContents,
    /// Number of the last erasure whose key was dropped from memory.
    erasures: AtomicU64,
}

/// Data keys for one write set.
pub(crate) struct Keys {
    known: HashMap<String, Arc<DataKey>>,
    made: Vec<(WrappedKey, Arc<DataKey>)>,
}

impl Payloads {
    /// Over an open keyring, object store and registry.
    pub fn new(keyring: Keyring, objects: Arc<dyn PayloadStore>, store: Arc<dyn Store>) -> Self {
        let opened = OpenedContents::new();
        Self { keyring, objects, store, opened, erasures: AtomicU64::new(0) }
    }

    /// Content of a stored version: exactly the bytes that were sealed.
    ///
    /// # Errors
    /// 410 when its key was erased, 503 when the store is away, 500 when it does not authenticate.
    pub async fn open(&self, stored: &StoredVersion) -> Answered<Bytes> {
        if stored.is_erased() {
            return Err(erased());
        }
        let ids = repository::key_ids(&stored.payload).map_err(|error| unopened(&error))?;
        let has_key = ids.into_iter().any(|id| self.keyring.key(id).is_some());
        if let Some(content) = self.opened.get(stored).filter(|_| has_key) {
            return Ok(content);
        }
        let content = self.open_with_salt(stored).await?.0;
        self.opened.keep(stored, &content);
        Ok(content)
    }

    /// Content of a stored version with its subject's key for salts, for a receipt.
    ///
    /// # Errors
    /// As [`Payloads::open`].
    pub async fn open_with_salt(&self, stored: &StoredVersion) -> Answered<(Bytes, SaltKey)> {
        if stored.is_erased() {
            return Err(erased());
        }
        self.fetch(std::slice::from_ref(stored)).await?;
        let version = VersionKey { key: stored.key.clone(), version: stored.version };
        self.open_as(&stored.payload, &version).await.map_err(|error| match error {
            StoreError::Open(error) => unopened(&error),
            error => {
                tracing::error!(cause = %error, "an object was not fetched");
                Fault::new(FaultKind::Unavailable, "the content is unavailable; retry later")
            }
        })
    }

    /// Content of an envelope of this version, by keys that are in memory; with its subject's key for salts.
    ///
    /// # Errors
    /// [`StoreError::Open`] for the envelope or its object; the others are the object store's.
    pub(crate) async fn open_as(
        &self,
        payload: &[u8],
        version: &VersionKey,
    ) -> Result<(Bytes, SaltKey), StoreError> {
        let key_of = |id| self.keyring.key(id);
        match repository::open(payload, version, key_of)? {
            Opened::Inline(content, salt) => Ok((content.into(), salt)),
            Opened::Object(object, salt) => {
                Ok((object.fetch(&version.key, &*self.objects, key_of).await?.into(), salt))
            }
            _ => Err(repository::OpenError::Malformed("a payload of an unknown form").into()),
        }
    }

    /// Brings these keys into memory; gives the compartment of each, or why it cannot be used.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub(crate) async fn compartments_of(
        &self,
        ids: &[u64],
    ) -> Result<Vec<(u64, Result<String, String>)>, ReadError> {
        let mut found = Vec::with_capacity(ids.len());
        let mut missing = Vec::new();
        for id in ids {
            match self.keyring.key(*id) {
                Some(key) => found.push((*id, Ok(key.compartment().to_owned()))),
                None => missing.push(*id),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let stored = self.store.data_keys(&missing).await?;
        let mut stored: HashMap<u64, WrappedKey> =
            stored.into_iter().map(|wrapped| (wrapped.key_id, wrapped)).collect();
        for id in missing {
            let outcome = match stored.remove(&id) {
                None => Err("is gone".to_owned()),
                Some(wrapped) => match self.try_unwrap(&wrapped) {
                    Ok(_) => Ok(wrapped.compartment),
                    Err(error) => Err(error.to_string()),
                },
            };
            found.push((id, outcome));
        }
        Ok(found)
    }

    /// Brings the keys of many versions into memory with one query.
    ///
    /// # Errors
    /// 503 when the registry is away.
    pub async fn fetch(&self, versions: &[StoredVersion]) -> Answered<()> {
        let mut missing = BTreeSet::new();
        for stored in versions.iter().filter(|stored| !stored.is_erased()) {
            let ids = repository::key_ids(&stored.payload).map_err(|error| unopened(&error))?;
            // One key opens it; the others tell in whose compartments it is.
            missing.extend(ids.into_iter().filter(|id| self.keyring.key(*id).is_none()));
        }
        if missing.is_empty() {
            return Ok(());
        }
        let ids: Vec<u64> = missing.into_iter().collect();
        for wrapped in self.store.data_keys(&ids).await? {
            self.unwrap(&wrapped)?;
        }
        Ok(())
    }

    /// A data key for each compartment (`Patient/id`; empty for the tenant), made where there is none. Those of
    /// `fresh` compartments cannot exist yet, so nobody is asked for them.
    pub(crate) async fn keys(
        &self,
        compartments: BTreeSet<String>,
        fresh: &BTreeSet<String>,
    ) -> Answered<Keys> {
        let mut keys = Keys { known: HashMap::new(), made: Vec::new() };
        let mut missing = Vec::new();
        for compartment in compartments {
            match self.keyring.key_of(&compartment) {
                Some(key) => {
                    keys.known.insert(compartment, key);
                }
                None => missing.push(compartment),
            }
        }
        if missing.is_empty() {
            return Ok(keys);
        }
        let asked: Vec<String> =
            missing.iter().filter(|name| !fresh.contains(*name)).cloned().collect();
        if !asked.is_empty() {
            for wrapped in self.store.compartment_keys(&asked).await? {
                let key = self.unwrap(&wrapped)?;
                keys.known.insert(wrapped.compartment, key);
            }
        }
        for compartment in missing {
            let Entry::Vacant(place) = keys.known.entry(compartment) else { continue };
            let (wrapped, key) = self.keyring.make(place.key());
            let wrapped = WrappedKey {
                key_id: wrapped.key_id,
                compartment: wrapped.compartment,
                wrapped: wrapped.wrapped,
            };
            place.insert(Arc::clone(&key));
            keys.made.push((wrapped, key));
        }
        Ok(keys)
    }

    /// Keeps keys whose wrapped form is now committed.
    pub(crate) fn keep(&self, made: &[Arc<DataKey>]) {
        made.iter().for_each(|key| self.keyring.keep(key));
    }

    /// A compartment's key, when it is in memory; it is for every record of a patient that was just read.
    pub(crate) fn known_key(&self, compartment: &str) -> Option<Arc<DataKey>> {
        self.keyring.key_of(compartment)
    }

    /// The tenant's own key, which start-up has made.
    pub(crate) async fn tenant_key(&self) -> Answered<Arc<DataKey>> {
        if let Some(key) = self.keyring.key_of(TENANT) {
            return Ok(key);
        }
        match self.store.compartment_keys(&[TENANT.to_owned()]).await?.first() {
            Some(wrapped) => self.unwrap(wrapped),
            None => Err(Fault::new(FaultKind::Unavailable, "the tenant has no key")),
        }
    }

    /// Patients in whose compartments a version is, by the keys in its envelope. Its content was opened before.
    pub(crate) fn patients(&self, stored: &StoredVersion) -> Vec<ResourceId> {
        let ids = repository::key_ids(&stored.payload).unwrap_or_default();
        let keys = ids.into_iter().filter_map(|id| self.keyring.key(id));
        keys.filter_map(|key| ResourceId::parse(key.compartment().strip_prefix("Patient/")?).ok())
            .collect()
    }

    /// Opens an access record; with its subject's key for salts.
    pub(crate) async fn open_record(
        &self,
        id: &[u8; 16],
        envelope: &[u8],
    ) -> Answered<(Vec<u8>, SaltKey)> {
        let ids = repository::key_ids(envelope).map_err(|error| unopened(&error))?;
        let missing: Vec<u64> =
            ids.into_iter().filter(|id| self.keyring.key(*id).is_none()).collect();
        if !missing.is_empty() {
            for wrapped in self.store.data_keys(&missing).await? {
                self.unwrap(&wrapped)?;
            }
        }
        let version = VersionKey { key: crate::access::record_key(id), version: VersionId::FIRST };
        match repository::open(envelope, &version, |id| self.keyring.key(id)) {
            Ok(Opened::Inline(body, salt)) => Ok((body, salt)),
            Ok(_) => Err(Fault::new(FaultKind::Internal, "an access record of an unknown form")),
            Err(error) => Err(unopened(&error)),
        }
    }

    /// Content of a version that a list names. What was erased since the list was made is no part of a list made now.
    ///
    /// # Errors
    /// As [`Payloads::open`], and 503 instead of 410.
    pub(crate) async fn open_listed(&self, stored: &StoredVersion) -> Answered<Bytes> {
        self.open(stored).await.map_err(|fault| match fault.kind {
            FaultKind::Deleted => {
                Fault::new(FaultKind::Unavailable, "something was erased just now; ask again")
            }
            _ => fault,
        })
    }

    /// Number of the last erasure whose key is known here to be gone: what is sealed depends on it.
    pub(crate) fn erasures(&self) -> u64 {
        self.erasures.load(Ordering::Acquire)
    }

    /// Drops the keys of erasures that have ended since the last time.
    ///
    /// # Errors
    /// 503 when the registry is away.
    pub(crate) async fn forget_erased(&self) -> Answered<()> {
        let known = self.erasures();
        let asked = self.store.resolve(&Permit::maintenance(), &[Match::Erasures]).await?;
        if asked == [MatchOutcome::Erasures(known)] {
            return Ok(());
        }
        let (mut after, mut ended) = (0, known);
        loop {
            let page = self.store.erasures().list(after, ERASURES_A_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.erasure_id;
            for erasure in &page {
                if let Some(number) = erasure.ended.filter(|number| *number > known) {
                    self.keyring.forget(erasure.key_id);
                    ended = ended.max(number);
                }
            }
        }
        self.erasures.fetch_max(ended, Ordering::AcqRel);
        Ok(())
    }

    /// Drops opened contents, by change number.
    pub(crate) fn close(&self, changes: &[u64]) {
        self.opened.forget(changes);
    }

    /// Where large contents go.
    pub(crate) fn objects(&self) -> &dyn PayloadStore {
        &*self.objects
    }

    /// Drops keys that were in memory for long.
    pub fn expire(&self) {
        self.keyring.expire();
    }

    fn unwrap(&self, wrapped: &WrappedKey) -> Answered<Arc<DataKey>> {
        self.try_unwrap(wrapped).map_err(|error| {
            tracing::error!(cause = %error, "a data key does not unwrap");
            Fault::new(FaultKind::Unavailable, "a data key cannot be used")
        })
    }

    pub(crate) fn try_unwrap(&self, wrapped: &WrappedKey) -> Result<Arc<DataKey>, KeyError> {
        self.keyring.unwrap(&repository::WrappedKey {
            key_id: wrapped.key_id,
            compartment: wrapped.compartment.clone(),
            wrapped: wrapped.wrapped.clone(),
        })
    }
}

impl Keys {
    /// Keys of a resource in these compartments; the tenant's for none.
    pub(crate) fn of(&self, compartments: &[String]) -> Vec<Arc<DataKey>> {
        compartments.iter().filter_map(|name| self.known.get(name).cloned()).collect()
    }

    /// What the commit has to store, and what may be kept after it.
    pub(crate) fn into_made(self) -> (Vec<WrappedKey>, Vec<Arc<DataKey>>) {
        self.made.into_iter().unzip()
    }
}

fn erased() -> Fault {
    Fault::new(FaultKind::Deleted, "the content has been erased")
}

fn unopened(error: &repository::OpenError) -> Fault {
    if *error == repository::OpenError::KeyMissing {
        return erased();
    }
    tracing::error!(cause = %error, "a stored payload does not open");
    Fault::new(FaultKind::Internal, "a stored payload is damaged")
}

/// Compartment of what belongs to no patient.
pub(crate) const TENANT: &str = "";
const ERASURES_A_PAGE: usize = 1_000;
