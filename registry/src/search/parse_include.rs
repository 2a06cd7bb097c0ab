//! `_include` and `_revinclude` → [`Include`].
//!
//! Spec: FHIR R4 search § 3.1.1.5.4: `Source:param[:Target]`, `Source:*`, `*`, each with `:iterate`. What can never
//! bring anything is refused by name: a wrong type, a parameter that is no reference, one that never refers there
//! (all read from the value alone), and, when all parameters are known, one that starts from what the search neither
//! looks for nor includes ([`check`]). Not here: how they are followed (`include`), where they lead (`reach`).

use fhir::{Held, ParamKind, ResourceType};
use policy::TypeSet;

use super::clause::{Include, Leg, SearchQuery};
use super::in_force::search_param;
use super::parse::Misread;
use super::reach;
use crate::error::ReadError;
use crate::index::param::index_params;

/// Adds the include that `name=value` asks for; false for another parameter.
pub(super) fn apply(query: &mut SearchQuery, name: &str, value: &str) -> Result<bool, ReadError> {
    let (stem, modifier) = match name.split_once(':') {
        Some((stem, modifier)) => (stem, Some(modifier)),
        None => (name, None),
    };
    let forward = match stem {
        "_include" => true,
        "_revinclude" => false,
        _ => return Ok(false),
    };
    let iterate = match modifier {
        None => false,
        Some("iterate") => true,
        Some(_) => {
            let text = format!("{name}: {stem} takes no modifier but :iterate");
            return Err(ReadError::Unsupported(text));
        }
    };
    let all = if forward { &mut query.includes } else { &mut query.revincludes };
    if all.len() == INCLUDE_PARAMS_MAX {
        let text = format!("more than {INCLUDE_PARAMS_MAX} times {stem}");
        return Err(ReadError::TooCostly(text));
    }
    all.push(Reader { name, value, iterate }.include(&query.legs)?);
    Ok(true)
}

/// Notes what the includes may bring, and refuses those that never do. To be called when all are read: one with
/// `:iterate` may start from what a later one brings.
pub(super) fn check(query: &mut SearchQuery) -> Result<(), Misread> {
    if query.includes.is_empty() && query.revincludes.is_empty() {
        return Ok(());
    }
    let searched: TypeSet = query.legs.iter().map(|leg| leg.resource_type).collect();
    query.brings = reach::brought(&query.includes, &query.revincludes, &searched);
    let reached = searched.union(&query.brings);
    let own = |stem: &'static str| {
        let pairs = query.applied.iter();
        pairs.filter(move |(name, _)| name.split(':').next() == Some(stem))
    };
    let forward = own("_include").zip(query.includes.iter().map(|one| (one, true)));
    let back = own("_revinclude").zip(query.revincludes.iter().map(|one| (one, false)));
    for ((name, value), (include, forward)) in forward.chain(back) {
        let from = if include.iterate { &reached } else { &searched };
        let why = match forward {
            true if reach::starts(include, from) => continue,
            true if include.iterate => "the source is neither searched nor included",
            true => "the source is not the type that is searched",
            false if reach::leads_back(include, from) => continue,
            false if include.iterate => "it never refers to a type that is searched or included",
            false if include.target.is_some() => "the target is not the type that is searched",
            false => "it never refers to the type that is searched",
        };
        let error = ReadError::Invalid(format!("{name}={value}: {why}"));
        return Err(Misread { parameter: Some(name.clone()), error });
    }
    Ok(())
}

struct Reader<'a> {
    name: &'a str,
    value: &'a str,
    iterate: bool,
}

impl Reader<'_> {
    fn include(&self, legs: &[Leg]) -> Result<Include, ReadError> {
        let iterate = self.iterate;
        if self.value == "*" {
            let (source, target, params) = (None, None, Vec::new());
            return Ok(Include { source, params, target, leads_to: TypeSet::all(), iterate });
        }
        let mut parts = self.value.splitn(3, ':');
        let source = parts.next().and_then(|name| ResourceType::parse_stored(name).ok());
        let source = source.ok_or_else(|| self.wrong("does not start with a resource type"))?;
        let code = parts.next().ok_or_else(|| self.wrong("names no parameter"))?;
        let target = parts.next().map(|name| {
            ResourceType::parse_stored(name)
                .map_err(|why| self.wrong(&format!("the target: {why}")))
        });
        let target = target.transpose()?;
        let searched = |of: ResourceType| legs.iter().any(|leg| leg.resource_type == of);
        let accesses = ResourceType::AUDIT_EVENT;
        if [Some(source), target].contains(&Some(accesses)) && !searched(accesses) {
            let why = "AuditEvent is rendered from the access journal and cannot be included";
            return Err(ReadError::Unsupported(format!("{}={}: {why}", self.name, self.value)));
        }
        let narrowed = |types: TypeSet| match target {
            Some(target) => types.intersection(&TypeSet::one(target)),
            None => types,
        };
        if code == "*" {
            let leads_to = narrowed(match self.name.starts_with("_rev") {
                true => reach::references_of_r4(source),
                false => reach::references(source),
            });
            if leads_to.is_empty() && target.is_some() {
                return Err(self.wrong("no parameter of the source refers to this type"));
            }
            return Ok(Include {
                source: Some(source),
                params: Vec::new(),
                target,
                leads_to,
                iterate,
            });
        }
        let param = search_param(source, code).filter(|param| param.kind == ParamKind::Reference);
        let param = param.ok_or_else(|| self.wrong("no such reference parameter"))?;
        let only = match param.held {
            Held::InParam { only, .. } => only,
            _ => None,
        };
        let leads_to = narrowed(reach::types_of(param));
        if leads_to.is_empty() {
            return Err(self.wrong("the parameter never refers to this type"));
        }
        let params = index_params(source, param);
        Ok(Include { source: Some(source), params, target: target.or(only), leads_to, iterate })
    }

    fn wrong(&self, why: &str) -> ReadError {
        ReadError::Invalid(format!("{}={}: {why}", self.name, self.value))
    }
}

/// `_include` and `_revinclude` parameters of each kind in one search.
const INCLUDE_PARAMS_MAX: usize = 50;
