//! `_include` and `_revinclude` → [`Include`].
//!
//! Spec: FHIR R4 search § 3.1.1.5.4: `Source:param[:Target]`, `Source:*`, `*`, each with `:iterate`. What can never
//! bring anything (a wrong type, a parameter that is no reference, one that never refers there) is refused by name.
//! Not here: how they are followed (`include`).

use fhir::{Held, ParamKind, ResourceType};

use super::clause::{Include, Leg, SearchQuery};
use super::in_force::search_param;
use super::parse_chain::leads_to;
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
    all.push(Reader { name, value, forward, iterate }.include(&query.legs)?);
    Ok(true)
}

struct Reader<'a> {
    name: &'a str,
    value: &'a str,
    forward: bool,
    iterate: bool,
}

impl Reader<'_> {
    fn include(&self, legs: &[Leg]) -> Result<Include, ReadError> {
        if self.value == "*" {
            let (source, target, params) = (None, None, Vec::new());
            return Ok(Include { source, params, target, iterate: self.iterate });
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
        if self.forward && !self.iterate && !searched(source) {
            return Err(self.wrong("the source is not the type that is searched"));
        }
        if code == "*" {
            let (source, params) = (Some(source), Vec::new());
            return Ok(Include { source, params, target, iterate: self.iterate });
        }
        let param = search_param(source, code).filter(|param| param.kind == ParamKind::Reference);
        let param = param.ok_or_else(|| self.wrong("no such reference parameter"))?;
        let only = match param.held {
            Held::InParam { only, .. } => only,
            _ => None,
        };
        let refers_to = |of: ResourceType| leads_to(param, of);
        if target.is_some_and(|target| !refers_to(target)) {
            return Err(self.wrong("the parameter never refers to this type"));
        }
        let is_met = legs.iter().any(|leg| refers_to(leg.resource_type));
        if !self.forward && !self.iterate && !is_met {
            return Err(self.wrong("the parameter never refers to the type that is searched"));
        }
        let params = index_params(source, param);
        let (source, target) = (Some(source), target.or(only));
        Ok(Include { source, params, target, iterate: self.iterate })
    }

    fn wrong(&self, why: &str) -> ReadError {
        ReadError::Invalid(format!("{}={}: {why}", self.name, self.value))
    }
}

/// `_include` and `_revinclude` parameters of each kind in one search.
const INCLUDE_PARAMS_MAX: usize = 50;
