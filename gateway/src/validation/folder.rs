//! The folder of profiles: StructureDefinitions as `.json`, packages as `.tgz`; other files are left alone.
//!
//! Dependencies of packages that are not in the folder are named in the log and are no reason not to start.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fhir::Tree;
use profile::Profiles;

use super::package;

/// Reads a folder, not its folders.
pub(super) fn read(folder: &Path) -> Result<Profiles, String> {
    let place = |path: &Path, what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let entries = fs::read_dir(folder).map_err(|error| place(folder, &error))?;
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(|error| place(folder, &error)))
        .collect::<Result<_, _>>()?;
    files.sort();
    let mut profiles = Profiles::default();
    let (mut packages, mut wanted) = (BTreeSet::new(), BTreeSet::new());
    for file in files {
        let extension = file.extension().and_then(|extension| extension.to_str());
        if !matches!(extension, Some("json" | "tgz")) {
            continue;
        }
        let length = fs::metadata(&file).map_err(|error| place(&file, &error))?.len();
        if length > FILE_BYTES_MAX {
            return Err(place(&file, &format!("is larger than {FILE_BYTES_MAX} bytes")));
        }
        let bytes = fs::read(&file).map_err(|error| place(&file, &error))?;
        if extension == Some("json") {
            add(&mut profiles, bytes).map_err(|error| place(&file, &error))?;
            continue;
        }
        let package = package::read(&bytes).map_err(|error| place(&file, &error))?;
        for (name, bytes) in package.definitions {
            if let Err(error) = add(&mut profiles, bytes) {
                tracing::warn!(package.file = %file.display(), definition.file = name, cause = %error, "a definition of a package is left out");
            }
        }
        packages.insert(package.name);
        wanted.extend(package.dependencies);
    }
    // R4 itself is built in.
    let missing: Vec<String> = wanted
        .into_iter()
        .filter(|name| !packages.contains(name) && !name.starts_with("hl7.fhir.r4.core"))
        .collect();
    if !missing.is_empty() {
        let names = missing.join(", ");
        tracing::warn!(
            packages.missing = names,
            "packages that others depend on are not in the folder of profiles"
        );
    }
    tracing::info!(profiles.count = profiles.len(), "profiles are loaded");
    Ok(profiles)
}

/// Adds a constraining StructureDefinition; other resources are left alone.
fn add(profiles: &mut Profiles, bytes: Vec<u8>) -> Result<(), String> {
    let tree = Tree::parse(bytes).map_err(|issues| {
        issues.into_iter().next().map_or_else(|| "is not JSON".to_owned(), |issue| issue.text)
    })?;
    let is = |key: &str, wanted: &str| {
        tree.root().get(key).and_then(fhir::Node::as_str).is_some_and(|text| text == wanted)
    };
    if !is("resourceType", "StructureDefinition") || !is("derivation", "constraint") {
        return Ok(());
    }
    let profile = profile::compile(tree.root()).map_err(|error| error.to_string())?;
    for gap in profile.gaps() {
        tracing::warn!(profile.url = profile.url(), gap, "a profile is checked in part");
    }
    profiles.add(Arc::new(profile));
    Ok(())
}

/// Largest file of the folder.
const FILE_BYTES_MAX: u64 = 256 << 20;
