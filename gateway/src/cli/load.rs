//! `sealway load PATH…`: files and folders into a running gateway, with progress, rejects and resumption.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};

use super::{TokenFileError, bearer, out};
use crate::load::{
    Answer, Before, Contents, Item, LoadState, RejectFile, Rejection, SendError, Sender,
    SourceError, collect, contents,
};

/// Load FHIR bundles, resources, NDJSON and HL7 v2 files into a running gateway.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sealway load synthea/ --token-file token\n  \
    sealway load feed.hl7 patients.ndjson.gz --url https://gateway.example/fhir\n  \
    sealway load synthea/ --resume\n\n\
    What was loaded is remembered by its content (--state). Loading it again asks for --resume, which skips it, or \
    --again. A file of which only a part was sent, or whose answer was lost, would be sent from its start: that asks \
    for --resume --again.\n\n\
    Exit codes: 0 all accepted, 20 something was refused or unreadable (see --rejected), 2 loaded before or in \
    part, 4 no token, or one that may not write, 5 no answer, or an address that takes no FHIR, 1 anything else")]
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
    /// Skip the files that were loaded before; with files that were sent in part it asks for --again, too
    #[arg(long)]
    resume: bool,
    /// Send what was sent before once more, with --resume only what was sent in part; what has no id of its own is
    /// then stored twice
    #[arg(long)]
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

/// Runs the command; the number is the exit code (0, 1, 2, 4, 5 or 20 when something was refused).
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
    #[error(
        "{half} of {files} files were sent to {target} in part, or their answer was lost (noted in {}); \
         the first is {}", state.display(), first.display()
    )]
    InPart { half: usize, files: usize, target: String, state: PathBuf, first: PathBuf },
    #[error("cannot use the state or the reject file: {0}")]
    Write(#[from] std::io::Error),
}

impl LoadError {
    /// Exit code, and what to do next.
    fn advice(&self) -> (u8, Option<&'static str>) {
        match self {
            Self::Source(_) | Self::Write(_) => (1, None),
            Self::Before { .. } => (2, Some("--resume skips these, --again sends them once more")),
            Self::InPart { .. } => {
                let next = "--resume --again skips what was loaded and sends these from their start; \
                    what has no id of its own may then be stored twice";
                (2, Some(next))
            }
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
            Self::Send(SendError::Elsewhere { .. }) => {
                (5, Some("--url is the base of FHIR, as http://127.0.0.1:8080/fhir"))
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
    /// Something failed for good: what is being sent comes to its end, and nothing is begun any more.
    stopping: AtomicBool,
}

/// The files to send now.
fn chosen(args: &LoadArgs, state: &LoadState, all: &[PathBuf]) -> Result<Vec<PathBuf>, LoadError> {
    let known: Vec<_> = all.iter().map(|path| (path, state.before(path))).collect();
    let of = |before| known.iter().filter(move |(_, known)| *known == Some(before));
    let (target, noted) = (args.url.clone(), args.state.clone());
    let (files, done) = (all.len(), of(Before::Loaded).count());
    if !args.again && !args.dry_run {
        if done > 0 && !args.resume {
            return Err(LoadError::Before { done, files, target, state: noted });
        }
        if let Some((first, _)) = of(Before::InPart).next() {
            let (half, first) = (of(Before::InPart).count(), first.to_path_buf());
            return Err(LoadError::InPart { half, files, target, state: noted, first });
        }
    }
    let all_again = args.again && !args.resume;
    let wanted = known.iter().filter(|(_, known)| all_again || *known != Some(Before::Loaded));
    Ok(wanted.map(|(path, _)| path.to_path_buf()).collect())
}

async fn load(args: &LoadArgs) -> Result<Summary, LoadError> {
    let started = Instant::now();
    let token = if args.dry_run { None } else { bearer(args.token_file.as_deref())? };
    let state = LoadState::open(&args.state, &args.url)?;
    let all = collect(&args.paths)?;
    let files = chosen(args, &state, &all)?;
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
        stopping: AtomicBool::new(false),
    };
    // What others refer to must be there before them.
    for path in &shared {
        run.file(path).await?;
    }
    let mut working = futures::stream::iter(rest.iter().map(|path| run.file(path)))
        .buffer_unordered(args.jobs.into());
    let mut ended = Ok(());
    while let Some(outcome) = working.next().await {
        run.stopping.fetch_or(outcome.is_err(), Ordering::Relaxed);
        ended = ended.and(outcome);
    }
    drop(working);
    ended?;
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
        if self.stopping.load(Ordering::Relaxed) {
            return Ok(());
        }
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
        if self.dry_run {
            self.count(items.iter().map(|item| item.parts.len()).sum());
        } else if !items.is_empty() {
            self.items(path, &items).await?;
        }
        self.progress.file();
        Ok(())
    }

    /// Notes before the first request that the file was begun, so that an end by force leaves it known as sent in part.
    async fn items(&self, path: &Path, items: &[Item]) -> Result<(), LoadError> {
        lock(&self.state).begin(path)?;
        let mut taken = false;
        for item in items {
            if self.stopping.load(Ordering::Relaxed) {
                return if taken { Ok(()) } else { Ok(lock(&self.state).forget(path)?) };
            }
            let mut answer = Answer::default();
            let sent = self.sender.send(item, &mut answer).await;
            taken |= answer.accepted > 0 || answer.uncertain;
            for refused in std::mem::take(&mut answer.refused) {
                lock(&self.rejects).write(&Rejection::of(path, item, refused))?;
            }
            self.count(answer.accepted);
            if sent.is_err() && !taken {
                lock(&self.state).forget(path)?;
            }
            sent?;
        }
        // What the gateway took nothing of may be loaded again without a question.
        let mut state = lock(&self.state);
        if taken {
            state.finish(path)?
        } else {
            state.forget(path)?
        }
        Ok(())
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
