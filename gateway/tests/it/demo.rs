//! `sealway demo` as a newcomer meets it: ready, and every printed command works when pasted.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::{sealway, without_own_variables};

#[test]
fn the_printed_commands_work_when_pasted_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    let started = Instant::now();
    let mut demo = sealway(folder.path())
        .env_remove("SEALWAY_DATA_DIR")
        .args(["demo", "--port", "0", "--mllp-port", "0", "--keep"])
        .arg(&kept)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut commands = Vec::new();
    for line in lines.by_ref() {
        if line.starts_with("ready in") {
            break;
        }
        commands.extend(line.strip_prefix("   ").map(str::to_owned));
    }
    let ready = started.elapsed();

    let answers: Vec<String> = commands
        .iter()
        .map(|command| {
            let ran =
                without_own_variables(Command::new("sh")).args(["-c", command]).output().unwrap();
            let said = String::from_utf8_lossy(&ran.stdout).into_owned();
            assert!(ran.status.success(), "{command}\n{said}");
            said
        })
        .collect();
    let described = std::fs::read(kept.join("demo.json")).unwrap();
    interrupt(&mut demo);

    // A debug build on a busy machine gets three times the ten seconds that users are promised.
    assert!(ready < Duration::from_secs(30), "ready after {ready:?}");
    assert_eq!(answers.len(), 5);
    assert!(answers[0].contains(r#""resourceType":"Bundle""#), "{}", answers[0]);
    assert!(answers[1].contains("MSA|AA|") && !answers[1].contains("\nERR"), "{}", answers[1]);
    assert!(answers[2].contains(r#""total":2"#), "{}", answers[2]);
    assert!(answers[3].contains(r#""code":"forbidden""#), "{}", answers[3]);
    assert!(answers[4].contains("VERIFIED"), "{}", answers[4]);
    let described: serde_json::Value = serde_json::from_slice(&described).unwrap();
    for role in ["clinician", "patient", "system", "auditor", "operator"] {
        assert!(described["tokens"][role].is_string(), "{described}");
    }
}

#[test]
fn a_taken_port_is_named_with_the_flag_that_changes_it() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();

    let ran = sealway(folder.path()).args(["demo", "--port", &port]).output().unwrap();

    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(3), "{said}");
    assert!(said.contains(&port) && said.contains("--port"), "{said}");
}

/// Ctrl-C, and its end within the time that a graceful stop may take.
fn interrupt(demo: &mut std::process::Child) {
    let asked = Command::new("kill").args(["-INT", &demo.id().to_string()]).status().unwrap();
    assert!(asked.success());
    let started = Instant::now();
    loop {
        if let Some(status) = demo.try_wait().unwrap() {
            assert_eq!(status.code(), Some(0));
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "the demo does not stop");
        std::thread::sleep(Duration::from_millis(20));
    }
}
