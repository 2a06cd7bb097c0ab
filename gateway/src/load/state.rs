//! What an interrupted load has done, for `--resume`: one line for each finished file.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Finished files by path, size and time of change.
pub struct LoadState {
    done: HashSet<String>,
    file: File,
}

impl LoadState {
    /// Opens the state at `path`; `resume` keeps what is there, otherwise it starts empty.
    ///
    /// # Errors
    /// When the file cannot be read or made.
    pub fn open(path: &Path, resume: bool) -> io::Result<Self> {
        let done = match (resume, fs::read_to_string(path)) {
            (true, Ok(text)) => text.lines().map(str::to_owned).collect(),
            (true, Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => HashSet::new(),
        };
        let file =
            File::options().create(true).write(true).append(resume).truncate(!resume).open(path)?;
        Ok(Self { done, file })
    }

    /// True when the file, unchanged since, was finished by an earlier run.
    pub fn is_done(&self, path: &Path) -> bool {
        self.done.contains(&mark(path))
    }

    /// Records that everything of the file was answered.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn finish(&mut self, path: &Path) -> io::Result<()> {
        writeln!(self.file, "{}", mark(path))
    }
}

fn mark(path: &Path) -> String {
    let metadata = fs::metadata(path).ok();
    let changed = metadata
        .as_ref()
        .and_then(|m| m.modified().ok())
        .and_then(|t| t.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |d| d.as_nanos());
    format!("{} {changed} {}", metadata.map_or(0, |m| m.len()), path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_load_skips_finished_files_unless_they_changed() {
        let folder = tempfile::tempdir().expect("temp folder");
        let (state, data) = (folder.path().join("state"), folder.path().join("a.json"));
        fs::write(&data, b"{}").expect("written");
        LoadState::open(&state, false).expect("opens").finish(&data).expect("recorded");

        assert!(LoadState::open(&state, true).expect("opens").is_done(&data));

        fs::write(&data, b"{ }").expect("changed");
        assert!(!LoadState::open(&state, true).expect("opens").is_done(&data));
        assert!(!LoadState::open(&state, false).expect("opens").is_done(&data));
    }
}
