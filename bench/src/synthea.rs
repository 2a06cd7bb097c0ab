//! Synthea's bundles, and what of them is worth searching for.
//!
//! Files that start with `0-`, or name hospitals or practitioners, go first: the others refer to what is in them.
//! Values to search for come from the files, so that every server is asked the same. Not here: sending (`workload`).

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;

/// One bundle, ready to send.
#[derive(Debug)]
pub struct SyntheaBundle {
    /// Name of its file.
    pub name: String,
    /// The JSON.
    pub body: Vec<u8>,
    /// Number of entries.
    pub entries: u64,
}

/// Everything to load.
#[derive(Debug, Default)]
pub struct Synthea {
    /// Hospitals and practitioners, in order.
    pub first: Vec<SyntheaBundle>,
    /// One bundle for each patient, ordered by file name.
    pub patients: Vec<SyntheaBundle>,
}

/// What identifies one patient of the data.
#[derive(Clone, Debug)]
pub struct KnownPatient {
    /// Value of the identifier in Synthea's system, with the system before a bar.
    pub identifier: String,
    /// Family name.
    pub family: String,
    /// First given name.
    pub given: String,
    /// `YYYY-MM-DD`.
    pub birth_date: String,
    /// First address: city and state.
    pub city: String,
}

#[derive(Deserialize)]
struct Counted {
    #[serde(default)]
    entry: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Opened {
    entry: Vec<OpenedEntry>,
}

#[derive(Deserialize)]
struct OpenedEntry {
    resource: Value,
}

impl Synthea {
    /// Reads a folder, with at most `limit` patients.
    ///
    /// # Errors
    /// When a file cannot be read or is no bundle.
    pub fn read(folder: &Path, limit: Option<usize>) -> Result<Self, String> {
        let error = |error: std::io::Error| format!("{}: {error}", folder.display());
        let entries = fs::read_dir(folder).map_err(error)?;
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| {
            let name = path.to_string_lossy();
            name.ends_with(".json") || name.ends_with(".json.bz2")
        });
        paths.sort();
        let (first, mut patients): (Vec<_>, Vec<_>) =
            paths.into_iter().partition(|path: &PathBuf| is_first(path));
        patients.truncate(limit.unwrap_or(usize::MAX));
        let read = |paths: Vec<PathBuf>| -> Result<Vec<SyntheaBundle>, String> {
            paths.iter().map(|path| read_bundle(path)).collect()
        };
        Ok(Self { first: read(first)?, patients: read(patients)? })
    }

    /// The patients of the bundles.
    pub fn known_patients(&self) -> Vec<KnownPatient> {
        self.patients.iter().filter_map(known_patient).collect()
    }
}

fn is_first(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase());
    name.is_some_and(|name| {
        name.starts_with("0-") || name.contains("hospitalinfo") || name.contains("practitionerinfo")
    })
}

fn read_bundle(path: &Path) -> Result<SyntheaBundle, String> {
    let error = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let bytes = fs::read(path).map_err(|e| error(&e))?;
    let mut body = Vec::new();
    if path.extension().is_some_and(|extension| extension == "bz2") {
        let mut decoder = bzip2::read::BzDecoder::new(bytes.as_slice());
        decoder.read_to_end(&mut body).map_err(|e| error(&e))?;
    } else {
        body = bytes;
    }
    let counted: Counted = serde_json::from_slice(&body).map_err(|e| error(&e))?;
    let name = path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
    Ok(SyntheaBundle { name, body, entries: counted.entry.len() as u64 })
}

fn known_patient(bundle: &SyntheaBundle) -> Option<KnownPatient> {
    let opened: Opened = serde_json::from_slice(&bundle.body).ok()?;
    let is_patient = |entry: &&OpenedEntry| entry.resource["resourceType"] == "Patient";
    let patient = &opened.entry.iter().find(is_patient)?.resource;
    let identifier = &patient["identifier"][0];
    let (system, value) = (identifier["system"].as_str()?, identifier["value"].as_str()?);
    let name = &patient["name"][0];
    Some(KnownPatient {
        identifier: format!("{system}|{value}"),
        family: name["family"].as_str()?.to_owned(),
        given: name["given"][0].as_str()?.to_owned(),
        birth_date: patient["birthDate"].as_str()?.to_owned(),
        city: patient["address"][0]["city"].as_str().unwrap_or("Boston").to_owned(),
    })
}
