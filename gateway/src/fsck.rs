//! `fsck`: everything that is stored against the ledger, and the ledger against itself.
//!
//! Every version and access record is opened, hashed, and its commitment recomputed and compared with its entry;
//! each entry must stand in the log or wait in the outbox; tiles, entries and checkpoint are re-derived
//! (`ledger::fsck`). So a flipped byte of a payload, a key, an entry, a tile or the checkpoint is found and named.
//! Nothing is written to the log and nothing is repaired. The gateway must be stopped.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use ledger::fsck::Expected;
use ledger::{EntryBody, FileHead, FileTiles, FsckReport, Kind, Salt, Signer, Verifier};
use registry::access::{Journal, JournalError};
use registry::page::StoredVersion;
use registry::store::Store;
use repository::Keyring;

use crate::app::{OpenError, open_objects, open_store};
use crate::config::Config;
use crate::error::{Answered, Fault, FaultKind};
use crate::finish;
use crate::keyfile;
use crate::payload::Payloads;
use crate::sealer::{JOURNAL_MARK, parse_mark};

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Entries under the checkpoint.
    pub log_size: u64,
    /// Entries whose leaf is in the signed tree.
    pub entries_good: u64,
    /// Versions whose entry commits to their content.
    pub versions_good: u64,
    /// Access records whose entry commits to their content.
    pub accesses_good: u64,
    /// Versions and records whose key was erased: nothing can be said of them, by design.
    pub erased: u64,
    /// What is wrong, each naming its place.
    pub problems: Vec<String>,
}

/// Checks the installation in `config.data_dir`.
///
/// # Errors
/// [`OpenError`] when something cannot be opened at all; what can be opened and is wrong is a finding.
pub async fn check(config: &Config) -> Result<Findings, OpenError> {
    let data = &config.data_dir;
    let folder = data.join("log");
    let refused = |error: &dyn std::fmt::Display| OpenError::Ledger(error.to_string());
    if !folder.is_dir() {
        return Err(refused(&format!("{} is not there", folder.display())));
    }
    let _held = FileHead::open(&folder).map_err(|error| refused(&error))?;
    let origin = config.ledger.origin.as_str();
    let seed = keyfile::load_or_make(&data.join("keys/log"))?;
    let signer = Signer::from_seed(origin, &seed).map_err(|error| refused(&error))?;
    let store = open_store(config).await?;
    let keyring =
        Keyring::open(&config.kek_file()).map_err(|error| OpenError::Key(error.to_string()))?;
    let payloads = Payloads::new(keyring, open_objects(config)?, std::sync::Arc::clone(&store));
    let mut check = Check { store: &*store, payloads: &payloads, findings: Findings::default() };
    let answered = check.all(&folder, &data.join("access"), origin, &signer.verifiers()).await;
    answered.map_err(|fault| OpenError::Registry(fault.to_string()))?;
    Ok(check.findings)
}

struct Check<'a> {
    store: &'a dyn Store,
    payloads: &'a Payloads,
    findings: Findings,
}

impl Check<'_> {
    async fn all(
        &mut self,
        log: &Path,
        accesses: &Path,
        origin: &str,
        keys: &[Verifier],
    ) -> Answered<()> {
        let mut known = self.versions().await?;
        let records = self.accesses(accesses).await?;
        let tiles = FileTiles::new(log);
        let note = match std::fs::read(log.join("checkpoint")) {
            Ok(note) => Some(note),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Fault::new(FaultKind::Unavailable, error.to_string())),
        };
        // First the log by itself, for its size; then with what the registry and the journal expect in it.
        let size = ledger::fsck(&tiles, note.as_deref(), origin, keys, &|_| Expected::Unknown).size;
        let missing = self.place_accesses(&tiles, size, &records, &mut known).await?;
        let expected = |index| match known.get(&index) {
            Some(body) => Expected::Body(*body),
            None if missing.contains(&index) => Expected::Missing,
            None => Expected::Unknown,
        };
        let report = ledger::fsck(&tiles, note.as_deref(), origin, keys, &expected);
        self.take(report);
        let mut folders = vec![log.join("tile")];
        while let Some(folder) = folders.pop() {
            self.superseded(&folder, &mut folders);
        }
        Ok(())
    }

    /// Partial tiles that a wider one has superseded must be its beginning: tiles only grow.
    fn superseded(&mut self, folder: &Path, below: &mut Vec<PathBuf>) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) =
            entries.flatten().map(|entry| entry.path()).partition(|path| path.is_dir());
        if folder.extension().is_some_and(|extension| extension == "p") {
            let width = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
            let full = folder.with_extension("");
            let widest = match full.is_file() {
                true => Some(full),
                false => files.iter().max_by_key(|path| width(path)).cloned(),
            };
            let whole = widest.and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
            for path in files {
                if !std::fs::read(&path).is_ok_and(|part| whole.starts_with(&part)) {
                    self.problem(
                        &path.display(),
                        "is not the beginning of the tile that superseded it",
                    );
                }
            }
        }
        below.extend(folders);
    }

    fn take(&mut self, report: FsckReport) {
        self.findings.log_size = report.size;
        self.findings.entries_good = report.entries_checked;
        let problems = report.problems.into_iter();
        self.findings.problems.extend(problems.map(|one| format!("{}: {}", one.file, one.what)));
    }

    /// Checks all versions; gives the body of each log index that the registry knows.
    async fn versions(&mut self) -> Answered<HashMap<u64, [u8; 36]>> {
        let waiting = self.waiting().await?;
        let mut known = HashMap::new();
        let mut after = 0;
        loop {
            let versions = self.store.scan_versions(after, SCAN).await?;
            let Some(last) = versions.last() else { return Ok(known) };
            after = last.change;
            for stored in &versions {
                self.version(stored).await;
                let key = fhir::VersionKey { key: stored.key.clone(), version: stored.version };
                match self.store.log_index(&key).await? {
                    Some(index) => {
                        known.insert(index, stored.entry);
                    }
                    None if waiting.contains(&(stored.change, stored.entry)) => {}
                    None => self.problem(&key, "stands neither in the log nor in the outbox"),
                }
            }
        }
    }

    async fn waiting(&self) -> Answered<HashSet<(u64, [u8; 36])>> {
        let mut waiting = HashSet::new();
        let mut after = 0;
        loop {
            let rows = self.store.outbox(after, SCAN).await?;
            let Some(last) = rows.last() else { return Ok(waiting) };
            after = last.outbox_id;
            waiting.extend(rows.iter().filter_map(|row| Some((row.change?, row.entry))));
        }
    }

    async fn version(&mut self, stored: &StoredVersion) {
        let name = format!("{}/_history/{}", stored.key, stored.version);
        match self.payloads.open_with_salt(stored).await {
            Ok((body, salt_key)) => {
                let key = salt_key.as_bytes();
                let salt = Salt::derive(key, Kind::ResourceVersion, &stored.salt_id);
                if finish::entry(Kind::ResourceVersion, &salt, &body) == stored.entry {
                    self.findings.versions_good += 1;
                } else {
                    self.problem(&name, "the entry does not commit to the content");
                }
            }
            Err(fault) => self.unopened(&name, &fault),
        }
    }

    /// Checks all access records; gives their entries in order.
    async fn accesses(&mut self, folder: &Path) -> Answered<Vec<[u8; 36]>> {
        let mut entries = Vec::new();
        let journal = match Journal::open(folder) {
            Ok(journal) => journal,
            Err(error) => {
                self.findings.problems.push(error.to_string());
                return Ok(entries);
            }
        };
        loop {
            let records = match journal.records(entries.len() as u64, SCAN).await {
                Ok(records) => records,
                Err(error @ JournalError::Damaged(_)) => {
                    self.findings.problems.push(error.to_string());
                    return Ok(entries);
                }
                Err(error) => return Err(Fault::new(FaultKind::Unavailable, error.to_string())),
            };
            if records.is_empty() {
                return Ok(entries);
            }
            for record in records {
                entries.push(record.entry);
                let name = format!("access record {}", record.position);
                match self.payloads.open_record(&record.salt_id, &record.body).await {
                    Ok((body, salt_key)) => {
                        let salt = Salt::derive(salt_key.as_bytes(), Kind::Access, &record.salt_id);
                        if finish::entry(Kind::Access, &salt, &body) == record.entry {
                            self.findings.accesses_good += 1;
                        } else {
                            self.problem(&name, "the entry does not commit to the content");
                        }
                    }
                    Err(fault) => self.unopened(&name, &fault),
                }
            }
        }
    }

    /// Finds each access record's place in the log: they stand there in the journal's order, between the versions.
    /// Gives the indexes that hold an access which the journal does not know.
    async fn place_accesses(
        &mut self,
        tiles: &FileTiles,
        size: u64,
        records: &[[u8; 36]],
        known: &mut HashMap<u64, [u8; 36]>,
    ) -> Answered<HashSet<u64>> {
        let mut missing = HashSet::new();
        let mut next = 0;
        for index in (0..size).filter(|index| !known.contains_key(index)).collect::<Vec<u64>>() {
            // An entry that cannot be read is the log's own problem, and named by its check.
            let Ok(Some(entry)) = ledger::read_entry(index, size, tiles) else {
                next += 1;
                continue;
            };
            if records.get(next) == Some(&entry.body36()) {
                known.insert(index, records[next]);
                next += 1;
            } else if EntryBody::parse(&entry.body36()).is_ok_and(|body| body.kind == Kind::Access)
            {
                missing.insert(index);
            }
        }
        let (sealed, _) = parse_mark(self.store.setting(JOURNAL_MARK).await?.as_deref());
        if (next as u64) < sealed {
            let text = format!("{sealed} access records were sealed, {next} stand in the log");
            self.findings.problems.push(text);
        }
        Ok(missing)
    }

    fn unopened(&mut self, name: &str, fault: &Fault) {
        match fault.kind {
            FaultKind::Deleted => self.findings.erased += 1,
            _ => self.problem(&name, fault.text()),
        }
    }

    fn problem(&mut self, name: &dyn std::fmt::Display, what: &str) {
        self.findings.problems.push(format!("{name}: {what}"));
    }
}

const SCAN: usize = 500;
