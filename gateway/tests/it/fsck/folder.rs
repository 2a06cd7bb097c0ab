//! The data folder of a gateway that did a bit of everything, closed; and what `fsck` says of it.

use std::path::{Path, PathBuf};

use gateway::config::Config;
use gateway::fsck::{Findings, Options};
use registry::access::{JournalRecord, Piece, Reading};
use serde_json::{Value, json};

use crate::site::Site;

/// A closed gateway's folder.
pub(crate) struct Folder {
    folder: tempfile::TempDir,
    pub(crate) config: Config,
    /// A version, its receipt, and whom to trust.
    pub(crate) sealed: Sealed,
}

/// What an auditor takes home.
pub(crate) struct Sealed {
    pub(crate) content: Vec<u8>,
    pub(crate) receipt: Vec<u8>,
    pub(crate) trust: Vec<u8>,
}

impl Folder {
    /// Writes, reads, searches, deletes, a message, a large content; on SQLite, or the database at `url`.
    pub(crate) async fn make(url: Option<String>) -> Self {
        let site = Site::start_with(|config| config.database.url = url).await;
        for id in ["ada", "eve"] {
            site.put(&format!("/Patient/{id}"), &patient(id)).await.expect(201);
        }
        for resource in others(&site.base) {
            let key = site.create(&resource).await;
            site.get(&format!("/{key}")).await.expect(200);
        }
        let mut again = patient("ada");
        again["name"][0]["given"] = json!(["Augusta"]);
        site.put("/Patient/ada", &again).await.expect(200);
        let gone = site.create(&json!({"resourceType": "Organization", "name": "Gone"})).await;
        site.delete(&format!("/{gone}")).await.expect(204);
        site.put("/Appointment/gone", &appointment("gone")).await.expect(201);
        site.delete("/Appointment/gone").await.expect(204);
        let large = json!({
            "resourceType": "Binary", "id": "large", "contentType": "application/pdf",
            "data": "QUJD".repeat(100_000),
        });
        site.put("/Binary/large", &large).await.expect(201);
        let message = site.request(reqwest::Method::POST, &format!("{}/hl7v2", site.root));
        let message = message.header("content-type", "application/hl7-v2").body(MESSAGE);
        let answer = crate::site::Answer::of(message).await;
        assert!(answer.text().contains("MSA|AA|M1"), "{}", answer.text());
        site.put("/Patient/zoe", &patient("zoe")).await.expect(201);
        site.put("/Appointment/zoes", &appointment_of("zoes", &["ada", "zoe"])).await.expect(201);
        site.get("/Patient/zoe").await.expect(200);
        site.purge("zoe").await.expect(200);
        site.get("/Observation?subject=Patient/ada").await.expect(200);
        let path = "/Patient/ada/_history/2";
        let content = site.get(path).await.expect(200).bytes;
        let receipt = site.sealed_receipt(path).await;
        let trust = crate::site::Answer::of(site.anonymous(reqwest::Method::GET, "/ledger/trust"));
        let sealed = Sealed { content, receipt, trust: trust.await.expect(200).bytes };
        let config = site.app.config.clone();
        Self { folder: site.stop().await, config, sealed }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What `fsck` finds. A process that another test is starting has our locks for a moment, until it runs its program.
    pub(crate) async fn findings(&self) -> Findings {
        for _ in 0..1_000 {
            match gateway::fsck::check(&self.config, Options::default()).await {
                Err(error) if error.to_string().contains("another process") => {
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
                checked => return checked.expect("it can be checked"),
            }
        }
        panic!("the folder is held for good");
    }

    /// The lines that `fsck` says.
    pub(crate) async fn problems(&self) -> Vec<String> {
        self.findings().await.problems
    }

    /// Files below a folder of it, without the locks.
    pub(crate) fn files(&self, below: &str) -> Vec<PathBuf> {
        let mut folders = vec![self.path().join(below)];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false if path.file_name().is_some_and(|name| name == "lock") => {}
                    false => files.push(path),
                }
            }
        }
        files.sort();
        files
    }

    /// The SQLite database, with everything in its one file.
    pub(crate) fn database(&self) -> PathBuf {
        self.path().join("registry.sqlite")
    }

    /// A statement that puts the newest access record where those of commits wait, as a crash leaves it between the
    /// journal and the registry; `literal` writes bytes that are given in hex.
    pub(crate) fn waiting_access(&self, literal: impl Fn(String) -> String) -> String {
        let mut reading = Reading::open(&self.path().join("access")).unwrap();
        let mut newest = None;
        while let Some(piece) = reading.take().unwrap() {
            let Piece::Record(record) = piece else { panic!("the journal is damaged") };
            newest = Some(record);
        }
        let JournalRecord { salt_id, entry, body, .. } = newest.unwrap();
        let values = [hex::encode(salt_id), hex::encode(entry), hex::encode(body)].map(literal);
        format!("insert into access_outbox (salt_id, entry, body) values ({})", values.join(", "))
    }

    /// Runs statements on the SQLite database, as somebody with write access to the file does.
    pub(crate) fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        let conn = rusqlite::Connection::open(self.database())?;
        conn.execute_batch(sql)?;
        conn.execute_batch("pragma wal_checkpoint(truncate)")
    }

    /// Puts the SQLite database back.
    pub(crate) fn restore(&self, bytes: &[u8]) {
        for suffix in ["-wal", "-shm"] {
            let mut name = self.database().into_os_string();
            name.push(suffix);
            // It may not be there.
            let _ = std::fs::remove_file(name);
        }
        std::fs::write(self.database(), bytes).unwrap();
    }
}

fn patient(id: &str) -> Value {
    json!({
        "resourceType": "Patient", "id": id, "birthDate": "1815-12-10", "gender": "female",
        "identifier": [{"system": "urn:mrn", "value": id}],
        "name": [{"family": "Lovelace", "given": [id]}],
        "text": {"status": "additional", "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">Of {id}</div>")},
    })
}

fn appointment(id: &str) -> Value {
    appointment_of(id, &["ada", "eve"])
}

fn appointment_of(id: &str, patients: &[&str]) -> Value {
    let actor =
        |id: &&str| json!({"actor": {"reference": format!("Patient/{id}")}, "status": "accepted"});
    json!({
        "resourceType": "Appointment", "id": id, "status": "booked",
        "participant": patients.iter().map(actor).collect::<Vec<_>>(),
    })
}

/// One resource at least for each index table; one names a patient that was never written.
fn others(base: &str) -> Vec<Value> {
    let quantity = json!({"value": 6.3, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"});
    vec![
        json!({
            "resourceType": "Observation", "status": "final", "effectiveDateTime": "2026-03-01T10:00:00Z",
            "code": {"coding": [{"system": "http://loinc.org", "code": "15074-8"}]},
            "subject": {"reference": "Patient/ada"}, "valueQuantity": quantity,
        }),
        json!({
            "resourceType": "Observation", "status": "final", "code": {"text": "x"},
            "subject": {"reference": "Patient/unwritten"},
        }),
        // Local by the URL that this client used, and not by any other.
        json!({
            "resourceType": "Observation", "status": "final", "code": {"text": "y"},
            "subject": {"reference": format!("{base}/Patient/eve")},
            "performer": [{"reference": "https://elsewhere.example/fhir/Practitioner/p"}],
        }),
        json!({
            "resourceType": "RiskAssessment", "status": "final", "subject": {"reference": "Patient/eve"},
            "prediction": [{"probabilityDecimal": 0.25}],
        }),
        json!({"resourceType": "Questionnaire", "status": "active", "url": "http://example.org/q"}),
        json!({"resourceType": "Organization", "name": "North"}),
        {
            let mut one = appointment("x");
            one.as_object_mut().unwrap().remove("id");
            one
        },
    ]
}

const MESSAGE: &str = "MSH|^~\\&|ADT1|NORTH|SEALWAY|NORTH|20260301101500+0000||ADT^A01^ADT_A01|M1|P|2.5.1\r\
    EVN|A01|20260301101500+0000\rPID|1||R1^^^NORTH^MR||Rich^Ruth^Ann||19600102|F\r\
    PV1|1|I|WARD^1^A|||||||||||||||||V77^^^NORTH^VN\r";
