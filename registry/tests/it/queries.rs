//! What is read of a query and what is refused, without a store.

use fhir::ResourceType;
use registry::error::ReadError;
use registry::search::{ParseOptions, SearchQuery, Total, parse, supported, with_params};

use crate::oracle::with_words;

#[test]
fn what_is_not_done_is_refused_by_name() {
    let unsupported = [
        ("Patient?name:text=a", "name"),
        ("Observation?code:in=http://x", "code"),
        ("Observation?code:above=a", "code"),
        ("Observation?_text=a", "_text"),
        ("Observation?_sort=code-value-quantity", "code"),
        ("Patient?_has:Observation:patient:_has:AuditEvent:entity:agent=a", "AuditEvent"),
        ("Provenance?target:AuditEvent.agent=a", "AuditEvent"),
        ("Patient?_revinclude=AuditEvent:patient", "AuditEvent"),
        ("Observation?_include:recurse=Observation:subject", "_include:recurse"),
        ("Observation?_list=$current-problems", "$current-problems"),
        ("Observation?_type=Patient", "_type"),
    ];
    for (text, name) in unsupported {
        match query(text) {
            Err(ReadError::Unsupported(why)) => assert!(why.contains(name), "{text}: {why}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    let invalid = [
        "Patient?nonsense=1",
        "Basic?subject:Parameters._id=1",
        "Patient?_has:Parameters:subject:_id=1",
        "Basic?_include=Basic:subject:Parameters",
        "Patient?name=",
        "Observation?_filter=a",
        "Location?near=1",
        "Patient?birthdate=soon",
        "Patient?birthdate=2020-13-01",
        "Observation?value-quantity=a",
        "Observation?value-quantity=1|mg",
        "Observation?code=a|b|c",
        "Observation?subject=a/b/c",
        "Observation?code.text=a",
        "Observation?subject:Organization.name=a",
        "Patient?_count=-1",
        "Patient?_total=maybe",
        "Patient?_sort=nonsense",
        "Patient?_include=Observation:subject",
        "Patient?_include=Patient:nonsense",
        "Patient?_revinclude=Observation:code",
        "Patient?_revinclude=Observation:has-member",
        "Patient?_revinclude=Condition:patient:Group",
        "Patient?_include=Patient:organization:Patient",
        "Patient?_list=a b",
        "Patient?_has:Observation:code:status=final",
        "Patient?_has:Observation:has-member:status=final",
        "Patient?gender:missing=perhaps",
        "Patient?name=%00",
        "Patient?_cursor=zz",
    ];
    for text in invalid {
        assert!(matches!(query(text), Err(ReadError::Invalid(_))), "{text}: {:?}", query(text));
    }
    let long = format!("Patient?name={}", vec!["a"; 2_001].join(","));
    assert!(matches!(query(&long), Err(ReadError::TooCostly(_))));
}

/// What is refused stands last in each.
#[test]
fn includes_that_start_from_nothing_are_refused_by_name() {
    for text in [
        "Patient?_revinclude=Observation:subject:Group",
        "Patient?_revinclude=Observation:performer:Practitioner",
        "Patient?_revinclude=Medication:*",
        "Patient?_revinclude=Observation:*:Group",
        "Patient?_include=Patient:*:Group",
        "Patient?_include:iterate=Observation:subject",
        "Patient?_include=Patient:organization&_include:iterate=Location:organization",
        "Patient?_revinclude:iterate=Medication:manufacturer",
    ] {
        let asked = text.split(['?', '&']).next_back().unwrap();
        match query(text) {
            Err(ReadError::Invalid(why)) => assert!(why.starts_with(asked), "{text}: {why}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    for text in [
        "Patient?_include:iterate=Organization:partof&_include=Patient:organization",
        "Patient?_include=*&_include:iterate=Organization:endpoint",
        "Patient?_revinclude=*&_include:iterate=Observation:performer",
        "Practitioner?_include=Practitioner:*",
        "Medication?_revinclude:iterate=Medication:manufacturer&_include=Medication:manufacturer",
    ] {
        assert!(query(text).is_ok(), "{text}: {:?}", query(text));
    }
}

#[test]
fn what_is_ignored_is_reported_and_left_out_of_self() {
    let usual = query("Patient?_totalMethod=count&name=a&_count=5000&_format=json").unwrap();
    assert_eq!(usual.self_query(), "name=a&_format=json&_count=1000");
    assert_eq!((usual.ignored, usual.count), (vec!["_totalMethod".to_owned()], 1_000));
    let options = ParseOptions { base_url: "", lenient: true, now_us: 0, codes: None };
    let text = "nonsense=1&name=a%20b&_nonsense=x&_query=q&_cursor=AAAAAAAAAAAAAAAAAAAAAAAA";
    let lenient = parse(ResourceType::PATIENT, text, &options).unwrap();
    assert_eq!(lenient.ignored, ["nonsense", "_nonsense", "_query"]);
    let of_page = "name=a%20b&_count=50&_cursor=AAAAAAAAAAAAAAAAAAAAAAAA";
    assert_eq!(lenient.self_query(), of_page);
    assert_eq!(query("Patient?_summary=count").unwrap().total, Total::Accurate);
}

/// § 3.1.1.4.3: what would answer everything instead of something is refused, whatever the handling.
#[test]
fn a_slip_in_the_name_of_a_parameter_is_refused_however_lenient_the_handling() {
    for lenient in [false, true] {
        let options = ParseOptions { lenient, ..ParseOptions::default() };
        let parse = |text| parse(ResourceType::PATIENT, text, &options);
        for slip in [
            "_Id=p1",
            "_lastupdated=gt2030",
            "_LIST=x",
            "_sort:desc=_id",
            "_SORT=_id",
            "_count:exact=1",
            "Name=a",
            "Organization.name=a",
            "_include:always=Patient:link",
            "_Summary=count",
        ] {
            let refused = parse(slip).map(|query| query.ignored);
            let is_refused =
                matches!(refused, Err(ReadError::Invalid(_) | ReadError::Unsupported(_)));
            assert!(is_refused, "{slip}: {refused:?}");
        }
        let modified = parse("gender:text=x").map(|query| query.ignored);
        assert!(matches!(modified, Err(ReadError::Unsupported(_))), "{modified:?}");
        for unknown in ["_nonsense=1", "_tags=urn:t8|a", "nonsense=1", "$foo=1"] {
            assert_eq!(parse(unknown).is_ok(), lenient, "{unknown}");
        }
    }
}

#[test]
fn repeated_result_parameters_go_on_or_are_refused() {
    let sorted = query("Observation?_sort=date&_sort=-_id").unwrap();
    let together = query("Observation?_sort=date,-_id").unwrap();
    assert_eq!(sorted.legs[0].sort, together.legs[0].sort);
    assert_eq!(sorted.self_query(), "_sort=date&_sort=-_id&_count=50");

    for twice in ["_count=1&_count=2", "_total=none&_total=accurate", "_format=xml&_format=json"] {
        let refused = query(&format!("Patient?{twice}")).map(|query| query.applied);
        assert!(matches!(refused, Err(ReadError::Invalid(_))), "{twice}: {refused:?}");
    }
    let same = query("Patient?_format=json&_count=2&_format=json&_count=2").unwrap();
    assert_eq!((same.self_query(), same.count), ("_format=json&_count=2".into(), 2));
}

#[test]
fn every_parameter_said_to_be_supported_is_read_with_its_modifiers() {
    // Words are searched where a set of parameters says so.
    let words = with_words();
    let query = |text: &str| with_params(&words, || query(text));
    let sample = |kind: fhir::ParamKind, modifier: &str| match (kind, modifier) {
        (_, "missing") => "true",
        (_, "of-type") => "a|b|c",
        (fhir::ParamKind::Date, _) => "2020",
        (fhir::ParamKind::Number | fhir::ParamKind::Quantity, _) => "5",
        (fhir::ParamKind::Reference, "identifier") => "a|b",
        (fhir::ParamKind::Reference, _) => "Patient/1",
        (fhir::ParamKind::Special, _) => "0|0",
        _ => "a",
    };
    for of in ResourceType::stored() {
        for one in supported(of) {
            let code = one.param.code;
            let sample = |kind, modifier: &str| match fhir::is_boolean(of, one.param) {
                true if modifier.is_empty() || modifier == "not" => "true",
                _ => sample(kind, modifier),
            };
            if one.param.kind == fhir::ParamKind::Composite {
                let parts: Vec<_> =
                    one.param.components.iter().map(|part| sample(part.kind, "")).collect();
                let text = format!("{of}?{code}={}", parts.join("$"));
                assert!(query(&text).is_ok(), "{text}: {:?}", query(&text));
            } else {
                let text = format!("{of}?{code}={}", sample(one.param.kind, ""));
                assert!(query(&text).is_ok(), "{text}: {:?}", query(&text));
            }
            for modifier in one.modifiers.iter().filter(|modifier| **modifier != "[type]") {
                let text = format!("{of}?{code}:{modifier}={}", sample(one.param.kind, modifier));
                assert!(query(&text).is_ok(), "{text}: {:?}", query(&text));
            }
            let sorted = query(&format!("{of}?_sort={code}"));
            assert_eq!(sorted.is_ok(), one.sortable, "{of} {code}");
        }
    }
}

pub(crate) fn query(text: &str) -> Result<SearchQuery, ReadError> {
    let (of, query) = text.split_once('?').unwrap();
    let base_url = "http://example.org/fhir";
    let options = ParseOptions { base_url, lenient: false, now_us: 0, codes: None };
    parse(ResourceType::parse(of).unwrap(), query, &options)
}
