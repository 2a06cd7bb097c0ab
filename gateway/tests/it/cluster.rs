//! A private PostgreSQL cluster (`registry/tests/it/cluster.sh`), and one client of it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// It goes with this value, or with this process.
pub(crate) struct Cluster {
    folder: String,
    shell: Child,
    /// One client for all statements: a process that is being started holds the locks of other tests for a moment.
    psql: Child,
    said: BufReader<ChildStdout>,
}

impl Cluster {
    /// `None`, with a loud word, where PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(std::env::var_os("CI").is_none(), "CI needs PostgreSQL 15 or newer");
            eprintln!("SKIPPED: no /usr/lib/postgresql/*/bin with version 15 or newer");
            return None;
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../registry/tests/it/cluster.sh");
        let piped = |command: &mut Command| {
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
        };
        let mut shell = piped(Command::new("sh").arg(script).arg(&programs));
        let mut folder = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut folder).unwrap();
        let folder = folder.trim().to_owned();
        assert!(!folder.is_empty(), "the cluster did not start");
        let flags = ["-U", "sealway", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "postgres"];
        let mut psql = piped(Command::new(programs.join("psql")).args(["-h", &folder]).args(flags));
        let said = BufReader::new(psql.stdout.take().unwrap());
        Some(Self { folder, shell, psql, said })
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://sealway@localhost/{database}?host={}", self.folder)
    }

    /// Runs statements and gives the lines that they answer; the client ends at the first that fails.
    pub(crate) fn execute(&mut self, database: &str, sql: &str) -> Vec<String> {
        let input = self.psql.stdin.as_mut().unwrap();
        write!(input, "\\connect {database}\n{sql};\n\\connect postgres\n\\echo done\n").unwrap();
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.said.read_line(&mut line).unwrap() > 0, "it failed: {sql}");
            match line.trim() {
                "done" => return lines,
                line => lines.push(line.to_owned()),
            }
        }
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

/// Where the newest server's programs are.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let numbers = versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let newest = numbers.filter(|version: &u32| *version >= 15).max()?;
    Some(PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin")))
}
