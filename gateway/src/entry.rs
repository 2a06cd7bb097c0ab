//! One entry of a batch or transaction as an operation: its method, URL and preconditions.
//!
//! Spec: FHIR R4 bundle.html#Bundle.entry.request, http.html section 3.1.0.11. A precondition that does not go with
//! the method is refused: to leave it out would do more than the client asked for.
//! Not here: the shape of the bundle (`fhir::Bundle`), what the operations lead to (`plan`, `decide`).

use fhir::{
    Entry, EntryRequest, Instant, Method, Node, NotStored, ParsedReference, ResourceKey,
    ResourceType, VersionId,
};

use crate::error::{Answered, Fault, FaultKind};
use crate::http::create::unless;
use crate::http::{parameters, part};
use crate::invocation::Invocation;
use crate::limits::CRITERIA_BYTES_MAX;
use crate::patch::Patch;
use crate::precondition::{IF_MATCH, IF_NONE_MATCH, Preconditions, Tags};
use crate::submission::{Operation, Unless, Verb, body_id, check_body};
use crate::telemetry::metrics::Interaction;

/// A read that stands in a bundle.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReadEntry {
    /// URL relative to the base.
    pub url: String,
    /// `HEAD`: the answer has no resource.
    pub head: bool,
    /// As the header `If-None-Match`.
    pub if_none_match: Option<String>,
    /// As the header `If-Modified-Since`.
    pub if_modified_since: Option<Instant>,
}

impl ReadEntry {
    /// True when the client's copy is as new as this version: 304. `ifNoneMatch` wins (RFC 9110 §13.2.2).
    pub fn is_fresh(&self, version: VersionId, updated: Instant) -> bool {
        if let Some(tags) = &self.if_none_match {
            let mut tags = tags.split(',').map(str::trim);
            return tags.any(|tag| tag == "*" || VersionId::parse_etag(tag) == Ok(version));
        }
        self.if_modified_since.is_some_and(|since| updated <= since)
    }
}

/// What an entry asks for.
pub enum PostedEntry {
    /// An interaction of the REST interface.
    Interaction(Operation),
    /// An operation of FHIR (`$name`).
    Invocation(Box<Invocation>),
}

impl PostedEntry {
    /// Takes an entry apart. Where the caller is lenient, parameters that say nothing about a write are ignored.
    ///
    /// # Errors
    /// 400, 405 or 501 with the entry's place.
    pub(crate) fn of(entry: &Entry<'_>, base: &str, lenient: bool) -> Answered<Self> {
        let place = format!("Bundle.entry[{}]", entry.index);
        let placed = |fault: Fault| match fault.issues[0].expression {
            None => fault.at(&place),
            Some(_) => fault.at_entry(&place),
        };
        let request = request_of(entry).map_err(placed)?;
        let url = relative(&request.url, base).map_err(placed)?;
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        parameters::expect_form(query).map_err(placed)?;
        if let Some(invoked) =
            Invocation::of(entry, request.method, (path, query)).map_err(placed)?
        {
            expect_invoking(request).map_err(placed)?;
            let if_match = if_match(request).map_err(placed)?;
            return Ok(Self::Invocation(Box::new(Invocation { if_match, ..invoked })));
        }
        let verb = verb_of(entry, request, (url, base), lenient).map_err(placed)?;
        if let Some(node) = entry.resource {
            check_body(&verb, node).map_err(|fault| fault.at(&place))?;
        }
        expect_consistent(entry, &verb, base).map_err(placed)?;
        let full_url = entry.full_url.as_deref().map(str::to_owned);
        Ok(Self::Interaction(Operation { verb, entry: entry.index, full_url }))
    }

    /// The interaction; an operation is refused by its name.
    ///
    /// # Errors
    /// 501.
    pub(crate) fn interaction(self) -> Answered<Operation> {
        match self {
            Self::Interaction(operation) => Ok(operation),
            Self::Invocation(invoked) => {
                let text = format!(
                    "{} does not go into a transaction; send it in a batch or by itself",
                    invoked.name()
                );
                let place = format!("{}.request.url", invoked.place());
                Err(Fault::new(FaultKind::Unsupported, text).at(&place))
            }
        }
    }
}

fn request_of<'e>(entry: &'e Entry<'_>) -> Answered<&'e EntryRequest<'e>> {
    entry.request.as_ref().ok_or_else(|| {
        let text = "an entry of a batch or transaction needs a request with method and url";
        Fault::new(FaultKind::Invalid, text)
    })
}

fn verb_of(
    entry: &Entry<'_>,
    request: &EntryRequest<'_>,
    (url, base): (&str, &str),
    lenient: bool,
) -> Answered<Verb> {
    expect_fitting(request)?;
    match request.method {
        Method::Get | Method::Head => Ok(Verb::Read(read(url, request)?)),
        Method::Post => create(entry.resource, request, (url, base), lenient),
        Method::Put => {
            needs_resource(entry.resource)?;
            let preconditions = preconditions(request)?;
            Ok(match Named::of(url, lenient)? {
                Named::Resource(key) => Verb::Update { key, preconditions },
                Named::Type(resource_type, query) => {
                    Verb::UpdateWhere { resource_type, query: needed(query)?, preconditions }
                }
            })
        }
        Method::Patch => {
            let patch = Patch::of_entry(needs_resource(entry.resource)?);
            let patch = patch.map_err(|fault| fault.placed("resource"))?;
            let preconditions = preconditions(request)?;
            Ok(match Named::of(url, lenient)? {
                Named::Resource(key) => Verb::Patch { key, patch, preconditions },
                Named::Type(resource_type, query) => {
                    Verb::PatchWhere { resource_type, query: needed(query)?, patch, preconditions }
                }
            })
        }
        Method::Delete => {
            let preconditions = preconditions(request)?;
            Ok(match Named::of(url, lenient)? {
                Named::Resource(key) => Verb::Delete { key, preconditions },
                Named::Type(resource_type, query) => {
                    Verb::DeleteWhere { resource_type, query: needed(query)?, preconditions }
                }
            })
        }
    }
}

fn create(
    resource: Option<Node<'_>>,
    request: &EntryRequest<'_>,
    (url, bases): (&str, &str),
    lenient: bool,
) -> Answered<Verb> {
    if url.split('?').next().is_some_and(|path| path == "_search" || path.ends_with("/_search")) {
        let text = "in a bundle a search is a GET with its parameters in the url: Patient?name=a";
        return Err(Fault::new(FaultKind::Unsupported, text).placed("request.url"));
    }
    needs_resource(resource)?;
    let Named::Type(resource_type, in_url) = Named::of(url, lenient)? else {
        return Err(invalid("the request's url names no resource type", "request.url"));
    };
    let found = unless(request.if_none_exist.as_deref(), in_url, resource_type, bases)?;
    let if_none_exist = match found {
        Some(Unless { query, in_url }) => Some(Unless { query: needed(query)?, in_url }),
        None => None,
    };
    Ok(Verb::Create { resource_type, if_none_exist })
}

/// What the URL of a write names.
enum Named {
    Resource(ResourceKey),
    /// With criteria, if there are any.
    Type(ResourceType, String),
}

impl Named {
    fn of(url: &str, lenient: bool) -> Answered<Self> {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        // A write answers whole resources: any other part is refused.
        part::of(query, Interaction::Bundle, None)?;
        if path.contains('/') {
            parameters::expect_none(query, || lenient)?;
            return Ok(Self::Resource(key_of(path)?));
        }
        let of = type_of(path)?;
        Ok(Self::Type(of, parameters::criteria(query)))
    }
}

fn read(url: &str, request: &EntryRequest<'_>) -> Answered<ReadEntry> {
    let since = request.if_modified_since.as_deref().map(Instant::parse).transpose();
    Ok(ReadEntry {
        url: url.to_owned(),
        head: request.method == Method::Head,
        if_none_match: request.if_none_match.as_deref().map(str::to_owned),
        if_modified_since: since.map_err(|_| {
            invalid("ifModifiedSince must be an instant", "request.ifModifiedSince")
        })?,
    })
}

/// Refuses a `fullUrl` that names another resource than the request: it shall agree with the resource's id (FHIR R4
/// bundle.html#Bundle.entry.fullUrl). A new resource gets its id here, so with POST it is the sender's own business.
fn expect_consistent(entry: &Entry<'_>, verb: &Verb, bases: &str) -> Answered<()> {
    let named = entry.full_url.as_deref().map(|url| ParsedReference::parse(url, bases));
    let (Some(ParsedReference::Local { key, .. })
    | Some(ParsedReference::Absolute { key: Some(key), .. })) = named
    else {
        return Ok(());
    };
    let own = match verb {
        Verb::Update { key, .. } | Verb::Delete { key, .. } => Some(key.clone()),
        Verb::UpdateWhere { resource_type, .. } => {
            let id = entry.resource.and_then(body_id);
            id.map(|id| ResourceKey { resource_type: *resource_type, id })
        }
        _ => None,
    };
    match own {
        Some(own) if own != key => {
            let text = "the fullUrl names another resource than the request; \
                        let it end in the type and id of the request's url, or leave it out";
            Err(invalid(text, "fullUrl"))
        }
        _ => Ok(()),
    }
}

/// Refuses preconditions that say nothing about an operation: `ifMatch` alone may hold for one that changes something.
fn expect_invoking(request: &EntryRequest<'_>) -> Answered<()> {
    let given = [
        ("ifNoneMatch", request.if_none_match.is_some()),
        ("ifModifiedSince", request.if_modified_since.is_some()),
        ("ifNoneExist", request.if_none_exist.is_some()),
    ];
    match given.into_iter().find(|(_, is_given)| *is_given) {
        None => Ok(()),
        Some((name, _)) => {
            let text = format!("{name} does not go with an operation");
            Err(invalid(&text, &format!("request.{name}")))
        }
    }
}

/// Refuses preconditions that say nothing about this method.
fn expect_fitting(request: &EntryRequest<'_>) -> Answered<()> {
    use Method::{Delete, Get, Head, Patch, Post, Put};
    let given = [
        ("ifMatch", request.if_match.is_some(), &[Put, Patch, Delete][..]),
        ("ifNoneMatch", request.if_none_match.is_some(), &[Get, Head, Put, Patch, Delete][..]),
        ("ifModifiedSince", request.if_modified_since.is_some(), &[Get, Head][..]),
        ("ifNoneExist", request.if_none_exist.is_some(), &[Post][..]),
    ];
    for (name, is_given, methods) in given {
        if is_given && !methods.contains(&request.method) {
            let text = format!("{name} does not go with this method");
            return Err(invalid(&text, &format!("request.{name}")));
        }
    }
    Ok(())
}

fn needs_resource(resource: Option<Node<'_>>) -> Answered<Node<'_>> {
    resource.ok_or_else(|| invalid("this method needs a resource", "resource"))
}

/// URL of an entry without a base of ours or a leading slash.
fn relative<'u>(url: &'u str, bases: &str) -> Answered<&'u str> {
    if let Some(below) = fhir::below_base(url, bases) {
        return Ok(below.trim_start_matches('/'));
    }
    // The base itself, perhaps with a query.
    let (path, query) = url.split_at(url.find('?').unwrap_or(url.len()));
    let mut own = bases.split_ascii_whitespace();
    if own.any(|base| path.trim_end_matches('/') == base.trim_end_matches('/')) {
        return Ok(query);
    }
    if url.starts_with("http://") || url.starts_with("https://") {
        return Err(invalid("the url is not below the base of this server", "request.url"));
    }
    Ok(url.trim_start_matches('/'))
}

fn type_of(path: &str) -> Answered<ResourceType> {
    ResourceType::parse_stored(path).map_err(|why| match why {
        NotStored::NoEndpoint(_) => invalid(&why.to_string(), "request.url"),
        NotStored::Unknown(_) => invalid("the request's url names no resource type", "request.url"),
    })
}

fn key_of(path: &str) -> Answered<ResourceKey> {
    let key = ResourceKey::parse(path)
        .map_err(|_| invalid("the request's url names no resource", "request.url"))?;
    type_of(key.resource_type.name())?;
    Ok(key)
}

fn needed(criteria: String) -> Answered<String> {
    if criteria.is_empty() || criteria.len() > CRITERIA_BYTES_MAX {
        return Err(invalid("conditional interactions need search criteria", "request"));
    }
    Ok(criteria)
}

fn if_match(request: &EntryRequest<'_>) -> Answered<Option<Tags>> {
    let parsed = request.if_match.as_deref().map(|text| Tags::parse(text, "ifMatch"));
    parsed.transpose().map_err(|fault| fault.in_parameter(IF_MATCH))
}

/// What an entry that writes demands of the resource.
fn preconditions(request: &EntryRequest<'_>) -> Answered<Preconditions> {
    let if_match = if_match(request)?;
    let none = request.if_none_match.as_deref().map(|text| Tags::parse(text, "ifNoneMatch"));
    let if_none_match = none.transpose().map_err(|fault| fault.in_parameter(IF_NONE_MATCH))?;
    Ok(Preconditions { if_match, if_none_match, unmodified_since: None })
}

fn invalid(text: &str, at: &str) -> Fault {
    Fault::new(FaultKind::Invalid, text).placed(at)
}

#[cfg(test)]
mod tests {
    use fhir::{Bundle, Tree};

    use super::*;

    const BASE: &str = "http://host/fhir http://host/fhir/R4 https://public.example/fhir";

    fn operation(entry: &str) -> Answered<Verb> {
        let text = format!(r#"{{"resourceType":"Bundle","type":"batch","entry":[{entry}]}}"#);
        let tree = Tree::parse(text.into()).unwrap();
        let bundle = Bundle::read(&tree).unwrap();
        let posted = PostedEntry::of(&bundle.entries[0], BASE, false)?;
        posted.interaction().map(|operation| operation.verb)
    }

    fn get(url: &str) -> Answered<Verb> {
        operation(&format!(r#"{{"request":{{"method":"GET","url":"{url}"}}}}"#))
    }

    #[test]
    fn urls_may_be_relative_begin_with_a_slash_or_with_the_base() {
        for url in [
            "Patient/1",
            "/Patient/1",
            "http://host/fhir/Patient/1",
            "http://host/fhir/R4/Patient/1",
            "https://public.example/fhir/Patient/1",
        ] {
            let Ok(Verb::Read(read)) = get(url) else { panic!("{url}") };
            assert_eq!(read.url, "Patient/1");
        }
    }

    #[test]
    fn a_url_of_another_server_is_refused_with_its_place() {
        for url in ["http://host/fhirX/Patient/1", "https://other/fhir/Patient/1"] {
            let fault = get(url).unwrap_err();
            assert_eq!(fault.status(), 400);
            let place = fault.issues[0].expression.as_deref();
            assert_eq!(place, Some("Bundle.entry[0].request.url"), "{url}");
        }
    }

    #[test]
    fn preconditions_that_do_not_go_with_the_method_are_refused() {
        for (method, name) in [
            ("POST", "ifMatch"),
            ("POST", "ifNoneMatch"),
            ("PUT", "ifNoneExist"),
            ("PUT", "ifModifiedSince"),
            ("DELETE", "ifNoneExist"),
            ("PATCH", "ifModifiedSince"),
            ("GET", "ifMatch"),
        ] {
            let entry = format!(
                r#"{{"resource":{{"resourceType":"Patient","id":"1"}},"request":{{"method":"{method}","url":"Patient/1","{name}":"x"}}}}"#
            );
            let fault = operation(&entry).unwrap_err();
            let place = format!("Bundle.entry[0].request.{name}");
            assert_eq!(fault.issues[0].expression.as_deref(), Some(&*place), "{method}");
        }
    }

    #[test]
    fn a_copy_is_fresh_by_its_tag_or_its_time_and_the_tag_wins() {
        let version = VersionId::new(3).unwrap();
        let updated = Instant::parse("2026-01-01T00:00:00Z").unwrap();
        let read = |tag: Option<&str>, since: Option<&str>| ReadEntry {
            url: String::new(),
            head: false,
            if_none_match: tag.map(str::to_owned),
            if_modified_since: since.map(|text| Instant::parse(text).unwrap()),
        };

        assert!(read(Some("W/\"2\", W/\"3\""), None).is_fresh(version, updated));
        assert!(!read(Some("W/\"2\""), Some("2027-01-01T00:00:00Z")).is_fresh(version, updated));
        assert!(read(None, Some("2026-01-01T00:00:00Z")).is_fresh(version, updated));
        assert!(!read(None, Some("2025-12-31T23:59:59Z")).is_fresh(version, updated));
        assert!(!read(None, None).is_fresh(version, updated));
    }
}
