//! What can be searched, as the parser reads it: the source of the CapabilityStatement.

use fhir::{Held, ParamKind, ResourceType, SearchParam, search_params, token_parts};

use super::operator::operators;
use super::parse_sort::is_sortable;
use super::tree::part_of;

/// One search parameter of a type with what it takes.
#[derive(Clone, Debug, PartialEq)]
pub struct SupportedParam {
    /// The parameter: code, kind, canonical URL.
    pub param: &'static SearchParam,
    /// Modifiers without their colon; `[type]` stands for the names of the target types.
    pub modifiers: Vec<&'static str>,
    /// Modifiers that it takes too where [`ParseOptions::codes`](super::ParseOptions::codes) answers.
    pub code_modifiers: Vec<&'static str>,
    /// Prefixes of its values; other kinds take the letters as they are.
    pub prefixes: &'static [&'static str],
    /// Operators that `_filter` takes on it; those of code systems where there is a terminology.
    pub operators: &'static [&'static str],
    /// Whether `_sort` takes it.
    pub sortable: bool,
    /// Whether a further parameter may follow behind a dot.
    pub chainable: bool,
}

/// The parameters that a search for this type takes, by code. Others of R4 are refused by name.
pub fn supported(of: ResourceType) -> Vec<SupportedParam> {
    let params = search_params(of).iter().copied();
    let params = params.filter(|param| is_supported(param));
    params
        .filter(|param| param.code != "_text" || has_narrative(of))
        .map(|param| describe(of, param))
        .collect()
}

/// Whether the type is a DomainResource, the ones that have a narrative (R4 resource.html).
pub(super) fn has_narrative(of: ResourceType) -> bool {
    !matches!(of.name(), "Binary" | "Bundle" | "Parameters")
}

/// Whether values of the parameter can be asked for at all.
pub(super) fn is_supported(param: &SearchParam) -> bool {
    match param.kind {
        ParamKind::Special => is_position(param),
        ParamKind::Composite => {
            let kinds: Vec<_> = param.components.iter().map(|part| part.kind).collect();
            COMPOSITES.contains(&&kinds[..])
        }
        _ => param.held != Held::Nowhere,
    }
}

/// `near` of Location, the one special parameter of R4's own that looks at an element.
pub(super) fn is_position(param: &SearchParam) -> bool {
    param.kind == ParamKind::Special && param.code == "near" && param.held == Held::InIndex
}

/// Modifiers that the parameter takes.
pub(super) fn modifiers(of: ResourceType, param: &SearchParam) -> Vec<&'static str> {
    if param.held == Held::InText {
        return Vec::new();
    }
    if param.held == Held::InResource {
        return if param.kind == ParamKind::Token {
            vec!["missing", "not"]
        } else {
            vec!["missing"]
        };
    }
    match param.kind {
        ParamKind::Token => {
            let parts = token_parts(of, param);
            let mut found = vec!["missing", "not"];
            found.extend(parts.text.then_some(["code-text", "text"]).into_iter().flatten());
            found.extend(parts.of_type.then_some("of-type"));
            found
        }
        ParamKind::Reference => {
            let mut found = vec!["[type]", "identifier", "missing"];
            let tree = param.targets.iter().any(|of| !part_of(*of).is_empty());
            found.extend(tree.then_some(["above", "below"]).into_iter().flatten());
            found
        }
        ParamKind::String => vec!["contains", "exact", "missing", "text"],
        ParamKind::Uri => vec!["above", "below", "missing"],
        ParamKind::Date | ParamKind::Number | ParamKind::Quantity => vec!["missing"],
        ParamKind::Special if is_position(param) => vec!["missing"],
        ParamKind::Composite | ParamKind::Special => Vec::new(),
    }
}

/// Modifiers that the parameter takes where there is a terminology.
pub(super) fn code_modifiers(param: &SearchParam) -> &'static [&'static str] {
    match param.kind {
        ParamKind::Token if param.held != Held::InResource => &["above", "below", "in", "not-in"],
        _ => &[],
    }
}

fn describe(of: ResourceType, param: &'static SearchParam) -> SupportedParam {
    let in_resource = param.held == Held::InResource;
    SupportedParam {
        param,
        modifiers: modifiers(of, param),
        code_modifiers: code_modifiers(param).to_vec(),
        prefixes: prefixes(param.kind),
        operators: operators(param),
        sortable: in_resource || (param.held != Held::InText && is_sortable(param.kind)),
        chainable: param.kind == ParamKind::Reference,
    }
}

fn prefixes(kind: ParamKind) -> &'static [&'static str] {
    match kind {
        ParamKind::Date | ParamKind::Number | ParamKind::Quantity => {
            &["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]
        }
        _ => &[],
    }
}

/// Kinds of the components of a composite: all that R4 has, and those that read alike.
const COMPOSITES: [&[ParamKind]; 6] = [
    &[ParamKind::Token, ParamKind::Token],
    &[ParamKind::Token, ParamKind::Reference],
    &[ParamKind::Token, ParamKind::Quantity],
    &[ParamKind::Token, ParamKind::Date],
    &[ParamKind::Token, ParamKind::String],
    &[ParamKind::Token, ParamKind::Number, ParamKind::Number],
];
