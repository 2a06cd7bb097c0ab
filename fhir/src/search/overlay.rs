//! The parameters in force on one installation: R4's own and custom ones, with their programs.
//!
//! A value of its own that is shared and passed on, so that several installations in one process (and the state before
//! and after a change) do not see each other's parameters. R4's own cost nothing more than without it.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::{Node, ResourceType};

use super::build::compile;
use super::context::Context;
use super::custom::{CustomParam, ParamLimits};
use super::param::{ParamId, SearchParam, search_param, search_param_by_id, search_params};
use super::program::Program;
use super::run::{RESOURCE, extract};
use super::text::FullText;
use super::value::Extracted;

/// The parameters in force.
#[derive(Debug, Default)]
pub struct SearchParams {
    /// Sorted by base and code.
    custom: Vec<InForce>,
    programs: HashMap<u8, Program>,
    full_text: FullText,
}

/// A custom parameter in force.
#[derive(Debug)]
struct InForce {
    param: &'static SearchParam,
    limits: ParamLimits,
    /// `None` when its index is whole; else how far it is.
    progress: Option<Progress>,
}

/// How far the indexing of existing resources is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Progress {
    /// Resources that are done.
    pub done: u64,
    /// Resources of the type when it began.
    pub total: u64,
}

impl SearchParams {
    /// R4's own and these. One that does not compile, which its check excludes, is left out.
    #[must_use]
    pub fn with(custom: Vec<(ParamId, CustomParam, Option<Progress>)>) -> Self {
        let mut all = Vec::with_capacity(custom.len());
        for (id, definition, progress) in custom {
            let Some(param) = definition.numbered(id) else { continue };
            if compile(definition.base, [param]).is_ok() {
                all.push(InForce { param, limits: definition.limits, progress });
            }
        }
        all.sort_by(|a, b| key(a.param).cmp(&key(b.param)));
        all.dedup_by(|b, a| key(a.param) == key(b.param));
        let mut programs = HashMap::new();
        for own in all.chunk_by(|a, b| a.param.base == b.param.base) {
            let Some(base) = own[0].param.base else { continue };
            if let Ok(program) = compile(base, own.iter().map(|one| one.param)) {
                programs.insert(base.code(), program);
            }
        }
        Self { custom: all, programs, full_text: FullText::default() }
    }

    /// The same with this much searched by words.
    #[must_use]
    pub fn with_full_text(self, full_text: FullText) -> Self {
        Self { full_text, ..self }
    }

    /// What is searched by words.
    #[must_use]
    pub fn full_text(&self) -> FullText {
        self.full_text
    }

    /// R4's own alone, and all of them.
    #[must_use]
    pub fn standard() -> &'static Self {
        static STANDARD: LazyLock<SearchParams> =
            LazyLock::new(|| SearchParams::default().with_full_text(FullText::All));
        &STANDARD
    }

    /// True when no custom one is in force.
    #[must_use]
    pub fn is_standard(&self) -> bool {
        self.custom.is_empty()
    }

    /// The parameter with this code on this type.
    #[must_use]
    pub fn find(&self, of: ResourceType, code: &str) -> Option<&'static SearchParam> {
        search_param(of, code).or_else(|| self.in_force(of, code).map(|one| one.param))
    }

    /// The custom parameters of a type, by code.
    pub fn custom_of(&self, of: ResourceType) -> impl Iterator<Item = &'static SearchParam> {
        self.custom.iter().map(|one| one.param).filter(move |param| param.base == Some(of))
    }

    /// The parameter with this id.
    #[must_use]
    pub fn by_id(&self, id: ParamId) -> Option<&'static SearchParam> {
        let custom = || self.custom.iter().map(|one| one.param).find(|param| param.id == id);
        ParamId::from_number(id.number()).map(search_param_by_id).or_else(custom)
    }

    /// How far the indexing of a custom parameter is; `None` when it is done.
    #[must_use]
    pub fn progress(&self, param: &SearchParam) -> Option<Progress> {
        self.custom.iter().find(|one| one.param.id == param.id)?.progress
    }

    /// What a query may do with a custom parameter; `None` for R4's own.
    #[must_use]
    pub fn limits(&self, param: &SearchParam) -> Option<&ParamLimits> {
        self.custom.iter().find(|one| one.param.id == param.id).map(|one| &one.limits)
    }

    /// True if one of these names is the code of a custom parameter.
    pub fn mentions<'n>(&self, mut names: impl Iterator<Item = &'n str>) -> bool {
        names.any(|name| self.custom.iter().any(|one| one.param.code == name))
    }

    /// Appends every value that the parameters of the type select: R4's own, then the custom ones. `bases` as in
    /// [`extract`].
    pub fn extract<'t>(
        &self,
        node: Node<'t>,
        of: ResourceType,
        bases: &str,
        out: &mut Vec<Extracted<'t>>,
    ) {
        extract(node, of, bases, out);
        if let Some(program) = self.programs.get(&of.code()) {
            program.run(RESOURCE, node, &Context::new(node, bases), out);
        }
    }

    /// Codes of all parameters of the type, for messages.
    #[must_use]
    pub fn codes(&self, of: ResourceType) -> Vec<&str> {
        let own = search_params(of).iter().map(|param| param.code);
        own.chain(self.custom_of(of).map(|param| param.code)).collect()
    }

    fn in_force(&self, of: ResourceType, code: &str) -> Option<&InForce> {
        let wanted = (of.code(), code);
        let found = self.custom.binary_search_by(|one| key(one.param).cmp(&wanted)).ok()?;
        Some(&self.custom[found])
    }
}

fn key(param: &SearchParam) -> (u8, &str) {
    (param.base.map_or(u8::MAX, ResourceType::code), param.code)
}
