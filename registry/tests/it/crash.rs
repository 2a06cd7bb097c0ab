//! `kill -9` under load loses nothing that was acknowledged. A child process writes; the parent kills it.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use policy::Permit;
use registry::store::Store;

use crate::engines::open_sqlite;
use crate::sets::{commit_one, key, write};

#[test]
fn kill_9_under_load_loses_no_acknowledged_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let mut acknowledged: HashMap<String, u64> = HashMap::new();

    for round in 0..ROUNDS {
        for line in run_and_kill(&path, round) {
            let (name, number) = line.split_once(' ').expect("name and version");
            acknowledged.insert(name.to_owned(), number.parse().expect("a number"));
        }

        check(&path, &acknowledged);
    }
    assert!(acknowledged.len() > 10, "the load came through");
}

fn run_and_kill(path: &Path, round: u32) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "crash::child_that_writes_until_it_is_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(CHILD_PATH, path)
        .env(CHILD_ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(150 + u64::from(round) * 37 % 150));
    child.kill().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let lines: Vec<String> = lines.map_while(Result::ok).collect();
    child.wait().unwrap();
    // The harness's own lines go first; the last line may be torn.
    lines
        .iter()
        .filter_map(|line| line.strip_prefix("ack ")?.strip_suffix('.').map(str::to_owned))
        .collect()
}

fn check(path: &Path, acknowledged: &HashMap<String, u64>) {
    let store = open_sqlite(path);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let outbox = store.outbox(0, usize::MAX).await.unwrap();
        for (name, number) in acknowledged {
            let found = store.read(&Permit::maintenance(), &key(name)).await.unwrap();
            let found = found.unwrap_or_else(|| panic!("{name} was acknowledged and is lost"));
            assert!(found.version.number() >= *number, "{name}");
            assert!(outbox.iter().any(|row| row.change == Some(found.change)), "{name}");
        }
    });
    drop(store);
    let conn = rusqlite::Connection::open(path).unwrap();
    let verdict: String = conn.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
}

#[test]
#[ignore = "the child of the test above"]
fn child_that_writes_until_it_is_killed() {
    let Ok(path) = std::env::var(CHILD_PATH) else { return };
    let round = std::env::var(CHILD_ROUND).unwrap();
    let store: Arc<dyn Store> = Arc::new(open_sqlite(Path::new(&path)));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for client in 0..8 {
        let (store, round) = (Arc::clone(&store), round.clone());
        runtime.spawn(async move {
            for n in 0.. {
                let name = format!("Organization/r{round}-{client}-{}", n / 2);
                let previous = (n % 2 == 1).then_some(1);
                let made = commit_one(&*store, write(&name, previous, "load under kill")).await;
                println!("ack {name} {}.", made.unwrap().version.number());
            }
        });
    }
    std::thread::sleep(Duration::from_secs(30));
}

const ROUNDS: u32 = 6;
const CHILD_PATH: &str = "SEALWAY_TEST_CHILD_PATH";
const CHILD_ROUND: &str = "SEALWAY_TEST_CHILD_ROUND";
