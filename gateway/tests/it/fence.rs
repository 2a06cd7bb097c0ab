//! Several gateways on one PostgreSQL database: one seals, another does not start.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::cluster::Cluster;
use crate::process::{Process, serve};
use crate::site::{SEAL_WAIT, SEAL_WAITS_MAX, is_sealed};

fn gateway_on(cluster: &Cluster, folder: &Path) -> Command {
    let mut command = serve(folder);
    command.env("SEALWAY_DATABASE__URL", cluster.url("postgres"));
    command
}

/// Ends the connection that holds the right to seal.
fn cut(cluster: &mut Cluster) {
    let sql = "select pg_terminate_backend(pid) from pg_stat_activity join pg_locks using (pid)
               where application_name = 'sealway sequencer' and locktype = 'advisory' and granted";
    assert_eq!(cluster.execute("postgres", sql), ["t"], "one connection holds it");
}

/// Puts a patient and waits until its first version is sealed.
fn seal(gateway: &Process, id: &str) {
    put(gateway, id);
    wait_until_sealed(gateway, id);
}

fn put(gateway: &Process, id: &str) {
    let client = reqwest::blocking::Client::new();
    let url = format!("{}/Patient/{id}", gateway.base);
    let body = format!(r#"{{"resourceType":"Patient","id":"{id}","gender":"female"}}"#);
    let put = client.put(&url).bearer_auth(&gateway.token).body(body);
    let put = put.header("content-type", "application/fhir+json").send().expect("it answers");
    assert_eq!(put.status(), 201);
}

fn wait_until_sealed(gateway: &Process, id: &str) {
    let client = reqwest::blocking::Client::new();
    let url = format!("{}/Patient/{id}", gateway.base);
    for _ in 0..SEAL_WAITS_MAX {
        let receipt = client.get(format!("{url}/_history/1/$receipt?{SEAL_WAIT}"));
        let receipt = receipt.bearer_auth(&gateway.token).send().expect("it answers");
        assert_eq!(receipt.status(), 200);
        if is_sealed(&receipt.bytes().expect("it is whole")) {
            return;
        }
    }
    panic!("Patient/{id} is not sealed");
}

/// Starts a gateway that is to refuse; gives exit code and words.
fn refusal(mut command: Command) -> (Option<i32>, String) {
    let said = command.stdin(Stdio::null()).output().expect("it runs");
    (said.status.code(), String::from_utf8_lossy(&said.stderr).into_owned())
}

#[test]
fn a_second_gateway_on_a_database_refuses_to_start_and_the_first_goes_on() {
    let Some(mut cluster) = Cluster::start() else { return };
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let gateway = Process::start_from(gateway_on(&cluster, first.path()), first.path());
    seal(&gateway, "a");

    let (code, said) = refusal(gateway_on(&cluster, second.path()));
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("database.url: another gateway (on the server's host, since"), "{said}");
    assert!(said.contains("stop that gateway, or give this one a database of its own"), "{said}");
    seal(&gateway, "b");

    // The right is lost and taken again.
    cut(&mut cluster);
    seal(&gateway, "c");

    // Somebody else took it, and this process has not noticed: it publishes nothing under the old right.
    let taken = "update setting set value = set_byte(value, 7, 1) where name = 'sequencer_epoch' returning true";
    assert_eq!(cluster.execute("postgres", taken), ["t"]);
    std::thread::sleep(Duration::from_millis(500));
    let published = || std::fs::read(first.path().join("log/checkpoint")).unwrap();
    let before = published();
    put(&gateway, "unsealed");
    std::thread::sleep(Duration::from_millis(2_500));
    assert!(published() == before, "a checkpoint was published under a right that is lost");
    cut(&mut cluster);
    wait_until_sealed(&gateway, "unsealed");
    assert!(published() != before, "sealing goes on");

    // Killed without warning, it leaves the right to the next start.
    gateway.kill();
    let gateway = Process::start_from(gateway_on(&cluster, first.path()), first.path());
    seal(&gateway, "d");
    gateway.kill();

    // With the same keys, but without the log, nothing can be sealed.
    for file in std::fs::read_dir(first.path().join("keys")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), second.path().join("keys").join(file.file_name())).unwrap();
    }
    let (code, said) = refusal(gateway_on(&cluster, second.path()));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the log holds 0"), "{said}");
    assert!(said.contains("put the newest copy back"), "{said}");
}
