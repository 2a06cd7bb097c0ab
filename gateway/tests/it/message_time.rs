//! Times of HL7 v2 messages without a UTC offset, and messages that arrive after a later event.
//!
//! HL7 v2.8.2 chapter 2A, DTM: without an offset the sender's local time is meant. FHIR R4, dateTime: a time has an offset.

use mediator::RuleSet;

use crate::message::{listening, send};
use crate::site::Site;

async fn listening_in(zone: &str) -> Site {
    let zone = RuleSet::base().zone(zone);
    assert!(zone.is_some());
    Site::start_with(|config| {
        config.mllp.listen = Some("127.0.0.1:0".parse().unwrap());
        config.hl7v2.zone = zone;
    })
    .await
}

fn result(control_id: &str, application: &str, sent: &str, observed: &str) -> String {
    format!(
        "MSH|^~\\&|{application}|NORTH|SEALWAY|NORTH|{sent}||ORU^R01^ORU_R01|{control_id}|P|2.5.1\r\
         PID|1||T1^^^NORTH^MR||Rich^Ruth\r\
         OBR|1||{control_id}^LAB|718-7^Hemoglobin^LN|||{observed}||||||||||||||||||F\r\
         OBX|1|NM|718-7^Hemoglobin^LN||13.2|g/dL^g/dL^UCUM|||||F\r"
    )
}

fn update(control_id: &str, happened: &str, family: &str) -> String {
    format!(
        "MSH|^~\\&|ADT1|NORTH|SEALWAY|NORTH|{happened}||ADT^A08^ADT_A01|{control_id}|P|2.5.1\r\
         EVN|A08|{happened}\rPID|1||T1^^^NORTH^MR||{family}^Ruth\r"
    )
}

async fn effective(site: &Site, filler: &str) -> serde_json::Value {
    let found = site.get(&format!("/DiagnosticReport?identifier={filler}")).await.expect(200);
    found.json()["entry"][0]["resource"]["effectiveDateTime"].clone()
}

async fn family(site: &Site) -> String {
    let found = site.get("/Patient?identifier=T1").await.expect(200).json();
    found["entry"][0]["resource"]["name"][0]["family"].as_str().unwrap().to_owned()
}

fn errors(answer: &str) -> Vec<&str> {
    answer.split('\r').filter(|line| line.starts_with("ERR|")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_without_an_offset_is_that_of_the_senders_zone_in_winter_and_in_summer() {
    let site = listening_in("Europe/Berlin").await;

    let winter = send(&site, &result("Z1", "LAB", "20240101130000", "20240101123000")).await;
    let summer = send(&site, &result("Z2", "LAB", "20240701130000", "20240701123000")).await;
    // The clock shows 02:30 twice on the last Sunday of October: the first time is meant (still summer time).
    let twice = send(&site, &result("Z3", "LAB", "20241027040000", "20241027023000")).await;
    // It never shows 02:30 on the last Sunday of March: 01:30 UTC, which it shows as 03:30.
    let never = send(&site, &result("Z4", "LAB", "20240331040000", "20240331023000")).await;
    // An offset of the message counts for all of its times (HL7 v2.8.2, MSH-7).
    let stated = send(&site, &result("Z5", "LAB", "20240101130000-0500", "20240101123000")).await;

    for answer in [&winter, &summer, &twice, &never, &stated] {
        assert!(answer.contains("MSA|AA|"), "{answer}");
        assert_eq!(errors(answer), [""; 0], "{answer}");
    }
    for (filler, wanted) in [
        ("Z1", "2024-01-01T12:30:00+01:00"),
        ("Z2", "2024-07-01T12:30:00+02:00"),
        ("Z3", "2024-10-27T02:30:00+02:00"),
        ("Z4", "2024-03-31T02:30:00+01:00"),
        ("Z5", "2024-01-01T12:30:00-05:00"),
    ] {
        assert_eq!(effective(&site, filler).await, wanted);
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_far_away_has_a_zone_of_its_own() {
    let rules = RuleSet::base();
    let site = Site::start_with(|config| {
        config.mllp.listen = Some("127.0.0.1:0".parse().unwrap());
        config.hl7v2.zone = rules.zone("Europe/Berlin");
        config.hl7v2.sender_zones = vec![gateway::config::SenderZone {
            application: "FAR".to_owned(),
            facility: String::new(),
            zone: rules.zone("America/New_York").unwrap(),
        }];
    })
    .await;

    send(&site, &result("Z1", "FAR", "20240101130000", "20240101123000")).await;
    send(&site, &result("Z2", "NEAR", "20240101130000", "20240101123000")).await;

    assert_eq!(effective(&site, "Z1").await, "2024-01-01T12:30:00-05:00");
    assert_eq!(effective(&site, "Z2").await, "2024-01-01T12:30:00+01:00");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_of_day_that_is_left_out_is_told_at_its_place_with_what_helps() {
    let site = listening().await;

    let answer = send(&site, &result("Z1", "LAB", "20240101130000", "20240101123000")).await;

    assert!(answer.contains("MSA|AA|Z1"), "{answer}");
    assert_eq!(effective(&site, "Z1").await, "2024-01-01");
    let told = |place: &str| {
        format!(
            "ERR||{place}|102^data type error^HL70357|W||||applied without its time of day: no-offset-time-dropped: \
             no UTC offset here or in MSH-7; send one, or set hl7v2.zone to the zone of the senders"
        )
    };
    assert_eq!(errors(&answer), [told("MSH^1^7^1"), told("OBR^1^7^1^1^1")]);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_known_zone_events_are_ordered_by_when_they_happened() {
    let site = listening_in("+01:00").await;

    // 12:30 at +01:00, then 12:00 UTC, which is half an hour later.
    send(&site, &update("S1", "20240105123000", "First")).await;
    let newer = send(&site, &update("S2", "20240105130000+0100", "Second")).await;
    assert_eq!((errors(&newer).len(), family(&site).await.as_str()), (0, "Second"), "{newer}");

    // 12:45 at +01:00 lies before it.
    let before = site.count("Provenance").await;
    let older = send(&site, &update("S3", "20240105124500", "Third")).await;
    assert!(older.contains("MSA|AA|S3"), "{older}");
    let told = "ERR||EVN^1^2^1|0^accepted^HL70357|W||||not applied where it differs: older-than-stored: what is stored is of a later event";
    assert_eq!(errors(&older), [told]);
    assert_eq!(family(&site).await, "Second");
    assert_eq!(site.count("Provenance").await, before, "nothing says that it changed the Patient");
    // A repetition hears the same.
    assert_eq!(send(&site, &update("S3", "20240105124500", "Third")).await, older);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_zone_a_time_neither_wins_nor_loses_against_one_with_an_offset() {
    let site = listening().await;

    send(&site, &update("S1", "20240105123000", "First")).await;
    send(&site, &update("S2", "20240105120000+0100", "Second")).await;
    assert_eq!(family(&site).await, "Second", "12:30 somewhere is not known to be after 11:00 UTC");
    send(&site, &update("S3", "20240105124000", "Third")).await;
    assert_eq!(family(&site).await, "Third", "nor before it");

    // Two times of one clock are ordered, also with one of the other between them.
    let by_utc = send(&site, &update("S4", "20240105105959+0000", "Fourth")).await;
    let by_local = send(&site, &update("S5", "20240105123959", "Fifth")).await;
    for answer in [by_utc, by_local] {
        assert!(answer.contains("ERR||EVN^1^2^1|0^accepted^HL70357|W|"), "{answer}");
    }
    // Fourteen hours and more before 12:40 it is earlier wherever the clock stands.
    send(&site, &update("S6", "20240104223959+0000", "Sixth")).await;
    assert_eq!(family(&site).await, "Third");
    site.stop().await;
}
