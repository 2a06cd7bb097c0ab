//! Every message of the shared corpus ends in a definite state, and the hand-written rows hold.
//!
//! The corpus lies outside the repository (`../shared/corpus`, or `SEALWAY_SHARED`); without it these tests say so and pass.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use mediator::{
    Context, Conversion, ConvertError, Disposition, RuleSet, Site, Source, convert,
    hl7v2::{ack, batch, header::Header},
};

const SOURCE: Source<'static> = Source {
    raw: "Binary/5f1c0d6e-0000-8000-8000-000000000001",
    recorded: "2026-03-01T12:00:00.000000Z",
    device: "Device/gateway",
};

fn corpus() -> Option<PathBuf> {
    let shared = std::env::var_os("SEALWAY_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let found = shared.join("corpus/hl7v2");
    if found.is_dir() {
        return Some(found);
    }
    eprintln!("SKIPPED: no corpus at {} (set SEALWAY_SHARED)", found.display());
    None
}

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        fs::read_dir(folder).expect("readable").map(|e| e.expect("readable").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|e| e == "hl7") {
            out.push(path);
        }
    }
}

fn tolerant_site() -> Site {
    let ids = ["P", "T", "D", "N"].map(str::to_owned).to_vec();
    Site { processing_ids: ids, ..Site::default() }
}

fn end(result: &Result<Conversion, ConvertError>) -> (&'static str, String) {
    match result {
        Ok(_) => ("applied", String::new()),
        Err(error) => {
            let state = match error.disposition() {
                Disposition::Filtered => "filtered",
                Disposition::Quarantined => "quarantined",
                Disposition::Rejected => "rejected",
            };
            (state, error.reason.slug().to_owned())
        }
    }
}

fn kind(bytes: &[u8]) -> String {
    Header::read(bytes).map_or_else(
        || "(no MSH)".to_owned(),
        |h| format!("{}^{}", h.message_type(1), h.message_type(2)),
    )
}

#[test]
fn every_corpus_message_ends_in_a_definite_state() {
    let Some(folder) = corpus() else { return };
    let mut paths = Vec::new();
    files(&folder, &mut paths);
    let rules = RuleSet::base();
    let site = tolerant_site();
    let context = Context { site: &site, source: Some(SOURCE) };
    let mut table: BTreeMap<(String, &str, String), usize> = BTreeMap::new();
    let (mut mapped, mut ignored, mut left) = (0, 0, 0);
    let mut left_over: BTreeMap<String, usize> = BTreeMap::new();
    let mut warnings: BTreeMap<&str, usize> = BTreeMap::new();
    let mut slowest = (Duration::ZERO, PathBuf::new());
    for path in &paths {
        let bytes = fs::read(path).expect("readable");
        let parts = batch::split(&bytes);
        let mut messages: Vec<&[u8]> = parts.messages.into_iter().map(|r| &bytes[r]).collect();
        if messages.is_empty() {
            messages.push(&bytes);
        }
        for message in messages {
            let started = Instant::now();
            let result = convert(message, &context, &rules);
            let took = started.elapsed();
            if took > slowest.0 {
                slowest = (took, path.clone());
            }
            assert!(took < Duration::from_secs(5), "{} took {took:?}", path.display());
            let (state, reason) = end(&result);
            *table.entry((kind(message), state, reason)).or_default() += 1;
            if let Ok(conversion) = result {
                check_bundle(&conversion, path);
                let again = convert(message, &context, &rules).expect("as before");
                assert_eq!(again.bundle(), conversion.bundle(), "{}", path.display());
                let totals = conversion.account.totals();
                mapped += totals.mapped;
                ignored += totals.ignored;
                left += totals.left_over;
                for (place, fate) in conversion.account.atoms() {
                    if fate == mediator::Fate::LeftOver {
                        let name = format!("{}-{}", place.name(), place.field);
                        *left_over.entry(name).or_default() += 1;
                    }
                }
                for warning in &conversion.warnings {
                    *warnings.entry(warning.code).or_default() += 1;
                }
            }
        }
    }
    println!("{} files", paths.len());
    for ((kind, state, reason), count) in &table {
        println!("{count:5}  {kind:12} {state:12} {reason}");
    }
    println!("atoms: {mapped} mapped, {ignored} ignored, {left} left over");
    let mut top: Vec<_> = left_over.into_iter().collect();
    top.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    println!("left over: {:?}", &top[..top.len().min(60)]);
    println!("warnings: {warnings:?}");
    println!("slowest: {:?} {}", slowest.0, slowest.1.display());
}

fn check_bundle(conversion: &Conversion, path: &Path) {
    let bundle = conversion.bundle();
    let tree = fhir::read(bundle, &fhir::ReadLimits::default())
        .unwrap_or_else(|e| panic!("{}: {e:?}", path.display()));
    let entries = tree.root().get("entry").expect("entries");
    let mut ids = std::collections::HashSet::new();
    for entry in entries.items() {
        let resource = entry.get("resource").expect("a resource");
        let text = |key| resource.get(key).and_then(fhir::Node::as_str).expect("text").into_owned();
        let key = format!("{}/{}", text("resourceType"), text("id"));
        assert!(ids.insert(key.clone()), "{} twice in {}", key, path.display());
    }
    for draft in &conversion.drafts {
        let tree = fhir::Tree::parse(draft.body.clone()).expect("valid");
        for reference in fhir::references(tree.root()) {
            let known = ids.contains(&*reference.text)
                || reference.text.starts_with(SOURCE.raw)
                || reference.text.starts_with(SOURCE.device);
            assert!(known, "{} dangles in {}", reference.text, path.display());
        }
    }
}

#[test]
fn the_hand_written_rows_hold() {
    let Some(folder) = corpus() else { return };
    let folder = folder.join("edge-authored");
    let table = fs::read_to_string(folder.join("EXPECTED.csv")).expect("readable");
    let rules = RuleSet::base();
    let site = Site::default();
    let context = Context { site: &site, source: Some(SOURCE) };
    let mut failures = Vec::new();
    let mut held = 0;
    for line in table.lines().skip(1) {
        let cells: Vec<&str> = line.splitn(6, ',').collect();
        let [file, row_kind, _, wanted, wanted_ack, _] = cells[..] else { panic!("{line}") };
        let bytes = fs::read(folder.join(file)).expect("readable");
        if row_kind != "message" || file.starts_with("siu_") || file.starts_with("a47_") {
            continue;
        }
        let result = convert(&bytes, &context, &rules);
        let (state, reason) = end(&result);
        let verdict = match &result {
            Ok(_) => ack::Verdict::Accepted,
            Err(error) => error.disposition().into(),
        };
        let code = Header::read(&bytes).map_or(Some(verdict.code().as_str()), |header| {
            ack::wanted(&header, verdict).first.map(ack::AckCode::as_str)
        });
        let state_holds = match wanted {
            "quarantine" | "quarantine-or-site-default" => state == "quarantined",
            "reject-or-site" => state == "rejected",
            _ => state == "applied",
        };
        let ack_holds = code.unwrap_or("(none)") == wanted_ack;
        if state_holds && ack_holds {
            held += 1;
        } else {
            failures.push(format!(
                "{file}: wanted {wanted}/{wanted_ack}, got {state} {reason}/{code:?}"
            ));
        }
    }
    println!("{held} rows hold");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
