//! Orders of several keys over more matches than are sorted whole.

use policy::Permit;
use serde_json::{Value as Json, json};

use super::{query, write};
use crate::engines::{Site, on_each_engine};

#[test]
fn many_matches_stand_in_the_order_of_all_their_keys() {
    on_each_engine(async |site| {
        write(site, (0..MATCHES).map(observation).collect()).await;

        let by_value = |at: &usize| (value(*at).is_none(), value(*at), std::cmp::Reverse(id(*at)));
        let by_value_down = |at: &usize| {
            let value = value(*at);
            (value.is_none(), std::cmp::Reverse(value), id(*at))
        };
        let by_day = |at: &usize| (std::cmp::Reverse(day(*at)), id(*at));
        let by_day_up = |at: &usize| (day(*at), std::cmp::Reverse(id(*at)));
        expect(site, "_sort=value-quantity,-_id", sorted(by_value)).await;
        expect(site, "_sort=-value-quantity,_id", sorted(by_value_down)).await;
        expect(site, "_sort=-date,_id", sorted(by_day)).await;
        expect(site, "_sort=date,-_id&code=x", sorted(by_day_up)).await;
    });
}

fn sorted<K: Ord>(key: impl Fn(&usize) -> K) -> Vec<String> {
    let mut all: Vec<_> = (0..MATCHES).collect();
    all.sort_by_key(key);
    all.into_iter().map(id).collect()
}

/// Page after page to the end.
async fn expect(site: &Site, text: &str, expected: Vec<String>) {
    let first = query(&format!("Observation?{text}&_count=190")).unwrap();
    let mut found = Vec::new();
    let mut asked = first.clone();
    loop {
        let page = site.store.search(&Permit::maintenance(), &asked).await.unwrap();
        found.extend(page.hits.iter().map(|hit| hit.version.key.id.to_string()));
        let Some(next) = page.next else { break };
        asked = query(&format!("Observation?{}", first.page_query(&next))).unwrap();
    }
    let differs = found.iter().zip(&expected).position(|(found, expected)| found != expected);
    assert_eq!(differs, None, "{text} on {}: {} of {}", site.engine, found.len(), expected.len());
    assert_eq!(found.len(), expected.len(), "{text} on {}", site.engine);
}

fn id(at: usize) -> String {
    format!("o{}", at * 7_919 % MATCHES)
}

/// Some have none.
fn value(at: usize) -> Option<usize> {
    (!at.is_multiple_of(11)).then_some(at % 23)
}

fn day(at: usize) -> usize {
    at % 19
}

fn observation(at: usize) -> Json {
    let mut made = json!({
        "resourceType": "Observation", "id": id(at), "status": "final",
        "code": {"coding": [{"code": "x"}]},
        "effectiveDateTime": format!("2020-01-{:02}", day(at) + 1),
    });
    if let Some(value) = value(at) {
        made["valueQuantity"] = json!({"value": value});
    }
    made
}

/// More than the executor sorts whole; a prime has no factor in common with the step of the ids.
const MATCHES: usize = 2_203;
