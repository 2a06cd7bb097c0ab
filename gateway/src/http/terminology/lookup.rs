//! `CodeSystem/$lookup` (FHIR R4 codesystem-operation-lookup.html).

use actix_web::web::Payload;
use terminology::{Definition, lookup};

use super::Question;
use super::inputs::{Parameter, coding, refused, text, texts};
use crate::http::call::Call;
use crate::http::reply::Reply;

/// Answers what a code system says of a code.
///
/// # Errors
/// 400, 401, 403, 404, 422, 501, 503.
pub async fn answer(call: Call, payload: Payload) -> Reply {
    let about = (Definition::CodeSystem, "lookup");
    let question = Question::of(call, about, payload, &PARAMETERS).await?;
    let inputs = &question.inputs;
    let coding = inputs.codings("version")?.swap_remove(0);
    let language = inputs.text("displayLanguage").map(str::to_owned);
    let properties = inputs.texts("property");
    question
        .answer(move |shelf| {
            Ok(lookup(&coding, &properties, language.as_deref(), shelf)?.to_resource())
        })
        .await
}

const PARAMETERS: [Parameter; 7] = [
    text("code"),
    text("system"),
    text("version"),
    coding("coding"),
    refused("date"),
    text("displayLanguage"),
    texts("property"),
];
