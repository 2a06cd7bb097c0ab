//! FHIR packages: gzipped tar archives with `package/package.json` and definitions beside it.
//!
//! Spec: confluence.hl7.org "NPM Package Specification" (FHIR packages). Read in memory within limits; nothing is
//! written to disk, so names of entries lead nowhere.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::GzDecoder;
use tar::Archive;

/// What a package holds for validation.
pub(super) struct Package {
    pub(super) name: String,
    pub(super) dependencies: Vec<String>,
    /// File names with their bytes.
    pub(super) definitions: Vec<(String, Vec<u8>)>,
}

#[derive(serde::Deserialize)]
struct Manifest {
    name: String,
    #[serde(default)]
    dependencies: BTreeMap<String, String>,
}

/// Reads a package.
pub(super) fn read(bytes: &[u8]) -> Result<Package, String> {
    let mut archive = Archive::new(GzDecoder::new(bytes).take(UNPACKED_BYTES_MAX));
    let mut package =
        Package { name: String::new(), dependencies: Vec::new(), definitions: Vec::new() };
    let entries = archive.entries().map_err(|error| format!("is no package: {error}"))?;
    for (count, entry) in entries.enumerate() {
        if count >= ENTRIES_MAX {
            return Err(format!("has more than {ENTRIES_MAX} files"));
        }
        let entry = entry.map_err(|error| format!("is damaged or too large: {error}"))?;
        let path = entry.path().map_err(|error| format!("has a bad name: {error}"))?;
        let Some(name) = path.strip_prefix("package").ok().and_then(|name| name.to_str()) else {
            continue;
        };
        let name = name.to_owned();
        let is_definition = name.ends_with(".json") && !name.contains('/');
        if !is_definition || name.starts_with('.') {
            continue;
        }
        let mut bytes = Vec::new();
        let read = entry.take(ENTRY_BYTES_MAX).read_to_end(&mut bytes);
        read.map_err(|error| format!("{name} cannot be read: {error}"))?;
        if name == "package.json" {
            let manifest: Manifest = serde_json::from_slice(&bytes)
                .map_err(|error| format!("package.json is malformed: {error}"))?;
            package.name = manifest.name;
            package.dependencies = manifest.dependencies.into_keys().collect();
        } else {
            package.definitions.push((name, bytes));
        }
    }
    if package.name.is_empty() {
        return Err("has no package/package.json".to_owned());
    }
    Ok(package)
}

/// Unpacked size of a package.
const UNPACKED_BYTES_MAX: u64 = 1 << 30;
/// Files of a package.
const ENTRIES_MAX: usize = 50_000;
/// One file of it.
const ENTRY_BYTES_MAX: u64 = 64 << 20;
