//! What was loaded before, and where to: one line for each file, by its content.
//!
//! Line: `sha256:HEX BYTES TARGET PATH`; the path is for people. Renamed or copied, a file is still known.
//! Not here: what a second load does about it (`cli::load`).

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};

/// Files that one gateway has taken.
pub struct LoadState {
    path: PathBuf,
    target: String,
    /// Size → hashes: a file of another size need not be hashed.
    done: HashMap<u64, HashSet<String>>,
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
        let mut done: HashMap<u64, HashSet<String>> = HashMap::new();
        let target = target.trim_end_matches('/').to_owned();
        for line in text.lines() {
            let mut words = line.splitn(4, ' ');
            if let (Some(hash), Some(bytes), Some(to)) = (words.next(), words.next(), words.next())
                && let Ok(bytes) = bytes.parse()
                && to == target
            {
                done.entry(bytes).or_default().insert(hash.to_owned());
            }
        }
        Ok(Self { path: path.to_path_buf(), target, done, file: None })
    }

    /// True when a file of the same content was loaded there before. One that cannot be read was not.
    pub fn is_done(&self, path: &Path) -> bool {
        let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
        let Some(hashes) = self.done.get(&bytes) else { return false };
        hash_of(path).is_ok_and(|(hash, _)| hashes.contains(&hash))
    }

    /// Records that the file was answered, and that something of it was taken.
    ///
    /// # Errors
    /// When the file cannot be read again or the state cannot be written.
    pub fn finish(&mut self, path: &Path) -> io::Result<()> {
        let (hash, bytes) = hash_of(path)?;
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::options().create(true).append(true).open(&self.path)?),
        };
        file.write_all(format!("{hash} {bytes} {} {}\n", self.target, path.display()).as_bytes())
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
        let known =
            |target: &str, path: &Path| LoadState::open(&state, target).unwrap().is_done(path);

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
}
