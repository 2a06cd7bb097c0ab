//! The reject file: one JSON line for each thing that was refused, with its place and reason.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// One refused thing.
#[derive(Clone, Debug, Serialize)]
pub struct Rejection {
    /// File it came from.
    pub file: PathBuf,
    /// Line in the file, from 1.
    pub line: usize,
    /// Index of the bundle's entry, from 0, where it was an entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<usize>,
    /// HTTP status or acknowledgement code.
    pub status: String,
    /// FHIRPath or HL7 v2 location, where the gateway named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What the gateway said.
    pub reason: String,
}

/// Appends rejections; made only when there is a first one.
pub struct RejectFile {
    path: PathBuf,
    file: Option<File>,
    count: usize,
}

impl RejectFile {
    /// Nothing is created yet.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_path_buf(), file: None, count: 0 }
    }

    /// Appends one line.
    ///
    /// # Errors
    /// When the file cannot be made or written: the load must stop, or rejections would be lost.
    pub fn write(&mut self, rejection: &Rejection) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(File::options().create(true).append(true).open(&self.path)?);
        }
        let mut line = serde_json::to_vec(rejection)?;
        line.push(b'\n');
        self.count += 1;
        match self.file.as_mut() {
            Some(file) => file.write_all(&line),
            None => Ok(()),
        }
    }

    /// Rejections written by this run.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Where they are.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
