//! `CodeSystem/$subsumes` and `CodeSystem/[id]/$subsumes` (FHIR R4 codesystem-operation-subsumes.html).

use actix_web::web::Payload;
use terminology::{Canonical, CodeSystem, Coding, Definition, subsumes};

use super::Question;
use super::inputs::{Inputs, Parameter, coding, text};
use crate::error::{Answered, Fault, FaultKind};
use crate::http::call::Call;
use crate::http::reply::Reply;

/// Answers how two codes of a system lie to each other.
///
/// # Errors
/// 400, 401, 403, 404, 422, 503.
pub async fn answer(call: Call, payload: Payload) -> Reply {
    let about = (Definition::CodeSystem, "subsumes");
    let question = Question::of(call, about, payload, &PARAMETERS).await?;
    let inputs = &question.inputs;
    let (a, b) = (code(inputs, "codeA", "codingA")?, code(inputs, "codeB", "codingB")?);
    let given = question.definition("", CodeSystem::of).await?;
    let system = given.as_ref().map(|given| given.url.clone());
    let system = system.or(inputs.text("system").map(Into::into)).or(a.system.clone());
    let Some(system) = system else {
        return Err(Fault::new(FaultKind::Invalid, "give system, or codings with their system"));
    };
    if [&a, &b].iter().any(|one| one.system.as_ref().is_some_and(|own| *own != system)) {
        return Err(Fault::new(FaultKind::Invalid, "both codes have to be of the one system"));
    }
    let wanted = Canonical::new(&system, inputs.text("version")).or_version(a.version.as_deref());
    question
        .answer(move |shelf| {
            let system = match &given {
                Some(given) => given.clone(),
                None => shelf.needed_code_system(&wanted)?,
            };
            Ok(subsumes(&system, &a.code, &b.code)?.to_resource())
        })
        .await
}

fn code(inputs: &Inputs, code: &str, coding: &str) -> Answered<Coding> {
    let plain = inputs.text(code).map(|code| Coding { code: code.into(), ..Coding::default() });
    plain
        .or_else(|| inputs.coding(coding))
        .ok_or_else(|| Fault::new(FaultKind::Invalid, format!("give {code} or {coding}")))
}

const PARAMETERS: [Parameter; 6] = [
    text("codeA"),
    text("codeB"),
    text("system"),
    text("version"),
    coding("codingA"),
    coding("codingB"),
];
