//! `Patient/[id]/$purge`: what goes, what stays, who may, and that nothing stops it half-way.

use std::path::Path;

use gateway::config::Config;
use gateway::fsck::{Findings, Options};
use policy::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::site::{Answer, JSON, Site, TYPE};

impl Site {
    /// A token of a system that may erase patients.
    pub(crate) fn purge_token(&self) -> String {
        self.scoped_token(Role::System, "system/*.cruds sealway/purge")
    }

    /// Erases a patient, whole.
    pub(crate) async fn purge(&self, id: &str) -> Answer {
        self.purge_with(&self.purge_token(), id, "").await
    }

    async fn purge_with(&self, token: &str, id: &str, query: &str) -> Answer {
        Answer::of(self.request_as(token, Method::POST, &format!("/Patient/{id}/$purge{query}")))
            .await
    }
}

fn patient(id: &str, family: &str) -> Value {
    json!({
        "resourceType": "Patient", "id": id, "name": [{"family": family}],
        "identifier": [{"system": "urn:mrn", "value": format!("MRN-{family}")}],
    })
}

fn observation(id: &str, patient: &str, text: &str) -> Value {
    json!({
        "resourceType": "Observation", "id": id, "status": "final", "code": {"text": text},
        "subject": {"reference": format!("Patient/{patient}")},
    })
}

fn appointment(id: &str, patients: &[&str]) -> Value {
    let actor =
        |id: &&str| json!({"actor": {"reference": format!("Patient/{id}")}, "status": "accepted"});
    json!({
        "resourceType": "Appointment", "id": id, "status": "booked",
        "participant": patients.iter().map(actor).collect::<Vec<_>>(),
    })
}

/// Two patients, what each has alone, what they share, and what was first the one's and is now the other's.
async fn fill(site: &Site) {
    for (id, family) in [("p1", "Zebedee"), ("p2", "Quimby")] {
        site.put(&format!("/Patient/{id}"), &patient(id, family)).await.expect(201);
    }
    let mut again = patient("p1", "Zebedee");
    again["birthDate"] = json!("1950-05-05");
    site.put("/Patient/p1", &again).await.expect(200);
    site.put("/Observation/o1", &observation("o1", "p1", "Zebedeeitis")).await.expect(201);
    site.put("/Observation/o2", &observation("o2", "p2", "Quimbyitis")).await.expect(201);
    site.put("/Observation/moved", &observation("moved", "p1", "Zebedeeoma")).await.expect(201);
    site.put("/Observation/moved", &observation("moved", "p2", "Quimbyoma")).await.expect(200);
    site.put("/Observation/gone", &observation("gone", "p1", "Zebedeeosis")).await.expect(201);
    site.delete("/Observation/gone").await.expect(204);
    site.put("/Appointment/both", &appointment("both", &["p1", "p2"])).await.expect(201);
    let large = json!({
        "resourceType": "Binary", "id": "large", "contentType": "application/pdf",
        "securityContext": {"reference": "Patient/p1"}, "data": "QUJD".repeat(100_000),
    });
    site.put("/Binary/large", &large).await.expect(201);
}

async fn fsck(config: &Config) -> Findings {
    for _ in 0..1_000 {
        match gateway::fsck::check(config, Options::default()).await {
            Err(error) if error.to_string().contains("another process") => {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            checked => return checked.unwrap(),
        }
    }
    panic!("the folder is held for good");
}

/// Files below a folder in which a word stands.
fn holding(folder: &Path, word: &str) -> Vec<String> {
    let mut folders = vec![folder.to_path_buf()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if String::from_utf8_lossy(&std::fs::read(&path).unwrap())
                .to_lowercase()
                .contains(&word.to_lowercase())
            {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_patient_is_gone_everywhere_and_others_are_not() {
    let site = Site::start().await;
    fill(&site).await;

    erase_p1_and_look(&site).await;

    let config = site.app.config.clone();
    let folder = site.stop().await;
    assert_sound(&config).await;
    assert_eq!(holding(folder.path(), "Zebedee"), Vec::<String>::new());
    assert!(!holding(folder.path(), "Quimby").is_empty(), "the search itself works");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_holds_on_postgresql() {
    let Some(mut cluster) = Cluster::start() else { return };
    cluster.execute("postgres", "create database purge");
    let url = cluster.url("purge");
    let site = Site::start_with(|config| config.database.url = Some(url)).await;
    fill(&site).await;

    erase_p1_and_look(&site).await;

    let left = cluster.execute(
        "purge",
        "select count(*) from search_string where exact like '%Zebedee%' or norm like '%zebedee%'",
    );
    assert_eq!(left, ["0"]);
    let config = site.app.config.clone();
    let _folder = site.stop().await;
    assert_sound(&config).await;
}

async fn erase_p1_and_look(site: &Site) {
    let objects = holding(&site.app.config.data_dir.join("objects"), "").len();
    let before = site.get("/Observation/o1/_history/1").await.expect(200);
    assert!(before.text().contains("Zebedeeitis"));
    let dry = site.purge_with(&site.purge_token(), "p1", "?dryRun=true").await.expect(200).json();
    let told = |name: &str| {
        let all = dry["parameter"].as_array().unwrap().iter();
        all.filter(|one| one["name"] == name).map(|one| one["valueInteger"].clone()).next()
    };
    // Patient, o1, the old version of moved, gone, large; two versions of the patient and of gone.
    assert_eq!(told("resources"), Some(json!(5)), "{dry}");
    assert_eq!(told("versions"), Some(json!(7)), "{dry}");
    assert_eq!(told("shared"), Some(json!(1)), "{dry}");
    site.get("/Patient/p1").await.expect(200);

    let done = site.purge("p1").await.expect(200);

    assert_eq!(done.issue().0, "informational");
    for gone in [
        "/Patient/p1",
        "/Patient/p1/_history/1",
        "/Patient/p1/_history/2",
        "/Patient/p1/_history",
        "/Observation/o1",
        "/Observation/o1/_history/1",
        "/Observation/o1/_history/1/$receipt",
        "/Observation/moved/_history/1",
        "/Observation/gone",
        "/Observation/gone/_history/1",
        "/Observation/gone/_history/2",
        "/Binary/large",
        "/Patient/p1/$everything",
        "/Observation/o1/$meta",
    ] {
        let answer = site.get(gone).await;
        assert_eq!(answer.status, 410, "{gone}: {}", answer.text());
        assert_eq!(answer.issue().0, "deleted", "{gone}");
    }
    for there in ["/Patient/p2", "/Observation/o2", "/Observation/moved", "/Appointment/both"] {
        site.get(there).await.expect(200);
    }
    assert_eq!(site.count("Patient").await, 1);
    assert_eq!(site.count("Observation").await, 2);
    assert_eq!(site.count("Patient?identifier=urn:mrn|MRN-Zebedee").await, 0);
    assert_eq!(site.count("Patient?name=zebedee").await, 0);
    assert_eq!(site.count("Appointment?actor=Patient/p2").await, 1);
    let history = site.get("/_history?_count=100").await.expect(200).text_all();
    assert!(!history.contains("Zebedee") && history.contains("Quimbyoma"), "{history}");
    assert_eq!(holding(&site.app.config.data_dir.join("objects"), "").len() + 1, objects);
    // Asked again: it is gone. Deleted again: nothing happens.
    assert_eq!(site.purge("p1").await.status, 410);
    site.delete("/Patient/p1").await.expect(204);
}

async fn assert_sound(config: &Config) {
    let found = fsck(config).await;
    assert_eq!(found.problems, Vec::<String>::new());
    assert_eq!((found.erasures_good, found.versions_erased), (1, 7));
    assert!(found.accesses_erased > 0 && found.accesses_good > 0, "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_after_an_erasure_has_a_new_key_and_the_next_version_number() {
    let site = Site::start().await;
    fill(&site).await;
    site.purge("p1").await.expect(200);

    let again = site.put("/Patient/p1", &patient("p1", "Nightingale")).await;
    let observed = site.put("/Observation/o1", &observation("o1", "p1", "new")).await;

    assert_eq!(again.json()["meta"]["versionId"], "3", "{}", again.text());
    assert_eq!(observed.json()["meta"]["versionId"], "2", "{}", observed.text());
    site.get("/Patient/p1/_history/2").await.expect(410);
    site.get("/Patient/p1/_history/3").await.expect(200);
    let history = site.get("/Patient/p1/_history").await.expect(200).json();
    assert_eq!(history["total"], 1, "{history}");
    assert_eq!(site.count("Observation?subject=Patient/p1").await, 1);
    let everything = site.get("/Patient/p1/$everything").await.expect(200).text_all();
    assert!(everything.contains("Nightingale") && !everything.contains("Zebedee"));
    // And what came since can be erased in its turn.
    site.purge("p1").await.expect(200);
    site.get("/Patient/p1/_history/3").await.expect(410);
    let config = site.app.config.clone();
    let folder = site.stop().await;
    let found = fsck(&config).await;
    assert_eq!(found.problems, Vec::<String>::new());
    assert_eq!((found.erasures_good, found.versions_erased), (2, 9));
    assert_eq!(holding(folder.path(), "Nightingale"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_patients_share_goes_with_the_second() {
    let site = Site::start().await;
    fill(&site).await;

    site.purge("p1").await.expect(200);
    site.get("/Appointment/both").await.expect(200);
    site.purge("p2").await.expect(200);

    site.get("/Appointment/both").await.expect(410);
    site.get("/Observation/moved").await.expect(410);
    let config = site.app.config.clone();
    let _folder = site.stop().await;
    let found = fsck(&config).await;
    assert_eq!(found.problems, Vec::<String>::new());
    assert_eq!((found.erasures_good, found.versions_erased), (2, 11));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_erases_and_nothing_else_is_taken_for_leave() {
    let site = Site::start().await;
    fill(&site).await;
    let status = async |token: &str, path: &str| {
        Answer::of(site.request_as(token, Method::POST, path)).await.status
    };
    for token in [
        site.token_of(Role::System, None),
        site.token_of(Role::Clinician, None),
        site.token_of(Role::Operator, None),
        site.token_of(Role::Patient, Some("p1")),
        site.scoped_token(Role::System, "system/*.crus sealway/purge"),
        site.scoped_token(Role::System, "system/Patient.cruds sealway/purge"),
        site.scoped_token(Role::System, "sealway/purge"),
    ] {
        assert_eq!(status(&token, "/Patient/p1/$purge").await, 403);
        assert_eq!(status(&token, "/Patient/unknown/$purge").await, 403);
    }
    let token = site.purge_token();
    assert_eq!(status(&token, "/Patient/unknown/$purge").await, 404);
    assert_eq!(status(&token, "/Patient/p1/$purge?force=true").await, 400);
    assert_eq!(status(&token, "/Patient/p1/$purge?dryRun=perhaps").await, 400);
    for (method, path) in [
        (Method::GET, "/Patient/p1/$purge"),
        (Method::DELETE, "/Patient/p1/$purge"),
        (Method::POST, "/Observation/o1/$purge"),
        (Method::POST, "/Patient/$purge"),
        (Method::POST, "/$purge"),
    ] {
        let answer = Answer::of(site.request_as(&token, method.clone(), path)).await;
        assert!((400..500).contains(&answer.status), "{method} {path}: {}", answer.status);
        assert_eq!(answer.json()["resourceType"], "OperationOutcome");
    }
    site.get("/Patient/p1").await.expect(200);
    let body = json!({"resourceType": "Parameters", "parameter": [{"name": "dryRun", "valueBoolean": true}]});
    let request = site.request_as(&token, Method::POST, "/Patient/p1/$purge");
    let dry = Answer::of(request.body(body.to_string()).header(TYPE, JSON)).await.expect(200);
    assert_eq!(dry.json()["resourceType"], "Parameters");
    site.get("/Patient/p1").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_erased_whom_can_be_read_when_all_else_is_gone() {
    let site = Site::start().await;
    fill(&site).await;
    site.purge("p1").await.expect(200);

    let auditor = site.token_of(Role::Auditor, None);
    let events = site.get_as(&auditor, "/AuditEvent?_count=100").await.expect(200).json();

    let named = |event: &Value| {
        let text = event.to_string();
        text.contains("Patient/p1") && text.contains("operation") || text.contains("$purge")
    };
    let entries = events["entry"].as_array().unwrap();
    assert!(entries.iter().any(|entry| named(&entry["resource"])), "{events}");
    assert!(!events.to_string().contains("Zebedee"));
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_that_race_an_erasure_lose_nothing_that_was_acknowledged() {
    let site = Site::start().await;
    fill(&site).await;
    let write = async |client: u32| {
        let mut done = Vec::new();
        for n in 0..25 {
            let id = format!("r{client}-{n}");
            let answer =
                site.put(&format!("/Observation/{id}"), &observation(&id, "p1", "race")).await;
            assert_eq!(answer.status, 201, "{}", answer.text());
            done.push(id);
        }
        done
    };
    let erase = async {
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        let answer = site.purge("p1").await;
        assert!(matches!(answer.status, 200 | 202), "{}", answer.text());
    };

    let (a, b, c, ()) = tokio::join!(write(1), write(2), write(3), erase);

    // Each was erased whole or can be read whole.
    let mut kept = 0;
    for id in [a, b, c].concat() {
        let status = site.get(&format!("/Observation/{id}")).await.status;
        assert!(matches!(status, 200 | 410), "{id}: {status}");
        kept += u64::from(status == 200);
    }
    assert_eq!(site.count("Observation?subject=Patient/p1").await, kept);
    let config = site.app.config.clone();
    let _folder = site.stop().await;
    assert_eq!(fsck(&config).await.problems, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_record_is_erased_in_steps_and_whole_after_a_stop_between_them() {
    let site = Site::start().await;
    fill(&site).await;
    let entries: Vec<Value> = (0..700)
        .map(|n| {
            json!({"resource": observation(&format!("m{n}"), "p1", "Zebedeeosis"),
                   "request": {"method": "PUT", "url": format!("Observation/m{n}")}})
        })
        .collect();
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
    site.post("", &bundle).await.expect(200);

    // The request is dropped as soon as the first step may be done, and the gateway stops.
    let token = site.purge_token();
    let asked = site.purge_with(&token, "p1", "");
    let _given_up = tokio::time::timeout(std::time::Duration::from_millis(25), asked).await;
    let site = site.restart().await;
    let done = site.purge("p1").await;

    assert!(matches!(done.status, 200 | 410), "{}", done.text());
    assert_eq!(site.count("Observation?subject=Patient/p1").await, 0);
    site.get("/Observation/m699/_history/1").await.expect(410);
    let config = site.app.config.clone();
    let folder = site.stop().await;
    let found = fsck(&config).await;
    assert_eq!(found.problems, Vec::<String>::new());
    assert_eq!((found.erasures_good, found.versions_erased), (1, 707));
    assert_eq!(holding(folder.path(), "Zebedee"), Vec::<String>::new());
}
