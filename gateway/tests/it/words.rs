//! Search by words through HTTP: what the setting allows, what a caller may not see, and how the setting is changed.

use std::time::Duration;

use fhir::FullText;
use gateway::app::{App, OpenError};
use serde_json::{Value, json};

use crate::process::sealway;
use crate::site::{Answer, JSON, Site, TYPE};

fn told(family: &str, narrative: &str) -> Value {
    let div = format!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>{narrative}</p></div>");
    json!({"resourceType": "Patient", "name": [{"family": family}],
        "text": {"status": "additional", "div": div}})
}

fn count(answer: &Answer) -> usize {
    answer.json()["entry"].as_array().map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread")]
async fn narratives_are_searched_unless_told_otherwise_and_contents_when_told() {
    let site = Site::start().await;
    site.create(&told("Ada", "Canary of the north")).await;
    site.create(&told("Eve", "Canary")).await;

    for (query, found) in [
        ("/Patient?_text=canary", 2),
        ("/Patient?_text=canary+NOT+north", 1),
        ("/Patient?_text=%22the+north%22&name=ada", 1),
        ("/Patient?_text=north&name=eve", 0),
        ("?_type=Patient,Observation&_text=north", 1),
        ("?_text=north", 1),
    ] {
        let answer = site.get(query).await.expect(200);
        assert_eq!(count(&answer), found, "{query}");
    }
    let refused = site.get("/Patient?_content=ada").await.expect(400);
    assert!(refused.text().contains("search.full_text"), "{}", refused.text());
    site.get("/Patient?_text=(canary").await.expect(400);
    site.get("/Patient?_text:exact=canary").await.expect(400);
    site.get("/Patient?_sort=_text").await.expect(400);
    let explained = site.get("/Patient/$explain?_text=canary").await;
    assert!(!explained.text().contains("canary"), "{}", explained.text());

    let site = site.restart_on(FullText::All).await;
    assert_eq!(count(&site.get("/Patient?_content=ada").await.expect(200)), 1);
    assert_eq!(count(&site.get("/Patient?_content=canary").await.expect(200)), 2);
    site.stop().await;
}

/// A search must not tell of what the caller may not see, not by its count either.
#[tokio::test(flavor = "multi_thread")]
async fn the_words_of_hidden_resources_are_not_found() {
    let site = Site::start_with(|config| config.search.full_text = FullText::All).await;
    let own = site.create(&told("Ada", "mine")).await;
    let own = own.split_once('/').unwrap().1.to_owned();
    site.create(&told("Eve", "canary")).await;
    let token = site.limited_token(&own);

    for name in ["_text", "_content"] {
        for (word, found) in [("canary", 0), ("mine", 1), ("NOT%20canary", 1)] {
            let query = format!("/Patient?{name}={word}&_total=accurate");
            let answer = site.get_as(&token, &query).await.expect(200);
            assert_eq!(
                (count(&answer), answer.json()["total"].clone()),
                (found, json!(found)),
                "{query}"
            );
        }
    }
    site.stop().await;
}

/// Criteria must not hang on a setting, and are checked again where nothing is searched by words.
#[tokio::test(flavor = "multi_thread")]
async fn conditional_interactions_take_no_words() {
    let site = Site::start().await;
    let request = site.request(reqwest::Method::POST, "/Patient");
    let request = request.header("if-none-exist", "_text=canary");
    let request = request.header(TYPE, JSON).body(told("Ada", "canary").to_string());

    let answer = Answer::of(request).await;

    assert!((400..500).contains(&answer.status), "{} {}", answer.status, answer.text());
    assert_eq!(count(&site.get("/Patient").await.expect(200)), 0);
    site.stop().await;
}

impl Site {
    /// Stops, indexes by another setting with the command, and starts again.
    async fn restart_on(self, full_text: FullText) -> Self {
        let (mut config, folder) = (self.app.config.clone(), self.stop().await);
        config.search.full_text = full_text;
        let refused = loop {
            match App::open(config.clone()).await {
                Err(OpenError::Held(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
                opened => break opened.map(|_| ()).unwrap_err(),
            }
        };
        assert!(refused.to_string().contains("sealway reindex"), "{refused}");
        let mut command = sealway(folder.path());
        command.env("SEALWAY_SEARCH__FULL_TEXT", full_text.name()).arg("reindex");
        let run = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        Self::open_in(config, folder).await
    }
}
