//! Each search parameter, include and sort key of the statement takes effect.

use fhir::{ParamKind, ResourceType, search_param};
use serde_json::Value;

use super::{Subject, at_once, names, report};

/// A value that no resource has: a parameter that takes effect leaves nothing over.
#[tokio::test(flavor = "multi_thread")]
async fn every_search_parameter_of_the_statement_takes_effect() {
    let subject = Subject::start().await;
    let asked = subject.types().flat_map(|(of, one)| {
        let params = names(one, "searchParam", "name");
        params.into_iter().map(move |name| (of, name))
    });

    let wrong = at_once(asked.map(|(of, name)| leaves_nothing(&subject, of, name)).collect()).await;

    report(wrong);
    subject.site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_include_of_the_statement_is_applied() {
    let subject = Subject::start().await;
    let asked = subject.types().flat_map(|(of, one)| {
        let rules = names(one, "searchInclude", "").into_iter().map(|rule| ("_include", rule));
        // Thousands of rules back, of each type another part.
        let back = names(one, "searchRevInclude", "").into_iter().skip(of.len() % BACK_STEP);
        let back = back.step_by(BACK_STEP).map(|rule| ("_revinclude", rule));
        rules.chain(back).map(move |(name, rule)| (of, format!("{name}={rule}")))
    });

    let wrong = at_once(asked.map(|(of, query)| is_applied(&subject, of, query)).collect()).await;

    report(wrong);
    subject.site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_of_all_types_and_of_compartments_take_effect() {
    let subject = Subject::start().await;
    let common = names(subject.rest(), "searchParam", "name");
    let at_base = common.into_iter().map(|name| ("", name));
    let mut wrong =
        at_once(at_base.map(|(of, name)| leaves_nothing(&subject, of, name)).collect()).await;

    for compartment in names(subject.rest(), "compartment", "") {
        let owner = subject
            .types()
            .map(|(of, _)| of)
            .find(|of| compartment.ends_with(&format!("/{}", of.to_lowercase())));
        let owner = owner.unwrap_or_else(|| panic!("{compartment} is no type"));
        for path in [format!("/{owner}/r1/*?_id=r1"), format!("/{owner}/r1/Observation?_id=r1")] {
            let answer = subject.get(&path).await;
            let why = match answer.status {
                200 => not_applied(&answer.json(), "_id"),
                other => Some(format!("{other} {}", answer.text())),
            };
            wrong.push(why.map(|why| format!("{path}: {why}")));
        }
    }

    report(wrong);
    subject.site.stop().await;
}

async fn leaves_nothing(subject: &Subject, of: &str, name: &str) -> Option<String> {
    let Some(value) = nobody_has(of, name) else {
        return Some(format!("{of}?{name} is advertised, but this test has no value for it"));
    };
    let place = if of.is_empty() { String::new() } else { format!("/{of}") };
    let query = format!("{place}?{name}={value}");
    let answer = subject.get(&query).await;
    if answer.status != 200 {
        return Some(format!("{query}: {} {}", answer.status, answer.text()));
    }
    let page = answer.json();
    if let Some(why) = not_applied(&page, name) {
        return Some(format!("{query}: {why}"));
    }
    let found = page["entry"].as_array().map_or(0, Vec::len);
    (found > 0).then(|| format!("{query}: {found} entries"))
}

async fn is_applied(subject: &Subject, of: &str, query: String) -> Option<String> {
    let query = format!("/{of}?{query}&_count=2");
    let answer = subject.get(&query).await;
    if answer.status != 200 {
        return Some(format!("{query}: {} {}", answer.status, answer.text()));
    }
    let name = query.split(['?', '=']).nth(1).unwrap_or_default();
    not_applied(&answer.json(), name).map(|why| format!("{query}: {why}"))
}

/// Why a parameter was ignored; `None` when `self` names it and no outcome says otherwise.
fn not_applied(page: &Value, name: &str) -> Option<String> {
    let links = page["link"].as_array().into_iter().flatten();
    let own = links.clone().find(|link| link["relation"] == "self");
    let own = own.and_then(|link| link["url"].as_str()).unwrap_or_default();
    let entries = page["entry"].as_array().into_iter().flatten();
    let outcome = entries.into_iter().find(|entry| entry["search"]["mode"] == "outcome");
    match outcome {
        Some(outcome) => Some(format!("ignored: {}", outcome["resource"])),
        None if own.contains(&format!("{name}=")) => None,
        None => Some(format!("self has no {name}: {own}")),
    }
}

fn nobody_has(of: &str, name: &str) -> Option<String> {
    let by_name = match name {
        "_id" => Some("no-such-id"),
        "_lastUpdated" => Some("1800"),
        "_list" => Some("List/no-such-list"),
        "_filter" => Some("_id%20eq%20no-such-id%20and%20not%20(_id%20pr%20false)"),
        "_text" | "_content" => Some("nosuchwordanywhere"),
        "near" => Some("-89.9%7C10%7C1%7Ckm"),
        // The journal's own.
        "agent" if of == "AuditEvent" => Some("nobody"),
        _ => None,
    };
    if let Some(value) = by_name {
        return Some(value.to_owned());
    }
    // Several types share those that every type has.
    let of = if of.is_empty() { "Basic" } else { of };
    let param = search_param(ResourceType::parse(of)?, name)?;
    let one = |kind: ParamKind| {
        Some(match kind {
            ParamKind::Token => "urn:no-such-system%7Cno-such-code".to_owned(),
            ParamKind::Reference => {
                let target = param.targets.first().map_or("Patient", |target| target.name());
                format!("{target}/no-such-id")
            }
            ParamKind::Date => "1800-01-01".to_owned(),
            ParamKind::Number | ParamKind::Quantity => "987654321".to_owned(),
            ParamKind::String => "no such text".to_owned(),
            ParamKind::Uri => "urn:no-such-uri".to_owned(),
            ParamKind::Composite | ParamKind::Special => return None,
        })
    };
    match param.kind {
        ParamKind::Composite => {
            let parts = param.components.iter().map(|part| one(part.kind));
            Some(parts.collect::<Option<Vec<_>>>()?.join("$"))
        }
        kind => one(kind),
    }
}

const BACK_STEP: usize = 12;
