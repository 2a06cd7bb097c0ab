//! `Allow` of a 405: the methods that a place takes of anybody, from its own routes.
//!
//! Spec: RFC 9110 §10.2.1 and §15.5.6. It is about the place, not about who asks: a caller who may not is told so by 403.
//! Not here: the routes (`super::place` leaves what it offers with the place).

use actix_web::HttpRequest;
use actix_web::dev::{Path, Url};
use actix_web::http::Method;
use fhir::ResourceType;

use super::parameters::criteria;

/// The methods of a place's routes.
pub(super) struct Offered(pub(super) Vec<Method>);

/// The methods of the place that was asked, but the one that was refused; `None` where nothing is.
pub(super) fn of(request: &HttpRequest) -> Option<String> {
    let Offered(methods) = request.app_data()?;
    let asked = request.method();
    // HEAD is answered by the handler of GET.
    let is_refused = |method: &Method| method == asked || is_read(method) && is_read(asked);
    // Only types and resources take PUT: elsewhere nothing is written by its method.
    let writes = methods.contains(&Method::PUT);
    let lacks_criteria = methods.contains(asked) && criteria(request.query_string()).is_empty();
    let is_taken = |method: &Method| {
        !writes || is_read(method) || may_write(method, lacks_criteria, request.match_info())
    };
    let taken = methods.iter().filter(|method| !is_refused(method) && is_taken(method));
    Some(taken.map(Method::as_str).collect::<Vec<_>>().join(", "))
}

fn is_read(method: &Method) -> bool {
    [Method::GET, Method::HEAD].contains(method)
}

/// AuditEvents are made by the gateway alone, what proves something is not deleted; what a type takes with criteria is
/// not offered to who has just asked without.
fn may_write(method: &Method, lacks_criteria: bool, path: &Path<Url>) -> bool {
    let of = path.get("type").and_then(ResourceType::parse);
    let is_made_here = of == Some(ResourceType::AUDIT_EVENT);
    let is_kept = *method == Method::DELETE && of.is_some_and(policy::is_kept);
    let is_named = path.get("id").is_some() || *method == Method::POST;
    !is_made_here && !is_kept && (is_named || !lacks_criteria)
}
