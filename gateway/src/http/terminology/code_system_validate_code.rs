//! `CodeSystem/$validate-code` and `CodeSystem/[id]/$validate-code` (FHIR R4 codesystem-operation-validate-code.html).

use actix_web::web::Payload;
use terminology::{Canonical, CodeSystem, Definition, validate_in_code_system};

use super::inputs::{Parameter, coding, concept, flag, refused, resource, text};
use super::{Question, Subject};
use crate::http::call::Call;
use crate::http::reply::Reply;

/// Answers whether a code is one of a code system: the one named by its url, or the one that it is invoked on.
///
/// # Errors
/// 400, 401, 403, 404, 422, 501, 503.
pub async fn answer(call: Call, payload: Payload) -> Reply {
    let about = (Definition::CodeSystem, "validate-code");
    let question = Question::of(call, about, payload, &PARAMETERS).await?;
    let inputs = &question.inputs;
    // `version` is that of the code system, not a claim of the coding's.
    let codings = inputs.codings("")?;
    let options = inputs.validation();
    let given = question.definition("codeSystem", CodeSystem::of).await?;
    let named = || {
        let url = inputs.text("url").or(codings[0].system.as_deref())?;
        let version = codings.iter().find_map(|coding| coding.version.as_deref());
        Some(Canonical::parse(url).or_version(inputs.text("version").or(version)))
    };
    let subject = Subject::of(given, named, "give url, codeSystem, or a coding with its system")?;
    question
        .answer(move |shelf| {
            let system = subject.found(|named| shelf.needed_code_system(named))?;
            Ok(validate_in_code_system(&system, &codings, &options)?.to_resource())
        })
        .await
}

const PARAMETERS: [Parameter; 10] = [
    text("url"),
    resource("codeSystem"),
    text("code"),
    text("version"),
    text("display"),
    coding("coding"),
    concept("codeableConcept"),
    refused("date"),
    flag("abstract"),
    text("displayLanguage"),
];
