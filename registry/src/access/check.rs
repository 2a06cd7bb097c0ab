//! The access journal as a check reads it: nothing is cut, nothing mended, and reading goes on after damage.
//!
//! Records come in order; where bytes are not what was written, one [`Piece::Damaged`] stands for all that
//! is lost there. A segment at a time is in memory.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use super::files::{Files, Folder};
use super::journal::JournalRecord;
use super::segment::{self, HEADER_BYTES};

/// What a check meets, in the order of positions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Piece {
    /// A whole record.
    Record(JournalRecord),
    /// Records that cannot be read.
    Damaged(Damage),
    /// Bytes at the end of the journal that are no whole batch: a crash left them, or somebody changed the last.
    Torn {
        /// The file.
        file: String,
        /// Position that comes next.
        position: u64,
    },
}

/// Where and what is damaged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Damage {
    /// The file.
    pub file: String,
    /// Byte in it at which the damaged part begins.
    pub offset: u64,
    /// First position that is lost.
    pub from: u64,
    /// First position that is not.
    pub to: u64,
}

/// A reading of the whole journal.
pub struct Reading {
    files: Box<dyn Files>,
    /// First positions of the segments to come.
    segments: VecDeque<u64>,
    /// Position that comes next.
    next: u64,
    ready: VecDeque<Piece>,
}

impl Reading {
    /// Takes the folder, which must exist.
    ///
    /// # Errors
    /// When it cannot be read, or another process holds it.
    pub fn open(folder: &Path) -> io::Result<Self> {
        std::fs::read_dir(folder)?;
        Self::over(Folder::open(folder)?)
    }

    /// The same over other files.
    ///
    /// # Errors
    /// When their names cannot be read.
    pub fn over(files: impl Files) -> io::Result<Self> {
        let mut segments: Vec<u64> =
            files.names()?.iter().filter_map(|name| segment::parse_name(name)).collect();
        segments.sort_unstable();
        let segments = segments.into();
        Ok(Self { files: Box::new(files), segments, next: 1, ready: VecDeque::new() })
    }

    /// The piece `ahead` of the next one.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn peek(&mut self, ahead: usize) -> io::Result<Option<&Piece>> {
        while self.ready.len() <= ahead && self.read_segment()? {}
        Ok(self.ready.get(ahead))
    }

    /// The next piece.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn take(&mut self) -> io::Result<Option<Piece>> {
        self.peek(0)?;
        Ok(self.ready.pop_front())
    }

    /// Reads one more segment; false when there is none.
    fn read_segment(&mut self) -> io::Result<bool> {
        let Some(first) = self.segments.pop_front() else { return Ok(false) };
        let file = segment::name(first);
        let length = usize::try_from(self.files.length(&file)?).unwrap_or(usize::MAX);
        let bytes = self.files.read(&file, 0, length)?;
        if first > self.next {
            // A segment before this one is gone, or its end.
            let damage = Damage { file: file.clone(), offset: 0, from: self.next, to: first };
            self.ready.push_back(Piece::Damaged(damage));
        }
        self.next = self.next.max(first);
        let header = segment::header(first);
        if !bytes.starts_with(&header) {
            // The newest segment may have been in the making.
            let is_torn = self.segments.is_empty() && header.starts_with(&bytes);
            self.ready.push_back(match is_torn {
                true => Piece::Torn { file: file.clone(), position: self.next },
                false => Piece::Damaged(self.damage(&file, 0, self.next)),
            });
        }
        self.batches(&file, &bytes);
        Ok(true)
    }

    fn batches(&mut self, file: &str, bytes: &[u8]) {
        let mut at = usize::try_from(HEADER_BYTES).unwrap_or(usize::MAX);
        while at < bytes.len() {
            let found =
                segment::batch(&bytes[at..]).filter(|found| found.first_position == self.next);
            let Some(found) = found else {
                let Some(skipped) = segment::find_batch(&bytes[at..], self.next) else {
                    return self.lost_tail(file, at as u64);
                };
                let to = segment::batch(&bytes[at + skipped..]).map(|found| found.first_position);
                let to = to.unwrap_or(self.next);
                self.ready.push_back(Piece::Damaged(self.damage(file, at as u64, to)));
                self.next = to;
                at += skipped;
                continue;
            };
            match found.records() {
                Ok(records) => self.ready.extend(records.into_iter().map(Piece::Record)),
                Err(_) => {
                    let damage = self.damage(file, at as u64, found.end());
                    self.ready.push_back(Piece::Damaged(damage));
                }
            }
            self.next = found.end();
            at += found.length;
        }
    }

    /// Nothing whole follows in this segment.
    fn lost_tail(&mut self, file: &str, offset: u64) {
        let piece = match self.segments.front() {
            Some(next) => Piece::Damaged(self.damage(file, offset, (*next).max(self.next))),
            None => Piece::Torn { file: file.to_owned(), position: self.next },
        };
        if let Piece::Damaged(damage) = &piece {
            self.next = damage.to;
        }
        self.ready.push_back(piece);
    }

    fn damage(&self, file: &str, offset: u64, to: u64) -> Damage {
        Damage { file: file.to_owned(), offset, from: self.next, to }
    }
}

#[cfg(test)]
mod tests {
    use super::super::segment::Batch;
    use super::*;

    fn journal(batches: u64) -> Vec<u8> {
        let mut bytes = segment::header(1);
        for at in 0..batches {
            let mut batch = Batch::default();
            batch.push(&[1; 16], &[2; 36], b"one");
            batch.push(&[3; 16], &[4; 36], b"two");
            bytes.extend(batch.finish(1 + 2 * at));
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Vec<Piece> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(segment::name(1)), bytes).unwrap();
        let mut reading = Reading::open(folder.path()).unwrap();
        std::iter::from_fn(|| reading.take().unwrap()).collect()
    }

    fn positions(pieces: &[Piece]) -> Vec<u64> {
        let position = |piece: &Piece| match piece {
            Piece::Record(record) => Some(record.position),
            _ => None,
        };
        pieces.iter().filter_map(position).collect()
    }

    #[test]
    fn a_sound_journal_comes_back_whole() {
        let pieces = read(&journal(3));
        assert_eq!(pieces.len(), 6);
        assert_eq!(positions(&pieces), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_damaged_batch_is_one_finding_and_the_rest_is_read() {
        let sound = journal(3);
        let batch = (sound.len() - 20) / 3;
        for at in 20 + batch..20 + 2 * batch {
            let mut bytes = sound.clone();
            bytes[at] ^= 0x10;

            let pieces = read(&bytes);

            assert_eq!(positions(&pieces), [1, 2, 5, 6], "byte {at}");
            let damages = pieces.iter().filter_map(|piece| match piece {
                Piece::Damaged(damage) => Some((damage.offset, damage.from, damage.to)),
                _ => None,
            });
            assert_eq!(damages.collect::<Vec<_>>(), [(20 + batch as u64, 3, 5)], "byte {at}");
        }
    }

    #[test]
    fn a_torn_tail_is_told_apart_and_nothing_is_cut() {
        let sound = journal(2);
        let pieces = read(&sound[..sound.len() - 1]);
        assert_eq!(positions(&pieces), [1, 2]);
        assert!(matches!(pieces.last(), Some(Piece::Torn { position: 3, .. })));
    }

    #[test]
    fn a_missing_segment_is_one_finding() {
        let folder = tempfile::tempdir().unwrap();
        let mut batch = Batch::default();
        batch.push(&[1; 16], &[2; 36], b"one");
        let bytes = [segment::header(9), batch.finish(9)].concat();
        std::fs::write(folder.path().join(segment::name(9)), bytes).unwrap();
        let mut reading = Reading::open(folder.path()).unwrap();

        let first = reading.take().unwrap();

        assert!(matches!(first, Some(Piece::Damaged(Damage { from: 1, to: 9, .. }))), "{first:?}");
        assert!(
            matches!(reading.take().unwrap(), Some(Piece::Record(record)) if record.position == 9)
        );
    }
}
