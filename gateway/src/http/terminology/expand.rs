//! `ValueSet/$expand` and `ValueSet/[id]/$expand` (FHIR R4 valueset-operation-expand.html).
//!
//! Without `excludeNested=false` the answer is flat, so that it can be paged.

use actix_web::web::Payload;
use terminology::{Definition, ExpandOptions, Stamp, expand};

use super::Question;
use super::inputs::{Inputs, Parameter, count, flag, refused, resource, text, texts};
use crate::clock;
use crate::http::call::Call;
use crate::http::reply::Reply;

/// Answers the codes of a value set: the one named by its url, or the one that it is invoked on.
///
/// # Errors
/// 400, 401, 403, 404, 422, 501, 503.
pub async fn answer(call: Call, payload: Payload) -> Reply {
    let question =
        Question::of(call, (Definition::ValueSet, "expand"), payload, &PARAMETERS).await?;
    let inputs = &question.inputs;
    let options = options(inputs);
    let with_definition = inputs.flag("includeDefinition") == Some(true);
    let subject = question.value_set().await?;
    let stamp = Stamp {
        identifier: format!("urn:uuid:{}", uuid::Uuid::now_v7()),
        timestamp: clock::now().to_string(),
    };
    question
        .answer(move |shelf| {
            let value_set = subject.found(|named| shelf.value_set(named))?;
            let expansion = expand(&value_set, &options, shelf)?;
            Ok(expansion.to_resource(&value_set, with_definition, &stamp))
        })
        .await
}

fn options(inputs: &Inputs) -> ExpandOptions {
    let is = |name: &str| inputs.flag(name) == Some(true);
    ExpandOptions {
        filter: inputs.text("filter").map(str::to_owned),
        offset: inputs.count("offset"),
        count: inputs.count("count"),
        active_only: is("activeOnly"),
        include_designations: is("includeDesignations"),
        designations: inputs.texts("designation"),
        display_language: inputs.text("displayLanguage").map(str::to_owned),
        nested: inputs.flag("excludeNested") == Some(false),
        exclude_not_for_ui: is("excludeNotForUI"),
        exclude_systems: inputs.canonicals("exclude-system"),
        system_versions: inputs.canonicals("system-version"),
        check_system_versions: inputs.canonicals("check-system-version"),
        force_system_versions: inputs.canonicals("force-system-version"),
        whole_systems: false,
    }
}

/// No code here is post-coordinated, so both values of `excludePostCoordinated` mean the same.
pub(super) const PARAMETERS: [Parameter; 21] = [
    text("url"),
    resource("valueSet"),
    text("valueSetVersion"),
    refused("context"),
    refused("contextDirection"),
    text("filter"),
    refused("date"),
    count("offset"),
    count("count"),
    flag("includeDesignations"),
    texts("designation"),
    flag("includeDefinition"),
    flag("activeOnly"),
    flag("excludeNested"),
    flag("excludeNotForUI"),
    flag("excludePostCoordinated"),
    text("displayLanguage"),
    texts("exclude-system"),
    texts("system-version"),
    texts("check-system-version"),
    texts("force-system-version"),
];
