//! Ratio and speed on synthetic resources that the dictionary has not seen.
//!
//! `cargo test --release -p repository --test it -- --ignored --nocapture figures`.

use std::io::Read;
use std::path::PathBuf;
use std::time::Instant;

use fhir::Tree;

use crate::{keyring, number, open, sealer, version};

#[test]
#[ignore = "a measurement: needs the shared data and a release build"]
fn figures_of_sealing_and_opening() {
    let Some(resources) = unseen_resources() else {
        println!("SKIPPED: no shared data; set SEALWAY_SHARED");
        return;
    };
    let (_, ada) = keyring().make("Patient/ada");
    let at = version("Observation/o1/_history/1");
    let sealer = sealer(&at.key, &[&ada]);
    let bytes: usize = resources.iter().map(Vec::len).sum();
    let seal = |resource: &Vec<u8>| sealer.seal(number(1), resource).expect("seals");
    let warm: Vec<_> = resources.iter().map(seal).collect();

    let started = Instant::now();
    let envelopes: Vec<_> = resources.iter().map(seal).collect();
    let sealing = started.elapsed();
    let started = Instant::now();
    for envelope in &envelopes {
        std::hint::black_box(open(envelope, &at, &[&ada]).expect("opens"));
    }
    let opening = started.elapsed();

    let sealed: usize = warm.iter().map(Vec::len).sum();
    let count = resources.len();
    let micros = |elapsed: std::time::Duration| elapsed.as_secs_f64() * 1e6;
    println!(
        "{count} resources, {} bytes each, sealed {} bytes each",
        bytes / count,
        sealed / count
    );
    println!("ratio {:.2}", bytes as f64 / sealed as f64);
    println!(
        "seal {:.2} us each, {:.2} us per KB",
        micros(sealing) / count as f64,
        micros(sealing) * 1024.0 / bytes as f64
    );
    println!(
        "open {:.2} us each, {:.2} us per KB",
        micros(opening) / count as f64,
        micros(opening) * 1024.0 / bytes as f64
    );
}

/// The resources of every second bundle, which did not train the dictionary.
fn unseen_resources() -> Option<Vec<Vec<u8>>> {
    let shared = std::env::var_os("SEALWAY_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let mut files: Vec<_> =
        std::fs::read_dir(shared.join("data/synthea")).ok()?.filter_map(Result::ok).collect();
    files.sort_by_key(std::fs::DirEntry::file_name);
    let mut resources = Vec::new();
    for file in files.iter().skip(1).step_by(2) {
        let packed = std::fs::read(file.path()).expect("reads");
        let mut bytes = Vec::new();
        bzip2::read::BzDecoder::new(packed.as_slice()).read_to_end(&mut bytes).expect("unpacks");
        let tree = Tree::parse(bytes).expect("parses");
        let entries = tree.root().get("entry").expect("a bundle");
        let each = entries.children().filter_map(|entry| entry.get("resource"));
        resources.extend(each.map(|resource| resource.raw().to_vec()));
    }
    Some(resources)
}
