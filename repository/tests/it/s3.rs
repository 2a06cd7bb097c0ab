//! The same against a real S3-API server: `tests/s3.sh` starts one and sets `SEALWAY_TEST_S3`.

use std::collections::HashSet;
use std::time::Duration;

use repository::{Bucket, PayloadStore, S3Config, StoreError, sweep};

use crate::object::round_trip;

fn bucket(endpoint: String) -> Result<Bucket, StoreError> {
    Bucket::s3(&S3Config {
        endpoint,
        bucket: "sealway".into(),
        region: "us-east-1".into(),
        access_key_id: "test".into(),
        secret_access_key: "test".into(),
    })
}

#[tokio::test]
async fn a_large_version_comes_back_from_an_s3_server() {
    let Ok(endpoint) = std::env::var("SEALWAY_TEST_S3") else {
        println!("SKIPPED: no S3-API server; run tests/s3.sh");
        return;
    };
    let store = bucket(endpoint).expect("configured");

    round_trip(&store).await;

    let old = store.older_than(Duration::ZERO).await.expect("lists");
    assert!(!old.is_empty());
    assert_eq!(sweep(&old, &HashSet::new(), &store).await.expect("sweeps"), old.len());
    assert!(store.older_than(Duration::ZERO).await.expect("lists").is_empty());
    assert!(matches!(store.get(&old[0]).await, Err(StoreError::Missing)));
}

#[test]
fn a_plain_endpoint_off_loopback_is_refused() {
    for endpoint in [
        "http://s3.example",
        "http://127.0.0.1.example:9000",
        "http://localhost@s3.example",
        "http://127.0.0.1:9000@s3.example",
        "http://10.0.0.1:9000",
    ] {
        assert!(bucket(endpoint.into()).is_err(), "{endpoint}");
    }
    assert!(bucket("http://127.0.0.1:9000".into()).is_ok());
    assert!(bucket("https://s3.example".into()).is_ok());
}

#[tokio::test]
async fn a_server_that_is_away_is_unavailable_soon() {
    let store = bucket("http://127.0.0.1:9".into()).expect("configured");
    let started = std::time::Instant::now();

    let listed = store.older_than(Duration::ZERO).await;

    assert!(matches!(listed, Err(StoreError::Unavailable(_))));
    assert!(started.elapsed() < Duration::from_secs(30));
}
