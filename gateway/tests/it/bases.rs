//! One resource under several URLs: `/fhir`, `/fhir/R4`, every host name of the server.
//!
//! Expected values: FHIR R4 references.html#literal (an absolute URL below the server's base is that resource).

use serde_json::{Value, json};

use crate::site::{Answer, JSON, Site, TYPE};

/// Every URL of ours for a resource, and one of another server.
fn urls(site: &Site, key: &str) -> (Vec<String>, String) {
    let port = site.root.rsplit(':').next().unwrap();
    let ours = [
        site.base.clone(),
        format!("{}/fhir/R4", site.root),
        format!("http://localhost:{port}/fhir"),
        format!("http://localhost:{port}/fhir/R4"),
        "https://fhir.example.org/his/fhir".to_owned(),
    ];
    let ours = ours.iter().map(|base| format!("{base}/{key}")).collect();
    (ours, format!("http://localhost:1/fhir/{key}"))
}

async fn site() -> Site {
    let site = Site::start_with(|config| {
        config.server.public_url = Some("https://fhir.example.org/his".to_owned());
    })
    .await;
    let ada = json!({"resourceType": "Patient", "id": "ada", "name": [{"family": "Lovelace"}]});
    site.put("/Patient/ada", &ada).await.expect(201);
    site
}

fn observation(id: &str, subject: &str) -> Value {
    json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"}, "subject": {"reference": subject}})
}

fn ids(bundle: &Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().into_iter().flatten();
    let mut ids: Vec<String> = entries
        .filter(|entry| entry["resource"]["resourceType"] == "Observation")
        .map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn references_below_each_base_lead_to_the_same_resource_in_every_search_and_compartment() {
    let site = site().await;
    let (ours, other) = urls(&site, "Patient/ada");
    let mut expected = Vec::new();
    for (at, url) in ours.iter().chain([&"Patient/ada".to_owned()]).enumerate() {
        let id = format!("o{at}");
        site.put(&format!("/Observation/{id}"), &observation(&id, url)).await.expect(201);
        let through = format!("{}/fhir/R4/Observation/r{id}", site.root);
        let body = observation(&format!("r{id}"), url).to_string();
        let request = site.request(reqwest::Method::PUT, &through).header(TYPE, JSON).body(body);
        Answer::of(request).await.expect(201);
        expected.extend([id.clone(), format!("r{id}")]);
    }
    expected.sort();
    site.put("/Observation/other", &observation("other", &other)).await.expect(201);

    let mut queries = vec![
        "/Observation?subject=Patient/ada".to_owned(),
        "/Observation?patient=ada".to_owned(),
        "/Observation?subject.name=lovelace".to_owned(),
        "/Patient/ada/Observation".to_owned(),
        "/Patient/ada/$everything".to_owned(),
        "/Patient?_id=ada&_revinclude=Observation:subject".to_owned(),
    ];
    queries.extend(ours.iter().map(|url| format!("/Observation?subject={url}")));
    for query in queries {
        let found = site.get(&query).await.expect(200).json();
        assert_eq!(ids(&found), expected, "{query}");
        let alias = site.get(&format!("{}/fhir/R4{query}", site.root)).await.expect(200).json();
        assert_eq!(ids(&alias), expected, "{query} below the alias");
    }
    let elsewhere = site.get(&format!("/Observation?subject={other}")).await.expect(200).json();
    assert_eq!(ids(&elsewhere), ["other"]);
    // What is below a base and no resource there is a URL like any other.
    let odd = format!("/Observation?subject={}/foo/Patient/ada", site.base);
    assert_eq!(ids(&site.get(&odd).await.expect(200).json()), [""; 0]);
    // Who may see the patient's compartment sees all of it, and nobody else's.
    let ada = site.token_of(policy::Role::Patient, Some("ada"));
    let seen = site.get_as(&ada, "/Observation").await.expect(200).json();
    assert_eq!(ids(&seen), expected);
    // The index is what the contents give, whichever of their bases were ours.
    let mut mixed = observation("mixed", &ours[1]);
    mixed["performer"] = json!([{"reference": ours[4]}, {"reference": other}]);
    site.put("/Observation/mixed", &mixed).await.expect(201);
    let performed = site.get("/Observation?performer=Patient/ada").await.expect(200).json();
    assert_eq!(ids(&performed), ["mixed"]);
    let config = site.app.config.clone();
    let _folder = site.stop().await;
    let found = gateway::fsck::check(&config, gateway::fsck::Options::default()).await.unwrap();
    assert_eq!(found.problems, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn criteria_find_what_names_the_resource_below_another_base() {
    let site = site().await;
    let (ours, _) = urls(&site, "Patient/ada");
    site.put("/Observation/o", &observation("o", &ours[1])).await.expect(201);

    for url in ours.iter().chain([&"Patient/ada".to_owned()]) {
        let mut new = observation("x", "Patient/ada");
        new.as_object_mut().unwrap().remove("id");
        let request = site.request(reqwest::Method::POST, "/Observation").header(TYPE, JSON);
        let request = request.header("if-none-exist", format!("subject={url}"));
        Answer::of(request.body(new.to_string())).await.expect(200);
    }

    assert_eq!(site.count("Observation").await, 1);
    site.delete(&format!("/Observation?subject={}", ours[4])).await.expect(204);
    assert_eq!(site.count("Observation").await, 0);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_name_resources_below_each_base_in_urls_and_in_links_between_entries() {
    let site = site().await;
    let (ours, other) = urls(&site, "Patient/ada");
    let reads: Vec<Value> =
        ours.iter().map(|url| json!({"request": {"method": "GET", "url": url}})).collect();
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": reads});

    let read = site.post("", &batch).await.expect(200).json();

    for entry in read["entry"].as_array().unwrap() {
        assert_eq!(entry["response"]["status"], "200 OK", "{entry}");
    }
    let foreign = json!({"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": other}}]});
    let refused = site.post("", &foreign).await.expect(200).json();
    assert_eq!(refused["entry"][0]["response"]["status"], "400 Bad Request");

    // The entry has its fullUrl below one base, the reference to it stands below another.
    let (new, _) = urls(&site, "Patient/new");
    let mut made = observation("x", &new[3]);
    made.as_object_mut().unwrap().remove("id");
    let transaction = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"fullUrl": new[1], "resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}},
        {"resource": made, "request": {"method": "POST", "url": format!("{}/fhir/R4/Observation", site.root)}},
    ]});
    let answer = site.post("", &transaction).await.expect(200).json();
    let located = |at: usize| {
        let location = answer["entry"][at]["response"]["location"].as_str().unwrap();
        location.strip_prefix(&site.base).unwrap().split("/_history").next().unwrap().to_owned()
    };
    let stored = site.get(&located(1)).await.expect(200).json();
    assert_eq!(format!("/{}", stored["subject"]["reference"].as_str().unwrap()), located(0));
    site.stop().await;
}
