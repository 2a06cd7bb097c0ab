//! § 3.1.1.4.14: the components of a composite are of one element.

use serde_json::{Value as Json, json};

use super::{Cases, check, concept, observation, quantity};

/// § 3.1.1.4.14: the components are of one element.
#[test]
fn composites_of_observations_bind_a_code_to_its_value() {
    let loinc = |code: &str| concept("http://loinc.org", code);
    let pressure = |id: &str, systolic: f64, diastolic: f64| {
        let part = |code: &str, value: f64| json!({"code": loinc(code), "valueQuantity": quantity(value, "mm[Hg]")});
        observation(
            id,
            json!({"code": loinc("85354-9"),
                "component": [part("8480-6", systolic), part("8462-4", diastolic)]}),
        )
    };
    let valued = |id: &str, code: &str, name: &str, value: Json| {
        observation(id, json!({"code": loinc(code), name: value}))
    };
    let bare = json!({"coding": [{"code": "w"}]});
    let sampled =
        json!({"origin": quantity(90.0, "kg"), "period": 10, "dimensions": 1, "data": "0 1"});
    let resources = vec![
        pressure("bp1", 150.0, 80.0),
        pressure("bp2", 120.0, 110.0),
        valued("kg", "w", "valueQuantity", quantity(80.0, "kg")),
        valued("g", "w", "valueQuantity", quantity(79_000.0, "g")),
        observation("bare", json!({"code": bare, "valueQuantity": quantity(80.0, "kg")})),
        valued("sampled", "w", "valueSampledData", sampled),
        valued("yes", "q", "valueCodeableConcept", concept("urn:a", "Y")),
        valued(
            "no",
            "q",
            "valueCodeableConcept",
            json!({"coding": [{"code": "N"}], "text": "Nope"}),
        ),
        valued("text", "q", "valueString", "Straße 5, \"A$B\"".into()),
        valued("when", "q", "valueDateTime", "2013-01-14".into()),
        valued("span", "q", "valuePeriod", json!({"start": "2013-01-10", "end": "2013-01-20"})),
    ];
    check(resources, OBSERVATIONS);
}

#[test]
fn composites_of_other_types_bind_their_parts() {
    let context = |code: &str, value: Json| {
        let mut context = json!({"code": {"system": "urn:usage", "code": code}});
        context.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        context
    };
    let age = |low: f64, high: f64| json!({"valueRange": {"low": quantity(low, "a"), "high": quantity(high, "a")}});
    let focus = |code: &str| json!({"valueCodeableConcept": concept("urn:f", code)});
    let sequence = |id: &str, chromosome: &str, start: u32, end: u32| {
        json!({"resourceType": "MolecularSequence", "id": id, "coordinateSystem": 0,
            "referenceSeq": {"chromosome": concept("urn:chr", chromosome), "windowStart": start, "windowEnd": end,
                "referenceSeqId": concept("urn:ref", "NC")},
            "variant": [{"start": start, "end": end}, {"start": start + 1000, "end": end + 1000}]})
    };
    let document = |id: &str, code: &str, target: &str| {
        json!({"resourceType": "DocumentReference", "id": id, "status": "current",
            "relatesTo": [{"code": code, "target": {"reference": target}},
                {"code": "appends", "target": {"reference": "DocumentReference/z"}}]})
    };
    let resources = vec![
        json!({"resourceType": "Library", "id": "child", "status": "active",
            "useContext": [context("age", age(2.0, 12.0)), context("focus", focus("x"))]}),
        json!({"resourceType": "Library", "id": "adult", "status": "active",
            "useContext": [context("age", age(18.0, 99.0)), context("task", focus("x"))]}),
        json!({"resourceType": "Group", "id": "group", "type": "person", "actual": true,
            "characteristic": [
                {"code": concept("urn:c", "sex"), "valueCodeableConcept": concept("urn:v", "f"), "exclude": false},
                {"code": concept("urn:c", "smokes"), "valueBoolean": true, "exclude": false}]}),
        sequence("s1", "1", 100, 200),
        sequence("s2", "2", 150, 400),
        document("d1", "replaces", "DocumentReference/a"),
        document("d2", "signs", "DocumentReference/a"),
    ];
    check(resources, OTHERS);
}

const OBSERVATIONS: Cases = &[
    ("Observation?component-code-value-quantity=8480-6$gt140", &["bp1"]),
    ("Observation?component-code-value-quantity=8480-6$lt100", &[]),
    ("Observation?component-code-value-quantity=http://loinc.org|8462-4$gt100", &["bp2"]),
    ("Observation?component-code-value-quantity=urn:x|8462-4$gt100", &[]),
    ("Observation?component-code-value-quantity=|8462-4$gt100", &[]),
    ("Observation?component-code-value-quantity=http://loinc.org|$lt90", &["bp1"]),
    ("Observation?component-code-value-quantity=8480-6$gt140,8462-4$gt100", &["bp1", "bp2"]),
    (
        "Observation?component-code-value-quantity=8480-6$gt18.7|http://unitsofmeasure.org|kPa",
        &["bp1"],
    ),
    (
        "Observation?component-code-value-quantity=urn:x|8480-6$gt18.7|http://unitsofmeasure.org|kPa",
        &[],
    ),
    (
        "Observation?component-code-value-quantity=http://loinc.org|$gt14|http://unitsofmeasure.org|kPa",
        &["bp1", "bp2"],
    ),
    ("Observation?code-value-quantity=w$80", &["bare", "kg"]),
    ("Observation?code-value-quantity=|w$80", &["bare"]),
    ("Observation?code-value-quantity=http://loinc.org|$ge80", &["g", "kg"]),
    ("Observation?code-value-quantity=w$ge79|http://unitsofmeasure.org|kg", &["bare", "g", "kg"]),
    (
        "Observation?code-value-quantity=http://loinc.org|w$79.0|http://unitsofmeasure.org|kg",
        &["g"],
    ),
    ("Observation?code-value-quantity=w$80||kg,w$79000", &["bare", "g", "kg"]),
    // The parameter of the value knows sampled data, the composite does not.
    ("Observation?code=w&value-quantity=gt85&value-quantity=lt100", &["sampled"]),
    ("Observation?code=w&value-quantity=gt85|http://unitsofmeasure.org|kg", &["sampled"]),
    ("Observation?code-value-quantity=w$gt85&code-value-quantity=w$lt100", &[]),
    ("Observation?combo-code-value-quantity=8480-6$gt140,w$80", &["bare", "bp1", "kg"]),
    ("Observation?code-value-quantity=http://loinc.org|$80,|w$80", &["bare", "kg"]),
    ("Observation?combo-code-value-quantity=http://loinc.org|$80", &["bp1", "kg"]),
    (
        "Observation?combo-code-value-quantity=http://loinc.org|$80,8480-6$120",
        &["bp1", "bp2", "kg"],
    ),
    ("Observation?code-value-concept=q$Y", &["yes"]),
    ("Observation?code-value-concept=http://loinc.org|q$urn:a|Y", &["yes"]),
    ("Observation?code-value-concept=http://loinc.org|q$|N", &["no"]),
    ("Observation?code-value-concept=http://loinc.org|$urn:a|", &["yes"]),
    ("Observation?code-value-concept=|q$Y", &[]),
    ("Observation?code-value-concept=q$Y,q$N", &["no", "yes"]),
    ("Observation?combo-code-value-concept=q$Y", &["yes"]),
    ("Observation?code-value-string=q$strasse", &[]),
    ("Observation?code-value-string=q$stra", &["text"]),
    ("Observation?code-value-string=http://loinc.org|q$STRA%C3%9FE%205\\,%20%22a\\$b", &["text"]),
    // The composite reads strings only, its parameter texts of concepts too.
    ("Observation?code-value-string=q$nope", &[]),
    ("Observation?value-string=nope", &["no"]),
    ("Observation?code-value-string=w$stra", &[]),
    ("Observation?code-value-date=q$2013-01-14", &["when"]),
    ("Observation?code-value-date=q$ge2013-01-14", &["span", "when"]),
    ("Observation?code-value-date=q$lt2013-01-14", &["span"]),
    ("Observation?code-value-date=q$sa2013-01-13", &["when"]),
    ("Observation?code-value-date=http://loinc.org|$2013-01", &["span", "when"]),
    ("Observation?code-value-date=w$2013-01", &[]),
];

const OTHERS: Cases = &[
    ("Library?context-type-quantity=age$gt10", &["adult", "child"]),
    ("Library?context-type-quantity=age$sa12", &["adult"]),
    ("Library?context-type-quantity=urn:usage|age$lt24|http://unitsofmeasure.org|mo", &[]),
    ("Library?context-type-quantity=urn:usage|age$lt25|http://unitsofmeasure.org|mo", &["child"]),
    ("Library?context-type-quantity=focus$gt1", &[]),
    ("Library?context-type-value=focus$x", &["child"]),
    ("Library?context-type-value=urn:usage|task$urn:f|x", &["adult"]),
    ("Library?context-type-value=age$x", &[]),
    ("Library?context-type-value=urn:usage|$urn:f|", &["adult", "child"]),
    ("Group?characteristic-value=sex$f", &["group"]),
    ("Group?characteristic-value=smokes$true", &["group"]),
    ("Group?characteristic-value=smokes$f", &[]),
    ("MolecularSequence?chromosome-window-coordinate=1$lt101$gt199", &["s1"]),
    ("MolecularSequence?chromosome-window-coordinate=1$ge100$gt200", &[]),
    ("MolecularSequence?chromosome-window-coordinate=urn:chr|2$150$400", &["s2"]),
    ("MolecularSequence?chromosome-variant-coordinate=1$gt1000$le1200", &["s1"]),
    ("MolecularSequence?chromosome-variant-coordinate=1$100$1200", &[]),
    ("MolecularSequence?referenceseqid-window-coordinate=NC$lt200$gt100", &["s1", "s2"]),
    ("MolecularSequence?referenceseqid-variant-coordinate=urn:ref|$ge1150$ge1", &["s2"]),
    ("DocumentReference?relationship=replaces$DocumentReference/a", &["d1"]),
    ("DocumentReference?relationship=replaces$a", &["d1"]),
    ("DocumentReference?relationship=appends$DocumentReference/a", &[]),
    ("DocumentReference?relationship=replaces$a,signs$a", &["d1", "d2"]),
    ("DocumentReference?relationship=signs$http://example.org/fhir/DocumentReference/a", &["d2"]),
];
