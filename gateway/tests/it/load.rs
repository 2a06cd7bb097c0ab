//! `sealway load` through the real binary, into a real gateway.

use std::io::Write;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::process::{Process, sealway};

/// A gateway with a folder of files to load, and a token that may.
struct Bench {
    gateway: Process,
    folder: tempfile::TempDir,
}

impl Bench {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        std::fs::create_dir(folder.path().join("files")).unwrap();
        let gateway = Process::start(&folder.path().join("data"));
        std::fs::write(folder.path().join("token"), &gateway.token).unwrap();
        Self { gateway, folder }
    }

    fn file(&self, name: &str, content: &[u8]) {
        std::fs::write(self.folder.path().join("files").join(name), content).unwrap();
    }

    /// `sealway load files --token-file token`, and what follows.
    fn load(&self, further: &[&str]) -> Output {
        self.load_as("token", further)
    }

    fn load_as(&self, token: &str, further: &[&str]) -> Output {
        sealway(&self.folder.path().join("data"))
            .current_dir(self.folder.path())
            .args(["load", "files", "--url", &self.gateway.base, "--token-file", token])
            .args(further)
            .output()
            .unwrap()
    }

    fn patients(&self) -> u64 {
        let url = format!("{}/Patient?_summary=count", self.gateway.base);
        let client = reqwest::blocking::Client::new();
        let answer = client.get(url).bearer_auth(&self.gateway.token).send().unwrap();
        let found: Value = serde_json::from_slice(&answer.bytes().unwrap()).unwrap();
        found["total"].as_u64().unwrap()
    }

    fn rejected(&self) -> Vec<Value> {
        rejected(&self.folder.path().join("rejected.ndjson"))
    }
}

fn rejected(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn said(ran: &Output) -> String {
    [ran.stdout.as_slice(), &ran.stderr].map(String::from_utf8_lossy).concat()
}

#[test]
fn a_bad_line_and_an_unreadable_file_are_named_and_the_rest_is_loaded() {
    let bench = Bench::start();
    let lines = concat!(
        r#"{"resourceType":"Patient","id":"a"}"#,
        "\n\n",
        r#"{"resourceType":"Patient","id":"b","gender":"purple","birthDate":"soon"}"#,
        "\n",
        r#"{"resourceType":"Patient","id":"c""#,
        "\n",
        r#"{"resourceType":"Patient","id":"d"}"#,
        "\n",
    );
    bench.file("patients.ndjson", lines.as_bytes());
    bench.file("torn.ndjson.gz", &torn_gzip());
    bench.file("z.ndjson", br#"{"resourceType":"Patient","id":"z"}"#);

    let ran = bench.load(&[]);

    assert_eq!(ran.status.code(), Some(20), "{}", said(&ran));
    assert_eq!(bench.patients(), 3, "a, d and z");
    let mut rejected = bench.rejected();
    rejected.sort_by_key(|one| (one["file"].to_string(), one["line"].as_u64()));
    assert_eq!(rejected.len(), 3, "{rejected:#?}");
    let of = |at: usize, key: &str| rejected[at][key].as_str().unwrap_or_default().to_owned();
    assert_eq!((rejected[0]["line"].as_u64(), of(0, "path")), (Some(3), "Patient.gender".into()));
    assert_eq!(rejected[0]["more"][0]["path"], "Patient.birthDate");
    assert_eq!((rejected[1]["line"].as_u64(), of(1, "status")), (Some(4), "unreadable".into()));
    assert!(of(2, "file").ends_with("torn.ndjson.gz"), "{rejected:#?}");
    assert!(of(2, "reason").contains("cannot be read or unpacked"), "{rejected:#?}");
    bench.gateway.kill();
}

/// A gzip stream that ends too early.
fn torn_gzip() -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(br#"{"resourceType":"Patient","id":"torn"}"#).unwrap();
    let mut packed = packed.finish().unwrap();
    packed.truncate(packed.len() / 2);
    packed
}

#[test]
fn what_was_loaded_before_is_loaded_again_only_when_told_so() {
    let bench = Bench::start();
    let transaction = br#"{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}]}"#;
    bench.file("one.json", transaction);
    assert_eq!(bench.load(&[]).status.code(), Some(0));
    std::fs::write(bench.folder.path().join("rejected.ndjson"), "of an earlier run\n").unwrap();

    let asked = bench.load(&[]);
    assert_eq!(asked.status.code(), Some(2), "{}", said(&asked));
    assert!(said(&asked).contains("--resume") && said(&asked).contains("--again"));
    assert_eq!(bench.patients(), 1);

    bench.file("two.json", transaction.iter().chain(b"\n").copied().collect::<Vec<_>>().as_slice());
    let resumed = bench.load(&["--resume"]);
    assert_eq!(resumed.status.code(), Some(0), "{}", said(&resumed));
    assert!(said(&resumed).contains("1 files were loaded before"), "{}", said(&resumed));
    assert_eq!(bench.patients(), 2);
    let aside = bench.folder.path().join("rejected.ndjson.1");
    assert_eq!(std::fs::read_to_string(aside).unwrap(), "of an earlier run\n");
    assert!(!bench.folder.path().join("rejected.ndjson").exists());

    assert_eq!(bench.load(&["--again"]).status.code(), Some(0));
    assert_eq!(bench.patients(), 4);
    bench.gateway.kill();
}

#[test]
fn a_token_that_is_missing_or_may_not_write_is_said_with_the_way_out() {
    let bench = Bench::start();
    bench.file("p.ndjson", br#"{"resourceType":"Patient","id":"a"}"#);
    let made = sealway(&bench.folder.path().join("data"))
        .args(["token", "--role", "auditor"])
        .output()
        .unwrap();
    std::fs::write(bench.folder.path().join("auditor"), made.stdout).unwrap();

    let missing = bench.load_as("nowhere", &[]);
    let auditor = bench.load_as("auditor", &[]);

    assert_eq!(missing.status.code(), Some(4), "{}", said(&missing));
    assert!(said(&missing).contains("nowhere") && said(&missing).contains("sealway token"));
    assert_eq!(auditor.status.code(), Some(4), "{}", said(&auditor));
    assert!(said(&auditor).contains("--role system"), "{}", said(&auditor));
    bench.gateway.kill();
}

#[test]
fn a_dry_run_sends_nothing_and_says_what_it_did_not_check() {
    let bench = Bench::start();
    bench.file("p.ndjson", b"{\"resourceType\":\"Patient\",\"gender\":\"purple\"}\n{\n");

    let ran = bench.load_as("nowhere", &["--dry-run"]);

    assert_eq!(ran.status.code(), Some(20), "{}", said(&ran));
    assert!(
        said(&ran).contains("1 resources and messages in 1 files, 1 files or lines unreadable")
    );
    assert!(said(&ran).contains("nothing was sent, nor checked against FHIR"));
    assert_eq!(bench.patients(), 0);
    assert!(!bench.folder.path().join("sealway-load.state").exists());
    bench.gateway.kill();
}
