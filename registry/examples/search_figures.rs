//! Figures of the search executor alone: CPU time a search, by class, over Synthea's bundles on SQLite, or
//! on the empty database that `DATABASE_URL` names (CPU is then the client's only).
//!
//! `cargo run --release -p registry --example search_figures [COPIES] [BUNDLES]`: loads COPIES copies of the
//! bundles (ids of the second and further copies differ) and prints wall and CPU time a search. No
//! HTTP, no payload decoding; payloads are a quarter of the JSON, about what compression leaves. `FULL_TEXT` is the
//! setting of the words (`off`, `narrative`, `all`).

#![expect(clippy::unwrap_used, reason = "a figure that cannot be made is not printed")]
#![expect(clippy::too_many_lines, reason = "the list of classes")]

use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant as Stopwatch;

use fhir::{
    FullText, Instant, ResourceKey, ResourceType, SearchParams, Tree, VersionId,
    patient_compartment, sort_time,
};
use policy::Permit;
use registry::index::index_rows_with;
use registry::postgres::{PostgresOptions, PostgresStore};
use registry::search::{ParseOptions, parse, with_params};
use registry::sqlite::{SqliteOptions, SqliteStore};
use registry::store::Store;
use registry::write_set::{Action, Finish, Finished, Write, WriteSet};
use serde_json::Value as Json;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse().unwrap());
    let copies = arguments.next().unwrap_or(1);
    let bundles = arguments.next().unwrap_or(usize::MAX);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let now = AtomicI64::new(1_767_225_600_000_000);
    let clock = Arc::new(move || Instant::from_micros(now.fetch_add(1, Ordering::Relaxed)));
    let full_text = std::env::var("FULL_TEXT").map_or(FullText::Off, |name| {
        FullText::parse(&name).expect("FULL_TEXT is off, narrative or all")
    });
    let params = Arc::new(SearchParams::default().with_full_text(full_text));
    let store: Arc<dyn Store> = match std::env::var("DATABASE_URL") {
        Ok(url) => {
            let mut options = PostgresOptions::new(url, clock);
            options.full_text = full_text;
            Arc::new(runtime.block_on(PostgresStore::connect(options)).unwrap())
        }
        Err(_) => {
            let mut options = SqliteOptions::new(&path, clock);
            options.full_text = full_text;
            Arc::new(SqliteStore::open(options).unwrap())
        }
    };
    let store = &*store;
    let resources = synthea(bundles);
    let (started, cpu) = (Stopwatch::now(), cpu_ns());
    for copy in 0..copies {
        load(store, &resources, copy, &params, &runtime);
    }
    let cpu = (cpu_ns() - cpu) / 1_000 / u64::try_from(resources.len() * copies).unwrap();
    let seconds = started.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(&path).map_or(0, |file| file.len());
    let count = resources.len() * copies;
    println!("{count} resources in {seconds:.1} s, {cpu} µs CPU each, {} MiB", bytes >> 20);
    println!("{:24} {:>6} {:>9} {:>9} {:>9}", "class", "hits", "p50 µs", "p95 µs", "CPU µs");
    for (class, queries) in classes(&resources) {
        measure(store, class, &queries, &params, &runtime);
    }
    if full_text == FullText::All {
        for (class, queries) in WORDS {
            let queries: Vec<_> = queries.iter().map(|query| (*query).to_owned()).collect();
            measure(store, class, &queries, &params, &runtime);
        }
    }
}

/// Searches by words: of few, of many, of what nobody has.
const WORDS: [(&str, &[&str]); 6] = [
    ("words-frequent", &["Observation?_content=blood"]),
    ("words-frequent-page-200", &["Observation?_content=blood&_count=200"]),
    ("words-two-and-phrase", &["Condition?_content=%22chronic sinusitis%22 disorder"]),
    ("words-not", &["Observation?_content=blood NOT pressure"]),
    ("words-nothing", &["Observation?_content=nosuchword"]),
    ("words-chain", &["Observation?subject:Patient._content=boston&_content=glucose"]),
];

fn measure(
    store: &dyn Store,
    class: &str,
    queries: &[String],
    params: &Arc<SearchParams>,
    runtime: &tokio::runtime::Runtime,
) {
    let permit = Permit::maintenance();
    let run = |text: &String| {
        let (of, query) = text.split_once('?').unwrap();
        let options = ParseOptions {
            base_url: "http://localhost/fhir",
            lenient: false,
            now_us: 0,
            codes: None,
        };
        let of = ResourceType::parse(of).unwrap();
        let query = with_params(params, || parse(of, query, &options)).unwrap();
        let started = Stopwatch::now();
        let page = runtime.block_on(store.search(&permit, &query));
        let took = started.elapsed().as_nanos();
        match page {
            Ok(page) => (took, page.hits.len()),
            Err(error) => panic!("{text}: {error}"),
        }
    };
    for query in queries {
        run(query);
    }
    let rounds = 400_usize.div_ceil(queries.len());
    let cpu = cpu_ns();
    let mut taken: Vec<_> = (0..rounds).flat_map(|_| queries.iter().map(run)).collect();
    let cpu = (cpu_ns() - cpu) / u64::try_from(taken.len()).unwrap();
    let hits = taken.iter().map(|(_, hits)| hits).sum::<usize>() / taken.len();
    taken.sort_unstable();
    let at = |part: usize| taken[taken.len() * part / 100].0 / 1_000;
    println!("{class:24} {hits:>6} {:>9} {:>9} {:>9}", at(50), at(95), cpu / 1_000);
    if std::env::var_os("EACH").is_some() {
        for query in queries {
            let (took, hits) = run(query);
            println!("    {:>7} µs {hits:>4}  {query}", took / 1_000);
        }
    }
}

/// Nanoseconds on a processor, all threads together.
fn cpu_ns() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let one = |path: PathBuf| std::fs::read_to_string(path.join("schedstat")).unwrap_or_default();
    let texts = tasks.map(|task| one(task.unwrap().path()));
    texts.filter_map(|text| text.split(' ').next()?.parse::<u64>().ok()).sum()
}

/// The search families of the peer comparison, eight values each.
fn classes(resources: &[Json]) -> Vec<(&'static str, Vec<String>)> {
    let of = |name: &'static str| resources.iter().filter(move |json| json["resourceType"] == name);
    let spread = |all: Vec<String>, n: usize| {
        let step = (all.len() / n).max(1);
        all.into_iter().step_by(step).take(n).collect::<Vec<_>>()
    };
    let text = |node: &Json| node.as_str().unwrap_or_default().to_owned();
    let patients = spread(of("Patient").map(|p| text(&p["id"])).collect(), 8);
    let families: Vec<_> = of("Patient").map(|p| text(&p["name"][0]["family"])).collect();
    let families = spread(families, 8);
    let births = spread(of("Patient").map(|p| text(&p["birthDate"])).collect(), 8);
    let identifiers = of("Patient").map(|p| {
        format!("{}|{}", text(&p["identifier"][0]["system"]), text(&p["identifier"][0]["value"]))
    });
    let identifiers = spread(identifiers.collect(), 8);
    let codes = ["8302-2", "29463-7", "8867-4", "2339-0", "718-7", "6690-2", "8310-5", "4548-4"];
    let each = |all: &[String], shape: &str| {
        all.iter().map(|value| shape.replace("{}", value)).collect::<Vec<_>>()
    };
    let loinc: Vec<_> = codes.iter().map(|code| (*code).to_owned()).collect();
    let years: Vec<_> = (2010..2018).map(|year| year.to_string()).collect();
    let pairs: Vec<_> = patients.iter().zip(codes).collect();
    let pair = |(patient, code): &(&String, &str)| {
        format!("Observation?patient={patient}&code=http://loinc.org|{code}")
    };
    vec![
        ("patient-name", each(&families, "Patient?name={}")),
        ("patient-birthdate", each(&births, "Patient?birthdate=ge{}")),
        ("patient-birthdate-eq", each(&births, "Patient?birthdate={}")),
        ("patient-identifier", each(&identifiers, "Patient?identifier={}")),
        ("obs-patient-code", pairs.iter().map(pair).collect()),
        ("obs-code", each(&loinc, "Observation?code={}")),
        ("obs-code-no-total", each(&loinc, "Observation?code={}&_total=none")),
        ("obs-code-value", each(&loinc, "Observation?code={}&value-quantity=gt100")),
        (
            "obs-code-value-date",
            each(&loinc, "Observation?code={}&value-quantity=gt10&date=ge2015"),
        ),
        ("enc-include", each(&patients, "Encounter?patient={}&_include=Encounter:subject")),
        (
            "enc-include-2",
            each(
                &patients,
                "Encounter?patient={}&_include=Encounter:service-provider&_include=Encounter:participant",
            ),
        ),
        ("patient-has", each(&loinc, "Patient?_has:Observation:patient:code={}")),
        (
            "cond-sort",
            vec!["Condition?_sort=-onset-date".into(), "Condition?_sort=onset-date".into()],
        ),
        ("cond-sort-recorded", vec!["Condition?_sort=-recorded-date".into()]),
        ("obs-chain", each(&families, "Observation?subject:Patient.name={}")),
        ("obs-chain-gender", vec!["Observation?subject:Patient.gender=female".into()]),
        ("pat-revinclude", each(&patients, "Patient?_id={}&_revinclude=Condition:patient")),
        ("obs-date-range", {
            let next = |year: &String| (year.parse::<i32>().unwrap() + 1).to_string();
            years.iter().map(|y| format!("Observation?date=ge{y}&date=lt{}", next(y))).collect()
        }),
        ("obs-date-future", vec!["Observation?date=ge2070&code=8302-2".into()]),
        ("obs-date-day", each(&years, "Observation?date={}-05-05")),
        (
            "obs-cat-sort",
            ["laboratory", "vital-signs", "survey", "social-history"]
                .map(|code| format!("Observation?category={code}&_sort=-date"))
                .to_vec(),
        ),
        ("obs-cat-status", vec!["Observation?category=laboratory&status=final".into()]),
        ("obs-count-only", each(&loinc, "Observation?code={}&_summary=count")),
        (
            "obs-or-1500",
            vec![{
                let many: Vec<_> = (0..1_496).map(|at| format!("none{at}")).collect();
                format!("Observation?code={},8302-2,29463-7,718-7,4548-4", many.join(","))
            }],
        ),
        ("patient-all-sort-name", vec!["Patient?_sort=family,given".into()]),
        ("patient-sort-birthdate", vec!["Patient?_sort=birthdate".into()]),
        ("obs-last-updated", vec!["Observation?_sort=-_lastUpdated".into()]),
        ("obs-nothing", vec!["Observation?code=none&date=ge2010".into()]),
    ]
}

fn load(
    store: &dyn Store,
    all: &[Json],
    copy: usize,
    params: &SearchParams,
    runtime: &tokio::runtime::Runtime,
) {
    let base = "http://localhost/fhir";
    let suffix = if copy == 0 { String::new() } else { format!("-{copy}") };
    for chunk in all.chunks(500) {
        let mut writes = Vec::with_capacity(chunk.len());
        for json in chunk {
            let mut json = json.clone();
            if copy > 0 {
                rename(&mut json, &suffix);
            }
            let of = ResourceType::parse(json["resourceType"].as_str().unwrap()).unwrap();
            let key =
                ResourceKey::parse(&format!("{of}/{}", json["id"].as_str().unwrap())).unwrap();
            let bytes = json.to_string().into_bytes();
            let payload = bytes[..bytes.len() / 4].to_vec();
            let tree = Tree::parse(bytes).unwrap();
            let node = tree.root();
            writes.push(Write {
                previous: None,
                action: Action::Create,
                finish: std::sync::Arc::new(Payload(payload)),
                rows: index_rows_with(node, of, base, store.index_key(), params),
                patients: patient_compartment(node, &key, base),
                sort_us: sort_time(node, of),
                key,
            });
        }
        let set = WriteSet {
            writes,
            depends: Vec::new(),
            new_keys: Vec::new(),
            idempotency: None,
            access: None,
            reads: Vec::new(),
            erasing: None,
        };
        runtime.block_on(store.commit(set)).unwrap();
    }
}

fn rename(node: &mut Json, suffix: &str) {
    match node {
        Json::Array(items) => items.iter_mut().for_each(|item| rename(item, suffix)),
        Json::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                match value {
                    Json::String(text) if name == "reference" && text.contains('/') => {
                        text.push_str(suffix);
                    }
                    Json::String(text) if name == "id" && text.len() > 20 => text.push_str(suffix),
                    _ => rename(value, suffix),
                }
            }
        }
        _ => {}
    }
}

struct Payload(Vec<u8>);

impl Finish for Payload {
    fn finish(&self, _version: VersionId, _updated: Instant) -> Finished {
        Finished { payload: self.0.clone(), entry: [7; 36], salt_id: [9; 16] }
    }
}

fn synthea(bundles: usize) -> Vec<Json> {
    let root = std::env::var_os("SEALWAY_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")),
        PathBuf::from,
    );
    let folder = std::fs::read_dir(root.join("data/synthea")).unwrap();
    let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "bz2"));
    files.sort();
    let mut all = Vec::new();
    let mut names: HashMap<String, String> = HashMap::new();
    for path in files.into_iter().take(bundles.saturating_add(2)) {
        let mut text = String::new();
        let file = std::fs::File::open(path).unwrap();
        bzip2::read::BzDecoder::new(file).read_to_string(&mut text).unwrap();
        let bundle: Json = serde_json::from_str(&text).unwrap();
        for entry in bundle["entry"].as_array().unwrap() {
            let resource = &entry["resource"];
            let of = resource["resourceType"].as_str().unwrap();
            let key = format!("{of}/{}", resource["id"].as_str().unwrap());
            names.insert(entry["fullUrl"].as_str().unwrap_or("").to_owned(), key.clone());
            for one in resource["identifier"].as_array().into_iter().flatten() {
                let text = |name: &str| one[name].as_str().unwrap_or("");
                let name = format!("{of}?identifier={}|{}", text("system"), text("value"));
                names.insert(name, key.clone());
            }
        }
        for entry in bundle["entry"].as_array().unwrap() {
            let mut resource = entry["resource"].clone();
            resolve(&mut resource, &names);
            all.push(resource);
        }
    }
    all
}

fn resolve(node: &mut Json, names: &HashMap<String, String>) {
    match node {
        Json::Array(items) => items.iter_mut().for_each(|item| resolve(item, names)),
        Json::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                match value {
                    Json::String(text) if name == "reference" => {
                        if let Some(key) = names.get(text) {
                            key.clone_into(text);
                        }
                    }
                    _ => resolve(value, names),
                }
            }
        }
        _ => {}
    }
}
