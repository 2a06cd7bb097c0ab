//! `kill -9` at random moments under load: no acknowledged write is missing, no idempotent request doubled,
//! each has its ledger entry, and the log re-derives.
//!
//! A short form runs always; `SEALWAY_KILLS=200` runs the long one.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::process::{Process, sealway};

/// What the load was told is durable.
#[derive(Default)]
struct Acknowledged {
    /// `Type/id` → version.
    versions: BTreeMap<String, u64>,
    /// MRN → control id of the message that admitted the patient.
    messages: BTreeMap<String, String>,
}

#[test]
fn no_kill_loses_or_doubles_what_was_acknowledged() {
    let kills: u64 =
        std::env::var("SEALWAY_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS_SHORT);
    let folder = tempfile::tempdir().expect("temp folder");
    let acknowledged = Arc::new(Mutex::new(Acknowledged::default()));
    let next = Arc::new(AtomicU64::new(0));
    let mut pause = Pauses(0x5EA1);

    for _ in 0..kills {
        let gateway = Process::start(folder.path());
        let stop = Arc::new(AtomicBool::new(false));
        let load: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (base, mllp, token) =
                    (gateway.base.clone(), gateway.mllp.clone(), gateway.token.clone());
                let (acknowledged, next, stop) =
                    (Arc::clone(&acknowledged), Arc::clone(&next), Arc::clone(&stop));
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        let done = match client % 3 {
                            0 => send_message(&mllp, n, &acknowledged),
                            1 => create_once(&base, &token, n, &acknowledged),
                            _ => put(&base, &token, n, &acknowledged),
                        };
                        if done.is_none() {
                            return;
                        }
                    }
                })
            })
            .collect();
        std::thread::sleep(pause.next());
        gateway.kill();
        stop.store(true, Ordering::Relaxed);
        for client in load {
            client.join().expect("a client ends");
        }
    }

    let acknowledged = acknowledged.lock().expect("no client panicked");
    assert!(acknowledged.versions.len() + acknowledged.messages.len() > 0, "there was load");
    let gateway = Process::start(folder.path());
    check_versions(&gateway, &acknowledged);
    check_messages(&gateway, &acknowledged);
    eprintln!(
        "{kills} kills: {} acknowledged writes, {} acknowledged messages, all there",
        acknowledged.versions.len(),
        acknowledged.messages.len()
    );
    gateway.kill();
    let fsck = sealway(folder.path()).args(["ledger", "fsck"]).output().expect("fsck runs");
    let said =
        String::from_utf8_lossy(&fsck.stdout).into_owned() + &String::from_utf8_lossy(&fsck.stderr);
    assert!(fsck.status.success(), "the log re-derives: {said}");
}

/// Kills while a patient is being erased: each time the next start goes on, and in the end all is gone and all is well.
#[test]
fn no_kill_stops_an_erasure_or_leaves_half_of_it() {
    let kills: u64 =
        std::env::var("SEALWAY_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS_SHORT);
    let folder = tempfile::tempdir().expect("temp folder");
    let mut pause = Pauses(0xE5A5E);
    for round in 0..kills.min(ERASURES_MAX) {
        let gateway = Process::start(folder.path());
        let entry = |n: u64| {
            format!(
                r#"{{"resource":{{"resourceType":"Observation","id":"e{round}-{n}","status":"final","code":{{"text":"Zebedeeitis"}},"subject":{{"reference":"Patient/e{round}"}}}},"request":{{"method":"PUT","url":"Observation/e{round}-{n}"}}}}"#
            )
        };
        let entries: Vec<String> = (0..OBSERVATIONS).map(entry).collect();
        let bundle = format!(
            r#"{{"resourceType":"Bundle","type":"transaction","entry":[{}]}}"#,
            entries.join(",")
        );
        let answer =
            http(&gateway.base, &gateway.token, "POST", "", &[], &bundle).expect("answers");
        assert_eq!(answer.status, 200, "{}", answer.body);
        let scope = "system/*.cruds sealway/purge";
        let mut token = sealway(folder.path());
        token.args(["token", "--role", "system", "--scope", scope]);
        let token = token.output().expect("a token is made").stdout;
        let token = String::from_utf8(token).expect("a token is text").trim().to_owned();
        let path = format!("Patient/e{round}/$purge");
        let (base, asked, path_of) = (gateway.base.clone(), token.clone(), path.clone());
        let erasing = std::thread::spawn(move || {
            http(&base, &asked, "POST", &path_of, &[], "").map(|a| a.status)
        });
        std::thread::sleep(pause.next() / 8);
        gateway.kill();
        let first = erasing.join().expect("the client ends");
        assert!(matches!(first, None | Some(200)), "{first:?}");

        let gateway = Process::start(folder.path());
        let again = http(&gateway.base, &token, "POST", &path, &[], "").expect("answers");
        assert!(matches!(again.status, 200 | 410), "{} {}", again.status, again.body);
        let path = format!("Observation?subject=Patient/e{round}&_summary=count");
        let left = http(&gateway.base, &gateway.token, "GET", &path, &[], "").expect("answers");
        assert!(left.body.contains(r#""total":0"#), "{}", left.body);
        gateway.kill();
    }
    let fsck = sealway(folder.path()).args(["ledger", "fsck"]).output().expect("fsck runs");
    let said = String::from_utf8_lossy(&fsck.stdout).into_owned();
    assert!(fsck.status.success(), "{said}");
}

/// Every acknowledged version is there and has its receipt.
fn check_versions(gateway: &Process, acknowledged: &Acknowledged) {
    for (key, version) in &acknowledged.versions {
        let path = format!("{key}/_history/{version}");
        let answer = http(&gateway.base, &gateway.token, "GET", &path, &[], "")
            .expect("the gateway answers");
        assert_eq!(answer.status, 200, "{path} was acknowledged");
        let receipt = (0..RECEIPT_ATTEMPTS_MAX)
            .find_map(|_| {
                let path = format!("{path}/$receipt");
                let answer = http(&gateway.base, &gateway.token, "GET", &path, &[], "")?;
                if answer.status == 200 {
                    return Some(answer);
                }
                std::thread::sleep(Duration::from_millis(100));
                None
            })
            .unwrap_or_else(|| panic!("{path} has its ledger entry"));
        assert!(receipt.body.contains("sealway.receipt/v1"), "{}", receipt.body);
    }
}

/// Every acknowledged message made its patient, exactly one, and is not applied again when it is sent again.
fn check_messages(gateway: &Process, acknowledged: &Acknowledged) {
    for (mrn, control_id) in &acknowledged.messages {
        let before = patients(gateway, mrn);
        assert_eq!(before.len(), 1, "{control_id} made one patient");
        let answer = mllp(&gateway.mllp, &message(mrn, control_id)).expect("answered again");
        assert!(answer.contains(&format!("MSA|AA|{control_id}")), "{answer}");
        assert_eq!(patients(gateway, mrn), before, "a repetition changes nothing");
    }
}

/// `id/version` of the patients with this number.
fn patients(gateway: &Process, mrn: &str) -> Vec<String> {
    let path = format!("Patient?identifier={mrn}");
    let answer = http(&gateway.base, &gateway.token, "GET", &path, &[], "").expect("answers");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let bundle: serde_json::Value = serde_json::from_str(&answer.body).expect("a bundle");
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    entries
        .iter()
        .map(|e| format!("{}/{}", e["resource"]["id"], e["resource"]["meta"]["versionId"]))
        .collect()
}

fn send_message(address: &str, n: u64, acknowledged: &Mutex<Acknowledged>) -> Option<()> {
    let (mrn, control_id) = (format!("K{n}"), format!("C{n}"));
    let answer = mllp(address, &message(&mrn, &control_id))?;
    assert!(answer.contains(&format!("MSA|AA|{control_id}")), "{answer}");
    acknowledged.lock().expect("no client panicked").messages.insert(mrn, control_id);
    Some(())
}

fn message(mrn: &str, control_id: &str) -> String {
    format!(
        "MSH|^~\\&|ADT1|ST-ELMO|SEALWAY|ST-ELMO|20261102081500+0000||ADT^A04^ADT_A01|{control_id}|P|2.5.1\r\
         EVN|A04|20261102081500+0000\rPID|1||{mrn}^^^ST-ELMO^MR||Test^Crash||19700101|F\r\
         PV1|1|O|CLINIC1\r"
    )
}

/// The same conditional create twice, as a client does that lost the answer: one resource.
fn create_once(base: &str, token: &str, n: u64, acknowledged: &Mutex<Acknowledged>) -> Option<()> {
    let body = format!(
        r#"{{"resourceType":"Organization","identifier":[{{"system":"urn:crash","value":"O{n}"}}],"name":"O{n}"}}"#
    );
    let condition = [("If-None-Exist", format!("identifier=urn:crash|O{n}"))];
    let first = http(base, token, "POST", "Organization", &condition, &body)?;
    assert!(matches!(first.status, 200 | 201), "{} {}", first.status, first.body);
    let second = http(base, token, "POST", "Organization", &condition, &body)?;
    assert_eq!(second.status, 200, "{}", second.body);
    assert_eq!(first.location(), second.location(), "one resource for one identity");
    remember(&first, acknowledged);
    Some(())
}

fn put(base: &str, token: &str, n: u64, acknowledged: &Mutex<Acknowledged>) -> Option<()> {
    let id = format!("p{}", n % 50);
    let body = format!(
        r#"{{"resourceType":"Patient","id":"{id}","name":[{{"family":"Crash","given":["N{n}"]}}]}}"#
    );
    let answer = http(base, token, "PUT", &format!("Patient/{id}"), &[], &body)?;
    assert!(matches!(answer.status, 200 | 201), "{} {}", answer.status, answer.body);
    remember(&answer, acknowledged);
    Some(())
}

fn remember(answer: &Answer, acknowledged: &Mutex<Acknowledged>) {
    let Some((key, version)) = answer.location() else { panic!("no Location: {}", answer.head) };
    let mut acknowledged = acknowledged.lock().expect("no client panicked");
    let known = acknowledged.versions.entry(key).or_default();
    *known = (*known).max(version);
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    /// `Type/id` and version of `Location: …/Type/id/_history/n`.
    fn location(&self) -> Option<(String, u64)> {
        let line = self.head.lines().find(|l| l.to_ascii_lowercase().starts_with("location:"))?;
        let (resource, version) = line.trim().split_once("/_history/")?;
        let mut parts = resource.rsplit('/');
        let (id, kind) = (parts.next()?, parts.next()?);
        Some((format!("{kind}/{id}"), version.parse().ok()?))
    }
}

/// One request on a connection of its own; `None` when the gateway is gone.
fn http(
    base: &str,
    token: &str,
    method: &str,
    path: &str,
    headers: &[(&str, String)],
    body: &str,
) -> Option<Answer> {
    let rest = base.strip_prefix("http://").expect("a plain loopback URL");
    let (host, prefix) = rest.split_once('/').expect("a base path");
    let mut request = format!(
        "{method} /{prefix}/{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\nContent-Length: {}\r\n",
        body.len()
    );
    if !body.is_empty() {
        request.push_str("Content-Type: application/fhir+json\r\n");
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(body);
    let mut socket = TcpStream::connect(host).ok()?;
    socket.set_read_timeout(Some(ANSWER_WAIT)).ok()?;
    socket.write_all(request.as_bytes()).ok()?;
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head
        .lines()
        .find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0_usize);
    // A cut answer is no acknowledgement.
    (body.len() >= length).then(|| Answer {
        status,
        head: head.to_owned(),
        body: dechunk(head, body),
    })
}

fn dechunk(head: &str, body: &str) -> String {
    if !head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return body.to_owned();
    }
    let (mut rest, mut whole) = (body, String::new());
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || after.len() < size {
            break;
        }
        whole.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
    }
    whole
}

/// One message and its acknowledgement; `None` when the gateway is gone.
fn mllp(address: &str, message: &str) -> Option<String> {
    let mut socket = TcpStream::connect(address).ok()?;
    socket.set_read_timeout(Some(ANSWER_WAIT)).ok()?;
    socket.write_all(&[&[0x0B], message.as_bytes(), &[0x1C, 0x0D]].concat()).ok()?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !answer.ends_with(&[0x1C, 0x0D]) {
        let count = socket.read(&mut buffer).ok().filter(|count| *count > 0)?;
        answer.extend_from_slice(&buffer[..count]);
    }
    Some(String::from_utf8_lossy(&answer).into_owned())
}

/// Moments of the kills: a fixed sequence, so that a failing run can be repeated.
struct Pauses(u64);

impl Pauses {
    fn next(&mut self) -> Duration {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis(20 + (self.0 >> 33) % 600)
    }
}

const KILLS_SHORT: u64 = 5;
const ERASURES_MAX: u64 = 40;
/// Some steps of an erasure.
const OBSERVATIONS: u64 = 600;
const CLIENTS: usize = 6;
const ANSWER_WAIT: Duration = Duration::from_secs(30);
const RECEIPT_ATTEMPTS_MAX: usize = 100;
