//! Flatness: the same matches in a corpus that grows. No query shape may slow down with what it does not match.
//!
//! `flat-fill` stores a core, which every shape matches, and `--scale` times a filling, which none does; both by PUT, so
//! that ids are known. `flat` asks each shape. Run both against two servers, one with sixteen times the other's scale,
//! and compare (`bench/flat.sh`). Everything is invented. Not here: whether the answers are right.

use std::fmt::Write as _;

use super::Bench;
use super::search::{Class, ask, next_link};
use crate::{
    drive::{Turn, workers},
    http::Client,
};

/// Stores the core and the filling.
pub(super) async fn fill(bench: &mut Bench) -> Result<(), String> {
    let mut client = Client::new(bench.target.clone());
    send(&mut client, core()).await?;
    for unit in 0..bench.options.scale {
        for part in 0..PARTS {
            send(&mut client, filling(unit * PARTS + part)).await?;
        }
    }
    Ok(())
}

/// Each shape alone, then pages far from the first.
pub(super) async fn run(bench: &mut Bench) {
    for class in shapes() {
        ask(bench, "flat", class.name, &class.queries).await;
    }
    deep(bench).await;
}

fn shapes() -> Vec<Class> {
    let one = |name, query: String| Class { name, queries: vec![query] };
    let many: Vec<String> = (0..OR_VALUES).map(|at| format!("or-{at}")).collect();
    let frequent = format!("Observation?code={FREQUENT}");
    vec![
        one("zero: token", "Observation?code=absent".to_owned()),
        one("zero: string", "Patient?family=Nobody".to_owned()),
        one("zero: frequent code + date", format!("{frequent}&date=ge2090-01-01")),
        one("zero: patient + code", "Observation?patient=core-0&code=absent".to_owned()),
        one(
            "frequent code + date",
            format!("{frequent}&date=ge2031-01-01&date=lt2031-01-15&_count=20"),
        ),
        one(
            "frequent code + date, count",
            format!("{frequent}&date=ge2031-01-01&date=lt2031-01-15&_summary=count"),
        ),
        one("1,500 values", format!("Observation?code={}&_count=20", many.join(","))),
        one(
            "chain of two",
            "Observation?subject:Patient.organization:Organization.name=CoreClinic&_count=20"
                .to_owned(),
        ),
        one("has", format!("Patient?_has:Observation:patient:code=or-{OR_STEP}&_count=20")),
        one(
            "revinclude",
            "Patient?_id=core-0&_revinclude=Observation:subject&_count=20".to_owned(),
        ),
        one("include", format!("{frequent}&patient=core-1&_include=Observation:subject&_count=20")),
        one("sort", "Patient?family=Corefam&_sort=birthdate,-_id&_count=20".to_owned()),
        one("missing", "Patient?organization:missing=true&_count=20".to_owned()),
        one("quantity", "Observation?value-quantity=gt900&_count=20".to_owned()),
        one("composite", format!("Observation?code-value-quantity={FREQUENT}$gt900&_count=20")),
        one(
            "last updated",
            "Patient?family=Corefam&_lastUpdated=gt2020-01-01&_count=20".to_owned(),
        ),
    ]
}

/// One client follows `next` again and again; every page has the same size.
async fn deep(bench: &mut Bench) {
    let first = format!("Observation?code={FREQUENT}&_count=20");
    let mut workers = workers(&bench.target, [first.clone()]);
    let row = bench
        .measuring("flat", "deep paging")
        .measure(&mut workers, async |worker| {
            let answer = worker.client.get(&worker.state).await;
            let next = answer.as_ref().ok().and_then(|answer| {
                let url = next_link(worker.client.body(answer))?;
                let path = url.splitn(4, '/').nth(3)?;
                let base = bench.target.base.trim_start_matches('/');
                Some(path.strip_prefix(base)?.trim_start_matches('/').to_owned())
            });
            worker.state = next.unwrap_or_else(|| first.clone());
            Turn::of(&answer, 20)
        })
        .await;
    bench.record(row);
}

/// What every shape matches.
fn core() -> Vec<String> {
    let mut all = vec![organization("core-clinic", "CoreClinic")];
    for at in 0..CORE_PATIENTS {
        let id = format!("core-{at}");
        let organization = (at >= CORE_WITHOUT_ORGANIZATION).then_some("core-clinic");
        all.push(patient(&id, "Corefam", 1950 + at, organization));
        for day in 0..CORE_OBSERVATIONS {
            let code = match day {
                0 => format!("or-{}", at * OR_STEP),
                _ => FREQUENT.to_owned(),
            };
            let date = format!("2031-01-{:02}", 1 + day % 28);
            all.push(observation(&format!("{id}-{day}"), &id, &code, &date, 901 + day));
        }
    }
    all
}

/// What no shape matches, but what is near to it: the frequent code at other dates, other patients and clinics.
fn filling(number: usize) -> Vec<String> {
    let clinic = format!("clinic-{number}");
    let mut all = vec![organization(&clinic, &format!("Clinic {number}"))];
    for at in 0..FILLING_PATIENTS {
        let id = format!("fill-{number}-{at}");
        all.push(patient(&id, &format!("Family{}", number % 97), 1920 + at, Some(&clinic)));
        for turn in 0..FILLING_OBSERVATIONS {
            let code = match turn % 3 {
                0 => format!("other-{}", (number + turn) % 40),
                _ => FREQUENT.to_owned(),
            };
            let day = (number * 31 + at * 7 + turn) % (30 * 12 * 28);
            let (year, month) = (1990 + day / (12 * 28), 1 + day / 28 % 12);
            let date = format!("{year}-{month:02}-{:02}", 1 + day % 28);
            all.push(observation(&format!("{id}-{turn}"), &id, &code, &date, 100 + turn));
        }
    }
    all
}

fn organization(id: &str, name: &str) -> String {
    format!(r#"{{"resourceType":"Organization","id":"{id}","name":"{name}"}}"#)
}

fn patient(id: &str, family: &str, year: usize, organization: Option<&str>) -> String {
    let reference = organization.map_or(String::new(), |id| {
        format!(r#","managingOrganization":{{"reference":"Organization/{id}"}}"#)
    });
    format!(
        r#"{{"resourceType":"Patient","id":"{id}","name":[{{"family":"{family}"}}],"birthDate":"{year}-05-05"{reference}}}"#
    )
}

fn observation(id: &str, patient: &str, code: &str, date: &str, value: usize) -> String {
    format!(
        r#"{{"resourceType":"Observation","id":"{id}","status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"{code}"}}]}},"subject":{{"reference":"Patient/{patient}"}},"effectiveDateTime":"{date}","valueQuantity":{{"value":{value},"unit":"cm","system":"http://unitsofmeasure.org","code":"cm"}}}}"#
    )
}

/// Stores resources by PUT in one transaction.
async fn send(client: &mut Client, resources: Vec<String>) -> Result<(), String> {
    let mut body = r#"{"resourceType":"Bundle","type":"transaction","entry":["#.to_owned();
    for (at, resource) in resources.iter().enumerate() {
        let mut parts = resource.split('"').skip(3).step_by(4);
        let (of, id) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let comma = if at == 0 { "" } else { "," };
        let request = format!(r#"{{"method":"PUT","url":"{of}/{id}"}}"#);
        let _ = write!(body, r#"{comma}{{"resource":{resource},"request":{request}}}"#);
    }
    body += "]}";
    let answer = client.send("POST", "", "", body.as_bytes()).await;
    match Turn::of(&answer, 0) {
        Turn::Failed(failure) => Err(format!("the filling was refused: {failure}")),
        _ => Ok(()),
    }
}

const FREQUENT: &str = "8302-2";
const OR_VALUES: usize = 1_500;
/// Distance of the values that are there.
const OR_STEP: usize = 70;
const CORE_PATIENTS: usize = 20;
const CORE_WITHOUT_ORGANIZATION: usize = 5;
const CORE_OBSERVATIONS: usize = 30;
/// Transactions of one unit of the scale.
const PARTS: usize = 8;
const FILLING_PATIENTS: usize = 16;
const FILLING_OBSERVATIONS: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resource_of_core_and_filling_is_json_with_an_id_of_its_own() {
        let all: Vec<String> = core().into_iter().chain(filling(0)).chain(filling(1)).collect();
        let mut ids = std::collections::BTreeSet::new();
        for text in &all {
            let resource: serde_json::Value = serde_json::from_str(text).unwrap();
            let id = format!("{}/{}", resource["resourceType"], resource["id"]);
            assert!(ids.insert(id), "{text}");
        }
        let expected = 1
            + CORE_PATIENTS * (1 + CORE_OBSERVATIONS)
            + 2 * (1 + FILLING_PATIENTS * (1 + FILLING_OBSERVATIONS));
        assert_eq!(all.len(), expected);
    }
}
