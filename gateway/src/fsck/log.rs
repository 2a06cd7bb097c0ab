//! The log: by itself, and each entry with what it is of.
//!
//! An entry is a version's or an erasure's, whose place the registry has recorded; or an access record's, in the order of the
//! journal; or it was published and is not recorded yet, and its body waits in the outbox.
//! Not here: whether contents open their commitments (`content`).

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};

use ledger::{Entry, FileTiles, Kind, TILE_WIDTH, Verifier, fsck::Expected};
use registry::check::LogRow;

use super::accesses::Accesses;
use super::report::{About, Report};
use super::{Check, Findings, PAGE};
use crate::app::OpenError;
use crate::sealer::{JOURNAL_MARK, parse_mark};

/// What waits in the outbox.
#[derive(Default)]
pub(super) struct Waiting {
    /// By change number.
    pub(super) versions: HashMap<u64, [u8; 36]>,
    pub(super) bodies: HashSet<[u8; 36]>,
}

/// What the registry has recorded of the log.
#[derive(Clone, Copy)]
pub(super) struct Recorded {
    /// Number of entries.
    size: u64,
    /// Up to this position, access records stand below `accesses_end`.
    pub(super) accesses: u64,
    accesses_end: u64,
}

/// Checks the log's files against each other; gives its size, 0 when there is no checkpoint to trust.
pub(super) fn alone(
    folder: &Path,
    origin: &str,
    keys: &[Verifier],
    report: &mut Report,
    findings: &mut Findings,
) -> Result<u64, OpenError> {
    let note = match std::fs::read(folder.join("checkpoint")) {
        Ok(note) => Some(note),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(OpenError::Ledger(format!("checkpoint: {error}"))),
    };
    let tiles = FileTiles::new(folder);
    let found = ledger::fsck(&tiles, note.as_deref(), origin, keys, &|_| Expected::Unknown);
    findings.log_size = found.size;
    findings.entries_good = found.entries_checked;
    for problem in found.problems {
        report.add(About::Log, problem.file, problem.what);
    }
    let mut folders = vec![folder.join("tile")];
    while let Some(folder) = folders.pop() {
        superseded(&folder, &mut folders, report);
    }
    Ok(found.size)
}

/// Partial tiles that a wider one has superseded must be its beginning: tiles only grow. What a kill left half written,
/// under a temporary name, never was one.
fn superseded(folder: &Path, below: &mut Vec<PathBuf>, report: &mut Report) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) =
        entries.flatten().map(|entry| entry.path()).partition(|path| path.is_dir());
    if folder.extension().is_some_and(|extension| extension == "p") {
        let is_tile = |path: &PathBuf| path.extension().is_none_or(|extension| extension != "tmp");
        let files: Vec<PathBuf> = files.into_iter().filter(is_tile).collect();
        let width = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
        let full = folder.with_extension("");
        let widest = match full.is_file() {
            true => Some(full),
            false => files.iter().max_by_key(|path| width(path)).cloned(),
        };
        let whole = widest.and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
        for path in files {
            if !std::fs::read(&path).is_ok_and(|part| whole.starts_with(&part)) {
                let what = "is not the beginning of the tile that superseded it";
                report.add(About::Log, path.display(), what);
            }
        }
    }
    below.extend(folders);
}

impl Check<'_> {
    /// All that waits for its place.
    pub(super) async fn waiting(&mut self) -> Result<Waiting, OpenError> {
        let mut waiting = Waiting::default();
        let mut after = 0;
        loop {
            let read = self.store.outbox(after, PAGE).await;
            let page = self.rows("ledger_outbox", read)?;
            let Some(last) = page.last() else { return Ok(waiting) };
            after = last.outbox_id;
            for row in page {
                waiting.bodies.insert(row.entry);
                if let Some(change) = row.change
                    && waiting.versions.insert(change, row.entry).is_some()
                {
                    self.report.add(About::Entry, place(change), "waits twice for its entry");
                }
            }
        }
    }

    /// What waits for versions that nobody knows, or that stand in the log already.
    pub(super) fn leftover(&mut self, waiting: Waiting) {
        let mut changes: Vec<u64> = waiting.versions.into_keys().collect();
        changes.sort_unstable();
        for change in changes {
            let what = "an entry waits in the outbox for a version that is gone, or is in the log";
            self.report.add(About::Entry, place(change), what);
        }
    }

    /// What the registry has recorded of the log.
    pub(super) async fn recorded(&mut self) -> Result<Recorded, OpenError> {
        let read = self.store.sealed_size().await;
        let size = self.rows("setting", read)?;
        let read = self.store.setting(JOURNAL_MARK).await;
        let (accesses, accesses_end) = parse_mark(self.rows("setting", read)?.as_deref());
        Ok(Recorded { size, accesses, accesses_end })
    }

    /// Each entry of a log of `size` entries, then what the registry expects beyond.
    pub(super) async fn log(
        &mut self,
        folder: &Path,
        size: u64,
        waiting: &Waiting,
        accesses: &mut Accesses,
    ) -> Result<(), OpenError> {
        let recorded = self.recorded().await?;
        if size == 0 && self.report.holds(About::Log) {
            // Without a checkpoint nothing can be said of places.
            return accesses.drain(self, false).await;
        }
        let tiles = FileTiles::new(folder);
        let mut rows = Rows::default();
        let (mut counted, mut uncounted) = (0, 0_u64);
        for bundle in 0..size.div_ceil(TILE_WIDTH) {
            // A bundle that cannot be read was named by the check of the log alone.
            let entries = ledger::read_entries(bundle, size, &tiles).ok();
            for index in bundle * TILE_WIDTH..size.min((bundle + 1) * TILE_WIDTH) {
                let entry = entries.as_ref().and_then(|all| all.get((index % TILE_WIDTH) as usize));
                let row = self.row_at(&mut rows, index).await?;
                if rows.is_lost {
                    // Where entries should stand cannot be read.
                    return accesses.drain(self, false).await;
                }
                let is_access = self.entry(index, entry, row, waiting, recorded, accesses).await?;
                if index < recorded.accesses_end {
                    counted = accesses.placed();
                } else if is_access && index < recorded.size {
                    uncounted += 1;
                }
            }
            self.progress.tick((bundle + 1) * TILE_WIDTH, "entries");
        }
        if counted != recorded.accesses {
            let sealed = recorded.accesses;
            let text = format!("{sealed} access records were sealed, {counted} stand in the log");
            self.report.add(About::Access, "setting journal_sealed", text);
        }
        if uncounted > 0 {
            let text = format!("{uncounted} more access records stand in the recorded log");
            self.report.add(About::Access, "setting journal_sealed", text);
        }
        if recorded.size > size {
            let text = format!("{} entries are recorded, the log holds {size}", recorded.size);
            self.report.add(About::Entry, "setting sealed_size", text);
        }
        while let Some(row) = self.row_at(&mut rows, u64::MAX).await? {
            self.report.add(
                About::Entry,
                at(row.log_index),
                "is recorded, but the log ends before",
            );
        }
        accesses.drain(self, true).await
    }

    /// One entry; true when it is an access record's.
    async fn entry(
        &mut self,
        index: u64,
        entry: Option<&Entry>,
        row: Option<LogRow>,
        waiting: &Waiting,
        recorded: Recorded,
        accesses: &mut Accesses,
    ) -> Result<bool, OpenError> {
        let Some(row) = row else {
            let Some(entry) = entry else {
                accesses.skip(self).await?;
                return Ok(true);
            };
            let body = entry.body36();
            if waiting.bodies.contains(&body) {
                self.erasures.place(&body);
                if index < recorded.size {
                    let what = "is recorded, and waits in the outbox all the same";
                    self.report.add(About::Entry, at(index), what);
                }
                return Ok(false);
            }
            if entry.body.kind != Kind::Access {
                let what = match entry.body.kind {
                    Kind::Erasure => "its erasure is gone",
                    _ => "its version is gone",
                };
                self.report.add(About::Entry, at(index), what);
                return Ok(false);
            }
            if !accesses.place(self, &body).await? {
                self.report.add(About::Entry, at(index), "its access record is gone");
            }
            return Ok(true);
        };
        if index >= recorded.size {
            let what = "its place is recorded, but not counted in setting sealed_size";
            self.report.add(About::Entry, at(index), what);
        }
        match (row.change, row.entry, entry) {
            (None, ..) => {
                let body = entry.map(Entry::body36).or(row.entry);
                if !body.is_some_and(|body| row.entry == Some(body) && self.erasures.place(&body)) {
                    let what = "is recorded as that of no version and no erasure";
                    self.report.add(About::Entry, at(index), what);
                }
            }
            (Some(change), None, _) => {
                let what = format!("its version is gone ({})", place(change));
                self.report.add(About::Entry, at(index), what);
            }
            (Some(change), Some(body), Some(entry)) if entry.body36() != body => {
                let what = format!("the registry holds another entry ({})", place(change));
                self.report.add(About::Entry, at(index), what);
            }
            (Some(_), Some(_), _) => {}
        }
        Ok(false)
    }

    /// The recorded row at `index`; indexes are asked for in ascending order. At `u64::MAX` whichever is next.
    async fn row_at(&mut self, rows: &mut Rows, index: u64) -> Result<Option<LogRow>, OpenError> {
        if rows.page.is_empty() && !rows.is_done {
            let read = self.checks.log(rows.from, PAGE).await;
            rows.is_lost = read.is_err();
            rows.page = self.rows("ledger_entry", read)?.into();
            rows.is_done = rows.page.is_empty();
            let next = rows.page.back().map(|last| last.log_index.saturating_add(1));
            rows.from = next.unwrap_or(rows.from);
        }
        let is_next = |row: &LogRow| row.log_index == index || index == u64::MAX;
        Ok(rows.page.front().is_some_and(is_next).then(|| rows.page.pop_front()).flatten())
    }
}

/// Rows of `ledger_entry`, a page at a time.
#[derive(Default)]
struct Rows {
    page: VecDeque<LogRow>,
    from: u64,
    is_done: bool,
    is_lost: bool,
}

fn at(index: u64) -> String {
    format!("entry {index} of the log")
}

fn place(change: u64) -> String {
    format!("change {change}")
}
