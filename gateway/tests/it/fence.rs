//! Several gateways on one PostgreSQL database: one seals, another does not start.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::process::{Process, serve};
use crate::site::{SEAL_WAIT, SEAL_WAITS_MAX, is_sealed};

/// A private cluster; it goes with this value, or with this process.
struct Cluster {
    bin: PathBuf,
    folder: String,
    shell: Child,
}

impl Cluster {
    /// `None`, with a loud word, where PostgreSQL is not installed.
    fn start() -> Option<Self> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok();
        let newest = versions.into_iter().flatten().filter_map(|entry| {
            let version: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            (version >= 15).then_some(version)
        });
        let Some(version) = newest.max() else {
            assert!(std::env::var_os("CI").is_none(), "CI needs PostgreSQL 15 or newer");
            eprintln!("SKIPPED: no /usr/lib/postgresql/*/bin with version 15 or newer");
            return None;
        };
        let bin = PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../registry/tests/it/cluster.sh");
        let mut shell = Command::new("sh");
        shell.arg(script).arg(&bin).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().expect("a shell starts");
        let mut folder = String::new();
        let lines = shell.stdout.take().expect("its output is a pipe");
        BufReader::new(lines).read_line(&mut folder).expect("it says where it is");
        Some(Self { bin, folder: folder.trim().to_owned(), shell })
    }

    fn url(&self) -> String {
        format!("postgres://sealway@localhost/postgres?host={}", self.folder)
    }

    fn gateway(&self, folder: &Path) -> Command {
        let mut command = serve(folder);
        command.env("SEALWAY_DATABASE__URL", self.url());
        command
    }

    /// Ends the connection that holds the right to seal.
    fn cut(&self) {
        let sql = "select pg_terminate_backend(pid) from pg_stat_activity join pg_locks using (pid)
                   where application_name = 'sealway sequencer' and locktype = 'advisory' and granted";
        let mut psql = Command::new(self.bin.join("psql"));
        psql.args(["-h", &self.folder, "-U", "sealway", "-d", "postgres", "-Atc", sql]);
        let said = psql.output().expect("psql runs");
        assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "t", "one connection holds it");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        self.shell.wait().expect("the shell ends");
    }
}

/// Puts a patient and waits until its first version is sealed.
fn seal(gateway: &Process, id: &str) {
    let client = reqwest::blocking::Client::new();
    let url = format!("{}/Patient/{id}", gateway.base);
    let body = format!(r#"{{"resourceType":"Patient","id":"{id}","gender":"female"}}"#);
    let put = client.put(&url).bearer_auth(&gateway.token).body(body);
    let put = put.header("content-type", "application/fhir+json").send().expect("it answers");
    assert_eq!(put.status(), 201);
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
    let Some(cluster) = Cluster::start() else { return };
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let start = || Process::start_from(cluster.gateway(first.path()), first.path());
    let gateway = start();
    seal(&gateway, "a");

    let (code, said) = refusal(cluster.gateway(second.path()));
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("database.url: another gateway (on the server's host, since"), "{said}");
    assert!(said.contains("stop that gateway, or give this one a database of its own"), "{said}");
    seal(&gateway, "b");

    // The right is lost and taken again.
    cluster.cut();
    seal(&gateway, "c");

    // Killed without warning, it leaves the right to the next start.
    gateway.kill();
    let gateway = start();
    seal(&gateway, "d");
    gateway.kill();

    // With the same keys, but without the log, nothing can be sealed.
    for file in std::fs::read_dir(first.path().join("keys")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), second.path().join("keys").join(file.file_name())).unwrap();
    }
    let (code, said) = refusal(cluster.gateway(second.path()));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the log holds 0"), "{said}");
    assert!(said.contains("put the newest copy back"), "{said}");
}
