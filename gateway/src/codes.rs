//! What a search asks of terminology: `:in`, `:not-in`, `:above` and `:below` on tokens (FHIR R4 search § 3.1.1.4.3).
//!
//! The questions of a query are answered before it is read, from the shelf of `terminology`; a value set that is not
//! known, or that the caller may not ask about, makes the query invalid.
//! Not here: which parameters take these modifiers (`registry`), expansion and hierarchies (crate `terminology`).

use std::collections::HashMap;
use std::sync::Arc;

use fhir::{ResourceId, ResourceKey, ResourceType};
use policy::{AccessRequest, Operation, OperationTarget, Permit, Principal};
use registry::search::{CodeAnswer, CodeQuestion};
use terminology::{
    Canonical, ExpandOptions, Refusal, Shelf, ValueSet, expand, members_of_hierarchy,
};

use crate::app::App;
use crate::error::Answered;
use crate::terminology as service;

/// Answers by their questions; an error says why there is none.
pub(crate) type Answers = HashMap<CodeQuestion, Result<Vec<CodeAnswer>, String>>;

/// Answers all questions of a query.
///
/// # Errors
/// 503 when the registry is away.
pub(crate) async fn answers(
    app: &App,
    principal: &Principal,
    questions: Vec<CodeQuestion>,
) -> Answered<Answers> {
    let mut answers = Answers::with_capacity(questions.len());
    for question in questions {
        let about = match question {
            CodeQuestion::In(_) => "ValueSet",
            _ => "CodeSystem",
        };
        let target = OperationTarget::Type(
            ResourceType::parse(about).expect("the definitions are types of R4"),
        );
        let request = AccessRequest::Operation { operation: Operation::Terminology, target };
        let answer = match policy::decide(principal, &request) {
            Ok(permit) => answer(app, &permit, &question).await?,
            Err(_) => Err(format!("{about} may not be asked about")),
        };
        answers.insert(question, answer);
    }
    Ok(answers)
}

async fn answer(
    app: &App,
    permit: &Permit,
    question: &CodeQuestion,
) -> Answered<Result<Vec<CodeAnswer>, String>> {
    let stored = match question {
        CodeQuestion::In(name) => match stored(app, permit, name).await {
            Ok(stored) => stored,
            Err(why) => return Ok(Err(why)),
        },
        _ => None,
    };
    let question = question.clone();
    let codes = service::ask(app, permit, move |shelf| codes(shelf, &question, stored.as_ref()));
    Ok(codes.await?.map_err(|refusal| refusal.to_string()))
}

/// The value set of `ValueSet/id`; none for a URL.
async fn stored(app: &App, permit: &Permit, name: &str) -> Result<Option<Arc<ValueSet>>, String> {
    let Some(id) = name.strip_prefix("ValueSet/") else { return Ok(None) };
    let unknown = || format!("{name} is not known here");
    let resource_type = ResourceType::parse("ValueSet").ok_or_else(unknown)?;
    let id = ResourceId::parse(id).map_err(|_| unknown())?;
    let loaded = service::instance(app, permit, &ResourceKey { resource_type, id }).await;
    let value = loaded.map_err(|_| unknown())?.value().map_err(|refusal| refusal.to_string())?;
    ValueSet::of(&value).map(|found| Some(Arc::new(found))).map_err(|refusal| refusal.to_string())
}

fn codes(
    shelf: &Shelf,
    question: &CodeQuestion,
    stored: Option<&Arc<ValueSet>>,
) -> Result<Vec<CodeAnswer>, Refusal> {
    let (system, code, below) = match question {
        CodeQuestion::In(name) => {
            let value_set = match stored {
                Some(stored) => Arc::clone(stored),
                None => shelf.value_set(&Canonical::parse(name))?,
            };
            let options = ExpandOptions { whole_systems: true, ..ExpandOptions::default() };
            let expansion = expand(&value_set, &options, shelf)?;
            let coded = |(system, code): (Option<&str>, &str)| {
                let (system, code) = (system?.to_owned(), code.to_owned());
                // A whole code system that is not known here: any code of it.
                let is_whole = code.is_empty();
                Some(if is_whole {
                    CodeAnswer::System(system)
                } else {
                    CodeAnswer::Code { system, code }
                })
            };
            return Ok(expansion.codes().filter_map(coded).collect());
        }
        CodeQuestion::Below { system, code } => (system, code, true),
        CodeQuestion::Above { system, code } => (system, code, false),
    };
    let unnamed = || Refusal::Invalid("name the system of the code, as in system|code".to_owned());
    let system =
        shelf.needed_code_system(&Canonical::parse(system.as_ref().ok_or_else(unnamed)?))?;
    let unknown = || Refusal::NoSuchCode(format!("{code} is not in {}", system.canonical()));
    let members = members_of_hierarchy(&system, code, below)?.ok_or_else(unknown)?;
    let coded =
        |code: Box<str>| CodeAnswer::Code { system: system.url.to_string(), code: code.into() };
    Ok(members.into_iter().map(coded).collect())
}
