//! Chains and `_has` → [`Filter`], one level deep.
//!
//! Spec: FHIR R4 search § 3.1.1.4.15 and 3.1.1.4.16. An untyped chain looks into all types of the reference
//! that read the rest, within [`CHAIN_TYPES_MAX`]. Not here: how they are answered (`resolve`).

use fhir::{ParamKind, ResourceType, search_param};

use super::clause::Filter;
use super::parse_filter::{Context, filter};
use crate::error::ReadError;
use crate::index::param::index_params;

/// The filter of `_has:rest=value`.
pub(super) fn has(
    of: ResourceType,
    rest: &str,
    value: &str,
    context: &Context<'_>,
) -> Result<Filter, ReadError> {
    let wrong = |why: &str| ReadError::Invalid(format!("_has:{rest}: {why}"));
    let mut parts = rest.splitn(3, ':');
    let source = parts.next().and_then(ResourceType::parse);
    let source = source.ok_or_else(|| wrong("does not start with a resource type"))?;
    let reference = parts.next().and_then(|code| search_param(source, code));
    let reference = reference.filter(|param| param.targets.contains(&of));
    let reference = reference.ok_or_else(|| wrong("no parameter that refers to this type"))?;
    let inner = parts.next().ok_or_else(|| wrong("names no parameter to test"))?;
    if inner.starts_with("_has:") || inner.contains('.') {
        return Err(ReadError::Unsupported(format!("_has:{rest}: only one level is supported")));
    }
    let filter = filter(source, inner, value, context)?;
    let filter = Box::new(filter.ok_or_else(|| wrong("no such parameter to test"))?);
    Ok(Filter::Has { source, params: index_params(source, reference), filter })
}

/// The filter of `reference.rest=value`; `None` for an unknown reference.
pub(super) fn chain(
    of: ResourceType,
    reference: &str,
    rest: &str,
    value: &str,
    context: &Context<'_>,
) -> Result<Option<Filter>, ReadError> {
    let (code, only) = match reference.split_once(':') {
        Some((code, only)) => (code, Some(only)),
        None => (reference, None),
    };
    let Some(param) = search_param(of, code) else { return Ok(None) };
    let name = format!("{reference}.{rest}");
    let wrong = |why: &str| ReadError::Invalid(format!("{name}: {why}"));
    if param.kind != ParamKind::Reference {
        return Err(wrong("only a reference can be chained"));
    }
    if rest.contains('.') || rest.starts_with("_has") {
        return Err(ReadError::Unsupported(format!("{name}: only one level is supported")));
    }
    let only = match only.map(ResourceType::parse) {
        Some(None) => return Err(wrong("the modifier is no resource type")),
        Some(Some(only)) if !param.targets.contains(&only) => {
            return Err(wrong("the reference never has this type"));
        }
        Some(only) => only,
        None => None,
    };
    let mut targets = Vec::new();
    for target in param.targets.iter().copied().filter(|each| only.is_none_or(|o| o == *each)) {
        // Of several types, those that do not read the rest cannot match.
        match filter(target, rest, value, context) {
            Ok(Some(filter)) => targets.push((target, filter)),
            Ok(None) => {}
            Err(error) if only.is_some() || param.targets.len() == 1 => return Err(error),
            Err(_) => {}
        }
    }
    if targets.is_empty() {
        return Err(wrong("no type of the reference has this parameter"));
    }
    if targets.len() > CHAIN_TYPES_MAX {
        return Err(wrong("ambiguous: name the type as in subject:Patient.name"));
    }
    Ok(Some(Filter::Chain { params: index_params(of, param), targets }))
}

/// Types that an untyped chain may look into.
const CHAIN_TYPES_MAX: usize = 8;
