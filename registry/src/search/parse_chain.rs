//! Chains, `_has` and `_list` → [`Filter`], to any depth within [`CHAIN_DEPTH_MAX`].
//!
//! Spec: FHIR R4 search § 3.1.1.4.15 (chained), 3.1.1.4.16 (reverse chained), 3.1.1.4.11 (`_list`). Each hop may name
//! a type (`subject:Patient.…`); a bare one looks into all types of the reference that read the rest. A chain
//! may end in `_has` and a `_has` in a chain. AuditEvents are rendered from the access journal and are in no index, so
//! no hop leads to or from them. Not here: how they are answered (`resolve`).

use std::cell::Cell;

use fhir::{Held, ParamKind, ResourceId, ResourceType, SearchParam};

use super::clause::Filter;
use super::in_force::search_param;
use super::parse_filter::{Context, filter};
use crate::error::ReadError;
use crate::index::param::index_params;

/// How far a chain has gone, and what the whole search may still spend.
#[derive(Clone, Copy)]
pub(super) struct Hops<'a> {
    depth: usize,
    left: &'a Cell<usize>,
}

impl<'a> Hops<'a> {
    /// At the search itself, with the legs that it may have.
    pub(super) fn start(left: &'a Cell<usize>) -> Self {
        Self { depth: 0, left }
    }

    fn deeper(self, name: &str) -> Result<Self, ReadError> {
        if self.depth == CHAIN_DEPTH_MAX {
            let text = format!("{name}: a chain has at most {CHAIN_DEPTH_MAX} references");
            return Err(ReadError::TooCostly(text));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    /// One more type is looked into.
    fn spend(self, name: &str) -> Result<(), ReadError> {
        let left = self.left.get().checked_sub(1).ok_or_else(|| {
            let text = "the chains lead to too many types; name them as in subject:Patient.name";
            ReadError::TooCostly(format!("{name}: {text}"))
        })?;
        self.left.set(left);
        Ok(())
    }
}

/// The filter of `_has:rest=value`.
pub(super) fn has(
    of: ResourceType,
    rest: &str,
    value: &str,
    context: &Context<'_>,
) -> Result<Filter, ReadError> {
    let name = format!("_has:{rest}");
    let mut parts = rest.splitn(3, ':');
    let [source, reference] = [(); 2].map(|()| parts.next().unwrap_or_default());
    let inner = parts.next();
    let mut read = |source: ResourceType, context: &Context<'_>| {
        let inner = inner.ok_or_else(|| wrong(&name, "names no parameter to test"))?;
        filter(source, inner, value, context)
    };
    referring(of, source, reference, &name, context, &mut read)
}

/// What a resource of type `source` that refers to this one must pass, as `read` has it.
pub(super) fn referring(
    of: ResourceType,
    source: &str,
    reference: &str,
    name: &str,
    context: &Context<'_>,
    read: &mut Reading<'_>,
) -> Result<Filter, ReadError> {
    let source = ResourceType::parse(source);
    let source = source.ok_or_else(|| wrong(name, "does not start with a resource type"))?;
    refuse_accesses(source, name)?;
    let reference = search_param(source, reference).filter(|param| leads_to(param, of));
    let reference =
        reference.ok_or_else(|| wrong(name, "no parameter that refers to this type"))?;
    let context = Context { hops: context.hops.deeper(name)?, ..*context };
    context.hops.spend(name)?;
    let filter = read(source, &context)?;
    let filter = Box::new(filter.ok_or_else(|| wrong(name, "no such parameter to test"))?);
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
    let name = format!("{reference}.{rest}");
    let mut read =
        |target: ResourceType, context: &Context<'_>| filter(target, rest, value, context);
    follow(of, reference, &name, context, &mut read)
}

/// What one of the resources that `reference[:Type]` refers to must pass, as `read` has it for their type; `None`
/// for an unknown reference.
pub(super) fn follow(
    of: ResourceType,
    reference: &str,
    name: &str,
    context: &Context<'_>,
    read: &mut Reading<'_>,
) -> Result<Option<Filter>, ReadError> {
    let (code, only) = match reference.split_once(':') {
        Some((code, only)) => (code, Some(only)),
        None => (reference, None),
    };
    let Some(param) = search_param(of, code) else { return Ok(None) };
    if !is_reference(param) {
        return Err(wrong(name, "only a reference can be chained"));
    }
    let only = match only.map(ResourceType::parse_stored) {
        Some(Err(why)) => return Err(wrong(name, &format!("the modifier: {why}"))),
        Some(Ok(only)) if !leads_to(param, only) => {
            return Err(wrong(name, "the reference never has this type"));
        }
        Some(Ok(only)) => {
            refuse_accesses(only, name)?;
            Some(only)
        }
        None => None,
    };
    let context = Context { hops: context.hops.deeper(name)?, ..*context };
    let mut targets = Vec::new();
    let mut refused = None;
    for target in types_of(param).filter(|each| only.is_none_or(|only| only == *each)) {
        context.hops.spend(name)?;
        // Of several types, those that do not read the rest cannot match.
        match read(target, &context) {
            Ok(Some(filter)) => targets.push((target, filter)),
            Ok(None) => {}
            Err(error @ ReadError::TooCostly(_)) => return Err(error),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    if targets.is_empty() {
        let unknown = || wrong(name, "no type of the reference has this parameter");
        return Err(refused.unwrap_or_else(unknown));
    }
    Ok(Some(Filter::Chain { params: index_params(of, param), targets }))
}

/// Reads what stands behind a hop, on the type that the hop leads to.
type Reading<'a> = dyn FnMut(ResourceType, &Context<'_>) -> Result<Option<Filter>, ReadError> + 'a;

fn wrong(name: &str, why: &str) -> ReadError {
    ReadError::Invalid(format!("{name}: {why}"))
}

/// The filter of `_list=value`: members of one of the Lists with these ids.
pub(super) fn list(value: &str) -> Result<Filter, ReadError> {
    let mut ids = Vec::new();
    for text in value.split(',') {
        if text.starts_with('$') {
            let text =
                format!("_list={text}: functional lists are not kept; name a List by its id");
            return Err(ReadError::Unsupported(text));
        }
        let id = text.strip_prefix("List/").unwrap_or(text);
        let id = ResourceId::parse(id);
        let id = id.map_err(|_| ReadError::Invalid("_list names Lists by their ids".into()))?;
        ids.push(id.as_str().to_owned());
    }
    let item = search_param(ResourceType::LIST, "item");
    let params = item.map(|item| index_params(ResourceType::LIST, item)).unwrap_or_default();
    Ok(Filter::Has { source: ResourceType::LIST, params, filter: Box::new(Filter::Id(ids)) })
}

/// Types that the parameter's references may have, without those that are in no index or not stored.
fn types_of(param: &SearchParam) -> impl Iterator<Item = ResourceType> {
    let types = param.targets.iter().copied();
    let is_indexed = |of: &ResourceType| of.is_stored() && *of != ResourceType::AUDIT_EVENT;
    types.filter(move |of| is_indexed(of) && leads_to(param, *of))
}

fn is_reference(param: &SearchParam) -> bool {
    param.kind == ParamKind::Reference
}

/// Whether references of the parameter may lead to resources of the type; never for another kind of parameter.
pub(super) fn leads_to(param: &SearchParam, of: ResourceType) -> bool {
    let only = match param.held {
        Held::InParam { only, .. } => only,
        _ => None,
    };
    param.targets.contains(&of) && only.is_none_or(|only| only == of)
}

fn refuse_accesses(of: ResourceType, name: &str) -> Result<(), ReadError> {
    if of != ResourceType::AUDIT_EVENT {
        return Ok(());
    }
    let text =
        "AuditEvent is rendered from the access journal and cannot be reached by a chain or _has";
    Err(ReadError::Unsupported(format!("{name}: {text}")))
}

/// References that one chain may follow, `_has` among them.
pub const CHAIN_DEPTH_MAX: usize = 8;
/// Types that the chains of one search may look into together.
pub const CHAIN_LEGS_MAX: usize = 1_000;
