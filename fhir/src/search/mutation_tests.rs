//! Whatever a well-formed document holds, reading it for search never panics.

use proptest::prelude::*;

use crate::{ResourceKey, ResourceType, Tree};

use super::{
    DateQuery, NumberQuery, OfTypeQuery, QuantityQuery, ReferenceQuery, TokenQuery, Value, extract,
    fold, patient_compartment, search_param, search_params, sort_time, split_unescaped, unescape,
};

/// Documents of the words that search expressions use, in any shape.
fn document() -> impl Strategy<Value = String> {
    let text = prop::sample::select(TEXTS.to_vec()).prop_map(|text| format!("\"{text}\""));
    let other = prop::sample::select(vec!["null", "true", "false", "1.10", "-3", "1E400", "0e0"]);
    let leaf = prop_oneof![text, other.prop_map(str::to_owned)];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let member = (prop::sample::select(keys()), inner.clone());
        let object = prop::collection::vec(member, 0..6).prop_map(|mut members| {
            members.sort();
            members.dedup_by(|one, other| one.0 == other.0);
            let members = members.into_iter().map(|(key, value)| format!("\"{key}\":{value}"));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        });
        let array =
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(",")));
        prop_oneof![3 => object, 1 => array]
    })
}

fn keys() -> Vec<&'static str> {
    let paths = super::elements::ELEMENTS.lines().filter_map(|line| line.split('\t').next());
    let mut keys: Vec<&str> = paths.filter_map(|path| path.rsplit('.').next()).collect();
    keys.extend(MEMBERS);
    keys
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn extraction_never_panics(document in document(), code in 0..TYPES) {
        let of = ResourceType::from_code(code).expect("a type");
        let tree = Tree::parse(document.into_bytes()).expect("well-formed");
        let mut out = Vec::new();

        extract(tree.root(), of, "https://here.example/fhir", &mut out);
        let key = ResourceKey::parse(&format!("{of}/1")).unwrap();
        let patients = patient_compartment(tree.root(), &key, "https://here.example/fhir");
        let _ = sort_time(tree.root(), of);

        prop_assert!(of != ResourceType::PATIENT || patients[0] == key.id);
        let known = |id| search_params(of).iter().any(|param| param.id == id);
        for one in out {
            prop_assert!(known(one.param));
            if let Value::Composite(parts) = one.value {
                prop_assert!(parts.len() > 1 && parts.iter().all(|part| !part.is_empty()));
            }
        }
    }

    #[test]
    fn reading_a_search_value_never_panics(text in "[a-z0-9|$,\\\\:/#. eE+-]{0,24}", any in ".{0,12}") {
        let subject = search_param(ResourceType::OBSERVATION, "subject").unwrap();
        for text in [text.as_str(), any.as_str()] {
            let _ = (TokenQuery::parse(text), OfTypeQuery::parse(text), DateQuery::parse(text));
            let _ = (NumberQuery::parse(text), QuantityQuery::parse(text));
            let _ = ReferenceQuery::parse(text, subject, None, "https://here.example/fhir");
            let parts: Vec<_> = split_unescaped(text, ',').into_iter().map(unescape).collect();
            prop_assert!(!parts.is_empty());
            let once = fold(text).into_owned();
            prop_assert_eq!(fold(&once).into_owned(), once);
        }
    }
}

/// R4 has 146 concrete resource types.
const TYPES: u8 = 146;
const TEXTS: [&str; 16] = [
    "",
    "Patient/1",
    "Patient",
    "Practitioner/a-b/_history/2",
    "https://here.example/fhir/Patient/1",
    "https://here.example/fhir/",
    "/_history/",
    "http://x/y|",
    "|",
    "#p",
    "2020-02-30",
    "2020-02",
    "E U L 1e400 7",
    "phone",
    "\\u00e9\\\"",
    "<",
];
const MEMBERS: [&str; 34] = [
    "reference",
    "identifier",
    "system",
    "code",
    "display",
    "text",
    "coding",
    "value",
    "use",
    "type",
    "comparator",
    "unit",
    "low",
    "high",
    "start",
    "end",
    "event",
    "repeat",
    "boundsPeriod",
    "origin",
    "data",
    "factor",
    "extension",
    "url",
    "valueReference",
    "valueQuantity",
    "valueCodeableConcept",
    "valuePeriod",
    "valueSampledData",
    "effectivePeriod",
    "effectiveTiming",
    "onsetRange",
    "longitude",
    "latitude",
];
