//! Modifiers that a terminology answers, and what is refused.

use std::sync::Arc;

use fhir::{CustomParam, ParamId, ParamKind, ParamLimits, ResourceType, SearchParams};
use policy::Permit;
use registry::error::ReadError;
use registry::search::{CodeAnswer, CodeQuestion, CodeSets};
use serde_json::json;

use super::{concept, observation, read, read_with};
use crate::engines::on_each_engine;
use crate::oracle::corpus;

/// Answers for one value set and one hierarchy.
#[derive(Debug)]
struct Terms;

impl CodeSets for Terms {
    fn codes(&self, question: &CodeQuestion) -> Result<Vec<CodeAnswer>, String> {
        let codes = |all: &[&str]| {
            let one =
                |code: &&str| CodeAnswer::Code { system: "urn:s".into(), code: (*code).into() };
            Ok(all.iter().map(one).collect())
        };
        match question {
            CodeQuestion::In(url) if url == "http://vs.example/ab" => codes(&["a", "b"]),
            CodeQuestion::In(url) if url == "http://vs.example/t" => {
                Ok(vec![CodeAnswer::System("urn:t".into())])
            }
            CodeQuestion::Below { system: Some(_), code } if code == "a" => codes(&["a", "aa"]),
            CodeQuestion::Above { system: Some(_), code } if code == "aa" => {
                codes(&["aa", "a", "top"])
            }
            other => Err(format!("unknown: {other:?}")),
        }
    }
}

#[test]
fn a_terminology_answers_for_value_sets_and_hierarchies() {
    let coded = |id: &str, system: &str, code: &str| {
        observation(id, json!({"code": concept(system, code)}))
    };
    let resources = vec![
        coded("a", "urn:s", "a"),
        coded("aa", "urn:s", "aa"),
        coded("b", "urn:s", "b"),
        coded("other", "urn:o", "a"),
        coded("t", "urn:t", "9"),
        observation("none", json!({})),
    ];
    on_each_engine(async |site| {
        corpus::write(&*site.store, site.store.index_key(), resources.clone()).await;
        let found = async |text: &str| {
            let query = read(text, Some(&Terms)).unwrap();
            let page = site.store.search(&Permit::maintenance(), &query).await.unwrap();
            let mut ids: Vec<_> =
                page.hits.iter().map(|hit| hit.version.key.id.to_string()).collect();
            ids.sort_unstable();
            ids.join(" ")
        };

        assert_eq!(found("Observation?code:in=http://vs.example/ab").await, "a b");
        assert_eq!(found("Observation?code:not-in=http://vs.example/ab").await, "aa none other t");
        assert_eq!(found("Observation?code:in=http://vs.example/t").await, "t");
        assert_eq!(found("Observation?code:below=urn:s|a").await, "a aa");
        assert_eq!(found("Observation?code:above=urn:s|aa").await, "a aa");
    });
    let unknown = read("Observation?code:in=http://vs.example/none", Some(&Terms));
    assert!(matches!(unknown, Err(ReadError::Invalid(why)) if why.contains("unknown")));
    for modifier in ["in", "not-in", "above", "below"] {
        let refused = read(&format!("Observation?code:{modifier}=urn:s|a"), None);
        assert!(matches!(refused, Err(ReadError::Unsupported(_))), "{modifier}: {refused:?}");
    }
}

#[test]
fn what_a_parameter_does_not_take_is_refused_by_name() {
    for (query, words) in [
        (
            "Patient?gender:text=x",
            "gender:text: modifier :text is not supported, it takes :missing, :not",
        ),
        ("Patient?gender:exact=x", "it takes :missing, :not"),
        ("Patient?birthdate:exact=2000", "it takes :missing"),
        ("Patient?name:of-type=a|b|c", "it takes :contains, :exact, :missing"),
        ("Observation?code-value-quantity:missing=true", "it takes none"),
        (
            "Observation?subject:Nonsense=1",
            "it takes :[type], :above, :below, :identifier, :missing",
        ),
        ("Observation?subject:[type]=1", "it takes :[type], :above, :below, :identifier, :missing"),
        ("Patient?_id:exact=1", "modifier :exact is not supported, it takes :missing, :not"),
    ] {
        match read(query, None) {
            Err(ReadError::Unsupported(why)) => assert!(why.contains(words), "{query}: {why}"),
            other => panic!("{query}: {other:?}"),
        }
    }
    for query in [
        "Patient?identifier:of-type=|MR|7",
        "Patient?identifier:of-type=urn:v2|MR",
        "Observation?code-value-quantity=8480-6",
        "Observation?code-value-quantity=8480-6$",
        "Observation?code-value-quantity=$5",
        "Observation?code-value-quantity=8480-6$5$6",
        "Observation?code-value-date=q$soon",
        "MolecularSequence?chromosome-window-coordinate=1$2",
        "Patient?name=a,,b",
        "Patient?name=a,",
        "Patient?birthdate=gt",
        "Observation?value-quantity=xx5",
        "Observation?date=2013-01-14T",
    ] {
        let refused = read(query, None);
        assert!(matches!(refused, Err(ReadError::Invalid(_))), "{query}: {refused:?}");
    }
}

#[test]
fn a_token_of_the_installation_takes_the_modifiers_of_its_elements() {
    let param = CustomParam {
        url: "http://x.example/role".to_owned(),
        base: ResourceType::PATIENT,
        code: "role".to_owned(),
        kind: ParamKind::Token,
        targets: Vec::new(),
        components: Vec::new(),
        expression: "Patient.contact.relationship".to_owned(),
        limits: ParamLimits { multiple_or: true, multiple_and: true, ..ParamLimits::default() },
    };
    let id = ParamId::custom(fhir::CUSTOM_FROM).unwrap();
    let params = Arc::new(SearchParams::with(vec![(id, param, None)]));
    let ask = |query: &str| read_with(&params, query, None);

    for query in ["Patient?role:missing=true", "Patient?role:text=next", "Patient?role:not=N"] {
        assert!(ask(query).is_ok(), "{query}: {:?}", ask(query));
    }
    let refused = ask("Patient?role:of-type=a|b|c");
    assert!(matches!(refused, Err(ReadError::Unsupported(_))), "{refused:?}");
}
