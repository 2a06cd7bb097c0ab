//! A few search parameters of a type, compiled for themselves: what an order by them reads in a content.
//!
//! Spec: FHIR R4 search.html § 3.1.1.5.1. The programs are those that index (`run`), only fewer.
//! Not here: how values compare (`registry`).

use crate::{Node, ResourceType};

use super::build::compile;
use super::context::Context;
use super::param::{Held, ParamId, SearchParam, search_param_by_id};
use super::program::Program;
use super::run::RESOURCE;
use super::value::Extracted;

/// Some parameters of one type, ready to be run.
#[derive(Debug)]
pub struct Selection {
    program: Program,
}

impl Selection {
    /// What finds the values of these parameters of a type, wherever they are held; `None` for one that does not
    /// compile, which no table holds.
    #[must_use]
    pub fn of(of: ResourceType, params: &[&'static SearchParam]) -> Option<Self> {
        let mut holders: Vec<&SearchParam> = Vec::new();
        for param in params {
            match param.held {
                Held::InIndex => holders.push(param),
                Held::InParam { param, .. } => holders.push(search_param_by_id(param)),
                Held::InParams(all) => {
                    holders.extend(all.iter().map(|id: &ParamId| search_param_by_id(*id)));
                }
                Held::InResource | Held::InText | Held::Nowhere => {}
            }
        }
        holders.sort_by_key(|param| param.id.number());
        holders.dedup_by_key(|param| param.id);
        compile(of, holders).ok().map(|program| Self { program })
    }

    /// Appends every value that the parameters select, in document order; [`values_of`](super::values_of) tells whose
    /// they are. `bases` as in [`extract`](super::extract).
    pub fn extract<'t>(&self, node: Node<'t>, bases: &str, out: &mut Vec<Extracted<'t>>) {
        self.program.run(RESOURCE, node, &Context::new(node, bases), out);
    }
}
