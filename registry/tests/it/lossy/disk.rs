//! The model of a disk: durable bytes, and the writes since the last sync in their order.

use std::collections::BTreeMap;

/// Bytes that are written whole or not at all.
const SECTOR_BYTES: usize = 512;

/// All files of a disk by name.
#[derive(Default)]
pub(crate) struct Disk {
    files: BTreeMap<String, File>,
    fault: Option<Fault>,
    write_fault: Option<WriteFault>,
}

/// What the next sync of a file whose name ends so, and that has something to lose, does beside failing.
#[derive(Clone)]
pub(crate) struct Fault {
    pub(crate) suffix: &'static str,
    /// What was written is durable all the same; else it is lost while the cache shows it.
    pub(crate) kept: bool,
    /// Name of the thread whose sync it is to be, if that matters.
    pub(crate) thread: Option<&'static str>,
}

impl Fault {
    fn strikes(&self, name: &str) -> bool {
        let is_thread = |wanted| std::thread::current().name() == Some(wanted);
        name.ends_with(self.suffix) && self.thread.is_none_or(is_thread)
    }
}

/// The next write to a file whose name ends so fails with a code, when half of it is written.
#[derive(Clone)]
pub(crate) struct WriteFault {
    pub(crate) suffix: &'static str,
    pub(crate) code: i32,
}

#[derive(Default)]
struct File {
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

/// A sync that failed.
pub(crate) struct SyncFailed;

impl Disk {
    /// Notes a write.
    pub(crate) fn write(&mut self, name: &str, offset: usize, bytes: &[u8]) {
        let change = Change::Write(offset, bytes.to_vec());
        self.files.entry(name.to_owned()).or_default().unsynced.push(change);
    }

    /// The code with which a write has to fail now, if it does.
    pub(crate) fn take_write_fault(&mut self, name: &str) -> Option<i32> {
        self.write_fault.take_if(|fault| name.ends_with(fault.suffix)).map(|fault| fault.code)
    }

    /// Notes a truncation.
    pub(crate) fn truncate(&mut self, name: &str, length: usize) {
        let file = self.files.entry(name.to_owned()).or_default();
        file.unsynced.push(Change::Truncate(length));
    }

    /// Makes what was written durable, or fails as told.
    pub(crate) fn sync(&mut self, name: &str) -> Result<(), SyncFailed> {
        let file = self.files.entry(name.to_owned()).or_default();
        let is_idle = file.unsynced.is_empty();
        let fault = self.fault.take_if(|fault| !is_idle && fault.strikes(name));
        let changes = std::mem::take(&mut file.unsynced);
        if fault.as_ref().is_none_or(|fault| fault.kept) {
            for change in &changes {
                change.apply(&mut file.durable);
            }
        }
        if fault.is_some() { Err(SyncFailed) } else { Ok(()) }
    }

    /// Forgets a deleted file.
    pub(crate) fn delete(&mut self, name: &str) {
        self.files.remove(name);
    }

    /// Arms a fault for the next sync.
    pub(crate) fn fail_next_sync(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }

    /// Arms a fault for the next write.
    pub(crate) fn fail_next_write(&mut self, fault: WriteFault) {
        self.write_fault = Some(fault);
    }

    /// True while an armed fault has not struck.
    pub(crate) fn is_armed(&self) -> bool {
        self.fault.is_some() || self.write_fault.is_some()
    }

    /// What a power cut leaves now: each unsynced write is there, gone or torn.
    pub(crate) fn cut(&self, random: &mut Random) -> Vec<(String, Vec<u8>)> {
        let survivor = |(name, file): (&String, &File)| {
            let mut bytes = file.durable.clone();
            let fate = random.below(4);
            for change in &file.unsynced {
                match fate {
                    0 => {}
                    1 => change.apply(&mut bytes),
                    _ if random.below(2) == 0 => change.apply_torn(&mut bytes, random),
                    _ => {}
                }
            }
            (name.clone(), bytes)
        };
        self.files.iter().map(survivor).collect()
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, written) => put(bytes, *offset, written),
            Self::Truncate(length) => bytes.resize(*length, 0),
        }
    }

    fn apply_torn(&self, bytes: &mut Vec<u8>, random: &mut Random) {
        let Self::Write(offset, written) = self else { return self.apply(bytes) };
        for (index, sector) in written.chunks(SECTOR_BYTES).enumerate() {
            if random.below(3) > 0 {
                put(bytes, offset + index * SECTOR_BYTES, sector);
            }
        }
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    if bytes.len() < offset + written.len() {
        bytes.resize(offset + written.len(), 0);
    }
    bytes[offset..offset + written.len()].copy_from_slice(written);
}

/// Reproducible randomness (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    /// A generator that is the same for the same seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}
