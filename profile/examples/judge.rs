//! Judges JSON resources: `judge FOLDER OUT [PACKAGE]`, one line a file, `name TAB valid|error TAB first errors`.
//!
//! The counterpart of `tests/validator`: the strict reader, R4's own rules, and the profiles that R4's package holds.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use fhir::{ReadLimits, Tree};
use profile::{Checks, Profiles, R4Codes, Validator, compile};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, out, rest @ ..] = arguments.as_slice() else {
        panic!("judge FOLDER OUT [PACKAGE]");
    };
    let profiles = rest.first().map(|package| load(Path::new(package))).unwrap_or_default();
    let mut text = String::new();
    for file in files(Path::new(folder)) {
        let bytes = std::fs::read(&file).expect("a file");
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let found = judge(bytes, &profiles);
        let verdict = if found.is_empty() { "valid" } else { "error" };
        let shown: Vec<String> = found.into_iter().take(4).collect();
        writeln!(text, "{name}\t{verdict}\t{}", shown.join(" ¦ ")).expect("text");
    }
    std::fs::write(out, text).expect("out");
}

fn judge(bytes: Vec<u8>, profiles: &Profiles) -> Vec<String> {
    let tree = match Tree::parse(bytes) {
        Ok(tree) => tree,
        Err(issues) => return issues.into_iter().map(|issue| issue.text).collect(),
    };
    let mut found: Vec<String> = fhir::check(tree.root(), &ReadLimits::default())
        .into_iter()
        .map(|issue| format!("{}: {}", issue.expression.unwrap_or_default(), issue.text))
        .collect();
    let checks = Checks { claims: true, ..Checks::default() };
    let findings = Validator::new(profiles, &R4Codes).validate(tree.root(), &checks).findings;
    found.extend(findings.into_iter().filter(profile::Finding::is_error).map(|finding| {
        format!("{}: {}", finding.issue.expression.unwrap_or_default(), finding.issue.text)
    }));
    found
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    found.sort();
    found
}

/// The constraining StructureDefinitions of R4's package, but for extensions, which the table has.
fn load(package: &Path) -> Profiles {
    let mut profiles = Profiles::default();
    let definitions = files(package).into_iter().filter(|file| {
        file.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("StructureDefinition-"))
    });
    for file in definitions {
        let Ok(tree) = Tree::parse(std::fs::read(file).expect("a file")) else { continue };
        let text = |key| tree.root().get(key).and_then(fhir::Node::as_str).unwrap_or_default();
        if text("derivation") != "constraint" || text("type") == "Extension" {
            continue;
        }
        match compile(tree.root()) {
            Ok(profile) => {
                for gap in profile.gaps() {
                    eprintln!("{}: {gap}", profile.url());
                }
                profiles.add(Arc::new(profile));
            }
            Err(error) => eprintln!("{}: {error}", text("url")),
        }
    }
    profiles
}
