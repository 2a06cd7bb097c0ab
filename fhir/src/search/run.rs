//! The programs of each type, compiled when first used, and what they are run for.

use std::sync::OnceLock;

use crate::{Node, ResourceType};

use super::build::compile;
use super::context::Context;
use super::param::{Held, search_params};
use super::program::Program;
use super::value::Extracted;

/// Appends every value that the type's search parameters select, in document order.
///
/// Parameters whose values are held elsewhere ([`Held`]) yield nothing, nor do fragments and
/// conditional references. `base_url` is this server's, without a slash at the end: absolute
/// references below it count as local.
pub fn extract<'t>(node: Node<'t>, of: ResourceType, base_url: &str, out: &mut Vec<Extracted<'t>>) {
    static PROGRAMS: [OnceLock<Program>; 256] = [const { OnceLock::new() }; 256];
    let program = PROGRAMS[usize::from(of.code())].get_or_init(|| {
        let held = search_params(of).iter().filter(|param| param.held == Held::InIndex);
        compile(of, held.copied()).expect("a test compiles every expression of the table")
    });
    program.run(RESOURCE, node, &Context::new(node, base_url), out);
}

/// Where a program starts.
pub(super) const RESOURCE: usize = 0;
