//! Real documents: HL7's own R4 examples and Synthea's bundles.
//!
//! Neither lies in the repository. The examples are the unpacked npm package hl7.fhir.r4.examples 4.0.1, its folder
//! named by `SEALWAY_R4_EXAMPLES`; the bundles lie in `../shared` or where `SEALWAY_SHARED` says.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use fhir::{ReadLimits, Resource, read};

/// Examples that break R4, with the first issue that is found in each.
const REFUSED_EXAMPLES: &str = include_str!("refused_examples.txt");

fn limits() -> ReadLimits {
    ReadLimits { bytes_max: 200 << 20, ..ReadLimits::default() }
}

#[test]
fn the_official_examples_are_read_but_for_those_that_break_r4() {
    let Some(folder) = std::env::var_os("SEALWAY_R4_EXAMPLES").map(PathBuf::from) else {
        eprintln!(
            "SKIPPED: SEALWAY_R4_EXAMPLES does not name the unpacked hl7.fhir.r4.examples 4.0.1"
        );
        return;
    };
    let expected: BTreeMap<&str, &str> =
        REFUSED_EXAMPLES.lines().filter_map(|line| line.split_once(' ')).collect();
    let mut refused = BTreeMap::new();
    let mut seen = 0;
    for path in files(&folder, "json") {
        let bytes = fs::read(&path).expect("the example is readable");
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name == "package.json" || name.starts_with('.') {
            continue;
        }
        seen += 1;
        if let Err(issues) = read(bytes, &limits()) {
            let first = &issues[0];
            let place = first.expression.as_deref().unwrap_or("-");
            refused.insert(name, format!("{} {} {place}", issues.len(), first.code.code()));
        }
    }
    let shown: String = refused.iter().map(|(name, why)| format!("{name} {why}\n")).collect();
    if let Some(out) = std::env::var_os("SEALWAY_WRITE_REFUSED") {
        fs::write(out, &shown).expect("the list is written");
    }

    assert!(seen > 5000, "{seen} examples in {}", folder.display());
    let refused: BTreeMap<&str, &str> =
        refused.iter().map(|(name, why)| (name.as_str(), why.as_str())).collect();
    assert!(refused == expected, "the refused examples differ:\n{shown}");
}

#[test]
fn the_element_table_is_what_its_script_makes() {
    let Some(folder) = std::env::var_os("SEALWAY_R4_EXAMPLES") else {
        eprintln!(
            "SKIPPED: SEALWAY_R4_EXAMPLES does not name the unpacked hl7.fhir.r4.examples 4.0.1"
        );
        return;
    };
    let profiles = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fhir-profiles");
    let script = profiles.join("tools/build_element_table.py");

    let made = Command::new("python3").arg(script).arg(folder).output().expect("python3 runs");

    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let committed = fs::read(profiles.join("r4/elements.txt")).expect("the table is readable");
    assert!(made.stdout == committed, "run the script again and commit the table");
}

#[test]
fn all_synthea_bundles_are_read_and_their_resources_keep_their_bytes() {
    let folder = shared().join("data/synthea");
    if !folder.is_dir() {
        eprintln!("SKIPPED: no bundles in {}", folder.display());
        return;
    }
    let (mut bundles, mut entries) = (0, 0);
    for path in files(&folder, "bz2") {
        let mut bytes = Vec::new();
        let file = fs::File::open(&path).expect("the bundle is readable");
        bzip2::read::MultiBzDecoder::new(file).read_to_end(&mut bytes).expect("bzip2");

        let tree = read(bytes, &limits()).unwrap_or_else(|issues| panic!("{path:?}: {issues:#?}"));

        let bundle = fhir::Bundle::read(&tree).expect("a transaction");
        for entry in &bundle.entries {
            let node = entry.resource.expect("a resource");
            let resource = Resource::from_node(node).expect("a resource");
            assert_eq!(resource.bytes(), node.raw());
        }
        bundles += 1;
        entries += bundle.entries.len();
    }
    assert_eq!((bundles, entries), (85, 64_099));
}

fn shared() -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    std::env::var_os("SEALWAY_SHARED").map_or(beside, PathBuf::from)
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is readable");
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    found.sort();
    found
}
