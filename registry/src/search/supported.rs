//! What can be searched, as the parser reads it: the source of the CapabilityStatement.

use fhir::{Held, ParamKind, ResourceType, SearchParam, search_params};

use super::parse::sort_table;

/// One search parameter of a type with what it takes.
#[derive(Clone, Debug, PartialEq)]
pub struct SupportedParam {
    /// The parameter: code, kind, canonical URL.
    pub param: &'static SearchParam,
    /// Modifiers without their colon; `[type]` stands for the names of the target types.
    pub modifiers: Vec<&'static str>,
    /// Whether `_sort` takes it.
    pub sortable: bool,
    /// Whether a further parameter may follow behind a dot.
    pub chainable: bool,
}

/// The parameters that a search for this type takes, by code. Others of R4 are refused by name.
pub fn supported(of: ResourceType) -> Vec<SupportedParam> {
    let params = search_params(of).iter().copied();
    params.filter(|param| is_supported(param)).map(describe).collect()
}

/// Whether values of the parameter can be asked for at all.
pub(super) fn is_supported(param: &SearchParam) -> bool {
    match param.kind {
        ParamKind::Special => false,
        ParamKind::Composite => {
            let kinds: Vec<_> = param.components.iter().map(|part| part.kind).collect();
            kinds == [ParamKind::Token, ParamKind::Quantity]
                || kinds == [ParamKind::Token, ParamKind::Token]
        }
        _ => param.held != Held::Nowhere,
    }
}

/// Modifiers that the parameter takes.
pub(super) fn modifiers(param: &SearchParam) -> &'static [&'static str] {
    if param.held == Held::InResource {
        return &[];
    }
    match param.kind {
        ParamKind::Token if param.code == "identifier" => &["missing", "not", "of-type"],
        ParamKind::Token => &["missing", "not"],
        ParamKind::Reference => &["[type]", "identifier", "missing"],
        ParamKind::String => &["contains", "exact", "missing"],
        ParamKind::Uri => &["below", "missing"],
        ParamKind::Date | ParamKind::Number | ParamKind::Quantity => &["missing"],
        ParamKind::Composite | ParamKind::Special => &[],
    }
}

fn describe(param: &'static SearchParam) -> SupportedParam {
    let in_resource = param.held == Held::InResource;
    SupportedParam {
        param,
        modifiers: modifiers(param).to_vec(),
        sortable: in_resource || sort_table(param.kind).is_some(),
        chainable: param.kind == ParamKind::Reference,
    }
}
