//! `GET [base]?…` and `POST [base]/_search`: search in several types (FHIR R4 http.html § 3.1.0.11).
//!
//! `_type=A,B` names the types: each must be one that the caller may search. Without it the search looks into all
//! that the caller may. Not here: the searchset itself (`search`).

use actix_web::web::Payload;
use registry::search::SearchTarget;

use super::call::Call;
use super::reply::Reply;
use super::search::{answer, answer_form};

/// Answers a search in several types.
///
/// # Errors
/// 400, 401, 403, 503.
pub async fn search(call: Call) -> Reply {
    answer(call, &SearchTarget::System).await
}

/// The same with parameters in a form.
///
/// # Errors
/// As [`search`], and 415 for another form.
pub async fn search_by_post(call: Call, payload: Payload) -> Reply {
    answer_form(call, &SearchTarget::System, payload).await
}
