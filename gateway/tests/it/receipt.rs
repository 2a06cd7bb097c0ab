//! Receipts verify offline, and any flipped byte is found.

use std::time::Duration;

use ledger::{Trust, Verdict, verify_receipt_bytes};

use crate::site::{Site, patient};

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_verifies_offline_and_every_flipped_byte_is_found() {
    let site = Site::start().await;
    let key = site.create(&patient("Ada")).await;
    let path = format!("/{key}/_history/1");
    let content = site.get(&path).await.expect(200).bytes;
    let receipt = sealed_receipt(&site, &path).await;
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

async fn sealed_receipt(site: &Site, path: &str) -> Vec<u8> {
    for _ in 0..200 {
        let receipt = site.get(&format!("{path}/$receipt")).await.expect(200).bytes;
        if String::from_utf8_lossy(&receipt).contains("\"checkpoint\"") {
            return receipt;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the entry was never sealed");
}

#[tokio::test(flavor = "multi_thread")]
async fn fsck_finds_all_well_after_a_restart() {
    let site = Site::start().await;
    for _ in 0..20 {
        site.create(&patient("Ada")).await;
    }
    let folder = site.stop().await;
    let kept = folder.path().to_path_buf();

    let site = Site::start_with(|config| config.data_dir = kept).await;
    let report = gateway::fsck::check_versions(&site.app).await.unwrap();

    assert_eq!((report.good, report.problems.len()), (20, 0));
    site.stop().await;
}
