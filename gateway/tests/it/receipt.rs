//! Receipts verify offline, and any flipped byte is found.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway::config::Config;
use gateway::fsck::Options;
use ledger::{Trust, Verdict, verify_receipt_bytes};

use crate::site::{Site, patient};

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_verifies_offline_and_every_flipped_byte_is_found() {
    let site = Site::start().await;
    let key = site.create(&patient("Ada")).await;
    let path = format!("/{key}/_history/1");
    let content = site.get(&path).await.expect(200).bytes;
    let receipt = site.sealed_receipt(&path).await;
    let trust = site.anonymous(reqwest::Method::GET, "/ledger/trust").send().await.unwrap();
    let trust = Trust::parse(&trust.bytes().await.unwrap()).unwrap();

    let report = verify_receipt_bytes(&content, &receipt, &trust);
    assert_eq!(report.verdict, Verdict::Verified, "{report}");

    for at in 0..content.len() {
        let mut flipped = content.clone();
        flipped[at] ^= 1;
        assert_ne!(verify_receipt_bytes(&flipped, &receipt, &trust).verdict, Verdict::Verified);
    }
    for at in 0..receipt.len() {
        let mut flipped = receipt.clone();
        flipped[at] ^= 1;
        let verdict = verify_receipt_bytes(&content, &flipped, &trust).verdict;
        assert_ne!(verdict, Verdict::Verified, "byte {at}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receipt_of_a_deletion_verifies_with_the_bytes_that_were_sealed_of_it() {
    let site = Site::start().await;
    let key = site.create(&patient("Ada")).await;
    site.delete(&format!("/{key}")).await.expect(204);
    let path = format!("/{key}/_history/2");
    site.get(&path).await.expect(410);
    let receipt = site.sealed_receipt(&path).await;
    let trust = site.anonymous(reqwest::Method::GET, "/ledger/trust").send().await.unwrap();
    let trust = Trust::parse(&trust.bytes().await.unwrap()).unwrap();

    let content = site.get(&format!("{path}/$receipt?content=true")).await.expect(200);

    let report = verify_receipt_bytes(&content.bytes, &receipt, &trust);
    assert_eq!(report.verdict, Verdict::Verified, "{report}");
    let deletion = content.json();
    let named = format!(
        "{}/{}",
        deletion["resourceType"].as_str().unwrap(),
        deletion["id"].as_str().unwrap()
    );
    assert_eq!((named, &deletion["meta"]["versionId"]), (key.clone(), &serde_json::json!("2")));
    assert!(!content.text_all().contains("Ada"));
    // What can be read is read; what is not asked of a receipt is refused.
    site.get(&format!("/{key}/_history/1/$receipt?content=true")).await.expect(400);
    site.get(&format!("{path}/$receipt?contents=true")).await.expect(400);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_is_not_sealed_yet_says_when_to_come_back_or_waits() {
    let site = Site::start_with(|config| {
        config.ledger.checkpoint_ms = 1500;
        config.ledger.checkpoint_loaded_ms = 1500;
    })
    .await;
    let key = site.create(&patient("Ada")).await;
    let path = format!("/{key}/_history/1/$receipt");

    let pending = site.get(&path).await.expect(200);
    let started = std::time::Instant::now();
    let sealed = site.get(&format!("{path}?wait=10")).await.expect(200);
    let waited = started.elapsed();
    site.get(&format!("{path}?wait=soon")).await.expect(400);

    assert!(!pending.text_all().contains("\"checkpoint\""));
    // 1.5 s, in whole seconds.
    assert_eq!(pending.header("retry-after"), "2");
    assert!(sealed.text_all().contains("\"checkpoint\""));
    assert_eq!(sealed.header("retry-after"), "");
    assert!(waited < Duration::from_secs(9), "{waited:?}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_seal_ends_when_its_time_is_over() {
    let site = Site::start_with(|config| {
        config.ledger.checkpoint_ms = 60_000;
        config.ledger.checkpoint_loaded_ms = 60_000;
    })
    .await;
    // The first checkpoint comes at once; what is created after it waits for the second.
    let first = site.create(&patient("Ada")).await;
    site.get(&format!("/{first}/_history/1/$receipt?wait=2")).await.expect(200);
    let key = site.create(&patient("Eve")).await;

    let started = std::time::Instant::now();
    let pending = site.get(&format!("/{key}/_history/1/$receipt?wait=1")).await.expect(200);
    let waited = started.elapsed();

    assert!(!pending.text_all().contains("\"checkpoint\""));
    assert_eq!(pending.header("retry-after"), "60");
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(5), "{waited:?}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fsck_finds_all_well_and_every_flip_in_the_log() {
    let site = Site::start().await;
    for at in 0..20 {
        let key = site.create(&patient("Ada")).await;
        if at % 3 == 0 {
            site.get(&format!("/{key}")).await.expect(200);
            site.delete(&format!("/{key}")).await.expect(204);
        }
    }
    let records = 20 + 7 + 7; // created, read, deleted
    let folder = site.stop().await;
    let config = Config::in_folder(folder.path());

    let well = gateway::fsck::check(&config, Options::default()).await.unwrap();
    assert_eq!(well.problems, Vec::<String>::new());
    assert_eq!((well.versions_good, well.accesses_good), (27, records));
    assert_eq!(well.log_size, 27 + records);

    let mut files = vec![folder.path().join("log/checkpoint")];
    files.extend(files_below(&folder.path().join("log/tile")));
    files.extend(files_below(&folder.path().join("access")));
    let mut found = 0;
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        for at in [0, bytes.len() / 2, bytes.len().saturating_sub(1)] {
            if bytes.is_empty() || file.ends_with("lock") {
                continue;
            }
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x40;
            std::fs::write(&file, &flipped).unwrap();
            match gateway::fsck::check(&config, Options::default()).await {
                Ok(report) => assert!(!report.problems.is_empty(), "{} byte {at}", file.display()),
                Err(error) => assert!(error.to_string().contains("damaged"), "{error}"),
            }
            found += 1;
            std::fs::write(&file, &bytes).unwrap();
        }
    }
    assert!(found >= 9, "{found}");
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}
