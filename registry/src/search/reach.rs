//! Which types a search may bring or look into beside those that it names.
//!
//! Spec: FHIR R4 search § 3.1.1.5.4 (includes), 3.1.1.4.15 (a chain without a type looks into all types of the
//! reference). Told by the query and the parameters alone: nothing here knows what is stored, or who asks.
//! Not here: what is refused (`parse_include`), what is brought (`include`), who may see it (`scope`).

use std::sync::LazyLock;

use fhir::{ParamKind, ResourceType, SearchParam, search_params};
use policy::TypeSet;

use super::clause::{Filter, Include, SearchQuery};
use super::criteria::Criteria;
use super::in_force::custom_params;
use super::parse_chain::leads_to;

impl SearchQuery {
    /// Types of other resources that its chains and `_has` look into, those of `_filter` among them. A type that is
    /// named must be permitted; of several that a reference may have, those that are not select nothing.
    pub fn looks_into(&self) -> TypeSet {
        looked_into(self.legs.iter().flat_map(|leg| &leg.filters))
    }
}

impl Criteria {
    /// The same of the criteria of a conditional interaction.
    pub fn looks_into(&self) -> TypeSet {
        looked_into(self.filters().iter())
    }
}

fn looked_into<'f>(filters: impl Iterator<Item = &'f Filter>) -> TypeSet {
    let mut found = TypeSet::NONE;
    filters.for_each(|filter| note(filter, &mut found));
    found
}

fn note(filter: &Filter, found: &mut TypeSet) {
    match filter {
        Filter::Chain { targets, .. } => {
            for (target, inner) in targets {
                found.insert(*target);
                note(inner, found);
            }
        }
        Filter::Has { source, filter, .. } => {
            found.insert(*source);
            note(filter, found);
        }
        Filter::Any(several) | Filter::All(several) => {
            several.iter().for_each(|one| note(one, found));
        }
        Filter::Not(inner) => note(inner, found),
        Filter::Id(_)
        | Filter::LastUpdated(_)
        | Filter::Value { .. }
        | Filter::Words { .. }
        | Filter::Missing { .. } => {}
    }
}

/// Types that includes may bring to matches of the types that are searched, round by round until no new one comes.
pub(super) fn brought(
    includes: &[Include],
    revincludes: &[Include],
    searched: &TypeSet,
) -> TypeSet {
    let (includes, revincludes) = (once(includes), once(revincludes));
    let round = |from: &TypeSet, again: bool| {
        let takes_part = |include: &&&Include| !again || include.iterate;
        let forward = includes.iter().filter(takes_part).map(|one| targets(one, from));
        let back = revincludes.iter().filter(takes_part).map(|one| sources(one, from));
        forward.chain(back).fold(TypeSet::NONE, |all, one| all.union(&one))
    };
    let mut found = round(searched, false);
    loop {
        let next = found.union(&round(&found, true));
        if next == found {
            return found;
        }
        found = next;
    }
}

/// Each include that differs from those before it.
fn once(all: &[Include]) -> Vec<&Include> {
    let mut each: Vec<&Include> = Vec::with_capacity(all.len());
    for include in all {
        if !each.contains(&include) {
            each.push(include);
        }
    }
    each
}

/// Whether an include may find its source among these types. What `*` finds is left open.
pub(super) fn starts(include: &Include, from: &TypeSet) -> bool {
    include.source.is_none_or(|source| from.contains(source))
}

/// Whether the reference of a reverse include may lead to one of these types. What `*` finds is left open.
pub(super) fn leads_back(include: &Include, to: &TypeSet) -> bool {
    !include.leads_to.intersection(to).is_empty()
}

/// Types that the references of a type may have: of all its parameters, the installation's own among them.
pub(super) fn references(of: ResourceType) -> TypeSet {
    references_of_r4(of).union(&targets_of(custom_params(of).into_iter()))
}

/// The same by R4's own parameters: `_revinclude` of `*` follows no others.
pub(super) fn references_of_r4(of: ResourceType) -> TypeSet {
    REFERENCES.get(usize::from(of.code())).copied().unwrap_or_default()
}

/// Whether an include over the parameter may lead to resources of the type; one that names no types may lead to any.
pub fn refers_to(param: &SearchParam, of: ResourceType) -> bool {
    let is_any = param.kind == ParamKind::Reference && param.targets.is_empty();
    is_any || leads_to(param, of)
}

/// Types that the references of a parameter may have.
pub(super) fn types_of(param: &SearchParam) -> TypeSet {
    ResourceType::stored().filter(|of| refers_to(param, *of)).collect()
}

fn targets(include: &Include, from: &TypeSet) -> TypeSet {
    match include.source {
        Some(source) if from.contains(source) => include.leads_to,
        Some(_) => TypeSet::NONE,
        None => from.iter().fold(TypeSet::NONE, |all, of| all.union(&references(of))),
    }
}

fn sources(include: &Include, to: &TypeSet) -> TypeSet {
    match include.source {
        Some(source) if leads_back(include, to) => TypeSet::one(source),
        Some(_) => TypeSet::NONE,
        None => {
            let refers = |of: &ResourceType| !references_of_r4(*of).intersection(to).is_empty();
            ResourceType::stored().filter(refers).collect()
        }
    }
}

fn targets_of(params: impl Iterator<Item = &'static SearchParam>) -> TypeSet {
    let references = params.filter(|param| param.kind == ParamKind::Reference);
    references.fold(TypeSet::NONE, |all, param| all.union(&types_of(param)))
}

/// [`references_of_r4`] by the codes of the types.
static REFERENCES: LazyLock<Vec<TypeSet>> = LazyLock::new(|| {
    ResourceType::all().map(|of| targets_of(search_params(of).iter().copied())).collect()
});
