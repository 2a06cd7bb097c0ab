//! Parameters about the answer: each interaction takes the same ones, asked by itself or by an entry of a bundle.
//!
//! Expected values: FHIR R4 http.html, "General parameters" (`_format`, `_pretty`, `_summary` and `_elements` may stand in
//! any URL; the last two say which part of a resource is returned); docs/representation.md (a part is given where
//! resources are read and refused elsewhere).

use policy::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::bundle::bundle;
use crate::operation::ward;
use crate::site::{Answer, JSON, Site, TYPE, patient};
use crate::terminology::colours;

/// An interaction that may be asked again and again.
struct Asked {
    method: &'static str,
    url: &'static str,
    body: Option<Value>,
    status: u16,
    /// Whether it answers resources that are read, of which a part may be asked for.
    reads: bool,
    within: Within,
}

/// Which bundles it may be an entry of.
#[derive(Clone, Copy, PartialEq)]
enum Within {
    Any,
    Batch,
    None,
}

impl Asked {
    fn read(url: &'static str) -> Self {
        Self { method: "GET", url, body: None, status: 200, reads: true, within: Within::Any }
    }

    fn write(method: &'static str, url: &'static str, body: Option<Value>, status: u16) -> Self {
        Self { method, url, body, status, reads: false, within: Within::Any }
    }

    /// What is done by an operation: its answer is no resource that is stored.
    fn operation(url: &'static str) -> Self {
        Self { reads: false, within: Within::Batch, ..Self::read(url) }
    }

    fn within(self, within: Within) -> Self {
        Self { within, ..self }
    }

    fn with(&self, parameter: &str) -> String {
        let mark = if self.url.contains('?') { '&' } else { '?' };
        format!("{}{mark}{parameter}", self.url)
    }

    /// The status of the interaction by itself.
    async fn alone(&self, site: &Site, url: &str) -> u16 {
        let method = Method::from_bytes(self.method.as_bytes()).unwrap();
        let role = match self.url {
            url if url.starts_with("AuditEvent") => Role::Auditor,
            url if url.contains("$explain") => Role::Operator,
            _ => Role::System,
        };
        let token = site.token_of(role, None);
        let request = site.request_as(&token, method, &format!("/{url}"));
        let media = if self.url.contains("_search") { FORM } else { JSON };
        let media = if self.method == "PATCH" { "application/fhir+json" } else { media };
        let body = self.body.as_ref().map_or(String::new(), Value::to_string);
        Answer::of(request.header(TYPE, media).body(body)).await.status
    }

    /// Its status as the only entry of a bundle of this kind.
    async fn in_bundle(&self, site: &Site, kind: &str, url: &str) -> u16 {
        let mut entry = json!({"request": {"method": self.method, "url": url}});
        if let Some(body) = &self.body {
            entry["resource"] = body.clone();
        }
        let answer = site.post("", &bundle(kind, vec![entry])).await;
        if answer.status != 200 {
            return answer.status;
        }
        let answer = answer.json();
        let status = answer["entry"][0]["response"]["status"].as_str().unwrap();
        status[..3].parse().unwrap()
    }
}

/// Each interaction, conditional or not, and operations of each kind of input.
fn interactions() -> Vec<Asked> {
    let (ada, new) = (identified(Some("ada")), identified(None));
    let patch = json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Patient.active"},
        {"name": "value", "valueBoolean": true}]}]});
    vec![
        Asked::read("Patient/ada"),
        Asked::read("Patient/ada/_history/1"),
        Asked::read("Patient/ada/_history"),
        Asked::read("Patient/_history"),
        Asked::read("_history"),
        Asked::read("Patient?identifier=urn:mrn|7"),
        Asked::read("Patient/ada/Observation"),
        Asked::read("?_type=Patient"),
        Asked::read("AuditEvent?_count=1").within(Within::None),
        Asked::read("metadata").within(Within::Batch),
        Asked { method: "POST", within: Within::None, ..Asked::read("Patient/_search") },
        Asked::write(
            "POST",
            "Basic",
            Some(json!({"resourceType": "Basic", "code": {"text": "x"}})),
            201,
        ),
        Asked::write("POST", "Patient?identifier=urn:mrn|7", Some(new.clone()), 200),
        Asked::write("PUT", "Patient/ada", Some(ada), 200),
        Asked::write("PUT", "Patient?identifier=urn:mrn|7", Some(new), 200),
        Asked::write("PATCH", "Patient/ada", Some(patch.clone()), 200),
        Asked::write("PATCH", "Patient?identifier=urn:mrn|7", Some(patch), 200),
        Asked::write("DELETE", "Patient/gone", None, 204),
        Asked::write("DELETE", "Patient?identifier=urn:mrn|none", None, 204),
        Asked::write("POST", "", Some(json!({"resourceType": "Bundle", "type": "batch"})), 200)
            .within(Within::None),
        Asked::operation("Patient/ada/$everything"),
        Asked::operation("Patient/ada/$meta"),
        Asked::operation("Patient/ada/$validate"),
        Asked::operation("Observation/$lastn?patient=Patient/ada&category=vital-signs"),
        Asked::operation("ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender"),
        Asked::operation("CodeSystem/$lookup?system=http://c.example/colours&code=red"),
        Asked::operation("Patient/ada/_history/1/$receipt").within(Within::None),
        Asked::operation("Patient/$explain?identifier=urn:mrn|7").within(Within::None),
    ]
}

fn identified(id: Option<&str>) -> Value {
    let mut one = patient("Ada");
    one["identifier"] = json!([{"system": "urn:mrn", "value": "7"}]);
    one["active"] = json!(true);
    if let Some(id) = id {
        one["id"] = json!(id);
    }
    one
}

async fn filled() -> Site {
    let site = ward().await;
    site.put("/Patient/ada", &identified(Some("ada"))).await.expect(200);
    site.put("/CodeSystem/colours", &colours(&["red"])).await.expect(201);
    site
}

/// Asks each interaction with a parameter, in each way that there is, and lists what is answered otherwise.
async fn differing(site: &Site, parameter: &str, wanted: impl Fn(&Asked) -> u16) -> Vec<String> {
    let mut wrong = Vec::new();
    for asked in interactions() {
        let (url, wanted) = (asked.with(parameter), wanted(&asked));
        let mut note = |way: &str, status: u16| {
            if status != wanted {
                wrong.push(format!("{way} {} {url}: {status}, not {wanted}", asked.method));
            }
        };
        note("alone", asked.alone(site, &url).await);
        if asked.within != Within::None {
            note("in a batch", asked.in_bundle(site, "batch", &url).await);
        }
        if asked.within == Within::Any {
            note("in a transaction", asked.in_bundle(site, "transaction", &url).await);
        }
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_about_the_answer_goes_with_each_interaction_alone_and_in_bundles() {
    let site = filled().await;

    for parameter in ["_format=json", "_pretty=false", "_summary=false", "_=1732233600"] {
        assert_eq!(differing(&site, parameter, |asked| asked.status).await, [""; 0]);
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_given_where_resources_are_read_and_refused_elsewhere() {
    let site = filled().await;
    let wanted = |asked: &Asked| if asked.reads { asked.status } else { 400 };

    for parameter in ["_summary=true", "_elements=id"] {
        assert_eq!(differing(&site, parameter, wanted).await, [""; 0]);
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_interaction_has_is_refused_alone_and_in_bundles() {
    let site = filled().await;

    assert_eq!(differing(&site, "_pretty=maybe", |_| 400).await, [""; 0]);
    let twice = "_format=json&_format=xml";
    assert_eq!(differing(&site, twice, |_| 400).await, [""; 0]);
    assert_eq!(differing(&site, "_pretty=true&_pretty=false", |_| 400).await, [""; 0]);
    assert_eq!(differing(&site, "colour=red", |_| 400).await, [""; 0]);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_creates_heeds_the_criteria_of_its_url() {
    let site = filled().await;
    let entry = |url: &str, header: Option<&str>| {
        let mut request = json!({"method": "POST", "url": url});
        if let Some(header) = header {
            request["ifNoneExist"] = json!(header);
        }
        bundle("batch", vec![json!({"resource": identified(None), "request": request})])
    };

    let found = site.post("", &entry("Patient?identifier=urn:mrn|7&_format=json", None)).await;
    let both = entry("Patient?identifier=urn:mrn|7", Some("identifier=urn:mrn|7"));
    let both = site.post("", &both).await.expect(200).json();

    let found = found.expect(200).json();
    assert_eq!(found["entry"][0]["response"]["status"], "200 OK");
    let refused = &both["entry"][0]["response"];
    assert_eq!(refused["status"], "400 Bad Request");
    let place = &refused["outcome"]["issue"][0]["expression"][0];
    assert_eq!(place, "Bundle.entry[0].request.ifNoneExist");
    assert_eq!(site.count("Patient?identifier=urn:mrn|7").await, 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lenient_handling_ignores_what_a_write_does_not_have_in_a_bundle_too() {
    let site = filled().await;
    let entry = json!({"request": {"method": "DELETE", "url": "Patient/gone?colour=red"}});
    let request = site.request(Method::POST, "").header(TYPE, JSON);
    let request = request.header("prefer", "handling=lenient");

    let answer = Answer::of(request.body(bundle("batch", vec![entry]).to_string())).await;

    let answer = answer.expect(200);
    assert_eq!(answer.header("preference-applied"), "handling=lenient");
    assert_eq!(answer.json()["entry"][0]["response"]["status"], "204 No Content");
    site.stop().await;
}

const FORM: &str = "application/x-www-form-urlencoded";
