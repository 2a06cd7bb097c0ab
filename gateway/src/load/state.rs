//! What was loaded before, and where to: one line for each file, by its content.
//!
//! Line: `sha256:HEX BYTES TARGET PATH` when the file was loaded; the path is for people. Renamed or copied, a file is
//! still known. Before its first request it gets the same line with `begun ` before it, and with `untaken ` when the
//! gateway took nothing of it: what was begun and neither loaded nor untaken was sent in part, or lost its answer.
//! Not here: what a second load does about it (`cli::load`).

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};

/// What earlier runs did with a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Before {
    /// All of it was answered.
    Loaded,
    /// It was begun; the gateway may have any part of it.
    InPart,
}

/// Files that one gateway has taken.
pub struct LoadState {
    path: PathBuf,
    target: String,
    /// Size → hashes: a file of another size need not be hashed.
    known: HashMap<u64, HashMap<String, Before>>,
    file: Option<File>,
}

impl LoadState {
    /// Reads the state at `path`, as far as it is about `target`; an absent one is empty. Nothing is created yet.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open(path: &Path, target: &str) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let target = target.trim_end_matches('/').to_owned();
        let mut known: HashMap<u64, HashMap<String, Before>> = HashMap::new();
        for line in text.lines() {
            let (event, line) = match line.split_once(' ') {
                Some((event @ (BEGUN | UNTAKEN), rest)) => (event, rest),
                _ => ("", line),
            };
            let mut words = line.splitn(4, ' ');
            if let (Some(hash), Some(bytes), Some(to)) = (words.next(), words.next(), words.next())
                && let Ok(bytes) = bytes.parse()
                && to == target
            {
                note(known.entry(bytes).or_default(), hash, event);
            }
        }
        Ok(Self { path: path.to_path_buf(), target, known, file: None })
    }

    /// What became of a file of the same content there before; `None` also for one that cannot be read.
    pub fn before(&self, path: &Path) -> Option<Before> {
        let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
        let hashes = self.known.get(&bytes)?;
        hashes.get(&hash_of(path).ok()?.0).copied()
    }

    /// Records that the file is about to be sent.
    ///
    /// # Errors
    /// When the file cannot be read or the state cannot be written.
    pub fn begin(&mut self, path: &Path) -> io::Result<()> {
        self.write(BEGUN, path)
    }

    /// Records that the gateway took nothing of a file that was begun.
    ///
    /// # Errors
    /// When the file cannot be read again or the state cannot be written.
    pub fn forget(&mut self, path: &Path) -> io::Result<()> {
        self.write(UNTAKEN, path)
    }

    /// Records that the file was answered, and that something of it was taken.
    ///
    /// # Errors
    /// When the file cannot be read again or the state cannot be written.
    pub fn finish(&mut self, path: &Path) -> io::Result<()> {
        self.write("", path)
    }

    fn write(&mut self, event: &str, path: &Path) -> io::Result<()> {
        let (hash, bytes) = hash_of(path)?;
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::options().create(true).append(true).open(&self.path)?),
        };
        let line = format!("{event} {hash} {bytes} {} {}\n", self.target, path.display());
        file.write_all(line.trim_start().as_bytes())
    }
}

/// A file that was loaded once stays loaded.
fn note(hashes: &mut HashMap<String, Before>, hash: &str, event: &str) {
    match event {
        BEGUN => {
            hashes.entry(hash.to_owned()).or_insert(Before::InPart);
        }
        UNTAKEN => {
            if hashes.get(hash) == Some(&Before::InPart) {
                hashes.remove(hash);
            }
        }
        _ => {
            hashes.insert(hash.to_owned(), Before::Loaded);
        }
    }
}

fn hash_of(path: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let (mut hash, mut bytes) = (Context::new(&SHA256), 0);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok((format!("sha256:{}", hex::encode(hash.finish())), bytes)),
            read => {
                hash.update(&piece[..read]);
                bytes += read as u64;
            }
        }
    }
}

const BEGUN: &str = "begun";
const UNTAKEN: &str = "untaken";
const PIECE_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loaded_file_is_known_by_its_content_and_target() {
        let folder = tempfile::tempdir().unwrap();
        let (state, data) = (folder.path().join("state"), folder.path().join("a.json"));
        fs::write(&data, b"{}").unwrap();
        LoadState::open(&state, "http://a/fhir/").unwrap().finish(&data).unwrap();
        let known = |target: &str, path: &Path| {
            LoadState::open(&state, target).unwrap().before(path) == Some(Before::Loaded)
        };

        let renamed = folder.path().join("b.json");
        fs::copy(&data, &renamed).unwrap();
        assert!(known("http://a/fhir", &data) && known("http://a/fhir", &renamed));
        assert!(!known("http://b/fhir", &data), "another gateway has not got it");
        fs::write(&data, b"[]").unwrap();
        assert!(!known("http://a/fhir", &data), "same size, other content");
        // The form of the line, and the published digest of `{}`.
        let line = fs::read_to_string(&state).unwrap();
        let digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert!(line.starts_with(&format!("sha256:{digest} 2 http://a/fhir ")), "{line}");
    }
    #[test]
    fn a_file_that_was_begun_is_in_part_until_it_is_loaded_or_nothing_of_it_was_taken() {
        let folder = tempfile::tempdir().unwrap();
        let (state, data) = (folder.path().join("state"), folder.path().join("a.json"));
        fs::write(&data, b"{}").unwrap();
        let open = || LoadState::open(&state, "http://a/fhir").unwrap();
        let before = || open().before(&data);

        open().begin(&data).unwrap();
        assert_eq!(before(), Some(Before::InPart));
        open().forget(&data).unwrap();
        assert_eq!(before(), None);
        open().begin(&data).unwrap();
        open().finish(&data).unwrap();
        assert_eq!(before(), Some(Before::Loaded));
        open().begin(&data).unwrap();
        open().forget(&data).unwrap();
        assert_eq!(before(), Some(Before::Loaded), "a second load changes nothing about the first");
    }
}
