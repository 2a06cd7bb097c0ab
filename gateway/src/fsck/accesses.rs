//! Access records: each opens and is what its entry commits to, and they stand in the log in their order.
//!
//! Entries and records are walked side by side. Where one of them is missing, the other is looked for a little
//! ahead, so that one alteration is one finding and the walk goes on.

use std::io;
use std::path::Path;

use fhir::{VersionId, VersionKey};
use ledger::Kind;
use registry::access::{JournalRecord, Piece, Reading};
use registry::write_set::AccessRecord;

use super::content::Sealed;
use super::report::About;
use super::{CONTENTS_A_PAGE, Check};
use crate::access::record_key;
use crate::app::OpenError;

/// The journal, as far as it was walked.
pub(super) struct Accesses {
    reading: Option<Reading>,
    /// Highest position that the registry says is in the log.
    sealed: u64,
    /// Last position that was met, readable or not.
    met: u64,
    /// Highest position that was found in the log, or whose place was passed.
    placed: u64,
    /// Records that were lost, and whose entries have not been passed yet.
    lost: u64,
    ended: bool,
}

impl Accesses {
    /// Takes the journal in `folder`.
    pub(super) async fn open(folder: &Path, check: &mut Check<'_>) -> Result<Self, OpenError> {
        let sealed = check.recorded().await?.accesses;
        let reading = match Reading::open(folder) {
            Ok(reading) => Some(reading),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(&error)),
        };
        Ok(Self { reading, sealed, met: 0, placed: 0, lost: 0, ended: false })
    }

    /// Highest position that is accounted for in the log.
    pub(super) fn placed(&self) -> u64 {
        self.placed
    }

    /// Finds the record of an entry; false when there is none.
    pub(super) async fn place(
        &mut self,
        check: &mut Check<'_>,
        body: &[u8; 36],
    ) -> Result<bool, OpenError> {
        self.pass_damage(check)?;
        for ahead in 0..LOOKAHEAD {
            match self.peek(ahead)? {
                Some(Piece::Record(record)) if record.entry == *body => {
                    for _ in 0..ahead {
                        self.unplaced(check).await?;
                    }
                    // What is still lost here was never in the log.
                    self.lost = 0;
                    if let Some(Piece::Record(record)) = self.take()? {
                        self.placed = record.position;
                        self.open_record(check, record).await?;
                    }
                    return Ok(true);
                }
                Some(_) => {}
                None => break,
            }
        }
        Ok(self.pass_lost())
    }

    /// Passes the record of an entry that cannot be read.
    pub(super) async fn skip(&mut self, check: &mut Check<'_>) -> Result<(), OpenError> {
        self.pass_damage(check)?;
        if self.pass_lost() {
            return Ok(());
        }
        if let Some(Piece::Record(record)) = self.take()? {
            self.placed = record.position;
            self.open_record(check, record).await?;
        }
        Ok(())
    }

    /// Opens what is left. Records that the registry says are sealed should not be: when `placing`, they are reported.
    pub(super) async fn drain(
        &mut self,
        check: &mut Check<'_>,
        placing: bool,
    ) -> Result<(), OpenError> {
        loop {
            self.pass_damage(check)?;
            let sealed = self.sealed;
            match self.peek(0)? {
                None => return Ok(()),
                Some(Piece::Record(record)) if placing && record.position <= sealed => {
                    self.unplaced(check).await?;
                }
                Some(_) => {
                    if let Some(Piece::Record(record)) = self.take()? {
                        self.open_record(check, record).await?;
                    }
                }
            }
        }
    }

    /// Opens the records of commits that are on their way from the registry to the journal.
    pub(super) async fn moving(check: &mut Check<'_>) -> Result<(), OpenError> {
        let mut after = 0;
        loop {
            let read = check.checks.accesses(after, CONTENTS_A_PAGE).await;
            let page = check.rows("access_outbox", read)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.access_id;
            for row in &page {
                let name = format!("access record {} of the registry", row.access_id);
                let AccessRecord { salt_id, entry, body } = &row.record;
                Self::open_sealed(check, &name, salt_id, entry, body).await?;
            }
        }
    }

    /// One piece that should have stood in the log before what was found.
    async fn unplaced(&mut self, check: &mut Check<'_>) -> Result<(), OpenError> {
        match self.take()? {
            Some(Piece::Record(record)) => {
                check.report.add(About::Access, name(record.position), "stands not in the log");
                self.placed = record.position;
                self.open_record(check, record).await
            }
            Some(piece) => {
                self.damage(check, &piece);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Takes damaged pieces at the front, and notices the end.
    fn pass_damage(&mut self, check: &mut Check<'_>) -> Result<(), OpenError> {
        while matches!(self.peek(0)?, Some(Piece::Damaged(_) | Piece::Torn { .. })) {
            if let Some(piece) = self.take()? {
                self.damage(check, &piece);
            }
        }
        if self.peek(0)?.is_none() && !self.ended {
            self.ended = true;
            if self.met < self.sealed {
                let text = format!("it ends at record {}, {} were sealed", self.met, self.sealed);
                check.report.add(About::Access, "access journal", text);
                self.lost = self.lost.saturating_add(self.sealed - self.met);
                self.met = self.sealed;
            }
        }
        Ok(())
    }

    fn damage(&mut self, check: &mut Check<'_>, piece: &Piece) {
        match piece {
            Piece::Damaged(damage) => {
                let place = format!("access/{} byte {}", damage.file, damage.offset);
                let (from, to) = (damage.from, damage.to);
                let what = match to - from {
                    0 => "is damaged; no record is lost".to_owned(),
                    1 => format!("is damaged; record {from} is lost"),
                    _ => format!("is damaged; records {from} to {} are lost", to - 1),
                };
                check.report.add(About::Access, place, what);
                self.lost = self.lost.saturating_add(to - from);
                self.met = to.saturating_sub(1).max(self.met);
            }
            Piece::Torn { file, position } if *position <= self.sealed => {
                let what =
                    format!("its end is damaged; records {position} to {} are lost", self.sealed);
                check.report.add(About::Access, format!("access/{file}"), what);
                let lost = (self.sealed - position).saturating_add(1);
                self.lost = self.lost.saturating_add(lost);
                self.met = self.sealed;
            }
            Piece::Torn { .. } | Piece::Record(_) => {}
        }
    }

    /// Passes the place of a lost record, if there is one.
    fn pass_lost(&mut self) -> bool {
        if self.lost == 0 {
            return false;
        }
        self.lost -= 1;
        self.placed = self.placed.saturating_add(1);
        true
    }

    async fn open_record(
        &mut self,
        check: &mut Check<'_>,
        record: JournalRecord,
    ) -> Result<(), OpenError> {
        let JournalRecord { position, salt_id, entry, body } = record;
        check.progress.tick(position, "access records");
        Self::open_sealed(check, &name(position), &salt_id, &entry, &body).await
    }

    async fn open_sealed(
        check: &mut Check<'_>,
        name: &str,
        salt_id: &[u8; 16],
        entry: &[u8; 36],
        payload: &[u8],
    ) -> Result<(), OpenError> {
        let key = VersionKey { key: record_key(salt_id), version: VersionId::FIRST };
        let sealed = Sealed { kind: Kind::Access, key: &key, payload, salt_id, entry };
        check.content(name, sealed).await?;
        Ok(())
    }

    fn peek(&mut self, ahead: usize) -> Result<Option<&Piece>, OpenError> {
        match &mut self.reading {
            Some(reading) => reading.peek(ahead).map_err(|error| failed(&error)),
            None => Ok(None),
        }
    }

    fn take(&mut self) -> Result<Option<Piece>, OpenError> {
        let Some(reading) = &mut self.reading else { return Ok(None) };
        let piece = reading.take().map_err(|error| failed(&error))?;
        if let Some(Piece::Record(record)) = &piece {
            self.met = record.position;
        }
        Ok(piece)
    }
}

fn name(position: u64) -> String {
    format!("access record {position}")
}

fn failed(error: &io::Error) -> OpenError {
    OpenError::Folder(format!("access journal: {error}"))
}

/// Records among which an entry's is looked for.
const LOOKAHEAD: usize = 256;
