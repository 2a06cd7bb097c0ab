//! What the oracle's searches run over: own fixtures, and Synthea's bundles where they are at hand.

use std::collections::{BTreeSet, HashMap};
use std::io::Read;
use std::path::PathBuf;

use fhir::{Instant, ResourceKey, Tree, VersionId, patient_compartment, sort_time};
use registry::hash::IndexKey;
use registry::index::index_rows;
use registry::store::Store;
use registry::write_set::{Action, Finish, Finished, Write};
use serde_json::{Value as Json, json};

use super::naive::Stored;
use super::words::is_indexed_whole;
use crate::sets::{id, key, set};

/// Writes the resources and returns them as the oracle keeps them; both must put them into the same compartments.
pub(crate) async fn write(store: &dyn Store, index_key: &IndexKey, all: Vec<Json>) -> Vec<Stored> {
    let mut stored = Vec::with_capacity(all.len());
    let mut resources = all.into_iter().peekable();
    while resources.peek().is_some() {
        let batch: Vec<Json> = resources.by_ref().take(200).collect();
        let writes: Vec<_> = batch.iter().map(|json| make(json, index_key)).collect();
        let patients: Vec<Vec<String>> = writes
            .iter()
            .map(|write| write.patients.iter().map(|id| id.as_str().to_owned()).collect())
            .collect();
        let committed = store.commit(set(writes)).await.unwrap();
        for ((json, patients), version) in batch.into_iter().zip(patients).zip(committed.versions) {
            let one = Stored::new(version.key.to_string(), json, version.updated.micros());
            let patients: BTreeSet<_> = patients.into_iter().collect();
            assert_eq!(one.patients, patients, "compartments of {}", one.key);
            stored.push(one);
        }
    }
    stored
}

/// The write that creates a resource.
pub(crate) fn make(json: &Json, index_key: &IndexKey) -> Write {
    let tree = Tree::parse(json.to_string().into_bytes()).expect("JSON");
    let name = json["resourceType"].as_str().expect("a type");
    let key = key(&format!("{name}/{}", json["id"].as_str().expect("an id")));
    let node = tree.root();
    let base = "http://example.org/fhir";
    Write {
        previous: None,
        action: Action::Create,
        finish: std::sync::Arc::new(Named(key.clone())),
        rows: index_rows(node, key.resource_type, base, index_key),
        patients: patient_compartment(node, &key, base),
        sort_us: sort_time(node, key.resource_type),
        key,
    }
}

struct Named(ResourceKey);

impl Finish for Named {
    fn finish(&self, _version: VersionId, _updated: Instant) -> Finished {
        Finished { payload: self.0.to_string().into_bytes(), entry: [7; 36], salt_id: [9; 16] }
    }
}

/// Small resources with what is rare in generated data: accents, wildcards, several codings, periods,
/// components, several patients, no date, no compartment.
pub(crate) fn fixtures() -> Vec<Json> {
    let mut all = Vec::new();
    let families = ["Müller", "Muller", "O'Brien", "100%", "under_score", "Åström", "García López"];
    for at in 0..28 {
        let family = families[at % families.len()];
        let gender = ["male", "female", "other"][at % 3];
        let mut patient = json!({
            "resourceType": "Patient", "id": format!("p{at}"), "gender": gender,
            "identifier": [{"system": "urn:mrn", "value": format!("M{}", at / 2)}],
            "name": [{"family": family, "given": [format!("Given{at}"), "José"]}],
            "birthDate": format!("19{:02}-{:02}", 40 + at, 1 + at % 12),
            "address": [{"city": if at % 2 == 0 { "Boston" } else { "bostonia" }}],
        });
        if at % 5 == 0 {
            patient["birthDate"] = format!("19{}", 40 + at).into();
        }
        if at % 7 == 0 {
            patient["meta"] = json!({
                "tag": [{"system": "urn:tag", "code": "seven"}],
                "profile": ["http://example.org/profile/a"],
            });
            patient.as_object_mut().expect("an object").shift_remove("gender");
        }
        all.push(patient);
    }
    for at in 0..6 {
        all.push(json!({
            "resourceType": "Practitioner", "id": format!("d{at}"),
            "name": [{"family": format!("Doctor{at}")}],
            "identifier": [{"value": format!("{at}")}],
        }));
        all.push(json!({
            "resourceType": "Organization", "id": format!("o{at}"), "name": format!("Clinic {at}"),
            "meta": {"tag": [{"system": "urn:tag", "code": "seven"}]},
        }));
    }
    encounters_and_conditions(&mut all);
    observations(&mut all);
    all
}

fn encounters_and_conditions(all: &mut Vec<Json>) {
    for at in 0..60 {
        let day = 1 + at % 28;
        let mut encounter = json!({
            "resourceType": "Encounter", "id": format!("e{at}"),
            "status": if at % 4 == 0 { "planned" } else { "finished" },
            "class": {"system": "urn:class", "code": if at % 3 == 0 { "IMP" } else { "AMB" }},
            "subject": {"reference": format!("Patient/p{}", at % 28)},
            "serviceProvider": {"reference": format!("Organization/o{}", at % 6)},
            "participant": [{"individual": {"reference": format!("Practitioner/d{}", at % 6)}}],
            "period": {
                "start": format!("20{:02}-03-{day:02}T08:00:00Z", at % 20),
                "end": format!("20{:02}-03-{day:02}T09:30:00Z", at % 20),
            },
        });
        match at % 10 {
            3 => encounter["period"] = json!({"start": format!("20{:02}-01", at % 20)}),
            5 => encounter["period"] = json!({"end": "2011-05-05"}),
            7 => encounter["period"] = json!({"start": "2001-01-01", "end": "2015-06-30"}),
            9 => {
                encounter.as_object_mut().expect("an object").shift_remove("period");
            }
            _ => {}
        }
        all.push(encounter);
        let mut condition = json!({
            "resourceType": "Condition", "id": format!("c{at}"),
            "code": {"coding": [{"system": "urn:sct", "code": format!("{}", 100 + at % 9)}]},
            "clinicalStatus": {"coding": [{"code": "active"}]},
            "subject": {"reference": format!("Patient/p{}", at % 14)},
            "encounter": {"reference": format!("Encounter/e{at}")},
        });
        if at % 3 != 0 {
            condition["onsetDateTime"] = format!("20{:02}-{:02}-11", at % 20, 1 + at % 12).into();
        }
        if at % 4 != 0 {
            condition["recordedDate"] = format!("20{:02}-02-{day:02}", at % 20).into();
        }
        all.push(condition);
    }
}

fn observations(all: &mut Vec<Json>) {
    for at in 0..400_i32 {
        let code = ["8302-2", "29463-7", "718-7", "4548-4"][usize::try_from(at % 4).unwrap_or(0)];
        let mut codings = vec![json!({"system": "http://loinc.org", "code": code})];
        if at % 6 == 0 {
            codings.push(json!({"system": "urn:local", "code": code}));
            codings.push(json!({"code": "bare"}));
        }
        let mut observation = json!({
            "resourceType": "Observation", "id": format!("x{at}"),
            "status": if at % 11 == 0 { "amended" } else { "final" },
            "category": [{"coding": [{"system": "urn:cat", "code": if at % 2 == 0 { "lab" } else { "vital" }}]}],
            "code": {"coding": codings},
            "subject": {"reference": format!("Patient/p{}", at % 28)},
            "effectiveDateTime": format!("20{:02}-{:02}-{:02}T0{}:15:00.000Z", at % 20, 1 + at % 12, 1 + at % 28, at % 10),
            "valueQuantity": {
                "value": f64::from(at % 50) * 4.5, "unit": "centimetre",
                "system": "http://unitsofmeasure.org", "code": "cm",
            },
        });
        match at % 13 {
            1 => observation["effectiveDateTime"] = format!("20{:02}-07", at % 20).into(),
            2 => observation["effectiveDateTime"] = format!("20{:02}", at % 20).into(),
            3 => {
                let fields = observation.as_object_mut().expect("an object");
                fields.shift_remove("effectiveDateTime");
                fields.insert(
                    "effectivePeriod".into(),
                    json!({"start": "2004-02-03", "end": format!("20{:02}-09-01", 5 + at % 14)}),
                );
            }
            4 => {
                observation.as_object_mut().expect("an object").shift_remove("effectiveDateTime");
            }
            5 => {
                observation["subject"] = json!({"reference": format!("Patient/p{}", at % 28),
                "identifier": {"system": "urn:mrn", "value": "M1"}})
            }
            6 => {
                observation["performer"] =
                    json!([{"reference": format!("Patient/p{}", (at + 1) % 28)}]);
            }
            7 => {
                observation.as_object_mut().expect("an object").shift_remove("valueQuantity");
                observation["component"] =
                    json!([component("8480-6", 90 + at % 60), component("8462-4", 50 + at % 40),]);
            }
            8 => {
                observation.as_object_mut().expect("an object").shift_remove("subject");
            }
            _ => {}
        }
        all.push(observation);
    }
}

fn component(code: &str, value: i32) -> Json {
    json!({
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "valueQuantity": {"value": value, "unit": "mm[Hg]", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"},
    })
}

/// Resources of Synthea's bundles, references resolved, but for those with more words than are indexed, which other
/// resources do not refer to; `None` where the data is not at hand.
pub(crate) fn synthea(bundles: Option<usize>) -> Option<Vec<Json>> {
    let root = std::env::var_os("SEALWAY_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")),
        PathBuf::from,
    );
    let mut files: Vec<_> = std::fs::read_dir(root.join("data/synthea"))
        .ok()?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "bz2"))
        .map(|path| (std::fs::metadata(&path).map_or(0, |data| data.len()), path))
        .collect();
    files.sort();
    let mut chosen: Vec<PathBuf> = Vec::new();
    let is_shared = |path: &PathBuf| path.to_string_lossy().contains("/0-");
    let (shared, own): (Vec<_>, Vec<_>) =
        files.into_iter().map(|(_, path)| path).partition(is_shared);
    chosen.extend(shared);
    chosen.extend(own.into_iter().take(bundles.unwrap_or(usize::MAX)));
    let mut all = Vec::new();
    let mut names: HashMap<String, String> = HashMap::new();
    for path in chosen {
        let mut text = String::new();
        let file = std::fs::File::open(path).ok()?;
        bzip2::read::BzDecoder::new(file).read_to_string(&mut text).ok()?;
        let bundle: Json = serde_json::from_str(&text).ok()?;
        for entry in bundle["entry"].as_array()? {
            remember(entry, &mut names);
        }
        for entry in bundle["entry"].as_array()? {
            let mut resource = entry["resource"].clone();
            resolve(&mut resource, &names);
            all.push(resource);
        }
    }
    let before = all.len();
    all.retain(is_indexed_whole);
    eprintln!("{} resources with more words than are indexed are left out", before - all.len());
    Some(all)
}

fn remember(entry: &Json, names: &mut HashMap<String, String>) {
    let resource = &entry["resource"];
    let of = resource["resourceType"].as_str().unwrap_or("");
    let key = format!("{of}/{}", resource["id"].as_str().unwrap_or(""));
    let _ = id(resource["id"].as_str().unwrap_or(""));
    names.insert(entry["fullUrl"].as_str().unwrap_or("").to_owned(), key.clone());
    for identifier in resource["identifier"].as_array().into_iter().flatten() {
        let system = identifier["system"].as_str().unwrap_or("");
        let value = identifier["value"].as_str().unwrap_or("");
        names.insert(format!("{of}?identifier={system}|{value}"), key.clone());
    }
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
