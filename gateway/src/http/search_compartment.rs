//! `GET [base]/[compartment]/[id]/[type]?…` and `…/*`: search in what is about one patient, encounter, device,
//! practitioner or related person (FHIR R4 http.html § 3.1.0.11, compartmentdefinition.html).
//!
//! A compartment of nobody, or of somebody hidden, is empty: the answer tells nothing about the owner.
//! Not here: who is a member (`registry::search`), the searchset itself (`search`).

use actix_web::web::{Path, Payload};
use fhir::is_in_own_compartment;
use registry::search::SearchTarget;

use super::call::{Call, resource_key, resource_type};
use super::reply::Reply;
use super::search::{answer, answer_form};
use crate::error::{Answered, Fault, FaultKind};

/// Answers a search in a compartment.
///
/// # Errors
/// 400, 401, 403, 404 for a type that has no compartments, 503.
pub async fn search(call: Call, path: Path<(String, String, String)>) -> Reply {
    let (owner, id, member) = path.into_inner();
    answer(call, &target(&owner, &id, &member)?).await
}

/// The same with parameters in a form.
///
/// # Errors
/// As [`search`], and 415 for another form.
pub async fn search_by_post(
    call: Call,
    path: Path<(String, String, String)>,
    payload: Payload,
) -> Reply {
    let (owner, id, member) = path.into_inner();
    answer_form(call, &target(&owner, &id, &member)?, payload).await
}

/// All types, with parameters in a form: `POST [base]/[compartment]/[id]/_search`.
///
/// # Errors
/// As [`search_by_post`].
pub async fn search_all_by_post(
    call: Call,
    path: Path<(String, String)>,
    payload: Payload,
) -> Reply {
    let (owner, id) = path.into_inner();
    answer_form(call, &target(&owner, &id, ALL)?, payload).await
}

/// What the path asks for.
///
/// # Errors
/// 404 for an unknown type or one that has no compartments, 400 for a malformed id.
pub(super) fn target(owner: &str, id: &str, member: &str) -> Answered<SearchTarget> {
    let owner = resource_key(owner, id)?;
    if !is_in_own_compartment(owner.resource_type) {
        let text = format!("{} has no compartments", owner.resource_type);
        return Err(Fault::new(FaultKind::NotFound, text));
    }
    let member = if member == ALL { None } else { Some(resource_type(member)?) };
    Ok(SearchTarget::Compartment { owner, member })
}

/// Stands for all types of a compartment.
const ALL: &str = "*";
