//! `CodeSystem/$validate-code` and `CodeSystem/[id]/$validate-code` (FHIR R4 codesystem-operation-validate-code.html).

use actix_web::web::Payload;
use terminology::{Canonical, CodeSystem, Definition, ValidateOptions, validate_in_code_system};

use super::Question;
use super::inputs::{Parameter, coding, concept, flag, refused, resource, text};
use crate::error::{Fault, FaultKind};
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
    let options = ValidateOptions {
        allow_abstract: inputs.flag("abstract"),
        display_language: inputs.text("displayLanguage").map(str::to_owned),
    };
    let given = question.definition("codeSystem", CodeSystem::of).await?;
    let own = codings[0].system.clone();
    let url = inputs.text("url").map(Into::into).or(own);
    let wanted = url.map(|url: Box<str>| {
        let version = codings.iter().find_map(|coding| coding.version.as_deref());
        Canonical::parse(&url).or_version(inputs.text("version").or(version))
    });
    if given.is_none() && wanted.is_none() {
        return Err(Fault::new(
            FaultKind::Invalid,
            "give url, codeSystem, or a coding with its system",
        ));
    }
    question
        .answer(move |shelf| {
            let system = match (&given, &wanted) {
                (Some(given), _) => given.clone(),
                (None, Some(wanted)) => shelf.needed_code_system(wanted)?,
                (None, None) => unreachable!("one of the two was found above"),
            };
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
