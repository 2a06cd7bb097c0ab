//! `Allow` of a 405: the methods that a place takes of anybody.
//!
//! Spec: RFC 9110 §10.2.1 and §15.5.6. It is about the place, not about who asks: a caller who may not is told so by 403.
//! Not here: places other than types and resources, whose routes know their methods (`super::place`).

use actix_web::HttpRequest;
use actix_web::http::Method;
use fhir::ResourceType;

use super::parameters::criteria;

/// The methods of a type, with or without criteria, or of a resource, but the one that was refused; `None` elsewhere.
pub(super) fn of(request: &HttpRequest) -> Option<String> {
    let pattern = request.match_pattern()?;
    let of = ResourceType::parse(request.match_info().get("type")?)?;
    let is_offered = |method: &&Method| {
        *method != request.method() && (is_read(method) || may_write(of, method))
    };
    let methods: &[Method] = match pattern {
        pattern if pattern.ends_with("/{type:[A-Z][A-Za-z]*}/{id}") => &OF_RESOURCE,
        pattern if !pattern.ends_with("/{type:[A-Z][A-Za-z]*}") => return None,
        _ if lacks_criteria(request) => &OF_TYPE,
        _ => &OF_CRITERIA,
    };
    let names: Vec<&str> = methods.iter().filter(is_offered).map(Method::as_str).collect();
    Some(names.join(", "))
}

fn lacks_criteria(request: &HttpRequest) -> bool {
    [Method::PUT, Method::PATCH, Method::DELETE].contains(request.method())
        && criteria(request.query_string()).is_empty()
}

fn is_read(method: &Method) -> bool {
    [Method::GET, Method::HEAD].contains(method)
}

/// AuditEvents are made by the gateway alone; what proves something is not deleted.
fn may_write(of: ResourceType, method: &Method) -> bool {
    of != ResourceType::AUDIT_EVENT && (*method != Method::DELETE || !policy::is_kept(of))
}

const OF_TYPE: [Method; 3] = [Method::GET, Method::HEAD, Method::POST];
const OF_CRITERIA: [Method; 6] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
const OF_RESOURCE: [Method; 5] =
    [Method::GET, Method::HEAD, Method::PUT, Method::PATCH, Method::DELETE];
