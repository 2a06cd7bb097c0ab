//! Files to items: what there is to load, in which order, and what each piece is.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{BATCH_ENTRIES_MAX, FILE_BYTES_MAX, FOLDER_DEPTH_MAX};

/// What a piece of a file is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ItemKind {
    /// A batch or transaction Bundle, sent as it is.
    Bundle,
    /// Resources of a file, sent as one batch Bundle.
    Resources,
    /// One HL7 v2 message.
    Message,
}

/// One request's worth of a file.
#[derive(Clone, Debug)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// Body to send.
    pub body: Vec<u8>,
    /// First line of the file that it came from, from 1.
    pub line: usize,
    /// The resources (or the message) that it holds, in their order.
    pub parts: Vec<Part>,
}

/// One resource or message of an item, as its file has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Part {
    /// Line of the file, from 1.
    pub line: usize,
    /// Index in the file's Bundle, where it has one.
    pub entry: Option<usize>,
    /// Type of the resource; empty for a message.
    pub name: String,
}

/// What a file holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// What can be sent.
    pub items: Vec<Item>,
    /// Lines that cannot, each with the reason.
    pub broken: Vec<(usize, String)>,
}

/// Why a file could not be read as something to load.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The path is absent or may not be read.
    #[error("cannot read {}: {error}", path.display())]
    Io {
        /// Which path.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It unpacks to more than [`FILE_BYTES_MAX`].
    #[error("{} holds more than {} MiB", .0.display(), FILE_BYTES_MAX / 1_048_576)]
    TooLarge(PathBuf),
    /// It is neither FHIR JSON, NDJSON nor HL7 v2.
    #[error("{} at line {line}: {reason}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Which line.
        line: usize,
        /// Why, without content.
        reason: String,
    },
}

impl SourceError {
    /// Line of the file, and the reason without its path.
    pub fn place(self) -> (usize, String) {
        match self {
            Self::Io { error, .. } => (1, format!("cannot be read or unpacked: {error}")),
            Self::TooLarge(_) => (1, format!("holds more than {} MiB", FILE_BYTES_MAX / 1_048_576)),
            Self::Unreadable { line, reason, .. } => (line, reason),
        }
    }
}

/// All files below `paths`: Synthea's shared files first, then by name.
///
/// # Errors
/// [`SourceError::Io`] when a path is absent or a folder cannot be listed.
pub fn collect(paths: &[PathBuf]) -> Result<Vec<PathBuf>, SourceError> {
    let mut files = Vec::new();
    for path in paths {
        walk(path, 0, &mut files)?;
    }
    files.sort_by_cached_key(|path| (!is_shared(path), path.clone()));
    files.dedup();
    Ok(files)
}

/// Files that others refer to by conditional references.
pub fn is_shared(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    name.contains("hospitalinformation") || name.contains("practitionerinformation")
}

fn walk(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), SourceError> {
    let failed = |error| SourceError::Io { path: path.to_path_buf(), error };
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_file() {
        if depth == 0 || is_known(path) {
            files.push(path.to_path_buf());
        }
        return Ok(());
    }
    if depth >= FOLDER_DEPTH_MAX {
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(failed)? {
        let below = entry.map_err(failed)?.path();
        // What cannot be entered is listed all the same: reading it says why, and the rest goes on.
        if walk(&below, depth + 1, files).is_err() {
            files.push(below);
        }
    }
    Ok(())
}

fn is_known(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    let plain = PACKED.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    [".json", ".ndjson", ".jsonl", ".hl7", ".er7", ".v2"].iter().any(|end| plain.ends_with(end))
}

/// Unpacks `path` and cuts it into items. A line of NDJSON that is no resource does not hold up the others.
///
/// # Errors
/// [`SourceError`] with the place; nothing of the file is loaded then.
pub fn contents(path: &Path) -> Result<Contents, SourceError> {
    let bytes = unpack(path)?;
    let start = bytes.iter().position(|b| !b.is_ascii_whitespace() && *b != 0x0B);
    let Some(start) = start else { return Ok(Contents::default()) };
    let is = |segment: &&[u8; 3]| bytes[start..].starts_with(*segment);
    match bytes[start] {
        b'{' => json(path, &bytes),
        _ if [b"MSH", b"FHS", b"BHS"].iter().any(is) => {
            Ok(Contents { items: messages(&bytes), broken: Vec::new() })
        }
        _ if is_lines(path) => Ok(lines(&bytes)),
        _ => Err(SourceError::Unreadable {
            path: path.to_path_buf(),
            line: 1,
            reason: "neither FHIR JSON, NDJSON nor HL7 v2".into(),
        }),
    }
}

fn unpack(path: &Path) -> Result<Vec<u8>, SourceError> {
    let failed = |error| SourceError::Io { path: path.to_path_buf(), error };
    let file = io::BufReader::new(fs::File::open(path).map_err(failed)?);
    let reader: Box<dyn Read> = match path.extension().and_then(|e| e.to_str()) {
        Some("bz2") => Box::new(bzip2::read::MultiBzDecoder::new(file)),
        Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(file)),
        Some("zst") => Box::new(zstd::stream::read::Decoder::new(file).map_err(failed)?),
        _ => Box::new(file),
    };
    let mut bytes = Vec::new();
    reader.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(SourceError::TooLarge(path.to_path_buf()));
    }
    Ok(bytes)
}

/// A whole JSON document, or NDJSON: one resource a line.
fn json(path: &Path, bytes: &[u8]) -> Result<Contents, SourceError> {
    let broken = match fhir::Tree::parse(bytes.to_vec()) {
        Ok(tree) => return Ok(Contents { items: document(&tree), broken: Vec::new() }),
        Err(issues) => issues,
    };
    let first = bytes.split(|b| *b == b'\n').find(|line| !is_blank(line)).unwrap_or_default();
    if is_lines(path) || fhir::Tree::parse(first.to_vec()).is_ok() {
        return Ok(lines(bytes));
    }
    Err(SourceError::Unreadable { path: path.to_path_buf(), line: 1, reason: said(&broken) })
}

/// NDJSON by its name, also when no line of it can be read.
fn is_lines(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    let plain = PACKED.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    plain.ends_with(".ndjson") || plain.ends_with(".jsonl")
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

fn said(issues: &[fhir::Issue]) -> String {
    issues.first().map_or_else(|| "not JSON".into(), |issue| issue.text.clone())
}

/// One resource a line.
fn lines(bytes: &[u8]) -> Contents {
    let mut contents = Contents::default();
    let mut batch = Batch::default();
    for (line, text) in (1..).zip(bytes.split(|b| *b == b'\n')) {
        if is_blank(text) {
            continue;
        }
        match fhir::Tree::parse(text.to_vec()) {
            Ok(tree) => batch.push(tree.root(), line, None),
            // The reader counts lines from the one that it was given.
            Err(issues) => {
                contents.broken.push((line, said(&issues).replace("(line 1, column", "(column")));
            }
        }
        if batch.parts.len() == BATCH_ENTRIES_MAX {
            contents.items.extend(std::mem::take(&mut batch).finish());
        }
    }
    contents.items.extend(batch.finish());
    contents
}

/// Transactions and batches go as they are; other bundles resource by resource.
fn document(tree: &fhir::Tree) -> Vec<Item> {
    let root = tree.root();
    let is = |key: &str, wanted: &[&str]| {
        root.get(key).and_then(|n| n.as_str()).is_some_and(|t| wanted.contains(&t.as_ref()))
    };
    if !is("resourceType", &["Bundle"]) {
        let mut batch = Batch::default();
        batch.push(root, 1, None);
        return batch.finish().into_iter().collect();
    }
    let mut at = (0, 1);
    let entries: Vec<_> = root.get("entry").map(|e| e.children().collect()).unwrap_or_default();
    let entries = entries.into_iter().enumerate().map(|(entry, node)| {
        let start = node.span().start;
        let passed = tree.bytes()[at.0..start].iter().filter(|b| **b == b'\n').count();
        at = (start, at.1 + passed);
        (entry, at.1, node.get("resource"))
    });
    if is("type", &["transaction", "batch"]) {
        let parts = entries.map(|(entry, line, resource)| Part {
            line,
            entry: Some(entry),
            name: resource.map(name_of).unwrap_or_default(),
        });
        let parts = parts.collect();
        return vec![Item { kind: ItemKind::Bundle, body: tree.bytes().to_vec(), line: 1, parts }];
    }
    let mut items = Vec::new();
    let mut batch = Batch::default();
    for (entry, line, resource) in entries {
        let Some(resource) = resource else { continue };
        batch.push(resource, line, Some(entry));
        if batch.parts.len() == BATCH_ENTRIES_MAX {
            items.extend(std::mem::take(&mut batch).finish());
        }
    }
    items.extend(batch.finish());
    items
}

fn name_of(resource: fhir::Node<'_>) -> String {
    let name = resource.get("resourceType").and_then(|n| n.as_str());
    name.map(|name| name.into_owned()).unwrap_or_default()
}

/// A batch Bundle in the making: PUT where the resource has an id, so that loading twice changes nothing.
#[derive(Default)]
struct Batch {
    entries: Vec<u8>,
    parts: Vec<Part>,
}

impl Batch {
    fn push(&mut self, resource: fhir::Node<'_>, line: usize, entry: Option<usize>) {
        let name = name_of(resource);
        let id = resource.get("id").and_then(|n| n.as_str()).unwrap_or_default();
        let (method, url) = match id.is_empty() {
            true => ("POST", name.clone()),
            false => ("PUT", format!("{name}/{id}")),
        };
        if !self.parts.is_empty() {
            self.entries.push(b',');
        }
        self.entries.extend_from_slice(br#"{"resource":"#);
        self.entries.extend_from_slice(resource.raw());
        self.entries
            .extend_from_slice(format!(r#","request":{{"method":"{method}","url":"#).as_bytes());
        fhir::write_json_string(&url, &mut self.entries);
        self.entries.extend_from_slice(b"}}");
        self.parts.push(Part { line, entry, name });
    }

    /// The whole Bundle; nothing when nothing was pushed.
    fn finish(self) -> Option<Item> {
        let line = self.parts.first()?.line;
        let head = br#"{"resourceType":"Bundle","type":"batch","entry":["#.as_slice();
        let body = [head, &self.entries, b"]}"].concat();
        Some(Item { kind: ItemKind::Resources, body, line, parts: self.parts })
    }
}

/// Cuts a file at its MSH segments; batch envelopes (FHS, BHS, BTS, FTS) and framing bytes fall away.
fn messages(bytes: &[u8]) -> Vec<Item> {
    let mut found: Vec<Item> = Vec::new();
    for (line, segment) in (1..).zip(bytes.split(|b| matches!(b, b'\r' | b'\n'))) {
        let segment = trim_framing(segment);
        if segment.starts_with(b"MSH") {
            let body = Vec::with_capacity(512);
            let parts = vec![Part { line, entry: None, name: String::new() }];
            found.push(Item { kind: ItemKind::Message, body, line, parts });
        }
        let is_envelope =
            [b"FHS", b"BHS", b"BTS", b"FTS"].iter().any(|name| segment.starts_with(*name));
        let Some(message) = found.last_mut() else { continue };
        if !segment.is_empty() && !is_envelope {
            message.body.extend_from_slice(segment);
            message.body.push(b'\r');
        }
    }
    found
}

fn trim_framing(segment: &[u8]) -> &[u8] {
    let start = segment.iter().position(|b| *b != 0x0B).unwrap_or(segment.len());
    let end = segment.iter().rposition(|b| *b != 0x1C).map_or(start, |at| at + 1);
    &segment[start..end.max(start)]
}

const PACKED: [&str; 3] = [".bz2", ".gz", ".zst"];

#[cfg(test)]
mod tests;
