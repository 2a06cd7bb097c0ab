//! `sealway load` through the real binary, into a real gateway.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

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

/// Answers requests with the given statuses and bodies, in their order, and gives the bodies that it got; after the
/// last answer it holds requests without one.
fn stub(answers: Vec<(u16, String)>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}/fhir", listener.local_addr().unwrap());
    let (got, requests) = channel();
    std::thread::spawn(move || {
        let (mut answers, mut held) = (answers.into_iter(), Vec::new());
        for socket in listener.incoming() {
            let mut reader = BufReader::new(socket.unwrap());
            let mut bytes = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.trim().to_lowercase();
                if let Some(length) = line.strip_prefix("content-length:") {
                    bytes = length.trim().parse().unwrap();
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; bytes];
            reader.read_exact(&mut body).unwrap();
            if got.send(String::from_utf8(body).unwrap()).is_err() {
                return;
            }
            let answer = answers.next();
            if let Some((status, body)) = &answer {
                let length = body.len();
                let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n");
                let text = format!("{head}connection: close\r\n\r\n{body}");
                reader.get_mut().write_all(text.as_bytes()).unwrap();
            } else {
                held.push(reader);
            }
        }
    });
    (base, requests)
}

/// A batch-response with these statuses.
fn answered(statuses: &[&str]) -> (u16, String) {
    let entry = |status: &&str| match *status {
        "400" => json!({"response": {"status": status, "outcome": {
            "resourceType": "OperationOutcome",
            "issue": [{"severity": "error", "code": "value", "diagnostics": "no code",
                       "expression": ["Bundle.entry[0].resource.gender"]}]}}}),
        _ => json!({"response": {"status": status}}),
    };
    let entries: Vec<Value> = statuses.iter().map(entry).collect();
    let bundle = json!({"resourceType": "Bundle", "type": "batch-response", "entry": entries});
    (200, bundle.to_string())
}

/// A folder with one file of three patients and a token, for a load into `base`.
struct Three {
    folder: tempfile::TempDir,
    base: String,
}

impl Three {
    fn into(base: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("files")).unwrap();
        std::fs::write(folder.path().join("token"), "t").unwrap();
        let lines =
            ["a", "b", "c"].map(|id| json!({"resourceType": "Patient", "id": id}).to_string());
        std::fs::write(folder.path().join("files/p.ndjson"), lines.join("\n")).unwrap();
        Self { folder, base }
    }

    fn command(&self, further: &[&str]) -> Command {
        let mut command = sealway(self.folder.path());
        command.current_dir(self.folder.path());
        command.args(["load", "files", "--token-file", "token", "--url", &self.base]).args(further);
        command
    }

    fn load(&self, further: &[&str]) -> Output {
        self.command(further).output().unwrap()
    }
}

#[test]
fn entries_that_the_gateway_had_no_time_for_are_sent_again_and_only_they() {
    let (base, requests) =
        stub(vec![answered(&["201 Created", "503", "429"]), answered(&["400", "201 Created"])]);
    let three = Three::into(base);

    let ran = three.load(&[]);

    assert_eq!(ran.status.code(), Some(20), "{}", said(&ran));
    assert!(said(&ran).contains("2 accepted, 1 refused"), "{}", said(&ran));
    let sent: Vec<Vec<Value>> = requests
        .try_iter()
        .map(|body| serde_json::from_str::<Value>(&body).unwrap())
        .inspect(|bundle| assert_eq!(bundle["type"], "batch"))
        .map(|bundle| bundle["entry"].as_array().unwrap().clone())
        .collect();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[1], sent[0][1..], "the second and the third");
    let rejected = rejected(&three.folder.path().join("rejected.ndjson"));
    assert_eq!(rejected.len(), 1, "{rejected:#?}");
    assert_eq!((rejected[0]["line"].as_u64(), &rejected[0]["status"]), (Some(2), &json!("400")));
    assert_eq!(rejected[0]["path"], "Patient.gender");
    assert_eq!(three.load(&[]).status.code(), Some(2), "it was loaded");
}

#[test]
fn a_batch_that_stays_half_taken_ends_the_load_and_its_file_is_not_loaded() {
    let mut answers = vec![answered(&["201 Created", "503", "201 Created"])];
    answers.extend(std::iter::repeat_n(answered(&["503"]), 5));
    answers.push(answered(&["200", "201 Created", "200"]));
    let (base, requests) = stub(answers);
    let three = Three::into(base);

    let stopped = three.load(&[]);

    assert_eq!(stopped.status.code(), Some(5), "{}", said(&stopped));
    assert_eq!(requests.try_iter().count(), 6);
    assert!(!three.folder.path().join("rejected.ndjson").exists());
    for further in [&[][..], &["--resume"]] {
        let asked = three.load(further);
        assert_eq!(asked.status.code(), Some(2), "{}", said(&asked));
        assert!(said(&asked).contains("1 of 1 files were sent"), "{}", said(&asked));
        assert!(said(&asked).contains("p.ndjson") && said(&asked).contains("--resume --again"));
    }
    let resumed = three.load(&["--resume", "--again"]);
    assert_eq!(resumed.status.code(), Some(0), "{}", said(&resumed));
    assert!(said(&resumed).contains("3 accepted"), "{}", said(&resumed));
    assert_eq!(requests.try_iter().count(), 1);
    let resumed = three.load(&["--resume"]);
    assert_eq!(resumed.status.code(), Some(0), "{}", said(&resumed));
    assert_eq!(requests.try_iter().count(), 0, "nothing is left to send");
}

#[test]
fn a_load_that_is_killed_leaves_its_file_as_sent_in_part() {
    let (base, requests) = stub(Vec::new());
    let three = Three::into(base);
    let mut loading = three.command(&[]).spawn().unwrap();
    requests.recv_timeout(std::time::Duration::from_secs(30)).unwrap();
    loading.kill().unwrap();
    loading.wait().unwrap();

    let asked = three.load(&["--resume"]);

    assert_eq!(asked.status.code(), Some(2), "{}", said(&asked));
    assert!(said(&asked).contains("their answer was lost"), "{}", said(&asked));
}

#[test]
fn a_file_that_was_not_taken_at_all_is_sent_again_without_a_question() {
    let (base, _requests) = stub(vec![(401, "{}".into()), answered(&["201", "201", "201"])]);
    let three = Three::into(base);

    assert_eq!(three.load(&[]).status.code(), Some(4));
    let ran = three.load(&[]);

    assert_eq!(ran.status.code(), Some(0), "{}", said(&ran));
}

#[test]
fn a_line_that_spoils_its_whole_batch_takes_no_other_with_it() {
    let bench = Bench::start();
    let mut lines: Vec<String> =
        (1..=9).map(|at| format!(r#"{{"resourceType":"Patient","id":"p{at}"}}"#)).collect();
    lines.insert(3, r#"{"resourceType":"Patient","id":"p 4"}"#.to_owned());
    lines.insert(7, r#"["no resource"]"#.to_owned());
    bench.file("a.ndjson", lines.join("\n").as_bytes());

    let loaded = bench.load(&[]);

    assert_eq!(loaded.status.code(), Some(20), "{loaded:?}");
    assert_eq!(bench.patients(), 9);
    let rejected = bench.rejected();
    let places: Vec<_> = rejected.iter().map(|one| one["line"].as_u64().unwrap()).collect();
    assert_eq!(places, [4, 8], "{rejected:?}");
    assert_eq!(rejected[0]["path"], "Patient.id", "{rejected:?}");
}

#[test]
fn an_address_that_takes_no_fhir_ends_the_load_and_rejects_nothing() {
    let bench = Bench::start();
    let root = bench.gateway.base.strip_suffix("/fhir").unwrap();
    let (away, _requests) = stub(vec![(301, String::new())]);

    for base in [root, &format!("{root}/fihr"), &format!("{}/Patient", bench.gateway.base), &away] {
        let three = Three::into(base.to_owned());
        std::fs::copy(bench.folder.path().join("token"), three.folder.path().join("token"))
            .unwrap();
        let stopped = three.load(&[]);

        // A type's own path takes resources, not bundles of them: that is told for each.
        let code = if base.ends_with("/Patient") { 20 } else { 5 };
        assert_eq!(stopped.status.code(), Some(code), "{base}: {}", said(&stopped));
        assert_eq!(said(&stopped).contains("--url is the base of FHIR"), code == 5, "{base}");
        assert_eq!(three.folder.path().join("rejected.ndjson").exists(), code == 20, "{base}");
    }
    bench.file("tx.json", br#"{"resourceType":"Bundle","type":"transaction","entry":[]}"#);
    let wrong = sealway(&bench.folder.path().join("data"))
        .current_dir(bench.folder.path())
        .args(["load", "files", "--token-file", "token", "--url", root])
        .output()
        .unwrap();
    assert_eq!(wrong.status.code(), Some(5), "{}", said(&wrong));
    let missing = json!({"resourceType": "Bundle", "type": "transaction", "entry": [{
        "resource": {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": "W10="},
        "request": {"method": "PATCH", "url": "Patient/nobody"}}]});
    bench.file("tx.json", missing.to_string().as_bytes());
    let refused = bench.load(&[]);
    assert_eq!(refused.status.code(), Some(20), "what a transaction misses: {}", said(&refused));
    assert_eq!(bench.patients(), 0);
    bench.gateway.kill();
}
