//! `ConceptMap/$translate` and `ConceptMap/[id]/$translate` (FHIR R4 conceptmap-operation-translate.html).
//!
//! Without `url` and map, all stored maps from (in reverse: to) the code's system are asked.

use std::sync::Arc;

use actix_web::web::Payload;
use fhir::ResourceType;
use serde_json::Value;
use terminology::{
    Canonical, Coding, ConceptMap, Definition, TranslateOptions, Translation, translate,
};

use super::Question;
use super::inputs::{Inputs, Parameter, coding, concept, flag, parts, resource, text};
use crate::error::{Answered, Fault, FaultKind};
use crate::http::call::Call;
use crate::http::reply::Reply;
use crate::terminology as service;

/// Answers what a code is mapped to.
///
/// # Errors
/// 400, 401, 403, 404, 422, 503.
pub async fn answer(call: Call, payload: Payload) -> Reply {
    let about = (Definition::ConceptMap, "translate");
    let question = Question::of(call, about, payload, &PARAMETERS).await?;
    let inputs = &question.inputs;
    let codings = inputs.codings("version")?;
    if inputs.text("code").is_some() && inputs.text("system").is_none() {
        return Err(Fault::new(FaultKind::Invalid, "a code needs its system"));
    }
    let options = options(inputs)?;
    let url = inputs.text("url").map(Canonical::parse);
    let wanted = url.map(|url| url.or_version(inputs.text("conceptMapVersion")));
    let given = question.definition("conceptMap", ConceptMap::of).await?;
    let maps = match (given, &wanted) {
        (Some(given), _) => vec![given],
        (None, Some(_)) => Vec::new(),
        (None, None) => maps_of(&question, &codings, options.reverse).await?,
    };
    question
        .answer(move |shelf| {
            let mut maps = maps.clone();
            if let (true, Some(wanted)) = (maps.is_empty(), &wanted) {
                maps.push(shelf.concept_map(wanted)?);
            }
            let mut out = Translation::default();
            for map in &maps {
                out.merge(translate(map, &codings, &options, shelf)?);
            }
            Ok(out.to_resource())
        })
        .await
}

/// Stored maps from (in reverse: to) the systems of the codings.
async fn maps_of(
    question: &Question,
    codings: &[Coding],
    reverse: bool,
) -> Answered<Vec<Arc<ConceptMap>>> {
    let param = if reverse { "target-system" } else { "source-system" };
    let resource_type = ResourceType::parse("ConceptMap").expect("a type of R4");
    let mut maps = Vec::new();
    for system in codings.iter().filter_map(|coding| coding.system.as_deref()) {
        let app = &question.call.app;
        let found =
            service::search(app, &question.permit, resource_type, param, system, MAPS_MAX).await?;
        for one in found {
            let map = one.value().and_then(|value| ConceptMap::of(&value));
            maps.push(Arc::new(map.map_err(|refusal| question.refuse(&refusal))?));
        }
    }
    Ok(maps)
}

fn options(inputs: &Inputs) -> Answered<TranslateOptions> {
    let text = |name: &str| inputs.text(name).map(str::to_owned);
    let dependencies = inputs.parts("dependency").into_iter().map(dependency);
    Ok(TranslateOptions {
        source: text("source"),
        target: text("target"),
        target_system: text("targetsystem"),
        dependencies: dependencies.collect::<Answered<_>>()?,
        reverse: inputs.flag("reverse") == Some(true),
    })
}

fn dependency(parts: &[Value]) -> Answered<(String, Value)> {
    let part = |name: &str| parts.iter().find(|part| part["name"] == name);
    let element = part("element").and_then(|part| part["valueUri"].as_str());
    let concept = part("concept").and_then(|part| part.get("valueCodeableConcept"));
    match (element, concept) {
        (Some(element), Some(concept)) => Ok((element.to_owned(), concept.clone())),
        _ => {
            let text =
                "a dependency has the parts element (valueUri) and concept (valueCodeableConcept)";
            Err(Fault::new(FaultKind::Invalid, text))
        }
    }
}

/// Maps that one translation asks when none is named.
const MAPS_MAX: u32 = 200;

const PARAMETERS: [Parameter; 13] = [
    text("url"),
    resource("conceptMap"),
    text("conceptMapVersion"),
    text("code"),
    text("system"),
    text("version"),
    text("source"),
    coding("coding"),
    concept("codeableConcept"),
    text("target"),
    text("targetsystem"),
    parts("dependency"),
    flag("reverse"),
];
