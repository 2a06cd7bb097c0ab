//! Search: what R4's search parameters are, which values of a resource they select, and how a
//! search value compares with them.
//!
//! Spec: FHIR R4 search.html and the `SearchParameter` and `CompartmentDefinition` resources of
//! 4.0.1, kept as tables in `fhir-profiles/r4`. Pure: the caller stores and queries.
//! Not here: SQL, chaining, includes, result parameters (`registry`).

mod build;
mod compare;
mod compartment;
mod context;
mod custom;
mod decimal;
mod elements;
mod expression;
mod extract;
mod fold;
mod intern;
mod measure;
mod overlay;
mod param;
mod program;
mod query;
mod run;
mod selection;
mod sort_time;
mod text;
mod value;

pub use compare::{
    SearchPrefix, approximate_dates, approximate_number, date_matches, number_matches,
};
pub use compartment::{
    compartment_members, compartment_params, is_in_own_compartment, patient_compartment,
};
pub use custom::{CustomParam, OtherParam, ParamLimits, custom_params, is_in_force};
pub use decimal::NumberRange;
pub use fold::fold;
pub use overlay::{Progress, SearchParams};
pub use param::{
    CUSTOM_FROM, CUSTOM_TO, Component, Held, ParamId, ParamKind, SearchParam, search_param,
    search_param_by_id, search_params, search_table_fingerprint,
};
pub use query::{
    DateQuery, InvalidSearchValue, NumberQuery, OfTypeQuery, QuantityQuery, ReferenceQuery,
    SystemMatch, TokenQuery, split_unescaped, unescape,
};
pub use run::{TokenParts, extract, is_boolean, token_parts, values_of};
pub use selection::Selection;
pub use sort_time::{sort_param, sort_time};
pub use text::{FullText, TextPart, WORD_CHARS_MAX, texts, words};
pub use value::{Extracted, Quantity, Target, Token, TypeOfIdentifier, Value};

#[cfg(test)]
mod mutation_tests;
