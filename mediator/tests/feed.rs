//! What a hospital's feed leaves behind: visits, transfers, corrections, merges, repeats.

mod support;

use std::collections::BTreeMap;

use fhir::{ReadLimits, Tree};
use mediator::{Conversion, Fate, Layer, Merged, RuleSet, merge};
use serde_json::Value;
use support::{convert_here, fixture};

#[test]
fn an_admission_makes_the_resources_of_its_segments() {
    let rules = RuleSet::base();
    let mut store = Store::default();

    store.receive("adt_a01.hl7", &rules);

    let patient = store.only("Patient");
    assert_eq!(patient["name"][0]["family"], "Baumann");
    assert_eq!(patient["name"][1]["use"], "maiden");
    assert_eq!(patient["birthDate"], "1971-04-09");
    assert_eq!(patient["gender"], "female");
    assert_eq!(patient["identifier"][0]["system"], "urn:oid:1.3.6.1.4.1.99999.1");
    assert_eq!(patient["telecom"][1]["system"], "email");
    assert_eq!(patient["contact"][0]["relationship"][0]["coding"][0]["code"], "SPS");
    assert_eq!(patient["multipleBirthInteger"], 2);
    let visit = store.only("Encounter");
    assert_eq!(visit["status"], "in-progress");
    assert_eq!(visit["class"]["code"], "IMP");
    assert_eq!(visit["identifier"][1]["value"], "ACC-9");
    assert_eq!(visit["period"]["start"], "2026-03-01T11:55:00+01:00");
    assert_eq!(visit["participant"].as_array().map(Vec::len), Some(2));
    assert_eq!(visit["reasonCode"][0]["coding"][0]["system"], "http://hl7.org/fhir/sid/icd-10");
    assert_eq!(store.only("AllergyIntolerance")["criticality"], "high");
    assert_eq!(store.only("Condition")["code"]["coding"][0]["code"], "J18.9");
    assert_eq!(store.only("Coverage")["subscriberId"], "POL-123");
    assert_eq!(store.only("Location")["name"], "W3 12 A");
    assert_eq!(store.all("Practitioner").len(), 3);
    let provenance = store.only("Provenance");
    assert_eq!(provenance["activity"]["coding"][0]["code"], "A01");
    assert_eq!(provenance["extension"][0]["valueString"], rules.hash().to_string());
    assert!(provenance["target"].as_array().is_some_and(|t| t.len() >= 9));
}

#[test]
fn a_feed_sent_again_changes_nothing() {
    let rules = RuleSet::base();
    let mut store = Store::default();
    let feed =
        ["adt_a01.hl7", "adt_a02.hl7", "oru_r01.hl7", "oru_r01_corrected.hl7", "adt_a40.hl7"];
    for name in feed {
        assert!(store.receive(name, &rules) > 0, "{name}");
    }

    for name in feed {
        assert_eq!(store.receive(name, &rules), 0, "{name}");
    }
}

#[test]
fn a_visit_runs_from_admission_to_cancellation() {
    let rules = RuleSet::base();
    let mut store = Store::default();
    store.receive("adt_a01.hl7", &rules);

    store.receive("adt_a02.hl7", &rules);
    let moved = store.only("Encounter");
    assert_eq!(moved["location"][0]["status"], "completed");
    assert_eq!(moved["location"][0]["period"]["end"], "2026-03-02T07:59:00+01:00");
    assert_eq!(moved["location"][1]["status"], "active");
    assert_eq!(moved["period"]["start"], "2026-03-01T11:55:00+01:00");

    store.receive("adt_a03.hl7", &rules);
    let left = store.only("Encounter");
    assert_eq!(left["status"], "finished");
    assert_eq!(left["period"]["end"], "2026-03-04T09:55:00+01:00");
    assert_eq!(left["location"].as_array().map(Vec::len), Some(2));
    assert_eq!(left["hospitalization"]["dischargeDisposition"]["coding"][0]["code"], "home");
    assert_eq!(left["reasonCode"][0]["coding"][0]["code"], "J18.9");

    store.receive("adt_a13.hl7", &rules);
    let again = store.only("Encounter");
    assert_eq!(again["status"], "in-progress");
    assert!(again["period"].get("end").is_none());
    assert!(again["hospitalization"].get("dischargeDisposition").is_none());

    store.receive("adt_a11.hl7", &rules);
    let cancelled = store.only("Encounter");
    assert_eq!(cancelled["status"], "cancelled");
    // R4, Encounter.location.status: "active" would say that the patient is there now.
    let locations = cancelled["location"].as_array().expect("list");
    assert!(locations.iter().all(|l| l["status"] == "completed"), "{locations:?}");
}

#[test]
fn a_cancelled_admission_leaves_nobody_at_its_place_whether_or_not_it_names_it() {
    let rules = RuleSet::base();
    let whole = String::from_utf8(fixture("adt_a11.hl7")).expect("ASCII");
    let mut fields: Vec<&str> = whole.split('|').collect();
    let pv1 = whole.split('|').position(|f| f.ends_with("PV1")).expect("a PV1");
    fields[pv1 + 3] = "";
    for message in [whole.clone(), fields.join("|")] {
        let mut store = Store::default();
        store.receive("adt_a01.hl7", &rules);
        assert_eq!(store.only("Encounter")["location"][0]["status"], "active");

        store.apply(&convert_here(message.as_bytes(), &rules).expect("applied"));

        let visit = store.only("Encounter");
        assert_eq!(visit["status"], "cancelled");
        let locations = visit["location"].as_array().expect("list");
        assert!(locations.iter().all(|l| l["status"] == "completed"), "{locations:?}");
    }
    // A cancellation of what was never told of makes no place either.
    let mut store = Store::default();
    store.receive("adt_a11.hl7", &rules);
    assert_eq!(store.only("Encounter")["location"][0]["status"], "completed");
}

#[test]
fn observations_of_a_laboratory_section_are_laboratory_and_others_are_not_called_so() {
    // US Core wants Observation.category; HL7 table 0074 in OBR-24 is where the message says what it is.
    let rules = RuleSet::base();
    let message = |section: &str| {
        format!(
            "MSH|^~\\&|LAB|LINDEN|GW|HIE|20260302092500+0100||ORU^R01^ORU_R01|C1|P|2.5.1\r\
             PID|1||P-100^^^LINDEN^MR||Baumann^Ilse\r\
             OBR|1||F1^LAB|718-7^Hemoglobin^LN|||20260302071500+0100|||||||||||||||||{section}|F\r\
             OBX|1|NM|718-7^Hemoglobin^LN||13.1|g/dL^g/dL^UCUM|||||F\r"
        )
    };
    let category = |section: &str| {
        let mut store = Store::default();
        store.apply(&convert_here(message(section).as_bytes(), &rules).expect("applied"));
        store.only("Observation")["category"].clone()
    };
    for section in ["LAB", "CH", "HM", "MB", "hm"] {
        let coding = &category(section)[0]["coding"][0];
        assert_eq!(coding["code"], "laboratory", "{section}");
        assert_eq!(coding["system"], "http://terminology.hl7.org/CodeSystem/observation-category");
    }
    for section in ["", "RAD", "CUS", "PHR", "ZZZ"] {
        assert!(category(section).is_null(), "{section}");
    }
}

#[test]
fn an_update_deletes_by_null_and_an_old_one_is_stale() {
    let rules = RuleSet::base();
    let mut store = Store::default();
    store.receive("adt_a01.hl7", &rules);

    store.receive("adt_a08_null.hl7", &rules);
    let patient = store.only("Patient");
    assert_eq!(patient["name"][0]["family"], "Baumann-Vogt");
    assert!(patient.get("birthDate").is_none());
    assert_eq!(patient["maritalStatus"]["coding"][0]["code"], "M");
    assert_eq!(patient["identifier"].as_array().map(Vec::len), Some(2));

    store.receive("adt_a08_stale.hl7", &rules);
    assert_eq!(store.only("Patient")["name"][0]["family"], "Baumann-Vogt");
}

#[test]
fn a_result_erases_no_demographics_and_a_correction_finds_its_observation() {
    let rules = RuleSet::base();
    let mut store = Store::default();
    store.receive("adt_a01.hl7", &rules);
    let before = store.only("Patient");

    store.receive("oru_r01.hl7", &rules);
    assert_eq!(store.only("Patient"), before);
    assert_eq!(store.only("Encounter")["status"], "in-progress");
    let report = store.only("DiagnosticReport");
    assert_eq!(report["status"], "final");
    assert_eq!(report["issued"], "2026-03-02T09:25:00+01:00");
    assert_eq!(report["result"].as_array().map(Vec::len), Some(4));
    assert_eq!(store.only("ServiceRequest")["note"][0]["text"], "Fasting sample");
    assert_eq!(store.only("Specimen")["type"]["coding"][0]["code"], "BLD");
    let by_code = |code: &str| {
        let all = store.all("Observation");
        all.into_iter().find(|o| o["code"]["coding"][0]["code"] == code).expect("there")
    };
    let hemoglobin = by_code("718-7");
    assert_eq!(hemoglobin["valueQuantity"]["value"].to_string(), "13.10");
    assert_eq!(hemoglobin["valueQuantity"]["code"], "g/dL");
    assert_eq!(hemoglobin["referenceRange"][0]["high"]["value"].to_string(), "16");
    assert_eq!(hemoglobin["effectiveDateTime"], "2026-03-02T07:15:00+01:00");
    assert_eq!(by_code("789-8")["status"], "preliminary");
    assert_eq!(by_code("789-8")["note"][0]["text"], "Recount\npending");
    assert_eq!(by_code("882-1")["valueCodeableConcept"]["coding"][0]["code"], "A");
    assert_eq!(by_code("18782-3")["valueString"], "line one\nline two");

    store.receive("oru_r01_corrected.hl7", &rules);
    assert_eq!(store.all("Observation").len(), 4);
    let all = store.all("Observation");
    let corrected = all.iter().find(|o| o["status"] == "corrected").expect("there");
    assert_eq!(corrected["valueQuantity"]["value"].to_string(), "12.90");
    assert_eq!(store.only("DiagnosticReport")["status"], "corrected");
    assert_eq!(store.only("DiagnosticReport")["result"].as_array().map(Vec::len), Some(4));
}

#[test]
fn a_merge_links_both_records_and_keeps_them() {
    let rules = RuleSet::base();
    let mut store = Store::default();
    store.receive("adt_a01.hl7", &rules);

    store.receive("adt_a40.hl7", &rules);

    let patients = store.all("Patient");
    assert_eq!(patients.len(), 2);
    let survivor = patients.iter().find(|p| p["active"] == true).expect("one is active");
    let prior = patients.iter().find(|p| p["active"] == false).expect("one is not");
    let to = |p: &serde_json::Value| format!("Patient/{}", p["id"].as_str().expect("text"));
    assert_eq!(survivor["link"][0]["type"], "replaces");
    assert_eq!(survivor["link"][0]["other"]["reference"], to(prior));
    assert_eq!(prior["link"][0]["type"], "replaced-by");
    assert_eq!(prior["link"][0]["other"]["reference"], to(survivor));
    assert_eq!(survivor["maritalStatus"]["coding"][0]["code"], "M");
    let old = survivor["identifier"].as_array().expect("list").iter().find(|i| i["use"] == "old");
    assert_eq!(old.expect("kept")["value"], "P-099");
}

#[test]
fn every_atom_is_accounted_for_and_z_segments_by_site_rules() {
    let base = RuleSet::base();
    let message = fixture("adt_z.hl7");
    let conversion = convert_here(&message, &base).expect("applied");
    let fate = |conversion: &mediator::Conversion, wanted: &str| {
        let found = conversion.account.atoms().find(|(place, _)| place.to_string() == wanted);
        format!("{:?}", found.expect("an atom").1)
    };
    assert_eq!(fate(&conversion, "PID-5.1"), r#"Mapped("base/PID-5")"#);
    assert_eq!(fate(&conversion, "MSH-10.1"), r#"Ignored("base/MSH-10")"#);
    assert_eq!(fate(&conversion, "ZPI-2.1"), format!("{:?}", Fate::LeftOver));

    let rows = "rule,source,when,target,as,argument\n\
        ZPI-2,ZPI-2,,Patient.telecom,XTN,home\nPID-5,PID-5,,,ignore,names are not wanted here\n";
    let site =
        Layer { name: "site/linden".to_owned(), files: vec![("map.csv".into(), rows.into())] };
    let rules = RuleSet::compile(&[Layer::base(), site]).expect("valid");
    let conversion = convert_here(&message, &rules).expect("applied");

    assert_eq!(fate(&conversion, "ZPI-2.1"), r#"Mapped("site/linden/ZPI-2")"#);
    assert_eq!(fate(&conversion, "PID-5.1"), r#"Ignored("site/linden/PID-5")"#);
    assert_ne!(rules.hash(), base.hash());
}

#[test]
fn a_sites_namespaces_decide_who_is_the_same_patient() {
    let message = String::from_utf8(fixture("adt_z.hl7")).expect("ASCII");
    let other = message.replace("P-200^^^LINDEN^MR", "P-200^^^LND&1.3.6.1.4.1.99999.1&ISO^MR");
    let elsewhere = message.replace("P-200^^^LINDEN^MR", "P-200^^^OAK^MR");
    let names = "name,uri\nLINDEN,urn:oid:1.3.6.1.4.1.99999.1\n";
    let site =
        Layer { name: "site/linden".into(), files: vec![("namespaces.csv".into(), names.into())] };
    let id = |text: &str, rules: &RuleSet| {
        convert_here(text.as_bytes(), rules).expect("applied").drafts[0].id.clone()
    };
    let base = RuleSet::base();
    assert_ne!(id(&message, &base), id(&other, &base));
    assert_ne!(id(&message, &base), id(&elsewhere, &base));

    let rules = RuleSet::compile(&[Layer::base(), site]).expect("valid");
    assert_eq!(id(&message, &rules), id(&other, &rules));
    assert_ne!(id(&message, &rules), id(&elsewhere, &rules));
}

#[test]
fn a_wrong_rule_is_refused_with_file_and_line() {
    for (rows, wanted) in [
        ("A,PID-5,,Patient.nam,XPN,", "no element `Patient.nam` in FHIR R4"),
        ("A,PID-5,,Patient.name,CX,", "`Patient.name` is a HumanName, but `CX` makes a Identifier"),
        ("A,PID-5,,Patient.name,XXX,", "no converter `XXX`"),
        ("A,PID-8,,Patient.gender,code,nothing", "no code map `nothing`"),
        ("A,PID,,Patient.name,XPN,", "`PID` is not a field such as PID-3"),
        ("A,PID-5,PID-7 filled,Patient.name,XPN,", "expected `valued`, `=` or `in`, not `filled`"),
    ] {
        let text = format!("rule,source,when,target,as,argument\n{rows}\n");
        let layer = Layer { name: "site/x".into(), files: vec![("map.csv".into(), text)] };

        let error = RuleSet::compile(&[Layer::base(), layer]).err().expect("refused");

        assert_eq!(error.to_string(), format!("site/x/map.csv:2: {wanted}"));
    }
}

/// A store in memory: what the gateway does with drafts, without versions' bytes.
#[derive(Default)]
struct Store {
    resources: BTreeMap<(String, String), (usize, Vec<u8>)>,
}

impl Store {
    /// Merges every draft of a conversion; gives how many resources were written.
    fn apply(&mut self, conversion: &Conversion) -> usize {
        let mut written = 0;
        for draft in &conversion.drafts {
            let key = (draft.resource_type.to_owned(), draft.id.clone());
            let stored = self.resources.get(&key);
            let tree = stored.map(|(_, bytes)| Tree::parse(bytes.clone()).expect("valid"));
            if let Merged::Write(bytes) = merge(tree.as_ref(), draft) {
                fhir::read(bytes.clone(), &ReadLimits::default()).unwrap_or_else(|e| {
                    panic!("{key:?}: {e:?}\n{}", String::from_utf8_lossy(&bytes))
                });
                let version = stored.map_or(1, |(version, _)| version + 1);
                self.resources.insert(key, (version, bytes));
                written += 1;
            }
        }
        written
    }

    /// Converts and applies a fixture.
    fn receive(&mut self, name: &str, rules: &RuleSet) -> usize {
        let conversion =
            convert_here(&fixture(name), rules).unwrap_or_else(|e| panic!("{name}: {e}"));
        self.apply(&conversion)
    }

    /// All resources of a type.
    fn all(&self, kind: &str) -> Vec<Value> {
        let of_kind = self.resources.iter().filter(|((k, _), _)| k == kind);
        of_kind.map(|(_, (_, bytes))| serde_json::from_slice(bytes).expect("valid")).collect()
    }

    /// The only resource of a type.
    fn only(&self, kind: &str) -> Value {
        let mut all = self.all(kind);
        assert_eq!(all.len(), 1, "{kind}");
        all.remove(0)
    }
}
