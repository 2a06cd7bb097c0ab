//! Byte form of a journal segment, and its reading after a crash.
//!
//! Segment file `NNNNNNNNNNNNNNNNNNNN.journal`, named by its first position, begins with
//! `"SEALJRN1" | first_position u64 | crc u32`; then batches, one for each fsync:
//! `"BTCH" | length u32 | count u32 | first_position u64 | crc u32 | records`, and in it records
//! `length u32 | salt_id 16 | entry 36 | body`. All numbers little endian; a batch's CRC-32 covers
//! everything of the batch but itself. A batch is written only after the one before it is durable,
//! so only the last can be torn: anything readable after an unreadable batch means damage.

use super::journal::{JournalError, JournalRecord};

/// File name of the segment that begins at this position.
pub(super) fn name(first_position: u64) -> String {
    format!("{first_position:020}{SUFFIX}")
}

/// First position of a segment by its file name; `None` for other files.
pub(super) fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// Header of the segment that begins at this position.
pub(super) fn header(first_position: u64) -> Vec<u8> {
    let mut bytes = SEGMENT_MAGIC.to_vec();
    bytes.extend_from_slice(&first_position.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// A batch under construction.
#[derive(Default)]
pub(super) struct Batch {
    records: Vec<u8>,
    count: u32,
}

impl Batch {
    /// Adds one record.
    pub(super) fn push(&mut self, salt_id: &[u8; 16], entry: &[u8; 36], body: &[u8]) {
        let length = u32::try_from(RECORD_HEAD_BYTES - 4 + body.len())
            .expect("append refuses bodies over BODY_BYTES_MAX");
        self.records.extend_from_slice(&length.to_le_bytes());
        self.records.extend_from_slice(salt_id);
        self.records.extend_from_slice(entry);
        self.records.extend_from_slice(body);
        self.count += 1;
    }

    /// Bytes of the batch that begins at this position.
    pub(super) fn finish(self, first_position: u64) -> Vec<u8> {
        let length = u32::try_from(self.records.len()).expect("a batch is far below 4 GiB");
        let mut bytes = Vec::with_capacity(BATCH_HEAD_BYTES + self.records.len());
        bytes.extend_from_slice(BATCH_MAGIC);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&self.count.to_le_bytes());
        bytes.extend_from_slice(&first_position.to_le_bytes());
        let crc = batch_crc(&bytes, &self.records);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(&self.records);
        bytes
    }
}

/// A whole batch found in a segment.
pub(super) struct Found<'a> {
    pub(super) first_position: u64,
    pub(super) count: u32,
    records: &'a [u8],
    /// Bytes of the batch in the file.
    pub(super) length: usize,
}

impl Found<'_> {
    /// Position after its last record.
    pub(super) fn end(&self) -> u64 {
        self.first_position.saturating_add(u64::from(self.count))
    }

    /// Its records.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] when the lengths inside do not add up.
    pub(super) fn records(&self) -> Result<Vec<JournalRecord>, JournalError> {
        let mut records = Vec::with_capacity(self.count as usize);
        let mut rest = self.records;
        for position in self.first_position..self.end() {
            let damaged = || JournalError::Damaged(position);
            let (length, tail) = rest.split_first_chunk().ok_or_else(damaged)?;
            let length = u32::from_le_bytes(*length) as usize;
            let (record, tail) = tail.split_at_checked(length).ok_or_else(damaged)?;
            let (salt_id, record) = record.split_first_chunk().ok_or_else(damaged)?;
            let (entry, body) = record.split_first_chunk().ok_or_else(damaged)?;
            let (salt_id, entry, body) = (*salt_id, *entry, body.to_vec());
            records.push(JournalRecord { position, salt_id, entry, body });
            rest = tail;
        }
        Ok(records)
    }
}

/// The batch at the start of `bytes`; `None` when it is torn or none.
pub(super) fn batch(bytes: &[u8]) -> Option<Found<'_>> {
    let (head, rest) = bytes.split_at_checked(BATCH_HEAD_BYTES)?;
    let (magic, numbers) = head.split_first_chunk::<4>()?;
    let (length, numbers) = numbers.split_first_chunk()?;
    let (count, numbers) = numbers.split_first_chunk()?;
    let (first_position, crc) = numbers.split_first_chunk()?;
    let length = u32::from_le_bytes(*length) as usize;
    let records = rest.get(..length)?;
    let crc = u32::from_le_bytes(*crc.first_chunk()?);
    let is_whole = magic == BATCH_MAGIC && crc == batch_crc(&head[..BATCH_HEAD_BYTES - 4], records);
    is_whole.then(|| Found {
        first_position: u64::from_le_bytes(*first_position),
        count: u32::from_le_bytes(*count),
        records,
        length: BATCH_HEAD_BYTES + length,
    })
}

/// What a segment holds after a crash.
pub(super) struct Extent {
    /// Position after its last record.
    pub(super) end: u64,
    /// Length of its whole part; what follows is a torn batch.
    pub(super) length: u64,
}

/// Walks the newest segment. `Ok(None)` when its header is torn: it was being created.
///
/// # Errors
/// [`JournalError::Damaged`] when something readable follows an unreadable batch.
pub(super) fn extent(first_position: u64, bytes: &[u8]) -> Result<Option<Extent>, JournalError> {
    let header = header(first_position);
    if !bytes.starts_with(&header) {
        return if holds_batch(bytes, first_position) {
            Err(JournalError::Damaged(first_position))
        } else {
            Ok(None)
        };
    }
    let mut at = header.len();
    let mut end = first_position;
    while let Some(found) = batch(&bytes[at..]).filter(|found| found.first_position == end) {
        end = found.end();
        at += found.length;
    }
    if holds_batch(&bytes[at..], end) {
        return Err(JournalError::Damaged(end));
    }
    Ok(Some(Extent { end, length: at as u64 }))
}

/// True if a whole batch with positions from `position` on begins anywhere in `bytes`.
fn holds_batch(bytes: &[u8], position: u64) -> bool {
    find_batch(bytes, position).is_some()
}

/// Where the first whole batch with positions from `position` on begins in `bytes`.
pub(super) fn find_batch(bytes: &[u8], position: u64) -> Option<usize> {
    (0..bytes.len().saturating_sub(BATCH_HEAD_BYTES - 1))
        .filter(|at| bytes[*at..].starts_with(BATCH_MAGIC))
        .find(|at| batch(&bytes[*at..]).is_some_and(|found| found.first_position >= position))
}

fn batch_crc(head: &[u8], records: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(records);
    hasher.finalize()
}

/// Bytes of a segment's header.
pub(super) const HEADER_BYTES: u64 = 20;
const SEGMENT_MAGIC: &[u8; 8] = b"SEALJRN1";
const BATCH_MAGIC: &[u8; 4] = b"BTCH";
const BATCH_HEAD_BYTES: usize = 24;
const RECORD_HEAD_BYTES: usize = 56;
const SUFFIX: &str = ".journal";

#[cfg(test)]
mod tests {
    use super::*;

    fn two_batches() -> (Vec<u8>, usize) {
        let mut bytes = header(5);
        let mut first = Batch::default();
        first.push(&[1; 16], &[2; 36], b"one");
        first.push(&[3; 16], &[4; 36], b"");
        bytes.extend(first.finish(5));
        let border = bytes.len();
        let mut second = Batch::default();
        second.push(&[5; 16], &[6; 36], b"three");
        bytes.extend(second.finish(7));
        (bytes, border)
    }

    #[test]
    fn batches_come_back_with_their_records() {
        let (bytes, border) = two_batches();

        let first = batch(&bytes[20..]).unwrap();
        let second = batch(&bytes[border..]).unwrap();

        assert_eq!((first.end(), first.length), (7, border - 20));
        let records = first.records().unwrap();
        assert_eq!((records[0].position, &records[0].body[..]), (5, &b"one"[..]));
        assert_eq!(records[1].entry, [4; 36]);
        assert_eq!(second.records().unwrap()[0].position, 7);
        assert_eq!(extent(5, &bytes).unwrap().unwrap().end, 8);
    }

    #[test]
    fn every_cut_leaves_the_whole_batches_before_it() {
        let (bytes, border) = two_batches();
        for cut in 0..bytes.len() {
            let found = extent(5, &bytes[..cut]).unwrap().map(|extent| (extent.end, extent.length));
            let expected = match cut {
                cut if cut < 20 => None,
                cut if cut < border => Some((5, 20)),
                _ => Some((7, border as u64)),
            };
            assert_eq!(found, expected, "cut at {cut}");
        }
    }

    #[test]
    fn damage_before_a_whole_batch_is_reported_not_cut_away() {
        let (bytes, border) = two_batches();
        for at in 0..border {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(extent(5, &damaged).is_err(), "flip at {at}");
        }
    }
}
