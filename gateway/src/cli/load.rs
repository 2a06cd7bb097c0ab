//! `sealway load PATH…`: files and folders into a running gateway, with progress, rejects and resumption.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};

use crate::load::{
    Item, LoadState, RejectFile, Rejection, SendError, Sender, SourceError, collect, items,
};

/// Load FHIR bundles, resources, NDJSON and HL7 v2 files into a running gateway.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sealway load synthea/ --token-file token\n  \
    sealway load feed.hl7 patients.ndjson.gz --url https://gateway.example/fhir\n  \
    sealway load synthea/ --resume")]
pub struct LoadArgs {
    /// Files and folders (.json, .ndjson, .hl7; also .bz2, .gz, .zst)
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// FHIR base of the gateway
    #[arg(long, env = "SEALWAY_URL", default_value = "http://127.0.0.1:8080/fhir")]
    url: String,
    /// File that holds a bearer token
    #[arg(long, env = "SEALWAY_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Requests in flight at a time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// Go on where an interrupted load stopped
    #[arg(long)]
    resume: bool,
    /// Where to note finished files
    #[arg(long, default_value = "sealway-load.state")]
    state: PathBuf,
    /// Where to write what the gateway refused
    #[arg(long, default_value = "rejected.ndjson")]
    rejected: PathBuf,
    /// Read and cut the files, send nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command; the number is the exit code (0, 1, 3, 4, 5 or 20 when something was refused).
pub async fn run(args: LoadArgs) -> u8 {
    match load(&args).await {
        Ok(summary) => {
            println!("{summary}");
            if summary.refused == 0 { 0 } else { 20 }
        }
        Err(LoadError::Send(SendError::Unauthenticated(reason))) => {
            eprintln!("sealway load: {reason}\n  give a valid token with --token-file FILE");
            4
        }
        Err(LoadError::Send(error)) => {
            eprintln!("sealway load: {error}\n  is the gateway up? then go on with --resume");
            5
        }
        Err(error) => {
            eprintln!("sealway load: {error}");
            1
        }
    }
}

/// Why the load stopped before its end.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("cannot write the state or the reject file: {0}")]
    Write(#[from] std::io::Error),
}

/// What a finished load says.
struct Summary {
    files: usize,
    skipped: usize,
    accepted: u64,
    refused: usize,
    rejected: PathBuf,
    elapsed: Duration,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.elapsed.as_secs_f64().max(0.001);
        let rate = self.accepted as f64 / seconds;
        write!(f, "{} accepted, {} refused", self.accepted, self.refused)?;
        write!(f, " from {} files in {seconds:.1} s ({rate:.0}/s)", self.files)?;
        if self.skipped > 0 {
            write!(f, "; {} files were done before", self.skipped)?;
        }
        if self.refused > 0 {
            write!(f, "; reasons in {}", self.rejected.display())?;
        }
        Ok(())
    }
}

/// Everything the concurrent workers share.
struct Run {
    sender: Sender,
    dry_run: bool,
    accepted: AtomicU64,
    rejects: Mutex<RejectFile>,
    state: Mutex<LoadState>,
    progress: Progress,
}

async fn load(args: &LoadArgs) -> Result<Summary, LoadError> {
    let started = Instant::now();
    let token = match &args.token_file {
        Some(path) => Some(std::fs::read_to_string(path)?.trim().to_owned()),
        None => std::env::var("SEALWAY_TOKEN").ok(),
    };
    let state = LoadState::open(&args.state, args.resume)?;
    let all = collect(&args.paths)?;
    let files: Vec<_> = all.iter().filter(|path| !state.is_done(path)).cloned().collect();
    let (shared, rest): (Vec<_>, Vec<_>) =
        files.iter().cloned().partition(|path| crate::load::is_shared(path));
    let run = Run {
        sender: Sender::new(&args.url, token)?,
        dry_run: args.dry_run,
        accepted: AtomicU64::new(0),
        rejects: Mutex::new(RejectFile::at(&args.rejected)),
        state: Mutex::new(state),
        progress: Progress::over(files.len()),
    };
    // What others refer to must be there before them.
    for path in &shared {
        run.file(path).await?;
    }
    let mut working = futures::stream::iter(rest.iter().map(|path| run.file(path)))
        .buffer_unordered(args.jobs.into());
    while let Some(outcome) = working.next().await {
        outcome?;
    }
    drop(working);
    run.progress.finish();
    let rejects = run.rejects.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(Summary {
        files: files.len(),
        skipped: all.len() - files.len(),
        accepted: run.accepted.into_inner(),
        refused: rejects.count(),
        rejected: rejects.path().to_path_buf(),
        elapsed: started.elapsed(),
    })
}

impl Run {
    /// Sends a file's items in their order; a file that cannot be read is a rejection, not an end.
    async fn file(&self, path: &Path) -> Result<(), LoadError> {
        let owned = path.to_path_buf();
        let read = tokio::task::spawn_blocking(move || items(&owned)).await;
        match read.map_err(std::io::Error::other)? {
            Ok(items) => {
                for item in &items {
                    self.item(path, item).await?;
                }
            }
            Err(SourceError::Unreadable { line, reason, .. }) => {
                self.reject(path, line, (None, "unreadable".into(), None, reason))?;
            }
            Err(error) => return Err(error.into()),
        }
        if !self.dry_run {
            lock(&self.state).finish(path)?;
        }
        self.progress.file();
        Ok(())
    }

    async fn item(&self, path: &Path, item: &Item) -> Result<(), LoadError> {
        if self.dry_run {
            self.count(item.count);
            return Ok(());
        }
        let answer = self.sender.send(item).await?;
        self.count(answer.accepted);
        for refused in answer.refused {
            self.reject(path, item.line, refused)?;
        }
        Ok(())
    }

    fn count(&self, accepted: usize) {
        let total = self.accepted.fetch_add(accepted as u64, Ordering::Relaxed) + accepted as u64;
        self.progress.show(total, lock(&self.rejects).count());
    }

    fn reject(
        &self,
        path: &Path,
        line: usize,
        (entry, status, place, reason): (Option<usize>, String, Option<String>, String),
    ) -> Result<(), LoadError> {
        let rejection = Rejection { file: path.into(), line, entry, status, path: place, reason };
        Ok(lock(&self.rejects).write(&rejection)?)
    }
}

/// A bar on a terminal, a line every ten seconds elsewhere.
struct Progress {
    bar: ProgressBar,
    plain: bool,
    started: Instant,
    said: Mutex<Instant>,
}

impl Progress {
    fn over(files: usize) -> Self {
        let plain = !std::io::stderr().is_terminal() || std::env::var_os("NO_COLOR").is_some();
        let bar = if plain { ProgressBar::hidden() } else { ProgressBar::new(files as u64) };
        if let Ok(style) = ProgressStyle::with_template(
            "{bar:30} {pos}/{len} files  {msg}  {elapsed} elapsed, about {eta} left",
        ) {
            bar.set_style(style);
        }
        let now = Instant::now();
        Self { bar, plain, started: now, said: Mutex::new(now) }
    }

    fn show(&self, accepted: u64, refused: usize) {
        let rate = accepted as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        let message = format!("{accepted} accepted, {refused} refused, {rate:.0}/s");
        if self.plain {
            let mut said = lock(&self.said);
            if said.elapsed() >= PLAIN_LINE_EVERY {
                eprintln!("{message}");
                *said = Instant::now();
            }
        }
        self.bar.set_message(message);
    }

    fn file(&self) {
        self.bar.inc(1);
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

const PLAIN_LINE_EVERY: Duration = Duration::from_secs(10);
