//! JSON → XML → JSON over HL7's own R4 examples: the same resource comes back.
//!
//! The examples are found as in `documents`. Beside them a few documents of our own always run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use fhir::{ReadLimits, Subset, XmlForm, json_to_xml, read, xml_to_json};
use proptest::prelude::*;
use serde_json::Value;

const FORM: XmlForm = XmlForm { pretty: false, bytes_max: 512 << 20 };

fn limits() -> ReadLimits {
    ReadLimits { bytes_max: 512 << 20, ..ReadLimits::default() }
}

/// What the round trip may change: the order of members, nulls at the end of `_name` lists, line ends of narratives,
/// a `div`'s namespace that went without saying.
fn normal(mut value: Value) -> Value {
    match &mut value {
        Value::Object(members) => {
            let mut sorted: BTreeMap<String, Value> = std::mem::take(members)
                .into_iter()
                .map(|(key, value)| {
                    let value = match value {
                        Value::String(div) if key == "div" => Value::String(normal_div(&div)),
                        other => normal(other),
                    };
                    (key, value)
                })
                .collect();
            sorted.retain(|_, value| !is_nulls(value));
            *members = sorted.into_iter().collect();
        }
        Value::Array(items) => {
            *items = std::mem::take(items).into_iter().map(normal).collect();
            while items.last().is_some_and(Value::is_null) {
                items.pop();
            }
        }
        _ => {}
    }
    value
}

fn is_nulls(value: &Value) -> bool {
    matches!(value, Value::Array(items) if items.iter().all(Value::is_null))
}

fn normal_div(div: &str) -> String {
    let div = div.trim().replace("\r\n", "\n").replace('\r', "\n");
    match div.strip_prefix("<div>") {
        Some(rest) => format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{rest}"),
        None => div,
    }
}

/// The resource after a round trip, or why there is none.
fn round(json: &[u8]) -> Result<(Value, Value), String> {
    let before: Value = serde_json::from_slice(json).map_err(|e| format!("not JSON: {e}"))?;
    let xml = json_to_xml(json, &FORM).map_err(|e| format!("no XML: {e}"))?;
    let made = xml_to_json(&xml, &limits()).map_err(|issues| format!("not read: {issues:#?}"))?;
    read(made.clone(), &limits()).map_err(|issues| format!("not FHIR: {issues:#?}"))?;
    let after = serde_json::from_slice(&made).map_err(|e| format!("not JSON: {e}"))?;
    Ok((normal(before), normal(after)))
}

fn expect_the_same(name: &str, json: &[u8]) -> Option<String> {
    match round(json) {
        Ok((before, after)) if before == after => None,
        Ok((before, after)) => Some(format!("{name}: {}", difference(&before, &after, "$"))),
        Err(text) => Some(format!("{name}: {text}")),
    }
}

/// The first place where two values differ.
fn difference(a: &Value, b: &Value, path: &str) -> String {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            for key in x.keys().chain(y.keys()) {
                let (left, right) = (&a[key.as_str()], &b[key.as_str()]);
                if left != right {
                    return difference(left, right, &format!("{path}.{key}"));
                }
            }
            path.to_owned()
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            let at = x.iter().zip(y).position(|(x, y)| x != y).unwrap_or(0);
            difference(&x[at], &y[at], &format!("{path}[{at}]"))
        }
        _ => {
            let cut = |value: &Value| value.to_string().chars().take(300).collect::<String>();
            format!("{path}\n  before {}\n  after  {}", cut(a), cut(b))
        }
    }
}

#[test]
fn the_official_examples_come_back_from_xml_the_same() {
    let Some(folder) = env::var_os("SEALWAY_R4_EXAMPLES").map(PathBuf::from) else {
        eprintln!(
            "SKIPPED: SEALWAY_R4_EXAMPLES does not name the unpacked hl7.fhir.r4.examples 4.0.1"
        );
        return;
    };
    let out = env::var_os("SEALWAY_WRITE_XML").map(PathBuf::from);
    let (mut same, mut refused, mut wrong) = (0, 0, Vec::new());
    for path in json_files(&folder) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = fs::read(&path).expect("the example is readable");
        // What breaks R4 is listed in `refused_examples.txt`, with the reason for each.
        if read(bytes.clone(), &limits()).is_err() {
            refused += 1;
            continue;
        }
        match expect_the_same(&name, &bytes) {
            None => same += 1,
            Some(text) => wrong.push(text),
        }
        if let Some(out) = &out {
            let xml = json_to_xml(&bytes, &FORM).expect("XML");
            fs::write(out.join(name.replace(".json", ".xml")), xml).expect("written");
        }
    }

    eprintln!("{same} came back the same, {refused} are no R4");
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
    assert!(same > 5000, "{same} examples in {}", folder.display());
    assert_eq!(refused, include_str!("refused_examples.txt").lines().count());
}

#[test]
fn hl7s_own_xml_says_what_its_json_says() {
    let (Some(examples), Some(folder)) =
        (env::var_os("SEALWAY_R4_EXAMPLES"), env::var_os("SEALWAY_R4_XML").map(PathBuf::from))
    else {
        eprintln!(
            "SKIPPED: SEALWAY_R4_XML does not name the XML bundles of hapi-fhir-validation-resources-r4, or \
             SEALWAY_R4_EXAMPLES the unpacked hl7.fhir.r4.examples 4.0.1"
        );
        return;
    };
    let (mut same, mut absent, mut wrong) = (0, 0, Vec::new());
    for entry in fs::read_dir(folder).expect("the folder is readable").flatten() {
        let xml = fs::read(entry.path()).expect("the bundle is readable");
        let json = xml_to_json(&xml, &limits()).unwrap_or_else(|i| panic!("{entry:?} {i:#?}"));
        let bundle: Value = serde_json::from_slice(&json).unwrap();
        for entry in bundle["entry"].as_array().unwrap() {
            let resource = &entry["resource"];
            let text = |key: &str| resource[key].as_str().unwrap().to_owned();
            let name = format!("{}-{}.json", text("resourceType"), text("id"));
            let Ok(json) = fs::read(Path::new(&examples).join(&name)) else {
                absent += 1;
                continue;
            };
            let (before, after) =
                (normal(serde_json::from_slice(&json).unwrap()), normal(resource.clone()));
            // Who publishes this XML has left out the narratives and handled line ends of values in several ways.
            let (before, after) = (spaced(without_text(before)), spaced(without_text(after)));
            match before == after {
                true => same += 1,
                false if OTHERWISE.contains(&name.as_str()) => {}
                false => wrong.push(format!("{name}: {}", difference(&before, &after, "$"))),
            }
        }
    }
    eprintln!("{same} the same, {} not, {absent} not among the examples", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong[..wrong.len().min(20)].join("\n"));
    assert!(same > 1000);
}

/// Definitions whose publisher has corrected a constraint or a version, or left out what is contained.
const OTHERWISE: [&str; 5] = [
    "StructureDefinition-Questionnaire.json",
    "StructureDefinition-cqf-questionnaire.json",
    "ValueSet-example-hierarchical.json",
    "ValueSet-nhin-purposeofuse.json",
    "ValueSet-task-code.json",
];

fn spaced(value: Value) -> Value {
    match value {
        Value::String(text) => text.split_whitespace().collect::<Vec<_>>().join(" ").into(),
        Value::Array(items) => items.into_iter().map(spaced).collect(),
        Value::Object(members) => members.into_iter().map(|(k, v)| (k, spaced(v))).collect(),
        other => other,
    }
}

fn without_text(mut resource: Value) -> Value {
    if let Some(members) = resource.as_object_mut() {
        members.remove("text");
    }
    resource
}

#[test]
fn parts_of_the_official_examples_are_resources() {
    let Some(folder) = env::var_os("SEALWAY_R4_EXAMPLES").map(PathBuf::from) else {
        eprintln!(
            "SKIPPED: SEALWAY_R4_EXAMPLES does not name the unpacked hl7.fhir.r4.examples 4.0.1"
        );
        return;
    };
    let parts: Vec<Subset> = ["true", "text", "data"]
        .iter()
        .map(|code| Subset::of(Some(code), None, None).unwrap().unwrap())
        .chain([Subset::of(None, Some("identifier,code"), None).unwrap().unwrap()])
        .collect();
    let mut wrong = Vec::new();
    for path in json_files(&folder) {
        let bytes = fs::read(&path).expect("the example is readable");
        if read(bytes.clone(), &limits()).is_err() {
            continue;
        }
        for part in &parts {
            let made = part.apply(&bytes, true);
            if let Err(issues) = read(made, &limits()) {
                wrong.push(format!("{} {part:?} {:?}", path.display(), issues[0]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
}

#[test]
fn documents_with_every_trap_come_back_the_same() {
    let traps = [
        r#"{"resourceType":"Patient","name":[{"given":[null,"b",null],"_given":[{"id":"x"},null,{"extension":[{"url":"u","valueDecimal":-0.00}]}]}]}"#,
        r#"{"resourceType":"Patient","name":[{"_given":[{"id":"x"}]}],"_active":{"id":"a"},"active":false}"#,
        r#"{"resourceType":"Patient","extension":[{"url":"a","extension":[{"url":"b","_valueString":{"extension":[{"url":"c","valueCode":"d"}]}}]}]}"#,
        r#"{"resourceType":"Observation","status":"final","code":{"text":" two  spaces\n\tand lines "},"valueQuantity":{"value":1E5}}"#,
        r#"{"resourceType":"Parameters","parameter":[{"name":"a","resource":{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient?name=a&b=<"}}]}}]}"#,
        r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"> <b>a</b> <i>b</i>\n</div>"},"contained":[{"resourceType":"Binary","contentType":"text/plain","data":"aGk="}]}"#,
        r#"{"resourceType":"Patient","name":[{"text":"\u0022\u0027\u003c\u00e9\ud83d\ude00\u0085\u2028"}]}"#,
    ];
    for trap in traps {
        read(trap.as_bytes().to_vec(), &limits()).expect(trap);
        assert_eq!(expect_the_same(trap, trap.as_bytes()), None);
    }
}

#[test]
fn size_depth_and_number_are_bounded_and_so_is_time() {
    let many: String = (0..80_000).map(|at| format!(" a{at}=\"\"")).collect();
    let declared: String = (0..1_000_000).map(|at| format!(" xmlns:a{at}=\"u\"")).collect();
    let deep = |name: &str, times: usize| format!("<{name}>").repeat(times);
    let cases = [
        format!("<Patient xmlns=\"http://hl7.org/fhir\"{many}/>"),
        format!("<Patient xmlns=\"http://hl7.org/fhir\"{declared}/>"),
        patient_of(&deep("extension", 200_000)),
        patient_of(&deep("foo", 200_000)),
        patient_of(&format!(
            "<text><status value=\"empty\"/><div xmlns=\"http://www.w3.org/1999/xhtml\">{}",
            deep("p", 200_000)
        )),
    ];
    let started = std::time::Instant::now();
    for xml in cases {
        assert!(xml_to_json(xml.as_bytes(), &limits()).is_err());
    }
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}

fn patient_of(content: &str) -> String {
    format!("<Patient xmlns=\"http://hl7.org/fhir\">{content}</Patient>")
}

proptest! {
    #[test]
    fn any_text_in_a_value_comes_back_the_same(text in "\\PC{1,40}|[ \t\r\n<>&\"']{1,20}") {
        let json = serde_json::json!({"resourceType": "Patient", "name": [{"text": text}]}).to_string();
        prop_assume!(read(json.clone().into_bytes(), &limits()).is_ok());
        prop_assume!(!text.contains(['\u{fffe}', '\u{ffff}']));
        prop_assert_eq!(expect_the_same("any text", json.as_bytes()), None);
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(json) = xml_to_json(&bytes, &limits()) {
            prop_assert!(fhir::Tree::parse(json).is_ok());
        }
    }

    #[test]
    fn any_pieces_of_xml_are_answered(
        pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..30),
    ) {
        let xml = pieces.concat();
        if let Ok(json) = xml_to_json(xml.as_bytes(), &limits()) {
            prop_assert!(fhir::Tree::parse(json).is_ok(), "{}", xml);
        }
    }
}

const PIECES: [&str; 26] = [
    "<Patient xmlns=\"http://hl7.org/fhir\">",
    "</Patient>",
    "<name>",
    "</name>",
    "<given value=\"a\"/>",
    "<given id=\"i\"/>",
    "<given value='b'>",
    "</given>",
    "<extension url=\"u\">",
    "</extension>",
    "<valueString value=\"s\"/>",
    "<contained>",
    "</contained>",
    "<Patient>",
    "<active value=\"true\"/>",
    "<text><status value=\"empty\"/>",
    "<div xmlns=\"http://www.w3.org/1999/xhtml\">",
    "</div>",
    "</text>",
    "<p>",
    "</p>",
    "&amp;",
    "<!-- c -->",
    "<?p i?>",
    "<![CDATA[x]]>",
    " ",
];

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder is readable")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.ends_with(".json") && name != "package.json" && !name.starts_with('.')
        })
        .collect();
    found.sort();
    found
}
