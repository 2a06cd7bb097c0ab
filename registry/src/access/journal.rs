//! The access journal: records appended, fsynced in groups by one thread, read back in order.
//!
//! A record is durable when `append` answers. Positions count from 1 without gaps. After a failed
//! write or fsync nothing is known of the tail, so the journal refuses until it is opened again;
//! the record that failed may be found then, or not. Bodies are opaque: the caller seals them.
//! Not here: bytes of a segment (`segment`), what a record says (`gateway`).

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{Notify, mpsc, oneshot};

use super::crowd::Crowd;
use super::files::{Files, Folder};
use super::segment::{self, Batch, HEADER_BYTES};

/// A record as it was appended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JournalRecord {
    /// Its place in the journal, from 1.
    pub position: u64,
    /// Id that the commitment's salt is derived from.
    pub salt_id: [u8; 16],
    /// Ledger entry without its sequence number.
    pub entry: [u8; 36],
    /// Sealed content.
    pub body: Vec<u8>,
}

/// What the sequencer needs of a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct JournalEntry {
    /// Its place in the journal, from 1.
    pub position: u64,
    /// Ledger entry without its sequence number.
    pub entry: [u8; 36],
}

/// Why the journal did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The file system failed. After a failed append everything is refused until a restart.
    #[error("access journal: {0}")]
    Io(#[from] std::io::Error),
    /// An earlier write failed; only opening the journal again helps.
    #[error("the access journal refuses since a write failed")]
    Refusing,
    /// Too many records wait. Retrying later is safe.
    #[error("too many accesses waiting")]
    Busy,
    /// The body is over 256 KiB.
    #[error("an access record may have {BODY_BYTES_MAX} bytes")]
    TooLarge,
    /// Durable bytes are not what was written; restore from a copy.
    #[error("the access journal is damaged at record {0}")]
    Damaged(u64),
}

/// An open journal. All methods may be called concurrently.
pub struct Journal {
    shared: Arc<Shared>,
    queue: Option<mpsc::Sender<Waiting>>,
    thread: Option<JoinHandle<()>>,
}

struct Waiting {
    salt_id: [u8; 16],
    entry: [u8; 36],
    body: Vec<u8>,
    reply: oneshot::Sender<Result<u64, JournalError>>,
}

struct Shared {
    files: Box<dyn Files>,
    /// Position of the last durable record.
    durable: AtomicU64,
    changed: Notify,
    /// Segments by first position, ascending, with the length of their durable part.
    segments: Mutex<Vec<Segment>>,
    /// Where the last reading ended.
    hint: Mutex<Hint>,
}

#[derive(Clone, Copy)]
struct Segment {
    first_position: u64,
    length: u64,
}

/// The batch that begins at `offset` of the segment holds `position`.
#[derive(Clone, Copy, Default)]
struct Hint {
    segment: u64,
    position: u64,
    offset: u64,
}

impl Journal {
    /// Opens or creates the journal in a folder and cuts a torn tail away.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] when durable records are unreadable.
    pub fn open(folder: &Path) -> Result<Self, JournalError> {
        Self::over(Folder::open(folder)?)
    }

    /// The same over other files, for tests of lost writes.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn over(files: impl Files) -> Result<Self, JournalError> {
        let files: Box<dyn Files> = Box::new(files);
        let (segments, end) = recover(&*files)?;
        let shared = Arc::new(Shared {
            files,
            durable: AtomicU64::new(end - 1),
            changed: Notify::new(),
            segments: Mutex::new(segments),
            hint: Mutex::new(Hint::default()),
        });
        let (queue, waiting) = mpsc::channel(QUEUE_RECORDS_MAX);
        let writer = Arc::clone(&shared);
        let thread = std::thread::spawn(move || writer.run(waiting));
        Ok(Self { shared, queue: Some(queue), thread: Some(thread) })
    }

    /// Appends a record and gives its position once it is durable.
    ///
    /// # Errors
    /// After any error but [`JournalError::Busy`] the record may or may not be found later.
    pub async fn append(
        &self,
        salt_id: [u8; 16],
        entry: [u8; 36],
        body: Vec<u8>,
    ) -> Result<u64, JournalError> {
        if body.len() > BODY_BYTES_MAX {
            return Err(JournalError::TooLarge);
        }
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.as_ref().expect("the queue lives until the journal is dropped");
        match queue.try_send(Waiting { salt_id, entry, body, reply }) {
            Ok(()) => answer.await.unwrap_or(Err(JournalError::Refusing)),
            Err(mpsc::error::TrySendError::Full(_)) => Err(JournalError::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(JournalError::Refusing),
        }
    }

    /// Position of the last durable record; 0 for none.
    pub fn position(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// True while records are taken.
    pub fn is_writable(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| !queue.is_closed())
    }

    /// Resolves when records have become durable since the last call.
    pub async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    /// Ledger entries of the records after a position, ascending, at most `limit`.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] when a durable record is unreadable.
    pub async fn entries(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<JournalEntry>, JournalError> {
        let records = self.records(after, limit).await?;
        let entry =
            |record: JournalRecord| JournalEntry { position: record.position, entry: record.entry };
        Ok(records.into_iter().map(entry).collect())
    }

    /// Records after a position, ascending, at most `limit`.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] when a durable record is unreadable.
    pub async fn records(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<JournalRecord>, JournalError> {
        if after >= self.position() || limit == 0 {
            return Ok(Vec::new());
        }
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || shared.read(after, limit))
            .await
            .unwrap_or(Err(JournalError::Damaged(after + 1)))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has reported it; what it wrote is judged at the next opening.
            let _ = thread.join();
        }
    }
}

/// Existing segments and the position after the last record.
fn recover(files: &dyn Files) -> Result<(Vec<Segment>, u64), JournalError> {
    let mut firsts: Vec<u64> =
        files.names()?.iter().filter_map(|name| segment::parse_name(name)).collect();
    firsts.sort_unstable();
    let mut segments = Vec::with_capacity(firsts.len());
    for first_position in &firsts {
        let length = files.length(&segment::name(*first_position))?;
        segments.push(Segment { first_position: *first_position, length });
    }
    let Some(last) = segments.last_mut() else { return Ok((segments, 1)) };
    let name = segment::name(last.first_position);
    let bytes = files.read(&name, 0, usize::try_from(last.length).unwrap_or(usize::MAX))?;
    let (end, whole) = match segment::extent(last.first_position, &bytes)? {
        Some(extent) => (extent.end, extent.length),
        None => (last.first_position, 0),
    };
    if whole < last.length {
        tracing::warn!(
            bytes = last.length - whole,
            "a torn tail of the access journal is cut away"
        );
        files.truncate(&name, whole)?;
    }
    // What was read may have been in the cache only, behind a failed fsync: from now on it counts.
    let kept = usize::try_from(whole).unwrap_or(usize::MAX).min(bytes.len());
    if whole == 0 {
        files.append(&name, &segment::header(last.first_position))?;
    } else {
        files.rewrite(&name, 0, &bytes[..kept])?;
    }
    files.sync(&name)?;
    last.length = whole.max(HEADER_BYTES);
    Ok((segments, end))
}

impl Shared {
    /// Writes what waits, one batch a round, until the queue is closed or a write fails.
    fn run(&self, mut queue: mpsc::Receiver<Waiting>) {
        let mut crowd = Crowd::default();
        while let Some(first) = queue.blocking_recv() {
            crowd.gather();
            let mut size = first.body.len();
            let mut group = vec![first];
            while size < BATCH_BYTES_MAX
                && let Ok(next) = queue.try_recv()
            {
                size += next.body.len();
                group.push(next);
            }
            crowd.counted(group.len());
            if let Err(error) = crowd.writing(|| self.write(group)) {
                tracing::error!(error = %error, "the access journal refuses from now on");
                return;
            }
        }
    }

    fn write(&self, group: Vec<Waiting>) -> Result<(), JournalError> {
        let first_position = self.durable.load(Ordering::Acquire) + 1;
        let mut batch = Batch::default();
        for waiting in &group {
            batch.push(&waiting.salt_id, &waiting.entry, &waiting.body);
        }
        let written = self.append(first_position, &batch.finish(first_position));
        let end = first_position + group.len() as u64;
        if written.is_ok() {
            self.durable.store(end - 1, Ordering::Release);
            self.changed.notify_one();
        }
        for (position, waiting) in (first_position..end).zip(group) {
            let answer = if written.is_ok() { Ok(position) } else { Err(JournalError::Refusing) };
            // A caller that went away is not an error.
            let _ = waiting.reply.send(answer);
        }
        written
    }

    /// Appends a batch durably, in a new segment when the last is full.
    fn append(&self, first_position: u64, bytes: &[u8]) -> Result<(), JournalError> {
        let last = self.segments().last().copied();
        let segment = match last.filter(|last| last.length < SEGMENT_BYTES_MAX) {
            Some(segment) => segment,
            None => {
                let name = segment::name(first_position);
                self.files.append(&name, &segment::header(first_position))?;
                self.files.sync(&name)?;
                let segment = Segment { first_position, length: HEADER_BYTES };
                self.segments().push(segment);
                segment
            }
        };
        let name = segment::name(segment.first_position);
        self.files.append(&name, bytes)?;
        self.files.sync(&name)?;
        let mut segments = self.segments();
        let last = segments.last_mut().expect("the segment was found or made above");
        last.length += bytes.len() as u64;
        Ok(())
    }

    fn read(&self, after: u64, limit: usize) -> Result<Vec<JournalRecord>, JournalError> {
        let end = self.durable.load(Ordering::Acquire) + 1;
        let mut next = after + 1;
        let mut records = Vec::new();
        while next < end && records.len() < limit {
            let (segment, offset) = self.locate(next)?;
            let found = self.read_segment(segment, offset, next, limit - records.len())?;
            let Some(last) = found.last() else { return Err(JournalError::Damaged(next)) };
            next = last.position + 1;
            records.extend(found);
        }
        Ok(records)
    }

    /// Segment that holds a position, and the offset of a batch at or before it.
    fn locate(&self, position: u64) -> Result<(Segment, u64), JournalError> {
        let segments = self.segments();
        let at = segments.partition_point(|segment| segment.first_position <= position);
        let segment = *at
            .checked_sub(1)
            .and_then(|at| segments.get(at))
            .ok_or(JournalError::Damaged(position))?;
        let hint = *self.hint.lock().unwrap_or_else(PoisonError::into_inner);
        let is_near = hint.segment == segment.first_position && hint.position <= position;
        let offset = if is_near && hint.offset > 0 { hint.offset } else { HEADER_BYTES };
        Ok((segment, offset))
    }

    /// Records of one segment from a position on.
    fn read_segment(
        &self,
        segment: Segment,
        offset: u64,
        from: u64,
        limit: usize,
    ) -> Result<Vec<JournalRecord>, JournalError> {
        let length = usize::try_from(segment.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let bytes = self.files.read(&segment::name(segment.first_position), offset, length)?;
        let mut at = 0;
        let mut records = Vec::new();
        while at < bytes.len() && records.len() < limit {
            let batch = segment::batch(&bytes[at..])
                .ok_or(JournalError::Damaged(from + records.len() as u64))?;
            if batch.end() > from {
                let wanted = batch.records()?.into_iter().filter(|record| record.position >= from);
                records.extend(wanted.take(limit - records.len()));
            }
            let hint = Hint {
                segment: segment.first_position,
                position: batch.first_position,
                offset: offset + at as u64,
            };
            *self.hint.lock().unwrap_or_else(PoisonError::into_inner) = hint;
            at += batch.length;
        }
        Ok(records)
    }

    fn segments(&self) -> MutexGuard<'_, Vec<Segment>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Size of one record's body.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// A segment at least this long is followed by a new one.
const SEGMENT_BYTES_MAX: u64 = 16 << 20;
/// Bodies after which a batch is closed.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Records that may wait for the disk.
const QUEUE_RECORDS_MAX: usize = 8192;
