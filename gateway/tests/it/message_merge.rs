//! HL7 v2 messages that name a patient whose record was merged into another one.
//!
//! HL7 v2.8.2 chapter 3, A40: after the merge the prior identifier stands for the surviving record. R4, Patient.link: a
//! record with `replaced-by` must no longer be used.

use serde_json::Value;

use crate::message::{listening, send};
use crate::site::Site;

fn adt(event: &str, control_id: &str, minute: u32, rest: &str) -> String {
    format!(
        "MSH|^~\\&|ADT1|NORTH|SEALWAY|NORTH|202603011{minute:03}00+0000||ADT^{event}|{control_id}|P|2.5.1\r\
         EVN|{event}|202603011{minute:03}00+0000\r{rest}\r"
    )
}

fn pid(identifier: &str, family: &str) -> String {
    format!("PID|1||{identifier}^^^NORTH^MR||{family}^Ruth")
}

fn merge(control_id: &str, minute: u32, surviving: &str, prior: &str) -> String {
    let rest = format!("{}\rMRG|{prior}^^^NORTH^MR", pid(surviving, "Rich"));
    adt("A40^ADT_A39", control_id, minute, &rest)
}

fn result(control_id: &str, identifier: &str) -> String {
    format!(
        "MSH|^~\\&|LAB|NORTH|SEALWAY|NORTH|20260301150000+0000||ORU^R01^ORU_R01|{control_id}|P|2.5.1\r\
         PID|1||{identifier}^^^NORTH^MR||Rich^Ruth\r\
         OBR|1||{control_id}^LAB|718-7^Hemoglobin^LN|||20260301113000+0000||||||||||||||||||F\r\
         OBX|1|NM|718-7^Hemoglobin^LN||13.2|g/dL^g/dL^UCUM|||||F\r"
    )
}

/// The Patient whose own record bears this identifier: not as an old one.
async fn patient(site: &Site, identifier: &str) -> Value {
    let found = site.get(&format!("/Patient?identifier={identifier}")).await.expect(200).json();
    let own = |entry: &&Value| {
        let all = entry["resource"]["identifier"].as_array().unwrap();
        all.iter().any(|i| i["value"] == identifier && i["use"] != "old")
    };
    found["entry"].as_array().unwrap().iter().find(own).unwrap()["resource"].clone()
}

async fn subject(site: &Site, kind: &str, control_id: &str) -> String {
    let found = site.get(&format!("/DiagnosticReport?identifier={control_id}")).await.expect(200);
    let report = found.json()["entry"][0]["resource"].clone();
    if kind == "DiagnosticReport" {
        return report["subject"]["reference"].as_str().unwrap().to_owned();
    }
    let path = format!("/{}", report["result"][0]["reference"].as_str().unwrap());
    let observation = site.get(&path).await.expect(200).json();
    observation["subject"]["reference"].as_str().unwrap().to_owned()
}

fn reference(patient: &Value) -> String {
    format!("Patient/{}", patient["id"].as_str().unwrap())
}

async fn accepted(site: &Site, message: &str) {
    let answer = send(site, message).await;
    assert!(answer.contains("MSA|AA|"), "{answer}");
}

/// P-B was merged into P-A.
async fn merged() -> Site {
    let site = listening().await;
    accepted(&site, &adt("A28^ADT_A05", "M1", 1, &pid("P-A", "Rich"))).await;
    accepted(&site, &adt("A28^ADT_A05", "M2", 2, &pid("P-B", "Ritch"))).await;
    accepted(&site, &merge("M3", 3, "P-A", "P-B")).await;
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_merge_messages_under_the_prior_identifier_go_to_the_surviving_record() {
    let site = merged().await;
    let retired = patient(&site, "P-B").await;
    let before = (retired["meta"]["versionId"].clone(), site.count("Patient").await);

    let update = format!("{}||19600102|F", pid("P-B", "Richter"));
    accepted(&site, &adt("A08^ADT_A01", "M4", 4, &update)).await;
    accepted(&site, &result("L1", "P-B")).await;

    let survivor = patient(&site, "P-A").await;
    assert_eq!(survivor["name"][0]["family"], "Richter");
    assert_eq!((&survivor["active"], &survivor["birthDate"]), (&true.into(), &"1960-01-02".into()));
    let retired = patient(&site, "P-B").await;
    assert_eq!((&retired["active"], &retired["meta"]["versionId"]), (&false.into(), &before.0));
    assert_eq!(site.count("Patient").await, before.1, "no third record is made");
    for kind in ["DiagnosticReport", "Observation"] {
        assert_eq!(subject(&site, kind, "L1").await, reference(&survivor), "{kind}");
    }
    // The raw message is the surviving patient's own.
    let token = site.token_of(policy::Role::Patient, survivor["id"].as_str());
    let raw = site.get_as(&token, "/Binary").await.expect(200).json();
    assert_eq!(raw["entry"].as_array().unwrap().len(), 4, "M1, the merge, the update, the result");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn merges_of_merged_records_are_followed_to_the_end() {
    let site = merged().await;
    accepted(&site, &adt("A28^ADT_A05", "M4", 4, &pid("P-C", "Rich"))).await;
    accepted(&site, &merge("M5", 5, "P-C", "P-A")).await;

    accepted(&site, &result("L1", "P-B")).await;

    let survivor = patient(&site, "P-C").await;
    assert_eq!(subject(&site, "Observation", "L1").await, reference(&survivor));
    assert_eq!(survivor["active"], true);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_into_a_retired_record_is_one_into_its_survivor_and_wakes_nobody() {
    let site = merged().await;
    accepted(&site, &adt("A28^ADT_A05", "M4", 4, &pid("P-D", "Rich"))).await;

    accepted(&site, &merge("M5", 5, "P-B", "P-D")).await;

    let (survivor, prior) = (patient(&site, "P-A").await, patient(&site, "P-D").await);
    assert_eq!(prior["link"][0]["type"], "replaced-by");
    assert_eq!(prior["link"][0]["other"]["reference"], reference(&survivor));
    assert_eq!(patient(&site, "P-B").await["active"], false);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_would_close_a_circle_is_refused() {
    let site = merged().await;
    accepted(&site, &adt("A28^ADT_A05", "M4", 4, &pid("P-C", "Rich"))).await;
    accepted(&site, &merge("M5", 5, "P-C", "P-A")).await;

    // P-B is P-A is P-C: P-C can be merged into neither of them.
    for (control_id, surviving) in [("M6", "P-A"), ("M7", "P-B")] {
        let answer = send(&site, &merge(control_id, 6, surviving, "P-C")).await;
        assert!(answer.contains(&format!("MSA|AE|{control_id}")), "{answer}");
        assert!(answer.contains("|205^"), "duplicate key identifier (table 0357): {answer}");
    }
    assert_eq!(patient(&site, "P-C").await["active"], true);
    // The same merge told again is no circle.
    accepted(&site, &merge("M8", 8, "P-C", "P-A")).await;
    site.stop().await;
}
