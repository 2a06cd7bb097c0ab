//! The commands as their users meet them, through the real binary.

use std::process::{Command, Output};

use crate::process::{Process, sealway, without_own_variables};

#[test]
fn a_reader_that_goes_away_ends_no_command_badly() {
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_sealway");

    // `true` reads nothing at all: every write of the command meets a closed pipe.
    for command in ["config show", "config show --origin", "--help", "doctor", "ledger fsck"] {
        let script = format!("(sleep 0.2; {program} {command} 2>&1; echo $? > status) | true");
        let ran = without_own_variables(Command::new("bash"))
            .args(["-c", &script])
            .current_dir(folder.path())
            .output()
            .unwrap();

        assert!(ran.status.success());
        let status = std::fs::read_to_string(folder.path().join("status")).unwrap();
        // 101 is a panic; doctor and fsck have something to say about an empty folder.
        let expected = if ["doctor", "ledger fsck"].contains(&command) { "1" } else { "0" };
        assert_eq!(status.trim(), expected, "{command}");
    }
}

#[test]
fn the_example_configuration_is_accepted_as_printed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("site.toml");
    let example = sealway(folder.path()).args(["config", "example"]).output().unwrap();
    std::fs::write(&file, &example.stdout).unwrap();
    assert!(
        said(&example).contains("[[auth.issuer]]")
            && said(&example).contains("SEALWAY_SERVER__LISTEN")
    );

    let well = sealway(folder.path()).args(["config", "check"]).arg(&file).output().unwrap();
    std::fs::write(&file, "[server]\nlisen = \"127.0.0.1:1\"\n").unwrap();
    let wrong = sealway(folder.path()).args(["config", "check"]).arg(&file).output().unwrap();

    assert_eq!((well.status.code(), said(&well).as_str()), (Some(0), "ok\n"));
    assert_eq!(wrong.status.code(), Some(3));
    assert!(said(&wrong).contains("site.toml:2") && said(&wrong).contains("server.listen"));
}

#[test]
fn every_help_that_takes_a_data_folder_names_its_default() {
    let folder = tempfile::tempdir().unwrap();
    let default = gateway::config::keys::key("data_dir").unwrap().default;
    let commands =
        ["serve", "token", "ledger fsck", "config show", "config check", "doctor", "health"];

    for command in commands {
        let help = sealway(folder.path()).args(command.split(' ')).arg("--help").output().unwrap();
        let text = said(&help);
        assert!(text.contains(&format!("log and keys [default: {default}]")), "{command}: {text}");
    }
}

#[test]
fn the_help_of_verify_names_its_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let text = said(&sealway(folder.path()).args(["verify", "--help"]).output().unwrap());

    for code in [0, 1, 2, 10, 11, 12, 13] {
        assert!(text.contains(&format!("\n  {code:<3} ")), "{code}: {text}");
    }
}

#[test]
fn doctor_asks_the_gateway_that_runs_and_opens_the_parts_of_one_that_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let ask = || doctor(folder.path());
    let doctor = || said(&ask());
    let gateway = Process::start(folder.path());

    let running = doctor();
    let status = ask().status;
    gateway.kill();
    let stopped = doctor();
    std::fs::remove_file(folder.path().join("keys/kek")).unwrap();
    let keyless = doctor();
    let other = tempfile::tempdir().unwrap();
    Process::start(other.path()).kill();
    std::fs::copy(other.path().join("keys/kek"), folder.path().join("keys/kek")).unwrap();
    let other_key = doctor();
    std::fs::remove_file(folder.path().join("keys/kek")).unwrap();
    std::fs::write(folder.path().join("registry.sqlite"), vec![7; 8192]).unwrap();
    // With its log the database would be whole.
    std::fs::remove_file(folder.path().join("registry.sqlite-wal")).unwrap();
    let damaged = doctor();

    assert_eq!(status.code(), Some(0), "{running}");
    assert!(running.contains("✓ gateway: version"), "{running}");
    assert!(running.contains("! auth: only the development issuer"), "{running}");
    assert!(running.contains("✓ registry: reads and writes"), "{running}");
    assert!(stopped.contains("! gateway: dev.json names one at"), "{stopped}");
    for part in ["✓ keys:", "✓ database:", "✓ ledger:", "✓ access:"] {
        assert!(stopped.contains(part), "{part}\n{stopped}");
    }
    assert!(keyless.contains("✗ keys:") && keyless.contains("from its backup"), "{keyless}");
    assert!(other_key.contains("✗ keys:") && other_key.contains("another key"), "{other_key}");
    assert!(!folder.path().join("keys/kek").exists(), "doctor makes nothing");
    assert!(damaged.contains("✗ database:") && damaged.contains("ledger fsck"), "{damaged}");
    // Every line that is not well is followed by what to do.
    let lines: Vec<&str> = damaged.lines().collect();
    for pair in lines.windows(2).filter(|pair| pair[0].starts_with(['✗', '!'])) {
        assert!(pair[1].starts_with("    "), "{pair:?}");
    }
}

/// Runs `doctor`. Nobody listens at the configured address, whatever else runs on this machine.
fn doctor(folder: &std::path::Path) -> std::process::Output {
    sealway(folder).arg("doctor").env("SEALWAY_SERVER__LISTEN", "127.0.0.1:9").output().unwrap()
}

#[test]
fn doctor_changes_nothing_of_what_a_crash_left() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Process::start(folder.path());
    let client = reqwest::blocking::Client::new();
    for _ in 0..2 {
        let read = client.get(format!("{}/Patient", gateway.base)).bearer_auth(&gateway.token);
        assert_eq!(read.send().unwrap().status(), 200);
    }
    gateway.kill();
    let access = std::fs::read_dir(folder.path().join("access")).unwrap();
    let journal = access.map(|file| file.unwrap().path()).find(|file| !file.ends_with("lock"));
    let journal = journal.expect("an access is recorded");
    let sound = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, [&sound[..], &[7; 5]].concat()).unwrap();
    let database = folder.path().join("registry.sqlite");
    let log = folder.path().join("registry.sqlite-wal");
    let bytes = || [&database, &log, &journal].map(|file| std::fs::read(file).unwrap());
    let before = bytes();
    assert!(!before[1].is_empty());

    let torn = said(&doctor(folder.path()));
    assert_eq!(bytes(), before);
    // In the first of two records.
    let mut changed = sound.clone();
    changed[60] ^= 1;
    std::fs::write(&journal, changed).unwrap();
    let changed = said(&doctor(folder.path()));
    std::fs::write(&journal, &sound).unwrap();
    let conn = rusqlite::Connection::open(&database).unwrap();
    conn.execute_batch("delete from _sqlx_migrations where version > 1").unwrap();
    drop(conn);
    let older = said(&doctor(folder.path()));

    assert!(torn.contains("✓ database:") && torn.contains("can be read"), "{torn}");
    assert!(torn.contains("! access:") && torn.contains("the next start cuts it off"), "{torn}");
    assert!(changed.contains("✗ access:") && changed.contains("is damaged from"), "{changed}");
    assert!(older.contains("! database:") && older.contains("start the gateway once"), "{older}");
    assert!(older.contains("✓ access:"), "{older}");
}

#[test]
fn a_start_that_cannot_be_says_what_stands_in_its_way() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Process::start(folder.path());
    let other = tempfile::tempdir().unwrap();
    let port = gateway.base.trim_end_matches("/fhir").rsplit(':').next().unwrap().to_owned();
    let serve = |folder: &std::path::Path, listen: &str| {
        sealway(folder).args(["serve", "--listen", listen]).output().unwrap()
    };

    let held = serve(folder.path(), "127.0.0.1:0");
    let busy = serve(other.path(), &format!("127.0.0.1:{port}"));
    gateway.kill();

    assert_eq!(held.status.code(), Some(3), "{}", said(&held));
    assert!(said(&held).contains("is held by another process"), "{}", said(&held));
    assert!(said(&held).contains("--data-dir"), "{}", said(&held));
    assert_eq!(busy.status.code(), Some(3), "{}", said(&busy));
    assert!(said(&busy).contains(&port) && said(&busy).contains("--listen"), "{}", said(&busy));
    // The second has no issuer either.
    assert!(said(&busy).contains("every request will be refused"), "{}", said(&busy));
    assert!(said(&busy).contains("[[auth.issuer]]") && said(&busy).contains("--dev-issuer"));
}

#[test]
fn a_start_on_the_folder_of_another_database_leaves_nothing_in_this_one() {
    // The log of the second holds an access alone, which the journal beside it knows.
    for (method, status) in [(reqwest::Method::POST, 201), (reqwest::Method::GET, 200)] {
        start_on_the_folder_of_another(&method, status);
    }
}

fn start_on_the_folder_of_another(method: &reqwest::Method, status: u16) {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Process::start(folder.path());
    let client = reqwest::blocking::Client::new();
    let request = client.request(method.clone(), format!("{}/Patient", gateway.base));
    let mut request = request.bearer_auth(&gateway.token);
    if *method == reqwest::Method::POST {
        let request_body = r#"{"resourceType":"Patient"}"#;
        request = request.header("content-type", "application/fhir+json").body(request_body);
    }
    assert_eq!(request.send().unwrap().status(), status);
    let checkpoint = gateway.base.replace("/fhir", "/ledger/checkpoint");
    let sealed = || client.get(&checkpoint).send().unwrap().text().unwrap();
    let begun = std::time::Instant::now();
    while sealed().lines().nth(1).is_none_or(|size| size == "0") {
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "nothing is sealed");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    gateway.kill();
    let database = folder.path().join("registry.sqlite");
    for suffix in ["", "-wal", "-shm"] {
        let file = folder.path().join(format!("registry.sqlite{suffix}"));
        std::fs::rename(&file, file.with_extension(format!("away{suffix}"))).ok();
    }

    let refused = sealway(folder.path()).args(["serve", "--dev-issuer"]).output().unwrap();

    assert!(!refused.status.success(), "{}", said(&refused));
    assert!(said(&refused).contains("data folder of another database"), "{}", said(&refused));
    let conn = rusqlite::Connection::open(database).unwrap();
    let count = |of: &str| -> i64 {
        conn.query_row(&format!("select count(*) from {of}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count("data_key"), 0, "{method}");
    assert_eq!(count("setting where name = 'journal_sealed'"), 0, "{method}");
}

/// Neither has been asked anything when the other database comes.
#[test]
fn a_folder_stays_with_the_database_that_it_was_started_on_first() {
    let folder = tempfile::tempdir().unwrap();
    Process::start(folder.path()).kill();
    let database = |suffix: &str| folder.path().join(format!("registry.sqlite{suffix}"));
    let away = tempfile::tempdir().unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let name = format!("registry.sqlite{suffix}");
        std::fs::rename(database(suffix), away.path().join(name)).ok();
    }

    let refused = sealway(folder.path()).args(["serve", "--dev-issuer"]).output().unwrap();

    assert!(!refused.status.success(), "{}", said(&refused));
    assert!(said(&refused).contains("data folder of another database"), "{}", said(&refused));
    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(database(suffix)).ok();
        let name = format!("registry.sqlite{suffix}");
        std::fs::rename(away.path().join(name), database(suffix)).ok();
    }
    Process::start(folder.path()).kill();
}

#[test]
fn a_command_on_a_folder_that_is_not_there_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let typo = folder.path().join("typo");
    let run = |command: &str| {
        let mut program = sealway(&typo);
        program.env("SEALWAY_SERVER__LISTEN", "127.0.0.1:9").current_dir(folder.path());
        program.args(command.split(' ')).output().unwrap()
    };

    for command in ["reindex", "ledger fsck", "token --role system", "doctor", "health"] {
        let ran = run(command);
        assert!(!ran.status.success(), "{command}: {}", said(&ran));
        assert!(!typo.exists(), "{command} made the folder");
    }
    let refused = run("reindex");
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("is not there"), "{}", said(&refused));
    assert!(said(&refused).contains("--data-dir"), "{}", said(&refused));
    // Nor in a folder of something else.
    std::fs::create_dir(&typo).unwrap();
    run("reindex");
    assert_eq!(std::fs::read_dir(&typo).unwrap().count(), 0);
    std::fs::write(typo.join("registry.sqlite"), b"").unwrap();
    let refused = run("reindex");
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("no database of Sealway"), "{}", said(&refused));
    assert_eq!(std::fs::read(typo.join("registry.sqlite")).unwrap(), b"");
    assert!(!typo.join("keys").exists());
}

fn said(ran: &Output) -> String {
    [ran.stdout.as_slice(), &ran.stderr].map(String::from_utf8_lossy).concat()
}
