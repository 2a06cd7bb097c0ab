//! HL7 v2 through the real socket: acknowledgement after the commit, repetition, quarantine, field-level merge.

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::Process;
use crate::site::{Answer, Site};

pub(crate) async fn listening() -> Site {
    Site::start_with(|config| config.mllp.listen = Some("127.0.0.1:0".parse().unwrap())).await
}

/// Bytes to the listener, then everything it answers until it closes.
async fn converse(site: &Site, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(site.mllp()).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) async fn send(site: &Site, message: &str) -> String {
    converse(site, &[&[0x0B], message.as_bytes(), &[0x1C, 0x0D]].concat()).await
}

fn adt(event: &str, control_id: &str, time: &str, pid: &str) -> String {
    format!(
        "MSH|^~\\&|ADT1|NORTH|SEALWAY|NORTH|{time}||ADT^{event}^ADT_A01|{control_id}|P|2.5.1\r\
         EVN|{event}|{time}\r{pid}\rPV1|1|I|WARD^1^A|||||||||||||||||V77^^^NORTH^VN\r"
    )
}

const RICH: &str =
    "PID|1||R1^^^NORTH^MR||Rich^Ruth^Ann||19600102|F|||1 High Street^^Town^^T1^GBR||+441";

#[tokio::test(flavor = "multi_thread")]
async fn an_admission_is_acknowledged_searchable_and_linked_to_its_raw_bytes() {
    let site = listening().await;
    let message = adt("A01", "M1", "20260301101500+0000", RICH);

    let answer = send(&site, &message).await;

    assert!(answer.contains("MSA|AA|M1"), "{answer}");
    assert!(answer.contains("|ACK^A01^ACK|"), "{answer}");
    let found = site.get("/Patient?identifier=R1").await.expect(200).json();
    assert_eq!(found["total"], 1);
    assert_eq!(found["entry"][0]["resource"]["name"][0]["family"], "Rich");
    let id = found["entry"][0]["resource"]["id"].as_str().unwrap().to_owned();
    let provenance = site.get(&format!("/Provenance?target=Patient/{id}")).await.expect(200).json();
    let raw = &provenance["entry"][0]["resource"]["entity"][0]["what"]["reference"];
    let raw = format!("/{}?_format=json", raw.as_str().unwrap());
    let raw = site.get(&raw).await.expect(200).json();
    let data = raw["data"].as_str().unwrap();
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, data).unwrap();
    assert_eq!(bytes, message.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_message_again_gets_the_first_answer_and_changes_nothing() {
    let site = listening().await;
    let message = adt("A01", "M1", "20260301101500+0000", RICH);

    let first = send(&site, &message).await;
    let before = site.get("/_history?_count=1").await.expect(200).json()["total"].clone();
    let second = send(&site, &message).await;

    assert_eq!(first, second);
    assert_eq!(site.get("/_history?_count=1").await.expect(200).json()["total"], before);
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_copies_at_once_make_one_patient_and_one_answer() {
    let site = listening().await;
    let message = adt("A01", "M1", "20260301101500+0000", RICH);

    let answers = futures::future::join_all((0..16).map(|_| send(&site, &message))).await;

    assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:?}");
    assert!(answers[0].contains("MSA|AA|M1"), "{}", answers[0]);
    assert_eq!(site.count("Patient").await, 1);
    assert_eq!(site.count("Provenance").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thin_result_keeps_the_demographics_of_a_rich_admission() {
    let site = listening().await;
    send(&site, &adt("A01", "M1", "20260301101500+0000", RICH)).await;
    let result = "MSH|^~\\&|LAB|NORTH|SEALWAY|NORTH|20260301120000+0000||ORU^R01^ORU_R01|M2|P|2.5.1\r\
        PID|1||R1^^^NORTH^MR||Rich^Ruth\rOBR|1||F9^LAB|718-7^Hemoglobin^LN|||20260301113000+0000||||||||||||||||||F\r\
        OBX|1|NM|718-7^Hemoglobin^LN||13.20|g/dL^g/dL^UCUM|||||F\r";

    let answer = send(&site, result).await;

    assert!(answer.contains("MSA|AA|M2"), "{answer}");
    let patient = site.get("/Patient?identifier=R1").await.expect(200).json();
    let patient = &patient["entry"][0]["resource"];
    assert_eq!(patient["birthDate"], "1960-01-02");
    assert_eq!(patient["address"][0]["city"], "Town");
    let found = site.get("/Observation?code=718-7").await.expect(200);
    assert!(found.text_all().contains(r#""value":13.20"#), "decimals stay as sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_raw_message_is_the_patients_own() {
    let site = listening().await;
    for (control, patient) in [("M1", "R1"), ("M2", "R2")] {
        let pid = format!("PID|1||{patient}^^^H||Example^Ada");
        let answer = send(&site, &adt("A01", control, "20260301101500+0000", &pid)).await;
        assert!(answer.contains(&format!("MSA|AA|{control}")), "{answer}");
    }
    let found = site.get("/Patient?identifier=R1").await.expect(200).json();
    let own = found["entry"][0]["resource"]["id"].as_str().unwrap().to_owned();
    let token = site.token_of(policy::Role::Patient, Some(&own));

    let all = site.get("/Binary").await.expect(200).json();
    let entries = all["entry"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    for entry in entries {
        let binary = &entry["resource"];
        let path = format!("/Binary/{}", binary["id"].as_str().unwrap());
        let is_own = binary["securityContext"]["reference"] == format!("Patient/{own}").as_str();
        site.get_as(&token, &path).await.expect(if is_own { 200 } else { 404 });
    }
    let visible = site.get_as(&token, "/Binary").await.expect(200).json();
    assert_eq!(visible["entry"].as_array().unwrap().len(), 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_applied_waits_in_quarantine_with_reason_and_place() {
    let site = listening().await;

    let answer = send(&site, &adt("A01", "M3", "20260301101500+0000", "PID|1||||No^Number")).await;

    assert!(answer.contains("MSA|AE|M3"), "{answer}");
    assert!(answer.contains("ERR||PID^1^3|101"), "{answer}");
    let tasks = site.get("/Task?business-status=quarantined").await.expect(200).json();
    let task = &tasks["entry"][0]["resource"];
    assert_eq!(task["statusReason"]["coding"][0]["code"], "patient-identifier-missing");
    // What finds the message in the sender's own log: MSH-10, MSH-3, MSH-4 and MSH-9 (HL7 v2.8.2 chapter 2, MSH).
    let by_control_id = "Task?identifier=https://sealway.org/fhir/hl7v2-control-id%7CM3";
    assert_eq!(site.count(by_control_id).await, 1);
    let input = |name: &str| {
        let all = task["input"].as_array().unwrap();
        all.iter().find(|i| i["type"]["text"] == name).unwrap()["valueString"].clone()
    };
    assert_eq!(input("place"), "PID-3");
    assert_eq!(input("MSH-10 control id"), "M3");
    assert_eq!(input("MSH-3 sending application"), "ADT1");
    assert_eq!(input("MSH-4 sending facility"), "NORTH");
    assert_eq!(input("MSH-9 message type"), "ADT^A01^ADT_A01");
    assert!(!task.to_string().contains("Number"), "no patient data: {task}");
    assert_eq!(site.count("Patient").await, 0);
    assert_eq!(site.count("Binary").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsupported_type_is_rejected_and_kept() {
    let site = listening().await;

    let message = "MSH|^~\\&|A|B|C|D|20260301101500||XYZ^Z99|M4|P|2.5.1\rPID|1||R1\r";
    let answer = send(&site, message).await;

    assert!(answer.contains("MSA|AR|M4"), "{answer}");
    assert!(answer.contains("|200"), "{answer}");
    assert_eq!(site.count("Task?status=rejected").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_the_status_tells_what_the_acknowledgement_says() {
    let site = Site::start().await;
    let post = |body: String| {
        site.anonymous(reqwest::Method::POST, "/hl7v2")
            .bearer_auth(site.token_of(policy::Role::System, None))
            .header("content-type", "application/hl7-v2")
            .body(body)
    };

    let good = Answer::of(post(adt("A01", "M5", "20260301101500+0000", RICH))).await;
    let bad = Answer::of(post(adt("A01", "M6", "20260301101500+0000", "PID|1||||X^Y"))).await;
    let nobody = Answer::of(site.anonymous(reqwest::Method::POST, "/hl7v2").body("MSH|")).await;

    assert!(good.status == 200 && good.text().contains("MSA|AA|M5"), "{}", good.text());
    assert!(bad.status == 500 && bad.text().contains("MSA|AE|M6"), "{}", bad.text());
    assert_eq!(nobody.status, 401);
    // What is no message is the client's fault, however often it is sent.
    for body in ["", " \r\n", "garbage", "PID|1||R1^^^NORTH^MR\r"] {
        let unreadable = Answer::of(post(body.to_owned())).await;
        let text = unreadable.text_all();
        assert!(unreadable.status == 400 && text.contains("MSA|AE|"), "{body:?}: {text}");
        assert!(text.contains("|100^segment sequence error^HL70357|E|"), "{text}");
    }
    assert_eq!(site.count("Task?business-status=quarantined").await, 5);
}

/// Rows of `edge-authored/EXPECTED.csv`: what the file is, and the acknowledgements wanted of it.
#[tokio::test(flavor = "multi_thread")]
async fn the_edge_cases_of_the_corpus_are_answered_as_expected() {
    let root = std::env::var("SEALWAY_SHARED")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared").to_owned());
    let folder = Path::new(&root).join("corpus/hl7v2/edge-authored");
    let Ok(table) = std::fs::read_to_string(folder.join("EXPECTED.csv")) else {
        eprintln!("SKIPPED: no corpus at {}", folder.display());
        return;
    };
    let site = listening().await;
    let mut wrong = Vec::new();
    for row in csv::Reader::from_reader(table.as_bytes()).records() {
        let row = row.unwrap();
        let (file, kind, wanted) = (&row[0], &row[1], &row[4]);
        if OUT_OF_SCOPE.contains(&file) {
            continue;
        }
        let content = std::fs::read(folder.join(file)).unwrap();
        // A start byte inside a message begins another frame; each remnant is refused for itself.
        let breaks_off = kind != "mllp-stream" && content.contains(&0x0B);
        let frame = if kind == "mllp-stream" {
            content
        } else {
            [&[0x0B], content.as_slice(), &[0x1C, 0x0D]].concat()
        };
        let answer = converse(&site, &frame).await;
        let codes: Vec<&str> = answer
            .split('\r')
            .filter_map(|segment| segment.strip_prefix("MSA")?.get(1..3))
            .collect();
        let fits = match wanted {
            "(none)" | "close" | "(timeout, close)" => codes.is_empty(),
            "AA or close" => codes.is_empty() || codes == ["AA"],
            _ if wanted.starts_with("batch ack") => {
                answer.contains("BHS") && answer.contains("BTS|2") && codes == ["AA", "AA"]
            }
            _ if breaks_off => !codes.is_empty() && codes.iter().all(|code| *code == wanted),
            _ => codes == wanted.split(',').collect::<Vec<_>>(),
        };
        if !fits {
            wrong.push(format!("{file}: wanted {wanted}, got {codes:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(site.get("/metadata").await.status, 200);
}

/// Types that a later version converts.
const OUT_OF_SCOPE: [&str; 2] = ["siu_resources_unordered.hl7", "a47_change_id.hl7"];

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_refusal_keeps_its_http_status() {
    let site = Site::start().await;
    let message = "MSH|^~\\&|ADT1|NORTH|SEALWAY|NORTH|20260301||ADT^A99|N1|P|2.5.1\r";
    let send = || {
        let request = site.request(reqwest::Method::POST, &format!("{}/hl7v2", site.root));
        Answer::of(request.header("content-type", "application/hl7-v2").body(message))
    };

    let first = send().await.expect(400);
    let second = send().await.expect(400);

    assert!(first.text_all().contains("MSA|AR|N1"), "{}", first.text());
    assert_eq!(first.bytes, second.bytes);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_of_an_applied_message_is_acknowledged_with_a_warning_at_its_place() {
    let site = listening().await;
    // There is no month 13 (HL7 v2 chapter 2A, DT), and severity W is "applied, but there may be issues" (table 0516).
    let pid = "PID|1||W1^^^NORTH^MR||Rich^Ruth||19701301|F";
    let message = adt("A01", "W1", "20260301101500+0000", pid);

    let answer = send(&site, &message).await;
    let older = send(&site, &message.replace("|2.5.1", "|2.4").replace("|W1|", "|W2|")).await;

    let errors: Vec<&str> = answer.split('\r').filter(|line| line.starts_with("ERR|")).collect();
    assert!(answer.contains("MSA|AA|W1"), "{answer}");
    let date = "ERR||PID^1^7^1^1^1|102^data type error^HL70357|W||||applied without this: timestamp-unreadable";
    assert_eq!(errors.first(), Some(&date), "{answer}");
    // The visit of this message has no number where the standard wants it (PV1-19).
    let visit = "ERR||PV1^1^19|101^required field missing^HL70357|W||||applied without a visit: encounter-key-missing: \
        no number in PV1-19, PV1-50 or PID-18 and no admission time in PV1-44; no Encounter was made";
    assert_eq!(errors[1..], [visit], "{answer}");
    assert!(!answer.contains("19701301"), "{answer}");
    assert!(older.contains("MSA|AA|W2") && !older.contains("ERR|"), "2.4 has no severity: {older}");
    let found = site.get("/Patient?identifier=W1").await.expect(200).json();
    assert_eq!(found["total"], 1);
    assert!(found["entry"][0]["resource"]["birthDate"].is_null());
    // A repetition gets the same answer, warning and all.
    assert_eq!(send(&site, &message).await, answer);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_is_one_line_of_the_log_and_nothing_of_it_tells_whose_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Process::start(folder.path());
    let client = reqwest::Client::new();
    let send = async |message: String| {
        let url = gateway.base.replace("/fhir", "/hl7v2");
        let request = client.post(url).bearer_auth(&gateway.token);
        let request = request.header("content-type", "x-application/hl7-v2+er7");
        request.body(message).send().await.unwrap().status().as_u16()
    };
    let refused = adt("A01", "L1-Ruth", "20260301101500+0000", "PID|1||||No^Number");
    let lossy =
        adt("A01", "L2-Ruth", "20260301101500", "PID|1||W9^^^NORTH^MR||Rich^Ruth||19701301|F");

    for message in [&refused, &refused, &lossy, &lossy] {
        send(message.clone()).await;
    }
    let unknown = "MSH|^~\\&|A|B|C|D|20260301101500||XYZ^Z99 Ruth|L3|P|2.5.1\rPID|1||R1\r";
    assert_eq!(send(unknown.to_owned()).await, 400);
    let asked = client.get(format!("{}/Task?_sort=-_lastUpdated", gateway.base));
    let tasks = asked.bearer_auth(&gateway.token).send().await.unwrap().bytes().await.unwrap();
    let tasks: serde_json::Value = serde_json::from_slice(&tasks).unwrap();
    let task =
        |at: usize| format!("see Task/{}", tasks["entry"][at]["resource"]["id"].as_str().unwrap());

    for _ in 0..500 {
        if gateway.log().len() >= 3 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let log = gateway.log();
    let lines: Vec<&String> = log.iter().filter(|line| line.contains("message.id")).collect();
    assert_eq!(lines.len(), 3, "{log:#?}");
    let says = |at: usize, text: &str| assert!(lines[at].contains(text), "{text}: {}", lines[at]);
    says(0, &task(1));
    says(0, "ADT^A01^ADT_A01");
    says(0, "patient-identifier-missing");
    says(0, "PID-3");
    says(1, "timestamp-unreadable at PID-7");
    says(1, "message.problems\":");
    says(1, "see Binary/");
    says(2, &task(0));
    says(2, "unsupported");
    for told in ["Ruth", "Number", "19701301", "L1", "L3", "W9"] {
        assert!(!log.iter().any(|line| line.contains(told)), "{told}: {log:#?}");
    }
}
