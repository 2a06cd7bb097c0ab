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
    /// Resources (or messages) that it holds.
    pub count: usize,
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
    /// It is neither JSON, NDJSON nor HL7 v2.
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
        walk(&entry.map_err(failed)?.path(), depth + 1, files)?;
    }
    Ok(())
}

fn is_known(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    let plain = PACKED.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    [".json", ".ndjson", ".jsonl", ".hl7", ".er7", ".v2"].iter().any(|end| plain.ends_with(end))
}

/// Unpacks `path` and cuts it into items.
///
/// # Errors
/// [`SourceError`] with the place; nothing of the file is loaded then.
pub fn items(path: &Path) -> Result<Vec<Item>, SourceError> {
    let bytes = unpack(path)?;
    let start = bytes.iter().position(|b| !b.is_ascii_whitespace() && *b != 0x0B);
    let Some(start) = start else { return Ok(Vec::new()) };
    match bytes[start] {
        b'{' => json_items(path, &bytes),
        _ if [b"MSH", b"FHS", b"BHS"].iter().any(|s| bytes[start..].starts_with(*s)) => {
            Ok(messages(&bytes))
        }
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
fn json_items(path: &Path, bytes: &[u8]) -> Result<Vec<Item>, SourceError> {
    if let Ok(tree) = fhir::Tree::parse(bytes.to_vec()) {
        return Ok(document_items(&tree));
    }
    let mut batches = Vec::new();
    let mut batch = Batch::at(1);
    for (index, line) in bytes.split(|b| *b == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let tree = fhir::Tree::parse(line.to_vec()).map_err(|issues| SourceError::Unreadable {
            path: path.to_path_buf(),
            line: index + 1,
            reason: issues.first().map_or_else(|| "not JSON".into(), |i| i.text.clone()),
        })?;
        if batch.count == 0 {
            batch = Batch::at(index + 1);
        }
        batch.push(tree.root());
        if batch.count == BATCH_ENTRIES_MAX {
            batches.push(std::mem::replace(&mut batch, Batch::at(index + 2)).finish());
        }
    }
    if batch.count > 0 {
        batches.push(batch.finish());
    }
    Ok(batches)
}

/// Transactions and batches go as they are; other bundles resource by resource.
fn document_items(tree: &fhir::Tree) -> Vec<Item> {
    let root = tree.root();
    let is = |key: &str, wanted: &[&str]| {
        root.get(key).and_then(|n| n.as_str()).is_some_and(|t| wanted.contains(&t.as_ref()))
    };
    let entries: Vec<_> = root.get("entry").map(|e| e.children().collect()).unwrap_or_default();
    if is("resourceType", &["Bundle"]) && is("type", &["transaction", "batch"]) {
        let body = tree.bytes().to_vec();
        return vec![Item { kind: ItemKind::Bundle, body, line: 1, count: entries.len() }];
    }
    if !is("resourceType", &["Bundle"]) {
        let mut batch = Batch::at(1);
        batch.push(root);
        return vec![batch.finish()];
    }
    let resources: Vec<_> = entries.iter().filter_map(|e| e.get("resource")).collect();
    resources
        .chunks(BATCH_ENTRIES_MAX)
        .map(|chunk| {
            let mut batch = Batch::at(1);
            chunk.iter().for_each(|resource| batch.push(*resource));
            batch.finish()
        })
        .collect()
}

/// A batch Bundle in the making: PUT where the resource has an id, so that loading twice changes nothing.
struct Batch {
    body: Vec<u8>,
    line: usize,
    count: usize,
}

impl Batch {
    fn at(line: usize) -> Self {
        let body = br#"{"resourceType":"Bundle","type":"batch","entry":["#.to_vec();
        Self { body, line, count: 0 }
    }

    fn push(&mut self, resource: fhir::Node<'_>) {
        let text = |key: &str| {
            resource.get(key).and_then(|n| n.as_str()).map(|t| t.into_owned()).unwrap_or_default()
        };
        let (name, id) = (text("resourceType"), text("id"));
        let (method, url) = match id.is_empty() {
            true => ("POST", name),
            false => ("PUT", format!("{name}/{id}")),
        };
        if self.count > 0 {
            self.body.push(b',');
        }
        self.body.extend_from_slice(br#"{"resource":"#);
        self.body.extend_from_slice(resource.raw());
        self.body
            .extend_from_slice(format!(r#","request":{{"method":"{method}","url":"#).as_bytes());
        fhir::write_json_string(&url, &mut self.body);
        self.body.extend_from_slice(b"}}");
        self.count += 1;
    }

    fn finish(mut self) -> Item {
        self.body.extend_from_slice(b"]}");
        Item { kind: ItemKind::Resources, body: self.body, line: self.line, count: self.count }
    }
}

/// Cuts a file at its MSH segments; batch envelopes (FHS, BHS, BTS, FTS) and framing bytes fall away.
fn messages(bytes: &[u8]) -> Vec<Item> {
    let mut found: Vec<Item> = Vec::new();
    for (line, segment) in (1..).zip(bytes.split(|b| matches!(b, b'\r' | b'\n'))) {
        let segment = trim_framing(segment);
        if segment.starts_with(b"MSH") {
            let body = Vec::with_capacity(512);
            found.push(Item { kind: ItemKind::Message, body, line, count: 1 });
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
mod tests {
    use super::*;

    fn file(name: &str, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("temp folder");
        let path = folder.path().join(name);
        fs::write(&path, content).expect("written");
        (folder, path)
    }

    #[test]
    fn a_feed_is_cut_at_its_headers_and_keeps_its_lines() {
        let feed = b"FHS|^~\\&\nBHS|^~\\&\nMSH|^~\\&|A\nPID|1\n\n\x0bMSH|^~\\&|B\rPID|2\r\x1c\rBTS|2\nFTS|1\n";
        let (_folder, path) = file("feed.hl7", feed);

        let items = items(&path).expect("readable");

        assert_eq!(items.len(), 2);
        assert_eq!(items[0].body, b"MSH|^~\\&|A\rPID|1\r");
        assert_eq!(items[1].body, b"MSH|^~\\&|B\rPID|2\r");
        assert_eq!((items[0].line, items[1].line), (3, 6));
    }

    #[test]
    fn ndjson_becomes_batches_that_put_what_has_an_id() {
        let lines =
            b"{\"resourceType\":\"Patient\",\"id\":\"a\"}\n\n{\"resourceType\":\"Patient\"}\n";
        let (_folder, path) = file("patients.ndjson", lines);

        let items = items(&path).expect("readable");

        let body = String::from_utf8(items[0].body.clone()).expect("utf-8");
        assert_eq!((items.len(), items[0].count), (1, 2));
        assert!(body.contains(r#""method":"PUT","url":"Patient/a""#), "{body}");
        assert!(body.contains(r#""method":"POST","url":"Patient""#), "{body}");
    }

    #[test]
    fn a_broken_line_is_named_and_nothing_of_the_file_is_loaded() {
        let (_folder, path) =
            file("p.ndjson", b"{\"resourceType\":\"Patient\"}\n{\"resourceType\":\n");

        let error = items(&path).expect_err("second line is cut");

        assert!(matches!(error, SourceError::Unreadable { line: 2, .. }), "{error}");
    }

    #[test]
    fn shared_synthea_files_go_first_whatever_their_names() {
        let folder = tempfile::tempdir().expect("temp folder");
        for name in ["a.json", "zhospitalInformation1.json.bz2", "note.pdf", "feed.hl7"] {
            fs::write(folder.path().join(name), b"{}").expect("written");
        }

        let files = collect(&[folder.path().to_path_buf()]).expect("listed");

        let names: Vec<_> = files.iter().filter_map(|f| f.file_name()?.to_str()).collect();
        assert_eq!(names, ["zhospitalInformation1.json.bz2", "a.json", "feed.hl7"]);
    }

    #[test]
    fn packed_files_are_unpacked_by_their_name() {
        let plain = br#"{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}]}"#;
        let packed = zstd::encode_all(&plain[..], 3).expect("packs");
        let (_folder, path) = file("b.json.zst", &packed);

        let items = items(&path).expect("readable");

        assert_eq!((items[0].kind, items[0].count), (ItemKind::Bundle, 1));
        assert_eq!(items[0].body, plain);
    }
}
