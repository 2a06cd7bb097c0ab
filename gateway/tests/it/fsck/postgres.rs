//! The same alterations in PostgreSQL, in a private cluster (`registry/tests/it/cluster.sh`).

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::folder::Folder;
use super::rows::ALTERATIONS;

struct Cluster {
    folder: String,
    shell: Child,
    /// One client for all statements: a process that is being started holds the locks of other tests for a moment.
    psql: Child,
    said: BufReader<ChildStdout>,
}

impl Cluster {
    fn start() -> Option<Self> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok();
        let newest = versions.and_then(|versions| {
            let version = |entry: std::io::Result<std::fs::DirEntry>| {
                entry.ok()?.file_name().to_str()?.parse::<u32>().ok()
            };
            versions.filter_map(version).filter(|version| *version >= 15).max()
        });
        let Some(newest) = newest else {
            assert!(std::env::var_os("CI").is_none(), "CI needs PostgreSQL 15 or newer");
            eprintln!("SKIPPED: no /usr/lib/postgresql/*/bin with version 15 or newer");
            return None;
        };
        let programs = PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin"));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../registry/tests/it/cluster.sh");
        let mut shell = Command::new("sh")
            .arg(script)
            .arg(&programs)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut folder = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut folder).unwrap();
        let folder = folder.trim().to_owned();
        assert!(!folder.is_empty(), "the cluster did not start");
        let mut psql = Command::new(programs.join("psql"))
            .args(["-h", &folder, "-U", "sealway", "-X", "-q", "-v", "ON_ERROR_STOP=1", "postgres"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(psql.stdout.take().unwrap());
        Some(Self { folder, shell, psql, said })
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://sealway@localhost/{database}?host={}", self.folder)
    }

    /// Runs statements; the client ends at the first that fails.
    fn execute(&mut self, database: &str, sql: &str) {
        let input = self.psql.stdin.as_mut().unwrap();
        write!(input, "\\connect {database}\n{sql};\n\\connect postgres\n\\echo done\n").unwrap();
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "done", "{sql}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in [&mut self.psql, &mut self.shell] {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_altered_row_is_found_in_postgresql() {
    let Some(mut cluster) = Cluster::start() else { return };
    cluster.execute("postgres", "create database sound");
    let mut folder = Folder::make(Some(cluster.url("sound"))).await;
    let findings = folder.findings().await;
    assert_eq!(findings.problems, Vec::<String>::new());
    assert!(findings.index_rows.unwrap() > 50, "{findings:?}");

    for (at, (sql, word)) in ALTERATIONS.iter().enumerate() {
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
