//! Tokens, strings, uris and references.

use serde_json::{Value as Json, json};

use super::{Cases, check, observation};

/// § 3.1.1.4.10 and the modifiers of token in § 3.1.1.4.3.
#[test]
fn tokens_are_found_by_code_system_and_text() {
    let coded = |id: &str, code: Json| observation(id, json!({"code": code}));
    let resources = vec![
        coded(
            "a",
            json!({"coding": [{"system": "urn:s", "code": "x", "display": "Headache, tension"}]}),
        ),
        coded("b", json!({"coding": [{"code": "x"}], "text": "Tension Headache"})),
        coded("c", json!({"coding": [{"system": "urn:t", "code": "x y"}]})),
        coded("d", json!({"text": "Hëadache only"})),
        coded(
            "e",
            json!({"coding": [{"system": "urn:s", "code": "a|b,c$d\\e"}, {"system": "urn:s", "code": "z"}]}),
        ),
        observation("f", json!({})),
    ];
    check(resources, TOKENS);
}

#[test]
fn identifiers_are_found_by_type_and_its_text() {
    let patient = |id: &str, identifier: Json| json!({"resourceType": "Patient", "id": id, "identifier": [identifier], "active": id == "a"});
    let mr = json!({"coding": [{"system": "urn:v2", "code": "MR"}, {"system": "urn:own", "code": "N"}],
        "text": "Medical record"});
    let resources = vec![
        patient("a", json!({"type": mr, "system": "urn:mrn", "value": "7"})),
        patient(
            "b",
            json!({"type": {"coding": [{"system": "urn:v2", "code": "SS"}]}, "value": "7"}),
        ),
        patient("c", json!({"system": "urn:mrn"})),
    ];
    check(resources, IDENTIFIERS);
}

/// § 3.1.1.4.8.
#[test]
fn strings_start_with_contain_or_equal() {
    let patient = |id: &str, family: &str, given: &str| json!({"resourceType": "Patient", "id": id, "name": [{"family": family, "given": [given]}]});
    let resources = vec![
        patient("a", "Müller", "Eve"),
        patient("b", "muller-Lüdenscheidt", "Evelyn"),
        patient("c", "O'Brien, Jr", "Severine"),
        patient("d", "100%_x", "eve"),
        json!({"resourceType": "Patient", "id": "e"}),
    ];
    check(resources, STRINGS);
}

/// § 3.1.1.4.9: uris match whole; `:below` and `:above` follow the path.
#[test]
fn uris_match_whole_or_along_the_path() {
    let set = |id: &str, url: &str| {
        json!({"resourceType": "ValueSet", "id": id, "status": "active", "url": url,
            "meta": {"profile": [format!("http://p.example/{id}")], "source": "urn:src#1",
                "tag": [{"system": "urn:tag", "code": id}],
                "security": [{"system": "urn:sec", "code": "R", "display": "Restricted"}]}})
    };
    let resources = vec![
        set("a", "http://acme.org/fhir/ValueSet/123"),
        set("b", "http://acme.org/fhir/ValueSet/123/_history/5"),
        set("c", "http://acme.org/fhir"),
        set("d", "http://acme.org/fhirx"),
        set("e", "urn:oid:1.2.3"),
    ];
    check(resources, URIS);
}

/// § 3.1.1.4.14: `:above` and `:below` follow the hierarchy of the type that is referred to.
#[test]
fn references_are_found_above_and_below_in_a_hierarchy() {
    let place = |id: &str, part_of: &str| {
        let mut place = json!({"resourceType": "Location", "id": id});
        if !part_of.is_empty() {
            place["partOf"] = json!({"reference": format!("Location/{part_of}")});
        }
        place
    };
    let visit = |id: &str, place: &str| {
        json!({"resourceType": "Encounter", "id": id, "status": "finished", "class": {"code": "AMB"},
            "location": [{"location": {"reference": format!("Location/{place}")}}]})
    };
    let resources = vec![
        place("site", ""),
        place("ward", "site"),
        place("bed", "ward"),
        place("other", ""),
        // A circle ends.
        place("one", "two"),
        place("two", "one"),
        visit("a", "site"),
        visit("b", "ward"),
        visit("c", "bed"),
        visit("d", "other"),
        visit("e", "two"),
    ];
    check(resources, HIERARCHIES);
}

/// § 3.1.1.4.12.
#[test]
fn references_are_found_by_type_url_identifier_and_absence() {
    let about = |id: &str, subject: Json| observation(id, json!({"subject": subject}));
    let resources = vec![
        about("a", json!({"reference": "Patient/1"})),
        about("b", json!({"reference": "Group/1"})),
        about("c", json!({"reference": "http://there.example/Patient/1"})),
        about("d", json!({"identifier": {"system": "urn:mrn", "value": "7"}})),
        about("e", json!({"reference": "http://example.org/fhir/Patient/1/_history/3"})),
        about("f", json!({"reference": "http://there.example/Group/1"})),
        observation("g", json!({})),
    ];
    check(resources, REFERENCES);
}

const TOKENS: Cases = &[
    ("Observation?code=x", &["a", "b"]),
    ("Observation?code=urn:s|x", &["a"]),
    ("Observation?code=|x", &["b"]),
    ("Observation?code=urn:s|", &["a", "e"]),
    ("Observation?code=X", &[]),
    ("Observation?code=x%20y", &["c"]),
    ("Observation?code=urn:t|x+y", &["c"]),
    ("Observation?code=a\\|b\\,c\\$d\\\\e", &["e"]),
    ("Observation?code=urn:s|a\\|b\\,c\\$d\\\\e,|x", &["b", "e"]),
    ("Observation?code=x&code=urn:s|", &["a"]),
    // A prefix is none here.
    ("Observation?code=eqx", &[]),
    ("Observation?code:not=x", &["c", "d", "e", "f"]),
    ("Observation?code:not=urn:s|x,|x", &["c", "d", "e", "f"]),
    ("Observation?code:not=z", &["a", "b", "c", "d", "f"]),
    ("Observation?code:text=headache", &["a", "d"]),
    ("Observation?code:text=TENSION", &["b"]),
    ("Observation?code:text=tension,headache\\,", &["a", "b"]),
    ("Observation?code:code-text=headache%20o", &["d"]),
    ("Observation?code:text=x", &[]),
    ("Observation?code:missing=true", &["f"]),
    ("Observation?code:missing=false", &["a", "b", "c", "d", "e"]),
    ("Observation?combo-code:text=head", &["a", "d"]),
    ("Observation?combo-code:missing=true", &["f"]),
    ("Observation?status=http://hl7.org/fhir/observation-status|final&code=z", &["e"]),
];

const IDENTIFIERS: Cases = &[
    ("Patient?identifier:of-type=urn:v2|MR|7", &["a"]),
    ("Patient?identifier:of-type=urn:own|N|7", &["a"]),
    ("Patient?identifier:of-type=urn:v2|SS|7", &["b"]),
    ("Patient?identifier:of-type=urn:v2|MR|8", &[]),
    ("Patient?identifier:text=medical", &["a"]),
    ("Patient?identifier=7", &["a", "b"]),
    ("Patient?identifier=|7", &["b"]),
    ("Patient?active=true", &["a"]),
    ("Patient?active:not=true", &["b", "c"]),
    ("Patient?active=http://hl7.org/fhir/special-values|false", &["b", "c"]),
];

const STRINGS: Cases = &[
    ("Patient?given=eve", &["a", "b", "d"]),
    ("Patient?given:contains=eve", &["a", "b", "c", "d"]),
    ("Patient?given:exact=Eve", &["a"]),
    ("Patient?given:exact=eve", &["d"]),
    ("Patient?family=MULLER", &["a", "b"]),
    ("Patient?family=M%C3%BCller", &["a", "b"]),
    ("Patient?family=mu%CC%88ller-lu", &["b"]),
    ("Patient?family:exact=muller", &[]),
    ("Patient?family=O'Brien\\,", &["c"]),
    ("Patient?family=o'brien,100", &["c", "d"]),
    ("Patient?family=%25", &[]),
    ("Patient?family:contains=%25_", &["d"]),
    ("Patient?family:contains=_", &["d"]),
    ("Patient?name=eve&name=m", &["a", "b"]),
    ("Patient?name:missing=true", &["e"]),
];

const URIS: Cases = &[
    ("ValueSet?url=http://acme.org/fhir", &["c"]),
    ("ValueSet?url=http://acme.org/FHIR", &[]),
    ("ValueSet?url:below=http://acme.org/fhir", &["a", "b", "c"]),
    ("ValueSet?url:below=http://acme.org/fhir/", &["a", "b"]),
    ("ValueSet?url:above=http://acme.org/fhir/ValueSet/123/_history/5", &["a", "b", "c"]),
    ("ValueSet?url:above=http://acme.org/fhir/ValueSet/1234", &["c"]),
    ("ValueSet?url=urn:oid:1.2.3,http://acme.org/fhirx", &["d", "e"]),
    ("ValueSet?url:missing=true", &[]),
    ("ValueSet?_profile=http://p.example/a", &["a"]),
    ("ValueSet?_profile:below=http://p.example", &["a", "b", "c", "d", "e"]),
    ("ValueSet?_tag=urn:tag|b", &["b"]),
    ("ValueSet?_tag:not=a,b,c", &["d", "e"]),
    ("ValueSet?_security=R&_id=a,c", &["a", "c"]),
    ("ValueSet?_security:text=restr&_id=a", &["a"]),
    ("ValueSet?_source=urn:src%231&_id=e", &["e"]),
];

const REFERENCES: Cases = &[
    ("Observation?subject=1", &["a", "b", "e"]),
    ("Observation?subject=Patient/1", &["a", "e"]),
    ("Observation?subject:Patient=1", &["a", "e"]),
    ("Observation?subject=http://example.org/fhir/Patient/1", &["a", "e"]),
    ("Observation?subject=http://there.example/Patient/1", &["c"]),
    ("Observation?patient=1", &["a", "e"]),
    ("Observation?patient=Group/1", &[]),
    ("Observation?patient=http://there.example/Group/1", &[]),
    ("Observation?patient=http://there.example/Patient/1", &["c"]),
    ("Observation?subject:identifier=urn:mrn|7", &["d"]),
    ("Observation?subject:identifier=7", &["d"]),
    ("Observation?subject:identifier=|7", &[]),
    ("Observation?subject:missing=true", &["g"]),
    // The patient is missing where the subject is somebody else.
    ("Observation?patient:missing=true", &["b", "d", "f", "g"]),
    ("Observation?patient:missing=false", &["a", "c", "e"]),
];

const HIERARCHIES: Cases = &[
    ("Encounter?location=Location/ward", &["b"]),
    ("Encounter?location:below=Location/ward", &["b", "c"]),
    ("Encounter?location:below=site", &["a", "b", "c"]),
    ("Encounter?location:above=bed", &["a", "b", "c"]),
    ("Encounter?location:above=http://example.org/fhir/Location/ward", &["a", "b"]),
    ("Encounter?location:below=Location/one", &["e"]),
    ("Encounter?location:below=Location/ward,Location/other", &["b", "c", "d"]),
    ("Encounter?location:below=Location/none", &[]),
    ("Location?partof:below=Location/site", &["bed", "ward"]),
];
