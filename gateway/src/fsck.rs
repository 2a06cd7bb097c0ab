//! Every stored version against its ledger entry: opened, hashed, commitment recomputed and compared.
//!
//! Finds any flipped byte of a payload (it does not authenticate), of an entry in the registry (the commitment
//! differs) and of a wrapped key (it does not unwrap). The log itself is `ledger::fsck`'s.
//! Not here: repairing anything.

use ledger::{Kind, Salt};
use policy::Permit;
use registry::page::StoredVersion;

use crate::app::App;
use crate::error::{Answered, FaultKind};
use crate::finish;

/// What was found.
#[derive(Debug, Default)]
pub struct VersionsReport {
    /// Versions whose entry commits to their content.
    pub good: u64,
    /// Versions whose key was erased: nothing can be said, by design.
    pub erased: u64,
    /// What is wrong, each naming its version.
    pub problems: Vec<String>,
}

/// Checks all stored versions.
///
/// # Errors
/// 503 when the registry does not answer.
pub async fn check_versions(app: &App) -> Answered<VersionsReport> {
    let _full = Permit::maintenance();
    let mut report = VersionsReport::default();
    let mut after = 0;
    loop {
        let versions = app.store.scan_versions(after, SCAN_VERSIONS).await?;
        let Some(last) = versions.last() else { return Ok(report) };
        after = last.change;
        for stored in &versions {
            check(app, stored, &mut report).await;
        }
    }
}

async fn check(app: &App, stored: &StoredVersion, report: &mut VersionsReport) {
    let name = format!("{}/_history/{}", stored.key, stored.version);
    let (body, salt_key) = match app.payloads.open_with_salt(stored).await {
        Ok(opened) => opened,
        Err(fault) if fault.kind == FaultKind::Deleted => {
            report.erased += 1;
            return;
        }
        Err(fault) => {
            report.problems.push(format!("{name}: {}", fault.text()));
            return;
        }
    };
    let salt = Salt::derive(salt_key.as_bytes(), Kind::ResourceVersion, &stored.salt_id);
    if finish::entry(Kind::ResourceVersion, &salt, &body) == stored.entry {
        report.good += 1;
    } else {
        report.problems.push(format!("{name}: the entry does not commit to the content"));
    }
}

const SCAN_VERSIONS: usize = 500;
