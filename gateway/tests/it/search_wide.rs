//! Searches in several types and in compartments, chains and includes, by HTTP.

use policy::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::site::{Answer, Site, patient};

#[tokio::test(flavor = "multi_thread")]
async fn a_search_below_the_base_pages_over_the_types_it_names() {
    let site = Site::start().await;
    let world = World::of(&site).await;

    let mut found = Vec::new();
    let mut next = Some("?_type=Patient,Observation&_count=2".to_owned());
    while let Some(url) = next {
        let page = site.get(&url).await.expect(200).json();
        found.extend(keys(&page, "match"));
        next = link(&page, "next");
        assert!(link(&page, "self").unwrap().starts_with(&format!("{}?_type=", site.base)));
    }
    found.sort_unstable();
    let mut all = [&world.ada[..], &world.eve, &world.of_ada, &world.of_eve];
    all.sort_unstable();
    assert_eq!(found, all);

    let form = site.request(Method::POST, "/_search");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    let form = form.body(format!("_id={}", world.ada.split_once('/').unwrap().1));
    let found = Answer::of(form).await.expect(200).json();
    assert_eq!(keys(&found, "match"), [&*world.ada]);
    assert_eq!(found["total"], 1);
    site.get("?gender=male").await.expect(400);
    site.get("?_type=Patient,Nothing").await.expect(400);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compartment_is_searched_by_get_by_form_and_in_a_batch() {
    let site = Site::start().await;
    let world = World::of(&site).await;
    let of_ada = format!("/{}/Observation", world.ada);

    let found = site.get(&of_ada).await.expect(200).json();
    assert_eq!(keys(&found, "match"), [&*world.of_ada]);
    assert!(link(&found, "self").unwrap().starts_with(&format!("{}{of_ada}", site.base)));
    let found = site.get(&format!("/{}/*?_type=Observation", world.eve)).await.expect(200).json();
    assert_eq!(keys(&found, "match"), [&*world.of_eve]);
    for path in [format!("{of_ada}/_search"), format!("/{}/*/_search", world.ada)] {
        let form = site.request(Method::POST, &path);
        let form = form.header("content-type", "application/x-www-form-urlencoded");
        let found = Answer::of(form.body("code=x-code")).await;
        if path.contains('*') {
            assert_eq!(found.expect(400).issue().0, "invalid");
        } else {
            assert_eq!(keys(&found.expect(200).json(), "match"), [&*world.of_ada]);
        }
    }
    let form = site.request(Method::POST, &format!("/{}/_search", world.ada));
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    let found = Answer::of(form.body("_summary=count")).await.expect(200).json();
    assert_eq!(found["total"], 2);
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": &of_ada[1..]}},
        {"request": {"method": "GET", "url": "?_type=Patient&_summary=count"}},
    ]});
    let answers = site.post("", &batch).await.expect(200).json();
    assert_eq!(keys(&answers["entry"][0]["resource"], "match"), [&*world.of_ada]);
    assert_eq!(answers["entry"][1]["resource"]["total"], 2);

    site.get(&format!("/{}/Organization", world.ada)).await.expect(400);
    site.get(&format!("/{}/Nonsense", world.ada)).await.expect(404);
    site.get("/Organization/1/Patient").await.expect(404);
    assert!(site.get("/Patient/nobody/Observation").await.expect(200).json()["entry"].is_null());
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_sees_the_own_part_of_every_search() {
    let site = Site::start().await;
    let world = World::of(&site).await;
    let token = site.token_of(Role::Patient, world.ada.strip_prefix("Patient/"));
    let get = async |path: &str| site.get_as(&token, path).await;

    let all = get("").await.expect(200).json();
    let mut found = keys(&all, "match");
    found.sort_unstable();
    let mut own = [&world.ada[..], &world.of_ada];
    own.sort_unstable();
    assert_eq!(found, own);
    assert_eq!(all["total"], 2);
    let other = get(&format!("/{}/*", world.eve)).await.expect(200).json();
    assert!(keys(&other, "match").is_empty());
    get("?_type=Group,Patient").await.expect(403);
    let chained = get("/Observation?subject:Patient.family=eve").await.expect(200).json();
    assert!(keys(&chained, "match").is_empty());
    let operator = site.token_of(Role::Operator, None);
    site.get_as(&operator, "?_id=1").await.expect(403);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chains_and_iterated_includes_work_from_url_to_bundle() {
    let site = Site::start().await;
    let world = World::of(&site).await;

    let query = "/Observation?subject:Patient.family:exact=Ada\
                 &_include=Observation:subject&_revinclude:iterate=Observation:subject";
    let page = site.get(query).await.expect(200).json();
    assert_eq!(keys(&page, "match"), [&*world.of_ada]);
    assert_eq!(keys(&page, "include"), [&*world.ada]);
    let refused = site.get("/Patient?_has:AuditEvent:patient:_id=1").await;
    assert!(refused.json()["issue"][0]["diagnostics"].as_str().unwrap().contains("AuditEvent"));
    let refused = site.get("/Patient?_list=$current-problems").await;
    assert!(refused.json()["issue"][0]["diagnostics"].as_str().unwrap().contains("$current"));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_statement_says_of_includes_and_compartments_is_so() {
    let site = Site::start().await;
    let statement =
        Answer::of(site.anonymous(Method::GET, "/fhir/metadata")).await.expect(200).json();
    let rest = &statement["rest"][0];
    let all = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
    };

    let interactions = rest["interaction"].as_array().unwrap();
    assert!(interactions.iter().any(|one| one["code"] == "search-system"));
    for param in rest["searchParam"].as_array().unwrap() {
        let value = match param["type"].as_str().unwrap() {
            "date" => "2020",
            "special" => "_id%20eq%20x",
            _ => "x",
        };
        let name = param["name"].as_str().unwrap();
        site.get(&format!("?{name}={value}&_summary=count")).await.expect(200);
    }
    for url in all(&rest["compartment"]) {
        let name = url.rsplit('/').next().unwrap();
        let owner = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
        let owner = if owner == "Relatedperson" { "RelatedPerson".to_owned() } else { owner };
        site.get(&format!("/{owner}/1/*")).await.expect(200);
    }
    for name in ["Patient", "Observation", "List"] {
        let resources = rest["resource"].as_array().unwrap();
        let described = resources.iter().find(|one| one["type"] == name).unwrap();
        for include in all(&described["searchInclude"]) {
            site.get(&format!("/{name}?_include={include}&_count=1")).await.expect(200);
        }
        for include in all(&described["searchRevInclude"]).iter().step_by(7) {
            site.get(&format!("/{name}?_revinclude={include}&_count=1")).await.expect(200);
        }
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_learns_how_a_search_is_answered_and_nothing_of_its_values() {
    let site = Site::start().await;
    let world = World::of(&site).await;
    let operator = site.token_of(Role::Operator, None);
    let path = format!(
        "/Observation/$explain?subject:Patient.family=Ada&code=x-code&subject={}&_sort=-date",
        world.ada
    );

    let answer = site.get_as(&operator, &path).await.expect(200);

    let said = answer.text_all();
    let id = world.ada.strip_prefix("Patient/").unwrap();
    for hidden in ["Ada", "ada", "x-code", id] {
        assert!(!said.contains(hidden), "{hidden} in {said}");
    }
    let parameters = answer.json();
    let all = parameters["parameter"].as_array().unwrap();
    let named = |name: &str| all.iter().filter(|one| one["name"] == name).collect::<Vec<_>>();
    let applied: Vec<_> = named("applied").iter().map(|one| one["valueString"].clone()).collect();
    assert_eq!(applied, ["subject:Patient.family", "code", "subject", "_sort"]);
    assert_eq!(named("search").len(), 1);
    let statements = named("statement");
    assert!(!statements.is_empty());
    for statement in statements {
        assert!(statement["part"][0]["valueString"].as_str().unwrap().starts_with("select"));
        assert_eq!(statement["part"][1]["valueString"], "fewer than 32");
    }
    // Whether the patient exists changes nothing in what is told, but for the time.
    let untimed = |answer: &Answer| {
        let mut parameters = answer.json();
        for one in parameters["parameter"].as_array_mut().unwrap() {
            one["part"].as_array_mut().into_iter().for_each(|part| part.truncate(2));
        }
        parameters
    };
    let absent = path.replace("Ada", "Nobody").replace("x-code", "y-code").replace(id, "nobody");
    let absent = site.get_as(&operator, &absent).await.expect(200);
    assert_eq!(untimed(&absent), untimed(&answer));
    site.get_as(&operator, "/Observation/$explain?nonsense=1").await.expect(400);
    for role in [Role::System, Role::Auditor] {
        site.get_as(&site.token_of(role, None), &path).await.expect(403);
    }
    site.stop().await;
}

/// Two patients with an observation each, by key.
struct World {
    ada: String,
    eve: String,
    of_ada: String,
    of_eve: String,
}

impl World {
    async fn of(site: &Site) -> Self {
        let ada = site.create(&patient("Ada")).await;
        let eve = site.create(&patient("Eve")).await;
        let about = |subject: &str| {
            json!({
                "resourceType": "Observation", "status": "final",
                "code": {"coding": [{"code": "x-code"}]}, "subject": {"reference": subject},
            })
        };
        let of_ada = site.create(&about(&ada)).await;
        let of_eve = site.create(&about(&eve)).await;
        Self { ada, eve, of_ada, of_eve }
    }
}

fn keys(bundle: &Value, mode: &str) -> Vec<String> {
    let entries = bundle["entry"].as_array().into_iter().flatten();
    let entries = entries.filter(|entry| entry["search"]["mode"] == mode);
    let key = |entry: &Value| {
        let text = |name: &str| entry["resource"][name].as_str().unwrap();
        format!("{}/{}", text("resourceType"), text("id"))
    };
    entries.map(key).collect()
}

fn link(page: &Value, relation: &str) -> Option<String> {
    let links = page["link"].as_array().unwrap();
    let found = links.iter().find(|link| link["relation"] == relation)?;
    Some(found["url"].as_str().unwrap().to_owned())
}
