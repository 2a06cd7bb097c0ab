//! Trains the zstd dictionary of small payloads from synthetic bundles.
//!
//! `cargo run -p repository --example train_dictionary -- FOLDER OUT.dict`: FOLDER holds FHIR
//! bundles (`.json` or `.json.bz2`). **Synthetic data only**: a dictionary remembers what it saw.
//! Every second bundle trains; the others stay unseen, for honest figures.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use fhir::Tree;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(out)) = (arguments.next(), arguments.next()) else {
        return Err("usage: train_dictionary FOLDER OUT.dict".into());
    };
    let mut files: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    files.sort_by_key(std::fs::DirEntry::file_name);
    let mut per_type: HashMap<String, usize> = HashMap::new();
    let mut samples = Vec::new();
    for file in files.iter().step_by(2) {
        for (resource_type, sample) in samples_of(&file.path())? {
            let seen = per_type.entry(resource_type).or_default();
            *seen += 1;
            if seen.is_multiple_of(2) {
                samples.push(without_layout(&sample));
            } else {
                samples.push(sample);
            }
        }
    }
    println!("{} samples, {} types", samples.len(), per_type.len());
    let dictionary = zstd::dict::from_samples(&samples, DICTIONARY_BYTES_MAX)?;
    std::fs::write(&out, &dictionary)?;
    println!("{out}: {} bytes", dictionary.len());
    Ok(())
}

/// The resources of one bundle, as they would be stored.
fn samples_of(path: &Path) -> Outcome<Vec<(String, Vec<u8>)>> {
    let mut bytes = std::fs::read(path)?;
    if path.extension().is_some_and(|extension| extension == "bz2") {
        let packed = std::mem::take(&mut bytes);
        bzip2::read::BzDecoder::new(packed.as_slice()).read_to_end(&mut bytes)?;
    }
    let tree = Tree::parse(bytes).map_err(|issues| format!("{}: {issues:?}", path.display()))?;
    let Some(entries) = tree.root().get("entry") else { return Ok(Vec::new()) };
    let mut samples = Vec::new();
    for resource in entries.children().filter_map(|entry| entry.get("resource")) {
        let Some(resource_type) = resource.get("resourceType").and_then(|name| name.as_str())
        else {
            continue;
        };
        if let Some(sample) = as_stored(resource.raw()) {
            samples.push((resource_type.into_owned(), sample));
        }
    }
    Ok(samples)
}

/// With the server's `meta`, and local references resolved.
fn as_stored(raw: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(raw).ok()?;
    let text = text.replace("\"reference\": \"urn:uuid:", "\"reference\": \"Patient/");
    let meta = "\"meta\":{\"versionId\":\"1\",\"lastUpdated\":\"2026-11-21T10:00:00.123456Z\"";
    let text = match text.find("\"meta\": {") {
        Some(at) => format!("{}{meta},{}", &text[..at], &text[at + 9..]),
        None => text.replacen("{", &format!("{{{meta}}},"), 1),
    };
    Some(text.into_bytes())
}

/// Compact form, as most senders write it.
fn without_layout(sample: &[u8]) -> Vec<u8> {
    let mut compact = Vec::with_capacity(sample.len());
    let (mut in_string, mut escaped) = (false, false);
    for &byte in sample {
        if in_string || !byte.is_ascii_whitespace() {
            compact.push(byte);
        }
        let quote = byte == b'"' && !escaped;
        escaped = in_string && byte == b'\\' && !escaped;
        in_string ^= quote;
    }
    compact
}

const DICTIONARY_BYTES_MAX: usize = 64 * 1024;
