//! History at its three levels: times, pages, deletions, refusals.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::site::{Answer, Site, patient};

/// `method version` of each entry.
fn entries(bundle: &Value) -> Vec<String> {
    let list = bundle["entry"].as_array().cloned().unwrap_or_default();
    let of = |entry: &Value| {
        let etag = entry["response"]["etag"].as_str().unwrap().replace(['W', '/', '"'], "");
        format!("{} {etag}", entry["request"]["method"].as_str().unwrap())
    };
    list.iter().map(of).collect()
}

/// A patient with versions 1 to 3, the last a deletion; the path and the time of each.
async fn three_versions(site: &Site) -> (String, Vec<String>) {
    let path = format!("/{}", site.create(&patient("Ada")).await);
    tokio::time::sleep(Duration::from_millis(5)).await;
    let mut body = site.get(&path).await.json();
    body["active"] = json!(true);
    site.put(&path, &body).await.expect(200);
    tokio::time::sleep(Duration::from_millis(5)).await;
    site.delete(&path).await.expect(204);
    let all = site.get(&format!("{path}/_history")).await.expect(200).json();
    let entries = all["entry"].as_array().unwrap();
    let times = entries.iter().map(|entry| entry["response"]["lastModified"].as_str().unwrap());
    (path, times.rev().map(str::to_owned).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_say_what_made_them_and_a_deletion_has_no_resource() {
    let site = Site::start().await;
    let (path, _) = three_versions(&site).await;

    let all = site.get(&format!("{path}/_history")).await.expect(200).json();

    assert_eq!(entries(&all), ["DELETE 3", "PUT 2", "POST 1"]);
    assert_eq!((&all["type"], &all["total"]), (&json!("history"), &json!(3)));
    assert!(all["entry"][0].get("resource").is_none());
    let statuses: Vec<&str> =
        (0..3).map(|at| all["entry"][at]["response"]["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["204", "200", "201"]);
    assert_eq!(all["entry"][2]["request"]["url"], "Patient");
    assert_eq!(format!("/{}", all["entry"][1]["request"]["url"].as_str().unwrap()), path);
    let head =
        Answer::of(site.request(Method::HEAD, &format!("{path}/_history"))).await.expect(200);
    assert!(head.bytes.is_empty());
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn since_and_at_choose_by_time_at_every_level() {
    let site = Site::start().await;
    let (path, times) = three_versions(&site).await;
    let listed = async |query: &str| {
        let query = query.replace('+', "%2B");
        let mut found = Vec::new();
        for level in [path.as_str(), "/Patient", ""] {
            let url = format!("{level}/_history?{query}");
            found.push(entries(&site.get(&url).await.expect(200).json()));
        }
        assert!(found.iter().all(|one| *one == found[0]), "{query}: {found:?}");
        found.remove(0)
    };

    assert_eq!(listed(&format!("_since={}", times[1])).await, ["DELETE 3", "PUT 2"]);
    assert_eq!(listed("_since=2000-01-01").await, ["DELETE 3", "PUT 2", "POST 1"]);
    assert_eq!(listed(&format!("_at={}", times[0])).await, ["POST 1"]);
    assert_eq!(listed(&format!("_at={}", times[1])).await, ["PUT 2"]);
    assert_eq!(listed("_at=2100").await, ["DELETE 3"]);
    assert_eq!(listed("_at=1999").await, Vec::<String>::new());
    assert_eq!(listed("_since=2100-01-01T00:00:00Z").await, Vec::<String>::new());
    assert_eq!(
        listed(&format!("_at={}&_since={}", times[1], times[2])).await,
        Vec::<String>::new()
    );
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_the_links_and_a_changed_cursor_is_refused() {
    let site = Site::start().await;
    for name in ["a", "b", "c", "d", "e"] {
        site.create(&patient(name)).await;
    }

    let first = site.get("/Patient/_history?_count=2&_since=2000-01-01").await.expect(200).json();
    let mut seen = entries(&first).len();
    let mut next = next_of(&first);
    let second = next.clone().unwrap();
    while let Some(url) = next {
        assert!(url.starts_with(&format!("{}/Patient/_history?", site.base)), "{url}");
        let page = site.get(&url).await.expect(200).json();
        assert_eq!(page["total"], 5);
        seen += entries(&page).len();
        next = next_of(&page);
    }

    assert_eq!(seen, 5);
    let elsewhere = second.replace("/Patient/", "/Observation/");
    let earlier = second.replace("2000", "2001");
    let altered = format!("{}A", &second[..second.len() - 1]);
    for bad in [elsewhere, earlier, altered, "/Patient/_history?_cursor=17".into()] {
        let refused = site.get(&bad).await;
        assert!(refused.status == 400 || second.ends_with('A'), "{bad}");
    }
    assert_eq!(site.get("/Patient/_history?_count=0").await.expect(200).json()["total"], 5);
    site.stop().await;
}

fn next_of(bundle: &Value) -> Option<String> {
    let links = bundle["link"].as_array().unwrap();
    let next = links.iter().find(|link| link["relation"] == "next")?;
    Some(next["url"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_narrows_history_to_what_it_refers_to() {
    let site = Site::start().await;
    let (ada, eve) = (site.create(&patient("Ada")).await, site.create(&patient("Eve")).await);
    let list = serde_json::json!({
        "resourceType": "List", "status": "current", "mode": "working",
        "entry": [{"item": {"reference": ada}}],
    });
    let list = site.create(&list).await;
    let id = list.split_once('/').unwrap().1;

    for (path, total) in [
        (format!("/Patient/_history?_list={id}"), 1),
        (format!("/_history?_list=List/{id}"), 1),
        (format!("/{eve}/_history?_list={id}"), 0),
        (format!("/{ada}/_history?_list={id}"), 1),
        ("/Patient/_history?_list=none".to_owned(), 0),
    ] {
        let page = site.get(&path).await.expect(200).json();
        assert_eq!(page["total"], total, "{path}: {page}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_history_does_not_do_is_refused_not_ignored() {
    let site = Site::start().await;
    let path = format!("/{}", site.create(&patient("Ada")).await);

    for query in [
        "_list=$current-problems",
        "name=Ada",
        "_sort=_lastUpdated",
        "_since=yesterday",
        "_at=12:00",
        "_count=-1",
        "_since=2000&_since=2001",
        "_include=Patient:link",
    ] {
        let refused = site.get(&format!("{path}/_history?{query}")).await.expect(400);
        assert_eq!(refused.issue().0, "invalid", "{query}");
    }
    site.get(&format!("{path}/_history?_sort=-_lastUpdated&_pretty=true")).await.expect(200);
    site.get("/Patient/none/_history").await.expect(404);
    let auditor = site.token_of(policy::Role::Auditor, None);
    for level in ["/AuditEvent/0a", "/AuditEvent"] {
        let refused = site.get_as(&auditor, &format!("{level}/_history")).await.expect(501);
        assert_eq!(refused.issue().0, "not-supported");
    }
    site.stop().await;
}
