//! Large payloads: durable before the commit, bound to their resource, swept when orphaned.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fhir::{VersionId, VersionKey};
use repository::{
    Bucket, DataKey, Fault, MemoryStore, ObjectRef, OpenError, Opened, PayloadStore, StagedObject,
    StoreError, object_name, sweep,
};

use crate::{keyring, number, sealer, version};

/// The bytes of a version as the writer would make them.
pub(crate) fn content(version: VersionId) -> Bytes {
    let filler = "abcdefghij".repeat(40_000);
    let number = version.number();
    format!(r#"{{"resourceType":"Binary","id":"b","meta":{{"versionId":"{number}"}},"data":"{filler}"}}"#)
        .into()
}

/// Stages, commits and reads one large version.
pub(crate) async fn round_trip(store: &dyn PayloadStore) {
    let (_, ada) = keyring().make("Patient/ada");
    let at = version("Binary/b/_history/17");
    let (envelope, _) = write(&at, &ada, store).await.expect("writes");
    assert!(envelope.len() < 200, "the row holds a reference only");

    let reference = reference(&envelope, &at, &ada);
    let read = reference.fetch(&at.key, store, |_| Some(Arc::clone(&ada))).await.expect("reads");

    assert_eq!(read, content(at.version));
    assert_eq!(object_name(&envelope), Ok(Some(*reference.name())));
}

async fn write(
    at: &VersionKey,
    key: &Arc<DataKey>,
    store: &dyn PayloadStore,
) -> Result<(Vec<u8>, StagedObject), StoreError> {
    let sealer = sealer(&at.key, &[key]);
    let staged = StagedObject::write(&sealer, content(number(1)), store).await?;
    let envelope = sealer.seal_reference(at.version, &content(at.version), &staged)?;
    Ok((envelope, staged))
}

fn reference(envelope: &[u8], at: &VersionKey, key: &Arc<DataKey>) -> ObjectRef {
    match repository::open(envelope, at, |_| Some(Arc::clone(key))) {
        Ok(Opened::Object(reference, _)) => reference,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_large_version_comes_back_from_memory_and_from_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");

    round_trip(&MemoryStore::default()).await;
    round_trip(&Bucket::folder(&folder.path().join("objects")).expect("opens")).await;
}

#[tokio::test]
async fn objects_survive_a_restart_and_show_nothing_of_the_content() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, ada) = keyring().make("Patient/ada");
    let at = version("Binary/b/_history/1");
    let store = Bucket::folder(folder.path()).expect("opens");
    let (envelope, staged) = write(&at, &ada, &store).await.expect("writes");
    drop(store);

    let store = Bucket::folder(folder.path()).expect("opens again");
    let object = store.get(staged.name()).await.expect("is there");

    assert!(!object.windows(6).any(|window| window == b"Binary"));
    let reference = reference(&envelope, &at, &ada);
    assert!(reference.fetch(&at.key, &store, |_| Some(Arc::clone(&ada))).await.is_ok());
}

#[tokio::test]
async fn a_write_that_failed_leaves_no_reference_whether_kept_or_lost() {
    let (_, ada) = keyring().make("Patient/ada");
    let at = version("Binary/b/_history/1");
    for (fault, objects) in [(Fault::Lost, 0), (Fault::Kept, 1)] {
        let store = MemoryStore::default();
        store.fail_next(fault);

        let failed = write(&at, &ada, &store).await;

        assert!(matches!(failed, Err(StoreError::Unavailable(_))));
        assert_eq!(store.len(), objects);
        assert!(write(&at, &ada, &store).await.is_ok(), "a retry succeeds");
        let old = store.older_than(Duration::ZERO).await.expect("lists");
        let removed = sweep(&old, &HashSet::new(), &store).await.expect("sweeps");
        assert_eq!((removed, store.len()), (objects + 1, 0));
    }
}

#[tokio::test]
async fn a_sweep_removes_orphans_only_and_goes_on_after_a_fault() {
    let (_, ada) = keyring().make("Patient/ada");
    let at = version("Binary/b/_history/1");
    let store = MemoryStore::default();
    let (kept, _) = write(&at, &ada, &store).await.expect("writes");
    write(&at, &ada, &store).await.expect("writes an orphan");
    let named: HashSet<_> = object_name(&kept).expect("parses").into_iter().collect();
    let hour = Duration::from_secs(3600);
    assert!(store.older_than(hour).await.expect("lists").is_empty(), "young ones may be staged");

    for fault in [Fault::Lost, Fault::Kept] {
        store.fail_next(fault);
        let old = store.older_than(Duration::ZERO).await.expect("lists");
        assert!(sweep(&old, &named, &store).await.is_err());
    }
    let old = store.older_than(Duration::ZERO).await.expect("lists");
    sweep(&old, &named, &store).await.expect("sweeps");

    assert_eq!(store.len(), 1);
    assert!(
        reference(&kept, &at, &ada)
            .fetch(&at.key, &store, |_| Some(Arc::clone(&ada)))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_folder_lists_and_removes_its_objects() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Bucket::folder(folder.path()).expect("opens");
    let (_, ada) = keyring().make("Patient/ada");
    let at = version("Binary/b/_history/1");
    let (_, staged) = write(&at, &ada, &store).await.expect("writes");
    std::fs::write(folder.path().join("README"), "not ours").expect("writes");

    let old = store.older_than(Duration::ZERO).await.expect("lists");
    assert_eq!(old, [*staged.name()]);
    assert!(store.older_than(Duration::from_secs(3600)).await.expect("lists").is_empty());
    assert_eq!(sweep(&old, &HashSet::new(), &store).await.expect("sweeps"), 1);

    assert!(matches!(store.get(staged.name()).await, Err(StoreError::Missing)));
    assert!(store.delete(staged.name()).await.is_ok(), "an absent one is no error");
}

#[tokio::test]
async fn an_altered_swapped_or_moved_object_is_refused() {
    let (_, ada) = keyring().make("Patient/ada");
    let at = version("Binary/b/_history/1");
    let store = MemoryStore::default();
    let (envelope, staged) = write(&at, &ada, &store).await.expect("writes");
    let (_, other) = write(&at, &ada, &store).await.expect("writes");
    let object = store.get(staged.name()).await.expect("is there");
    let reference = reference(&envelope, &at, &ada);
    let fetch = |key: VersionKey| {
        let (reference, store, ada) = (&reference, &store, &ada);
        async move { reference.fetch(&key.key, store, |_| Some(Arc::clone(ada))).await }
    };

    assert!(fetch(version("Binary/c/_history/1")).await.is_err(), "another resource");
    let mut altered = object.to_vec();
    altered[object.len() / 2] ^= 1;
    store.tamper(staged.name(), altered.into());
    assert!(matches!(fetch(at.clone()).await, Err(StoreError::Open(OpenError::Refused))));
    store.tamper(staged.name(), store.get(other.name()).await.expect("is there"));
    assert!(matches!(fetch(at.clone()).await, Err(StoreError::Open(OpenError::Refused))));
    store.tamper(staged.name(), envelope.clone().into());
    assert!(matches!(fetch(at.clone()).await, Err(StoreError::Open(_))));
    store.tamper(staged.name(), object);
    assert!(fetch(at).await.is_ok());
}
