//! Search extraction over real documents, against a naive evaluator.
//!
//! `SEALWAY_R4_EXAMPLES` names the unpacked `package` folder of hl7.fhir.r4.examples 4.0.1
//! (`npm pack hl7.fhir.r4.examples@4.0.1`, CC0-1.0); Synthea's bundles lie in `../shared`. The evaluator reads expressions its own way,
//! by text and without types, over `serde_json` values; both must find the same number of values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fhir::{
    Extracted, Held, ParamKind, ResourceKey, ResourceType, SearchParam, Target, TimeRange, Tree,
    Value as Found, extract, patient_compartment, search_params, sort_time,
};
use serde_json::Value;

const FILE_BYTES_MAX: u64 = 8_000_000;
/// Synthea bundles that are compared; all would take a minute.
const BUNDLES: usize = 8;

#[test]
fn the_official_examples_yield_what_a_naive_evaluator_finds() {
    let Some(folder) = std::env::var_os("SEALWAY_R4_EXAMPLES").map(PathBuf::from) else {
        eprintln!("SKIPPED: set SEALWAY_R4_EXAMPLES to the unpacked hl7.fhir.r4.examples package");
        return;
    };
    let (mut resources, mut values, mut compared) = (0, 0, 0);
    let mut wrong = Vec::new();
    for path in files(&folder, "json") {
        let bytes = std::fs::read(&path).expect("an example is readable");
        let Ok(tree) = Tree::parse(bytes) else { continue };
        let name = tree.root().get("resourceType").and_then(|name| name.as_str());
        let Some(of) = name.and_then(|name| ResourceType::parse(&name)) else { continue };
        let mut out = Vec::new();
        extract(tree.root(), of, "http://here.example", &mut out);
        let key = ResourceKey::parse(&format!("{of}/1")).unwrap();
        let _ = patient_compartment(tree.root(), &key, "");
        let _ = sort_time(tree.root(), of);

        let json: Value = serde_json::from_slice(tree.bytes()).expect("the tree was parsed");
        for param in search_params(of).iter().filter(|param| param.held == Held::InIndex) {
            let Some(expected) = count(param, &json) else { continue };
            compared += 1;
            let found = out.iter().filter(|one| one.param == param.id && counts(one)).count();
            if found != expected {
                wrong.push(format!("{}: {} {found} not {expected}", path.display(), param.code));
            }
        }
        resources += 1;
        values += out.len();
    }
    println!("{resources} examples, {values} values, {compared} parameters compared");
    assert!(resources > 4_000 && values > 50_000, "the package is complete");
    assert!(wrong.is_empty(), "{} differ: {:#?}", wrong.len(), &wrong[..wrong.len().min(20)]);
}

#[test]
fn synthea_resources_yield_what_a_naive_evaluator_finds() {
    let shared = std::env::var_os("SEALWAY_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let folder = shared.join("data/synthea");
    if !folder.is_dir() {
        eprintln!("SKIPPED: no bundles in {}", folder.display());
        return;
    }
    let mut per_type: BTreeMap<&str, usize> = BTreeMap::new();
    for path in files(&folder, "bz2").into_iter().take(BUNDLES) {
        let file = std::fs::File::open(&path).expect("readable");
        let bundle: Value =
            serde_json::from_reader(bzip2::read::MultiBzDecoder::new(file)).expect("a bundle");
        for entry in items(&bundle["entry"]) {
            let tree = Tree::parse(entry["resource"].to_string().into_bytes()).unwrap();
            let of =
                ResourceType::parse(entry["resource"]["resourceType"].as_str().unwrap()).unwrap();
            let mut out = Vec::new();
            extract(tree.root(), of, "", &mut out);
            for param in search_params(of).iter().filter(|param| param.held == Held::InIndex) {
                let Some(expected) = count(param, &entry["resource"]) else { continue };
                let found = out.iter().filter(|one| one.param == param.id && counts(one)).count();
                assert_eq!(found, expected, "{} of {}", param.code, entry["resource"]);
            }
            *per_type.entry(of.name()).or_default() += 1;
        }
    }
    println!("{per_type:?}");
    assert!(per_type.len() > 10 && per_type.values().sum::<usize>() > 1_000);
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder exists").flatten();
    let small = entries.filter(|entry| entry.metadata().is_ok_and(|m| m.len() < FILE_BYTES_MAX));
    let mut paths: Vec<PathBuf> = small.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    paths
}

/// Identifiers in references are left out: the evaluator counts literal references only. So are elements that are only
/// there, such as a reference to what is contained.
fn counts(one: &Extracted<'_>) -> bool {
    !matches!(one.value, Found::Reference(Target::Logical { .. }) | Found::Present)
}

/// How many values the evaluator expects; `None` for the kinds it does not judge.
fn count(param: &SearchParam, resource: &Value) -> Option<usize> {
    let judge: fn(&Value) -> usize = match param.kind {
        ParamKind::Reference if !param.expression.contains("entry[0]") => of_reference,
        ParamKind::Date => of_date,
        ParamKind::Token if !param.expression.contains(" and ") => of_token,
        ParamKind::Uri => |value| usize::from(value.is_string()),
        _ => return None,
    };
    if param.expression.contains("extension(") || param.expression.contains("hasExtension") {
        return None;
    }
    let found = param.expression.split(" | ").flat_map(|branch| select(branch, resource));
    let dates = param.kind == ParamKind::Date;
    let readable = found.filter(|(name, _)| !(dates && name.ends_with("String")));
    Some(readable.map(|(_, value)| judge(value)).sum())
}

fn of_reference(value: &Value) -> usize {
    let Some(text) = value.as_str().or_else(|| value["reference"].as_str()) else { return 0 };
    let is_type = |part: &str| ResourceType::parse(part).is_some();
    let relative =
        text.split_once('/').is_some_and(|(first, rest)| is_type(first) && !rest.is_empty());
    usize::from(!text.starts_with('#') && (text.contains(':') || relative || value.is_string()))
}

fn of_date(value: &Value) -> usize {
    let period = |value: &Value| value["start"].is_string() || value["end"].is_string();
    let timing =
        items(&value["event"]).next().is_some() || period(&value["repeat"]["boundsPeriod"]);
    let text = value.as_str().is_some_and(|text| TimeRange::parse(text).is_some());
    usize::from(text || period(value) || timing)
}

fn of_token(value: &Value) -> usize {
    if !value.is_object() {
        return usize::from(!value.is_null());
    }
    let is_coding = |value: &Value| value["code"].is_string() || value["display"].is_string();
    if value.get("coding").is_some() || value.get("text").is_some() {
        let codings = items(&value["coding"]).filter(|coding| is_coding(coding)).count();
        return codings + usize::from(value["text"].is_string());
    }
    if value["value"].is_string() {
        let types = items(&value["type"]["coding"]).filter(|coding| coding["code"].is_string());
        return types.count().max(1);
    }
    // An identifier may have nothing but its system; that of a contact is a code.
    let is_system = value["system"].as_str().is_some_and(|system| system.contains(':'));
    usize::from(is_coding(value) || value["type"]["text"].is_string() || is_system)
}

/// Evaluates one branch by its text. A choice element is found by the prefix of its name; the
/// name that was found tells its type.
fn select<'v>(branch: &str, resource: &'v Value) -> Vec<(String, &'v Value)> {
    let text = branch.replace(" as ", ".as(").replace("(Resource", "Resource");
    let text = text.strip_prefix('(').map_or(text.clone(), str::to_owned);
    let mut found = vec![(String::new(), resource)];
    for step in steps(&text).into_iter().skip(1) {
        let function = step.split_once('(');
        found = match function {
            Some(("as" | "ofType", wanted)) => {
                let wanted = wanted.trim_end_matches(')').to_lowercase();
                found
                    .into_iter()
                    .filter(|(name, _)| name.to_lowercase().ends_with(&wanted))
                    .collect()
            }
            Some(("where", condition)) => {
                found.into_iter().filter(|(_, value)| holds(condition, value)).collect()
            }
            _ => found.iter().flat_map(|(_, value)| members(&step, value)).collect(),
        };
    }
    found
}

fn members<'v>(name: &str, value: &'v Value) -> Vec<(String, &'v Value)> {
    let (name, index) = name.split_once('[').map_or((name, None), |(name, _)| (name, Some(0)));
    let Some(object) = value.as_object() else { return Vec::new() };
    let is_it = |key: &str| {
        let rest = key.strip_prefix(name);
        rest.is_some_and(|rest| {
            rest.is_empty()
                || (CHOICES.contains(&name)
                    && rest.starts_with(char::is_uppercase)
                    && rest != "Version")
        })
    };
    let found = object.iter().filter(|(key, _)| is_it(key));
    let all = found.flat_map(|(key, value)| items(value).map(move |item| (key.clone(), item)));
    all.enumerate().filter(|(at, _)| index.is_none_or(|i| i == *at)).map(|(_, one)| one).collect()
}

fn holds(condition: &str, value: &Value) -> bool {
    let condition = condition.trim_end_matches(')');
    if let Some(wanted) =
        condition.strip_prefix("resolve( is ").or(condition.strip_prefix("resolve() is "))
    {
        let text = value["reference"].as_str().unwrap_or_default();
        return text.split('/').any(|part| part == wanted);
    }
    let (member, text) = condition.split_once('=').expect("a condition the evaluator knows");
    value[member].as_str() == Some(text.trim_matches('\''))
}

fn steps(text: &str) -> Vec<String> {
    let mut steps = vec![String::new()];
    let mut depth = 0_i32;
    for c in text.chars() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if c == '.' && depth <= 0 {
            steps.push(String::new());
            depth = 0;
        } else if let Some(last) = steps.last_mut() {
            last.push(c);
        }
    }
    steps
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter(|item| !item.is_null())
}

/// Elements with a choice of types among those that search expressions name.
const CHOICES: [&str; 24] = [
    "value",
    "effective",
    "onset",
    "abatement",
    "deceased",
    "medication",
    "occurrence",
    "occurred",
    "performed",
    "start",
    "due",
    "target",
    "source",
    "item",
    "substance",
    "code",
    "scheduled",
    "collected",
    "probability",
    "asNeeded",
    "born",
    "identified",
    "created",
    "event",
];
