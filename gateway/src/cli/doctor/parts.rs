//! The parts of a stopped gateway, each opened and read.
//!
//! What is stored is not changed: a part that is not there yet is said to be absent, an older schema and a torn tail of
//! the journal are left to the next start, and a log that SQLite left is made durable with the bytes it has (ADR 008)
//! and kept. Lock files are made and held meanwhile, so that no gateway starts in between.
//! Not here: a running gateway (`super`).

use std::path::Path;

use ledger::{FileHead, FileTiles, Log, Signer, StorageError};
use registry::access::{Piece, Reading};
use repository::Keyring;

use super::{Check, bad, good, warn};
use crate::app::{MISSING, OpenError, fits, open_store_to_check, tenant_key};
use crate::config::Config;
use crate::keyfile;

/// Keys, database, log and journal of `config.data_dir`; nothing for a folder that is not there.
pub(super) async fn check(config: &Config) -> Vec<Check> {
    let data = &config.data_dir;
    if !data.is_dir() {
        return Vec::new();
    }
    let log = data.join("log");
    let head = if log.is_dir() { Some(FileHead::open(&log)) } else { None };
    if let Some(Err(StorageError::Held { path })) = &head {
        let text = format!("{} is held by another process", path.display());
        let next = "a gateway or `ledger fsck` works on this folder: ask again when it has stopped";
        return vec![bad("ledger", &text, next)];
    }
    vec![
        check_kek(config).await,
        check_database(config).await,
        check_log(config, &log, head),
        check_journal(&data.join("access")),
    ]
}

/// The key file, and whether it opens what the database holds. What is wrong with the database is told by its own check.
async fn check_kek(config: &Config) -> Check {
    let file = config.kek_file();
    let shown = file.display();
    let known = match open_store_to_check(config).await {
        Ok(store) => tenant_key(&*store).await.ok().flatten(),
        Err(_) => None,
    };
    let has_data = known.is_some() || config.data_dir.join("registry.sqlite").exists();
    match (file.exists(), has_data) {
        (false, true) => bad(
            "keys",
            &format!("{shown}: {MISSING}"),
            "do not start without it: no payload can be opened",
        ),
        (false, false) => absent("keys", &file),
        (true, _) => match Keyring::open(&file) {
            Ok(keyring) => match known.map_or(Ok(()), |known| fits(&keyring, &known)) {
                Ok(()) => good("keys", &format!("{shown} can be used")),
                Err(text) => bad("keys", &format!("{shown}: {text}"), "no payload can be opened"),
            },
            Err(error) => bad(
                "keys",
                &format!("{shown}: {error}"),
                "it must hold the key and be readable by its owner only: chmod 600, or its backup",
            ),
        },
    }
}

async fn check_database(config: &Config) -> Check {
    let file = config.data_dir.join("registry.sqlite");
    let is_remote = config.database.url.is_some();
    if !is_remote && !file.exists() {
        return absent("database", &file);
    }
    let place = if is_remote { "database.url".to_owned() } else { file.display().to_string() };
    let next = match is_remote {
        true => {
            "is PostgreSQL up, and database.url right? `sealway config show --origin` says where it is set"
        }
        false => "restore the file from a backup, then run `sealway ledger fsck`",
    };
    let store = match open_store_to_check(config).await {
        Ok(store) => store,
        Err(OpenError::OlderSchema(text)) => {
            let next = "`sealway serve` does that; keep a backup of it from before";
            return warn("database", &format!("{place}: {text}"), next);
        }
        Err(error) => return bad("database", &format!("{place}: {error}"), next),
    };
    match store.sealed_size().await {
        Ok(_) => good("database", &format!("{place} can be read")),
        Err(error) => bad("database", &format!("{place}: {error}"), next),
    }
}

fn check_log(
    config: &Config,
    folder: &Path,
    head: Option<Result<FileHead, StorageError>>,
) -> Check {
    let next = "run `sealway ledger fsck`; restore the log's folder and key from a backup";
    let key = config.data_dir.join("keys/log");
    let head = match head {
        None => return absent("ledger", folder),
        Some(Err(error)) => return bad("ledger", &error.to_string(), next),
        Some(Ok(head)) => head,
    };
    if !key.exists() {
        let text = format!("{} is missing, and the log is there", key.display());
        return bad("ledger", &text, next);
    }
    let origin = config.ledger.origin.as_str();
    let signer = keyfile::load_or_make(&key).map_err(|error| error.to_string());
    let signer =
        signer.and_then(|seed| Signer::from_seed(origin, &seed).map_err(|error| error.to_string()));
    let log = signer.and_then(|signer| {
        Log::open(FileTiles::new(folder), head, signer, origin).map_err(|error| error.to_string())
    });
    match log {
        Ok(log) => good("ledger", &format!("{} entries under a checkpoint", log.size_published())),
        Err(error) => bad("ledger", &error, next),
    }
}

fn check_journal(folder: &Path) -> Check {
    if !folder.is_dir() {
        return absent("access", folder);
    }
    let next = "run `sealway ledger fsck`; restore the folder from a backup";
    read_journal(folder, next)
        .unwrap_or_else(|error| bad("access", &format!("{}: {error}", folder.display()), next))
}

/// All of the journal; a start reads its end only.
fn read_journal(folder: &Path, next: &str) -> std::io::Result<Check> {
    let mut reading = Reading::open(folder)?;
    let (mut count, mut torn) = (0, None);
    while let Some(piece) = reading.take()? {
        match piece {
            Piece::Record(_) => count += 1,
            Piece::Torn { file, .. } => torn = Some(file),
            Piece::Damaged(damage) => {
                let text = format!("{} is damaged from byte {} on", damage.file, damage.offset);
                return Ok(bad("access", &text, next));
            }
        }
    }
    let records = format!("{count} records");
    Ok(torn.map_or_else(
        || good("access", &records),
        |file| {
            let text = format!("{records}; {file} ends with bytes that are no whole record");
            warn("access", &text, "a crash leaves that, and the next start cuts it off")
        },
    ))
}

fn absent(name: &str, path: &Path) -> Check {
    let text = format!("{} is not there yet", path.display());
    warn(
        name,
        &text,
        "the first `sealway serve` makes it; otherwise check --data-dir, and --database where that is PostgreSQL",
    )
}
