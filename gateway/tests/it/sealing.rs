//! What happens when the log's disk has no room, and when it fails.

use std::path::PathBuf;
use std::time::Duration;

use gateway::app::App;
use reqwest::Method;

use crate::site::{Answer, Site, patient};

/// Entries that may wait in these tests.
const BACKLOG_MAX: u64 = 8;

async fn start() -> (Site, PathBuf) {
    let site = Site::start_with(|config| config.ledger.backlog_max = BACKLOG_MAX).await;
    let log = site.app.config.data_dir.join("log");
    (site, log)
}

/// Waits for readiness or its loss; gives the lines of the checks.
async fn wait_until_ready(site: &Site, ready: bool) -> String {
    for _ in 0..1_200 {
        let answer = Answer::of(site.anonymous(Method::GET, "/readyz?verbose")).await;
        if (answer.status == 200) == ready {
            return answer.text();
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("ready is not {ready}");
}

async fn wait_until_sealed(site: &Site, key: &str) {
    site.sealed_receipt(&format!("/{key}/_history/1")).await;
}

async fn assert_clean(site: Site) {
    let config = site.app.config.clone();
    let _folder = site.stop().await;
    let findings = gateway::fsck::check(&config, gateway::fsck::Options::default()).await.unwrap();
    assert_eq!(findings.problems, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_for_the_log_writes_wait_in_bounds_and_sealing_goes_on_by_itself() {
    let (site, log) = start().await;
    let first = site.create(&patient("Ada")).await;
    wait_until_sealed(&site, &first).await;

    // A folder in the way of the file: it cannot be made.
    std::fs::create_dir(log.join("checkpoint.tmp")).unwrap();
    let waiting = site.create(&patient("Bea")).await;
    let said = wait_until_ready(&site, false).await;
    assert!(said.contains("✗ ledger") && said.contains("free space"), "{said}");
    let mut accepted = 0;
    let refused = loop {
        let answer = site.post("/Patient", &patient("Cleo")).await;
        if answer.status != 201 {
            break answer;
        }
        accepted += 1;
        assert!(accepted < 20 * BACKLOG_MAX, "writes are refused");
        tokio::time::sleep(Duration::from_millis(25)).await;
    };
    assert_eq!(refused.expect(503).issue().0, "transient");
    assert!(accepted > 0, "writes go on until too much waits");
    site.get(&format!("/{first}")).await.expect(200);

    std::fs::remove_dir(log.join("checkpoint.tmp")).unwrap();
    wait_until_ready(&site, true).await;

    site.create(&patient("Dora")).await;
    wait_until_sealed(&site, &waiting).await;
    assert_clean(site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_disk_failed_stops_refuses_writes_and_seals_after_a_restart() {
    let (site, log) = start().await;
    let first = site.create(&patient("Ada")).await;
    wait_until_sealed(&site, &first).await;

    // The checkpoint cannot be read any more, before the last write is under it.
    let waiting = site.create(&patient("Bea")).await;
    std::fs::rename(log.join("checkpoint"), log.join("aside")).unwrap();
    std::fs::create_dir(log.join("checkpoint")).unwrap();
    site.get(&format!("/{waiting}")).await.expect(200);
    let said = wait_until_ready(&site, false).await;
    assert!(said.contains("✗ ledger") && said.contains("then restart"), "{said}");
    site.post("/Patient", &patient("Cleo")).await.expect(503);
    site.delete(&format!("/{first}")).await.expect(503);
    site.get(&format!("/{first}")).await.expect(200);
    assert_eq!(site.count("Patient").await, 2);

    std::fs::remove_dir(log.join("checkpoint")).unwrap();
    std::fs::rename(log.join("aside"), log.join("checkpoint")).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    site.post("/Patient", &patient("Cleo")).await.expect(503);
    let site = site.restart().await;

    wait_until_ready(&site, true).await;
    wait_until_sealed(&site, &waiting).await;
    site.create(&patient("Dora")).await;
    assert_clean(site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_lacks_sealed_records_keeps_the_gateway_from_starting() {
    let site = Site::start().await;
    let first = site.create(&patient("Ada")).await;
    for _ in 0..20 {
        site.get(&format!("/{first}")).await.expect(200);
    }
    wait_until_sealed(&site, &first).await;
    let config = site.app.config.clone();
    let _folder = site.stop().await;
    let access = config.data_dir.join("access");
    let files = std::fs::read_dir(&access).unwrap().map(|file| file.unwrap().path());
    let newest = files.filter(|file| !file.ends_with("lock")).max().unwrap();
    let whole = std::fs::read(&newest).unwrap();

    // The end is cut off; then the whole folder is gone.
    std::fs::write(&newest, &whole[..whole.len() / 2]).unwrap();
    let cut = refusal(&config).await;
    std::fs::remove_dir_all(&access).unwrap();
    let gone = refusal(&config).await;

    for said in [&cut, &gone] {
        assert!(said.contains("sealed access records, the journal holds"), "{said}");
        assert!(said.contains("put back the copy of it that belongs to this database"), "{said}");
    }
    assert!(gone.contains("the journal holds 0"), "{gone}");
    std::fs::write(&newest, whole).unwrap();
    let app = App::open(config).await.expect("the copy was put back");
    app.close().await;
}

/// Why the gateway does not start. A process that another test is starting has its locks for a moment.
async fn refusal(config: &gateway::config::Config) -> String {
    for _ in 0..1_000 {
        match App::open(config.clone()).await.map(drop).expect_err("it refuses").to_string() {
            said if said.contains("another process") => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            said => return said,
        }
    }
    panic!("the folder is held for good");
}
