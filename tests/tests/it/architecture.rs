//! Arrows between crates, purity by manifest, module headers and file sizes.

use std::fs;
use std::path::{Path, PathBuf};

/// Crates of each crate of ours that it may name, by level.
const ARROWS: &[(&str, &[&str])] = &[
    ("fhir", &[]),
    ("fhir-typed", &[]),
    ("ledger", &[]),
    ("fhirpath", &["fhir"]),
    ("profile", &["fhir", "fhirpath"]),
    ("terminology", &["fhir"]),
    ("policy", &["fhir"]),
    ("mediator", &["fhir"]),
    ("registry", &["fhir", "policy"]),
    ("repository", &["fhir"]),
    (
        "gateway",
        &[
            "fhir",
            "fhir-typed",
            "fhirpath",
            "policy",
            "profile",
            "mediator",
            "registry",
            "repository",
            "ledger",
            "terminology",
        ],
    ),
];

/// Crates that must stay pure: no runtime, no SQL, no clock, no randomness.
const PURE: &[&str] = &["fhir", "fhirpath", "policy", "profile", "mediator", "terminology"];
const IMPURE_DEPENDENCIES: &[&str] =
    &["tokio", "sqlx", "rusqlite", "reqwest", "actix-web", "rand", "getrandom", "chrono", "time"];
const CLOCK_WORDS: &[&str] = &["SystemTime::now", "Instant::now(", "std::fs::", "std::net::"];

/// A file longer than this wants a reason; tests and tables are not counted.
const LINES_MAX: usize = 450;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests has a parent").to_path_buf()
}

fn manifest_dependencies(name: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(name).join("Cargo.toml")).expect("manifest");
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line == "[dependencies]";
        } else if inside {
            let dependency = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if !dependency.is_empty() && !dependency.starts_with('#') {
                found.push(dependency.to_owned());
            }
        }
    }
    found
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn crates_name_only_crates_below_them() {
    let ours: Vec<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    for (name, allowed) in ARROWS {
        for dependency in manifest_dependencies(name) {
            let is_ours = ours.contains(&dependency.as_str());
            assert!(
                !is_ours || allowed.contains(&dependency.as_str()),
                "{name} must not depend on {dependency}"
            );
        }
    }
}

#[test]
fn pure_crates_have_no_runtime_no_sql_and_no_clock() {
    for name in PURE {
        for dependency in manifest_dependencies(name) {
            assert!(!IMPURE_DEPENDENCIES.contains(&dependency.as_str()), "{name}: {dependency}");
        }
        let mut files = Vec::new();
        rust_files(&root().join(name).join("src"), &mut files);
        assert!(!files.is_empty(), "{name} has sources");
        for file in files {
            let text = fs::read_to_string(&file).expect("source");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for word in CLOCK_WORDS {
                assert!(!code.contains(word), "{} uses {word}", file.display());
            }
        }
    }
}

#[test]
fn every_module_starts_with_a_header_and_stays_readable_in_size() {
    let mut long = Vec::new();
    for (name, _) in ARROWS {
        let mut files = Vec::new();
        rust_files(&root().join(name).join("src"), &mut files);
        for file in files {
            let text = fs::read_to_string(&file).expect("source");
            assert!(text.starts_with("//!"), "{} has no module header", file.display());
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            if code.lines().count() > LINES_MAX {
                long.push(format!("{}: {} lines", file.display(), code.lines().count()));
            }
        }
    }
    assert!(long.is_empty(), "split these files: {long:#?}");
}

/// A page of paths is worth reading as long as they lead somewhere. A name without a folder stands in that of the path before it.
#[test]
fn every_path_of_the_architecture_page_is_there() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the page");
    let prose: String = text.split("```").step_by(2).collect();
    let mut missing = Vec::new();
    let mut found = 0;
    for line in prose.lines() {
        let mut folder = root();
        for name in line.split('`').skip(1).step_by(2).filter(|name| is_path(name)) {
            for path in alternatives(name) {
                let beside = if path.contains('/') { root() } else { folder.clone() };
                let whole = beside.join(&path);
                let (parent, last) = (whole.parent().unwrap_or(&whole), path.rsplit('/').next());
                // `<code>.rs` is any file there, `params*` all that begin so.
                let stem = last.unwrap_or_default().split(['<', '*']).next().unwrap_or_default();
                let entries = fs::read_dir(parent).into_iter().flatten().flatten();
                let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
                let is_there = match path.contains(['<', '*']) {
                    true => names.into_iter().any(|name| name.starts_with(stem)),
                    false => whole.exists(),
                };
                found += usize::from(is_there);
                if !is_there {
                    missing.push(path.clone());
                }
                folder = parent.to_path_buf();
            }
        }
    }
    assert!(missing.is_empty(), "not there: {missing:?}");
    assert!(found > 50, "the page names its files: {found}");
}

fn is_path(name: &str) -> bool {
    name.ends_with(".rs") || name.contains('/') && !name.contains([' ', '$', '['])
}

/// `a/{b,c}.rs` → `a/b.rs`, `a/c.rs`.
fn alternatives(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
    let (list, after) = rest.split_once('}').expect("a brace is closed");
    list.split(',').flat_map(|one| alternatives(&format!("{before}{one}{after}"))).collect()
}

/// An operation may be the entry of a bundle: what it is asked stands in its call, not in the request around it.
#[test]
fn operations_never_look_at_the_http_request() {
    let mut looking = Vec::new();
    for folder in ["operation", "terminology"] {
        let mut files = Vec::new();
        rust_files(&root().join("gateway/src/http").join(folder), &mut files);
        assert!(files.len() > 5, "{folder} has its operations");
        for file in files.iter().filter(|file| !file.ends_with("operation/invoked.rs")) {
            let text = fs::read_to_string(file).expect("source");
            if text.contains("call.http") || text.contains("Path<") {
                looking.push(file.display().to_string());
            }
        }
    }
    assert!(looking.is_empty(), "ask the Call instead: {looking:#?}");
}

#[test]
fn only_fhir_typed_names_fhirbolt() {
    for (name, _) in ARROWS {
        let names_it = manifest_dependencies(name).iter().any(|d| d == "fhirbolt");
        assert_eq!(names_it, *name == "fhir-typed", "{name}");
    }
}
