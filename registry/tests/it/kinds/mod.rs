//! Every kind of search value, prefix and modifier of R4 on small resources, with the answers that the standard's text
//! gives. Sections are those of hl7.org/fhir/R4/search.html.

mod composites;
mod limits;
mod modifiers;
mod ranges;
mod texts;
mod words;

use std::sync::Arc;

use fhir::{ResourceType, SearchParams};
use policy::Permit;
use registry::error::ReadError;
use registry::search::{CodeSets, ParseOptions, SearchQuery, parse, with_params};
use serde_json::{Value as Json, json};

use crate::engines::{Site, on_each_engine};
use crate::oracle::{corpus, with_words};

/// Query and ids of its matches.
type Cases = &'static [(&'static str, &'static [&'static str])];

/// Runs `query → ids of the matches`, each a case of its own in the report.
fn check(resources: Vec<Json>, cases: &[(&str, &[&str])]) {
    on_each_engine(async |site| {
        corpus::write(&*site.store, site.store.index_key(), resources.clone()).await;
        let mut wrong = Vec::new();
        for (query, expected) in cases {
            let found = ids(site, query).await;
            if found != *expected {
                wrong.push(format!("{query}: {found:?}, not {expected:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

async fn ids(site: &Site, text: &str) -> Vec<String> {
    let query = read(text, None).unwrap_or_else(|error| panic!("{text}: {error}"));
    let page = site.store.search(&Permit::maintenance(), &query).await.unwrap();
    let mut ids: Vec<_> = page.hits.iter().map(|hit| hit.version.key.id.to_string()).collect();
    ids.sort_unstable();
    ids
}

fn read(text: &str, codes: Option<&dyn CodeSets>) -> Result<SearchQuery, ReadError> {
    read_with(&with_words(), text, codes)
}

fn read_with(
    params: &Arc<SearchParams>,
    text: &str,
    codes: Option<&dyn CodeSets>,
) -> Result<SearchQuery, ReadError> {
    let (of, query) = text.split_once('?').unwrap();
    let base_url = "http://example.org/fhir";
    // 2021-01-01T00:00:00Z, from which `ap` measures.
    let options = ParseOptions { base_url, lenient: false, now_us: 1_609_459_200_000_000, codes };
    with_params(params, || parse(ResourceType::parse(of).unwrap(), query, &options))
}

fn observation(id: &str, rest: Json) -> Json {
    let mut all = json!({"resourceType": "Observation", "id": id, "status": "final"});
    let Json::Object(rest) = rest else { panic!("an object") };
    all.as_object_mut().unwrap().extend(rest);
    all
}

fn concept(system: &str, code: &str) -> Json {
    json!({"coding": [{"system": system, "code": code}]})
}

fn quantity(value: f64, unit: &str) -> Json {
    json!({"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit})
}
