//! The same alterations in PostgreSQL, in a private cluster.

use super::folder::Folder;
use super::rows::{ALTERATIONS, OTHER_WORDS};
use crate::cluster::Cluster;

#[tokio::test(flavor = "multi_thread")]
async fn every_altered_row_is_found_in_postgresql() {
    let Some(mut cluster) = Cluster::start() else { return };
    cluster.execute("postgres", "create database sound");
    let mut folder = Folder::make(Some(cluster.url("sound"))).await;
    let waiting = folder.waiting_access(|hex| format!("decode('{hex}', 'hex')"));
    cluster.execute("sound", &waiting);
    let findings = folder.findings().await;
    assert_eq!(findings.problems, Vec::<String>::new());
    assert!(findings.index_rows.unwrap() > 50, "{findings:?}");

    let words = [("update search_text set words = 'other:1A'", OTHER_WORDS)];
    for (at, (sql, word)) in ALTERATIONS.iter().chain(&words).enumerate() {
        let database = format!("altered{at}");
        cluster.execute("postgres", &format!("create database {database} template sound"));
        cluster.execute(&database, sql);
        folder.config.database.url = Some(cluster.url(&database));
        let problems = folder.problems().await;
        assert!(
            problems.iter().any(|problem| problem.contains(word)),
            "{word:?} is not said of\n{sql}\nbut: {problems:#?}"
        );
        cluster.execute("postgres", &format!("drop database {database}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_no_tampering() {
    let folder = Folder::make(None).await;
    let mut command = crate::process::sealway(folder.path());
    command.env("SEALWAY_DATABASE__URL", "postgres://sealway@127.0.0.1:1/none");

    let said = command.args(["ledger", "fsck"]).output().unwrap();

    assert_eq!(said.status.code(), Some(5), "{}", String::from_utf8_lossy(&said.stderr));
}
