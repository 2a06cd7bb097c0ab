//! A gateway as its own process: started, killed without warning, started again on the same folder.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A running `sealway serve --dev-issuer` over `folder`.
pub(crate) struct Process {
    child: Child,
    /// FHIR base URL.
    pub(crate) base: String,
    /// MLLP address.
    pub(crate) mllp: String,
    /// Bearer token of the system role.
    pub(crate) token: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts and waits until it is ready; panics with its last words when it is not in time.
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_from(serve(folder), folder)
    }

    /// The same from a command that [`serve`] made.
    pub(crate) fn start_from(mut command: Command, folder: &Path) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the gateway starts");
        let file = folder.join("dev.json");
        let started = Instant::now();
        let described = loop {
            if let Some(text) = ready(&file, child.id()) {
                break text;
            }
            if let Some(status) = child.try_wait().expect("its status is known") {
                panic!("the gateway ended with {status}: {}", last_words(&mut child));
            }
            assert!(started.elapsed() < START_WAIT, "the gateway is not ready in {START_WAIT:?}");
            std::thread::sleep(Duration::from_millis(10));
        };
        let log = drain(&mut child);
        let text = |path: &str| {
            described.pointer(path).and_then(|v| v.as_str()).expect("dev.json is whole").to_owned()
        };
        Self { base: text("/fhir"), mllp: text("/mllp"), token: text("/tokens/system"), log, child }
    }

    /// The lines that it has logged so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// The most memory that it ever held, in bytes.
    #[cfg(target_os = "linux")]
    pub(crate) fn memory_peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    }

    /// `kill -9`, then waits until the process is gone.
    pub(crate) fn kill(self) {
        drop(self);
    }
}

impl Drop for Process {
    /// A test that fails leaves nothing behind.
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `sealway serve --dev-issuer` over `folder`, on free ports.
pub(crate) fn serve(folder: &Path) -> Command {
    let mut command = sealway(folder);
    command
        .args(["serve", "--dev-issuer"])
        .env("SEALWAY_SERVER__LISTEN", "127.0.0.1:0")
        .env("SEALWAY_MLLP__LISTEN", "127.0.0.1:0")
        .env("SEALWAY_TELEMETRY__LOG_FILTER", "warn");
    command
}

/// The program with `folder` as its data folder and nothing of the tests' own variables.
pub(crate) fn sealway(folder: &Path) -> Command {
    let mut command = without_own_variables(Command::new(env!("CARGO_BIN_EXE_sealway")));
    command.env("SEALWAY_DATA_DIR", folder);
    command
}

/// A command that does not see the variables which steer the tests.
pub(crate) fn without_own_variables(mut command: Command) -> Command {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SEALWAY_")) {
        command.env_remove(name);
    }
    command
}

/// The description that this very process wrote once it listened.
fn ready(file: &Path, pid: u32) -> Option<serde_json::Value> {
    let text = std::fs::read(file).ok()?;
    let described: serde_json::Value = serde_json::from_slice(&text).ok()?;
    (described.get("pid")?.as_u64()? == u64::from(pid)).then_some(described)
}

fn last_words(child: &mut Child) -> String {
    let Some(stderr) = child.stderr.take() else { return String::new() };
    BufReader::new(stderr).lines().map_while(Result::ok).collect::<Vec<_>>().join("\n")
}

/// Keeps the pipe empty, so that the gateway never waits for us; gives the lines as they come.
fn drain(child: &mut Child) -> Arc<Mutex<Vec<String>>> {
    let log = Arc::new(Mutex::new(Vec::new()));
    let Some(stderr) = child.stderr.take() else { return log };
    let lines = Arc::clone(&log);
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            eprintln!("gateway: {line}");
            lines.lock().unwrap().push(line);
        }
    });
    log
}

const START_WAIT: Duration = Duration::from_secs(60);
