//! `ValueSet/$validate-code` and `ValueSet/[id]/$validate-code` (FHIR R4 valueset-operation-validate-code.html).

use actix_web::web::Payload;
use terminology::{Definition, validate_in_value_set};

use super::Question;
use super::inputs::{Parameter, coding, concept, flag, refused, resource, text};
use crate::error::{Fault, FaultKind};
use crate::http::call::Call;
use crate::http::reply::Reply;

/// Answers whether a code is in a value set: the one named by its url, or the one that it is invoked on.
///
/// # Errors
/// 400, 401, 403, 404, 422, 501, 503.
pub async fn answer(call: Call, payload: Payload) -> Reply {
    let about = (Definition::ValueSet, "validate-code");
    let question = Question::of(call, about, payload, &PARAMETERS).await?;
    let inputs = &question.inputs;
    let codings = inputs.codings("systemVersion")?;
    if inputs.text("code").is_some() && inputs.text("system").is_none() {
        return Err(Fault::new(FaultKind::Invalid, "a code needs its system"));
    }
    let options = inputs.validation();
    let subject = question.value_set().await?;
    question
        .answer(move |shelf| {
            let value_set = subject.found(|named| shelf.value_set(named))?;
            Ok(validate_in_value_set(&value_set, &codings, &options, shelf)?.to_resource())
        })
        .await
}

const PARAMETERS: [Parameter; 13] = [
    text("url"),
    refused("context"),
    resource("valueSet"),
    text("valueSetVersion"),
    text("code"),
    text("system"),
    text("systemVersion"),
    text("display"),
    coding("coding"),
    concept("codeableConcept"),
    refused("date"),
    flag("abstract"),
    text("displayLanguage"),
];
