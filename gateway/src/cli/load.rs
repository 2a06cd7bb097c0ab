//! `sealway load PATH…`: files and folders into a running gateway, with progress, rejects and resumption.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};

use super::{TokenFileError, bearer, out};
use crate::load::{
    Contents, Item, LoadState, RejectFile, Rejection, SendError, Sender, SourceError, collect,
    contents,
};

/// Load FHIR bundles, resources, NDJSON and HL7 v2 files into a running gateway.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sealway load synthea/ --token-file token\n  \
    sealway load feed.hl7 patients.ndjson.gz --url https://gateway.example/fhir\n  \
    sealway load synthea/ --resume\n\n\
    What was loaded is remembered by its content (--state). Loading it again asks for --resume, which skips it, or \
    --again.\n\n\
    Exit codes: 0 all accepted, 20 something was refused or unreadable (see --rejected), 2 loaded before, \
    4 no token, or one that may not write, 5 no answer, 1 anything else")]
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
    /// Skip the files that were loaded before
    #[arg(long)]
    resume: bool,
    /// Send the files that were loaded before once more; what has no id of its own is then stored twice
    #[arg(long, conflicts_with = "resume")]
    again: bool,
    /// Where to remember what was loaded
    #[arg(long, default_value = "sealway-load.state")]
    state: PathBuf,
    /// Where to write what was refused or unreadable; a file of an earlier run is moved aside
    #[arg(long, default_value = "rejected.ndjson")]
    rejected: PathBuf,
    /// Read the files and cut them into requests; nothing is sent, and nothing is checked against FHIR
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command; the number is the exit code (0, 1, 3, 4, 5 or 20 when something was refused).
pub async fn run(args: LoadArgs) -> u8 {
    match load(&args).await {
        Ok(summary) => {
            out::line(&summary);
            if summary.refused == 0 { 0 } else { 20 }
        }
        Err(error) => {
            out::note(format_args!("sealway load: {error}"));
            let (exit_code, next) = error.advice();
            next.into_iter().for_each(|next| out::note(format_args!("  {next}")));
            exit_code
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
    #[error(transparent)]
    Token(#[from] TokenFileError),
    #[error("{done} of {files} files were loaded into {target} before (noted in {})", state.display())]
    Before { done: usize, files: usize, target: String, state: PathBuf },
    #[error("cannot use the state or the reject file: {0}")]
    Write(#[from] std::io::Error),
}

impl LoadError {
    /// Exit code, and what to do next.
    fn advice(&self) -> (u8, Option<&'static str>) {
        match self {
            Self::Source(_) | Self::Write(_) => (1, None),
            Self::Before { .. } => (2, Some("--resume skips these, --again sends them once more")),
            Self::Token(_) => (4, Some(TokenFileError::NEXT)),
            Self::Send(SendError::Unauthenticated(_)) => (4, Some(TokenFileError::NEXT)),
            Self::Send(SendError::Forbidden(_)) => {
                let next = "loading needs the role system (`sealway token --role system`), \
                    or a clinician's token with the scope user/*.cruds";
                (4, Some(next))
            }
            Self::Send(SendError::Unreachable { .. }) => {
                (5, Some("is the gateway up, and --url right? then go on with --resume"))
            }
        }
    }
}

/// What a finished load says.
struct Summary {
    files: usize,
    skipped: usize,
    accepted: u64,
    refused: usize,
    rejected: PathBuf,
    elapsed: Duration,
    dry_run: bool,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.elapsed.as_secs_f64().max(0.001);
        let rate = self.accepted as f64 / seconds;
        if self.dry_run {
            let Self { accepted, files, refused, .. } = self;
            write!(f, "dry run: {accepted} resources and messages in {files} files, {refused} ")?;
            write!(f, "files or lines unreadable; nothing was sent, nor checked against FHIR")?;
        } else {
            write!(f, "{} accepted, {} refused", self.accepted, self.refused)?;
            write!(f, " from {} files in {seconds:.1} s ({rate:.0}/s)", self.files)?;
        }
        if self.skipped > 0 {
            write!(f, "; {} files were loaded before", self.skipped)?;
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
    let token = if args.dry_run { None } else { bearer(args.token_file.as_deref())? };
    let state = LoadState::open(&args.state, &args.url)?;
    let all = collect(&args.paths)?;
    let (done, mut files): (Vec<PathBuf>, _) =
        all.iter().cloned().partition(|path| state.is_done(path));
    if args.again {
        files.clone_from(&all);
    } else if !done.is_empty() && !args.resume && !args.dry_run {
        let (target, state) = (args.url.clone(), args.state.clone());
        return Err(LoadError::Before { done: done.len(), files: all.len(), target, state });
    }
    let (rejects, aside) = RejectFile::fresh(&args.rejected)?;
    if let Some(aside) = aside {
        let path = rejects.path().display();
        out::note(format_args!("{path} of an earlier run is now {}", aside.display()));
    }
    let (shared, rest): (Vec<_>, Vec<_>) =
        files.iter().cloned().partition(|path| crate::load::is_shared(path));
    let run = Run {
        sender: Sender::new(&args.url, token)?,
        dry_run: args.dry_run,
        accepted: AtomicU64::new(0),
        rejects: Mutex::new(rejects),
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
        dry_run: args.dry_run,
    })
}

impl Run {
    /// Sends a file's items in their order; a file or line that cannot be read is a rejection, not an end.
    async fn file(&self, path: &Path) -> Result<(), LoadError> {
        let owned = path.to_path_buf();
        let read = tokio::task::spawn_blocking(move || contents(&owned)).await;
        let Contents { items, broken } = match read.map_err(std::io::Error::other)? {
            Ok(contents) => contents,
            Err(error) => {
                let (line, reason) = error.place();
                Contents { items: Vec::new(), broken: vec![(line, reason)] }
            }
        };
        for (line, reason) in broken {
            lock(&self.rejects).write(&Rejection::unreadable(path, line, reason))?;
        }
        let mut accepted = 0;
        for item in &items {
            accepted += self.item(path, item).await?;
        }
        // What the gateway took nothing of may be loaded again without a question.
        if accepted > 0 && !self.dry_run {
            lock(&self.state).finish(path)?;
        }
        self.progress.file();
        Ok(())
    }

    /// Gives the number of resources or messages that were accepted.
    async fn item(&self, path: &Path, item: &Item) -> Result<usize, LoadError> {
        if self.dry_run {
            self.count(item.parts.len());
            return Ok(0);
        }
        let answer = self.sender.send(item).await?;
        for refused in answer.refused {
            lock(&self.rejects).write(&Rejection::of(path, item, refused))?;
        }
        self.count(answer.accepted);
        Ok(answer.accepted)
    }

    fn count(&self, accepted: usize) {
        let total = self.accepted.fetch_add(accepted as u64, Ordering::Relaxed) + accepted as u64;
        self.progress.show(total, lock(&self.rejects).count());
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
                out::note(&message);
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
