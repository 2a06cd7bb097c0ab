//! What the machine says of a run: CPU and memory of the server's processes, bytes on disk, the disk's fsync.
//!
//! Source: `/proc/PID/stat` and `/proc/PID/status` (proc(5)); ticks are hundredths of a second on Linux.
//! A process that ended counts through its parent. Not here: when to look (`drive`).

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::Path,
    time::Instant,
};

/// Processes and all their descendants.
#[derive(Clone, Debug, Default)]
pub struct Processes {
    roots: Vec<u32>,
}

struct Stat {
    parent: u32,
    cpu_ticks: u64,
}

impl Processes {
    /// These processes and, at each look, their descendants.
    pub fn new(roots: Vec<u32>) -> Self {
        Self { roots }
    }

    /// This very process.
    pub fn own() -> Self {
        Self::new(vec![std::process::id()])
    }

    /// User and system time of the processes and of their ended children, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        let ticks: u64 = self.tree().values().map(|stat| stat.cpu_ticks).sum();
        ticks as f64 / TICKS_PER_SECOND
    }

    /// Proportional resident memory where the kernel tells it, else resident memory, in MiB.
    pub fn rss_mib(&self) -> f64 {
        let kib: u64 = self.tree().keys().map(|pid| memory_kib(*pid)).sum();
        kib as f64 / 1024.0
    }

    fn tree(&self) -> BTreeMap<u32, Stat> {
        let mut all = BTreeMap::new();
        if self.roots.is_empty() {
            return all;
        }
        for pid in processes() {
            if let Some(stat) = read_stat(pid) {
                all.insert(pid, stat);
            }
        }
        let belongs = |pid: u32| {
            let mut at = Some(pid);
            while let Some(pid) = at {
                if self.roots.contains(&pid) {
                    return true;
                }
                at = all.get(&pid).map(|stat: &Stat| stat.parent);
            }
            false
        };
        let keep: Vec<u32> = all.keys().copied().filter(|pid| belongs(*pid)).collect();
        all.into_iter().filter(|(pid, _)| keep.contains(pid)).collect()
    }
}

/// Bytes that the files under these folders take on disk, in MiB.
pub fn disk_mib(folders: &[impl AsRef<Path>]) -> f64 {
    let bytes: u64 = folders.iter().map(|folder| disk_bytes(folder.as_ref())).sum();
    bytes as f64 / (1024.0 * 1024.0)
}

/// Median time of a 4 KiB append and fsync in `folder`, in milliseconds.
///
/// # Errors
/// When the folder cannot be written.
pub fn fsync_ms(folder: &Path) -> io::Result<f64> {
    let path = folder.join(format!(".sealway-bench-{}.tmp", std::process::id()));
    let mut file = File::create(&path)?;
    let mut micros = Vec::with_capacity(FSYNC_SAMPLES);
    for _ in 0..FSYNC_SAMPLES {
        let started = Instant::now();
        file.write_all(&[0x5a; 4096])?;
        file.sync_all()?;
        micros.push(started.elapsed().as_micros());
    }
    fs::remove_file(&path)?;
    micros.sort_unstable();
    Ok(micros[micros.len() / 2] as f64 / 1000.0)
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn read_stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program may hold spaces and brackets; the fields start after the last bracket.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let cpu_ticks = (11..15).filter_map(field).sum();
    Some(Stat { parent: u32::try_from(field(1)?).ok()?, cpu_ticks })
}

fn memory_kib(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"));
    let pss = rollup.ok().and_then(|text| kib_of(&text, "Pss:"));
    let status = || fs::read_to_string(format!("/proc/{pid}/status")).ok();
    pss.or_else(|| kib_of(&status()?, "VmRSS:")).unwrap_or(0)
}

fn kib_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn disk_bytes(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    let own = metadata.blocks() * 512;
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    own + entries.map(|entry| disk_bytes(&entry.path())).sum::<u64>()
}

const TICKS_PER_SECOND: f64 = 100.0;
const FSYNC_SAMPLES: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_has_memory_and_its_cpu_grows() {
        let own = Processes::own();
        let before = own.cpu_seconds();
        let mut sum = 0u64;
        let started = Instant::now();
        while started.elapsed().as_millis() < 60 {
            sum = sum.wrapping_add(std::hint::black_box(1));
        }

        assert!(own.cpu_seconds() >= before);
        assert!(own.rss_mib() > 0.5, "{sum}");
        assert_eq!(Processes::default().cpu_seconds(), 0.0);
    }
}
