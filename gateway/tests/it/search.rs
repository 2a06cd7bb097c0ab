//! Searches and their pages.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::site::{Answer, Site, patient};

async fn pages(site: &Site, first: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut next = Some(first.to_owned());
    while let Some(url) = next {
        let page = site.get(&url).await.expect(200).json();
        let entries = page["entry"].as_array().cloned().unwrap_or_default();
        ids.extend(
            entries.iter().map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned()),
        );
        next = link(&page, "next");
    }
    ids
}

fn link(page: &Value, relation: &str) -> Option<String> {
    let links = page["link"].as_array().unwrap();
    let found = links.iter().find(|link| link["relation"] == relation)?;
    Some(found["url"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn paging_to_the_end_gives_each_resource_once() {
    let site = Site::start().await;
    for at in 0..23 {
        site.create(&patient(&format!("Ada{at}"))).await;
    }

    let ids = pages(&site, "/Patient?_count=5").await;

    assert_eq!(ids.len(), 23);
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 23);
    let page = site.get("/Patient?_count=5").await.json();
    assert!(link(&page, "next").unwrap().starts_with(&format!("{}/Patient?", site.base)));
    assert_eq!(link(&page, "self").unwrap(), format!("{}/Patient?_count=5", site.base));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_searches_like_a_query() {
    let site = Site::start().await;
    let key = site.create(&patient("Ada")).await;
    site.create(&patient("Eve")).await;

    let request = site.request(Method::POST, "/Patient/_search");
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let found = Answer::of(request.body("family=ada")).await.expect(200).json();

    assert_eq!(found["total"], 1);
    assert_eq!(found["entry"][0]["fullUrl"], format!("{}/{key}", site.base));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_parameters_are_refused_unless_lenient_or_known_to_be_of_others() {
    let site = Site::start().await;
    site.create(&patient("Ada")).await;

    site.get("/Patient?colour=red").await.expect(400);
    let lenient =
        site.request(Method::GET, "/Patient?colour=red").header("prefer", "handling=lenient");
    let lenient = Answer::of(lenient).await.expect(200);
    assert_eq!(lenient.header("preference-applied"), "handling=lenient");
    let lenient = lenient.json();
    let marked = site.get("/Patient?_totalMethod=count").await.expect(200).json();

    assert_eq!(lenient["entry"][1]["search"]["mode"], "outcome");
    assert_eq!(marked["entry"][1]["resource"]["resourceType"], "OperationOutcome");
    assert_eq!(link(&lenient, "self").unwrap(), format!("{}/Patient?_count=50", site.base));
    let refused = site.get("/Patient?_lastupdated=gt2030").await.expect(400);
    assert!(refused.text().contains("did you mean _lastUpdated?"), "{}", refused.text());
    for unknown in ["colour=red", "_totalMethod=count", "_nonsense=1", "_Id=p1"] {
        let strict = site.request(Method::GET, &format!("/Patient?{unknown}"));
        let strict = strict.header("prefer", "handling=strict");
        Answer::of(strict).await.expect(400);
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_the_parameter_that_is_wrong() {
    let site = Site::start().await;

    for (path, parameter) in [
        ("/Patient?name=a&birthdate=yesterday", "birthdate"),
        ("/Patient?name=a&_count=many", "_count"),
        ("/Patient?_count=1&_count=2", "_count"),
        ("/Patient?active=true&colour=red", "colour"),
        ("/Patient?gender:text=x", "gender:text"),
        ("/Patient/_history?_at=long-ago", "_at"),
        ("/Patient/_history?colour=red", "colour"),
    ] {
        let outcome = site.get(path).await.expect(400).json();
        let places = &outcome["issue"][0]["location"];
        assert_eq!(places[0], format!("http.{parameter}"), "{path}: {outcome}");
    }
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": "Patient?birthdate=yesterday"}}]});
    let answered = site.post("", &batch).await.expect(200).json();
    let issue = &answered["entry"][0]["response"]["outcome"]["issue"][0];
    assert_eq!(issue["expression"][0], "Bundle.entry[0].request.url", "{answered}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn self_of_a_later_page_is_the_address_of_that_page() {
    let site = Site::start().await;
    for at in 0..5 {
        site.create(&patient(&format!("Ada{at}"))).await;
    }

    let first = site.get("/Patient?_count=2").await.expect(200).json();
    let next = link(&first, "next").unwrap();
    let second = site.get(&next).await.expect(200).json();
    let again = site.get(&link(&second, "self").unwrap()).await.expect(200).json();

    assert_eq!(link(&second, "self"), Some(next));
    assert_ne!(second["entry"][0], first["entry"][0]);
    assert_eq!(again["entry"], second["entry"]);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_beyond_what_one_may_cost_is_refused_for_good() {
    let site = Site::start().await;
    let dates = |from: usize| {
        (from..from + 2_000).map(|year| format!("{year}-01-01")).collect::<Vec<_>>().join(",")
    };
    let send = |form: String| {
        let request = site.request(Method::POST, "/Observation/_search");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        Answer::of(request.body(form))
    };

    let most = send(format!("date={}", dates(1000))).await;
    let lists = (0..6).map(|at| format!("date={}", dates(1000 + at))).collect::<Vec<_>>();
    let more = send(lists.join("&")).await;

    assert_eq!(most.expect(200).json()["total"], 0);
    let more = more.expect(400);
    assert_eq!(more.issue().0, "too-costly");
    assert!(!more.text().contains("retry later"), "{}", more.text());
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_big_answer_is_gzipped_for_those_who_take_it() {
    let site = Site::start().await;
    for _ in 0..20 {
        site.create(&patient("Ada")).await;
    }

    let request = site.request(Method::GET, "/Patient").header("accept-encoding", "gzip");
    let packed = Answer::of(request).await.expect(200);

    assert_eq!(packed.header("content-encoding"), "gzip");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&packed.bytes[..]), &mut text)
        .unwrap();
    let page: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(page["entry"].as_array().unwrap().len(), 20);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_statement_lists_only_what_is_answered() {
    let site = Site::start().await;

    let statement =
        Answer::of(site.anonymous(Method::GET, "/fhir/metadata")).await.expect(200).json();

    assert_eq!(statement["fhirVersion"], "4.0.1");
    let resources = statement["rest"][0]["resource"].as_array().unwrap();
    let patient = resources.iter().find(|one| one["type"] == "Patient").unwrap();
    let params = patient["searchParam"].as_array().unwrap();
    assert!(params.len() > 10);
    for param in params {
        let value = match param["type"].as_str().unwrap() {
            "date" => "2020-01-01",
            "reference" => "Organization/1",
            "quantity" | "number" => "1",
            "special" => "_id%20eq%20x",
            // Some have no other codes than this and its opposite.
            "token" => "true",
            _ => "x",
        };
        let query = format!("/Patient?{}={value}&_summary=count", param["name"].as_str().unwrap());
        site.get(&query).await.expect(200);
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_of_a_type_pages_to_the_end() {
    let site = Site::start().await;
    for at in 0..7 {
        site.create(&json!({"resourceType": "Basic", "code": {"text": at.to_string()}})).await;
    }

    let ids = pages(&site, "/Basic/_history?_count=3").await;

    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 7);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_shortens_hits_is_applied_and_echoed() {
    let site = Site::start().await;
    site.create(&patient("Ada")).await;

    let page = site.get("/Patient?_elements=id").await.expect(200).json();

    assert_eq!(page["link"][0]["url"], format!("{}/Patient?_elements=id&_count=50", site.base));
    assert!(page["entry"][0]["resource"].get("name").is_none());
    assert_eq!(page["entry"].as_array().unwrap().len(), 1);
    site.get("/Patient?_summary=nonsense").await.expect(400);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_indented_answer_is_the_same_document() {
    let site = Site::start().await;
    let key = site.create(&patient("Ada")).await;
    site.create(&patient("Eve")).await;

    for path in [format!("/{key}"), format!("/{key}/_history/1")] {
        let plain = site.get(&format!("{path}?_pretty=false")).await.expect(200);
        let pretty = site.get(&format!("{path}?_pretty=true")).await.expect(200);

        assert_eq!(plain.bytes, site.get(&path).await.bytes, "{path}");
        let printed = serde_json::to_string_pretty(&plain.json()).unwrap();
        assert_eq!(pretty.text_all(), printed, "{path}");
    }
    for path in [format!("/{key}/_history?_pretty=true"), "/metadata?_pretty=true".into()] {
        let pretty = site.get(&path).await.expect(200);
        let printed = serde_json::to_string_pretty(&pretty.json()).unwrap();
        assert_eq!(pretty.text_all(), printed, "{path}");
    }
    let page = site.get("/Patient?_count=1&_pretty=true").await.expect(200);
    assert!(
        page.text_all().starts_with("{\n  \"resourceType\": \"Bundle\""),
        "{}",
        page.text_all()
    );
    let next = page.json()["link"]
        .as_array()
        .unwrap()
        .iter()
        .find(|link| link["relation"] == "next")
        .map(|link| link["url"].as_str().unwrap().to_owned())
        .unwrap();
    assert!(site.get(&next).await.expect(200).text_all().starts_with("{\n"), "{next}");
    let by_form = site.request(reqwest::Method::POST, "/Patient/_search");
    let by_form =
        by_form.header("content-type", "application/x-www-form-urlencoded").body("_pretty=true");
    assert!(crate::site::Answer::of(by_form).await.expect(200).text_all().starts_with("{\n"));
    site.stop().await;
}
