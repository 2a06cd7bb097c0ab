//! Numbers of search parameters as the index tables hold them.
//!
//! A parameter of one type has the number of its `fhir::ParamId`. A parameter of every type (`_tag`,
//! `_profile`, …) has one number for each type, so that a range in an index never mixes types. Rows
//! of ranges that do not follow the common shape (see [`WIDE`]) have a number of their own.

use fhir::{
    Held, ParamKind, ResourceType, SearchParam, search_param, search_param_by_id, search_params,
    sort_param,
};

/// Added to the parameter of a date, number or quantity row that is not *regular*.
///
/// A regular number or quantity is a point (`lo = hi`). A regular date is at most [`REGULAR_US`] long
/// and, when it is the type's sort date, the only one of its resource and where the sort date lies.
/// So a bound on one end of a regular row is a bound on the other, and on `nsort`.
pub const WIDE: u16 = 0x4000;

/// Added to the parameter of a quantity row in its canonical UCUM unit.
pub const CANONICAL: u16 = 0x2000;

/// Longest regular date range, in microseconds: one day.
pub const REGULAR_US: i64 = 86_400_000_000;

/// Number of the rows that `param` makes on resources of type `of`.
pub fn index_param(of: ResourceType, param: &SearchParam) -> u16 {
    let number = param.id.number();
    match param.base {
        Some(_) => number,
        None => COMMON_FROM + u16::from(of.code()) * COMMON_COUNT + number % COMMON_COUNT,
    }
}

/// Numbers of the rows that answer for `param` on type `of`; empty where nothing is indexed.
pub fn index_params(of: ResourceType, param: &SearchParam) -> Vec<u16> {
    match param.held {
        Held::InIndex => vec![index_param(of, param)],
        Held::InParam { param, .. } => vec![index_param(of, search_param_by_id(param))],
        Held::InParams(all) => {
            all.iter().map(|id| index_param(of, search_param_by_id(*id))).collect()
        }
        Held::InResource | Held::InText | Held::Nowhere => Vec::new(),
    }
}

/// Number of the rows of the type's sort date.
pub fn sort_index_param(of: ResourceType) -> Option<u16> {
    let params = index_params(of, search_param_by_id(sort_param(of)?));
    <[u16; 1]>::try_from(params).ok().map(|[number]| number)
}

/// Number of the `url` of a canonical resource, which has a `version` too; `None` for other types.
pub(crate) fn url_param(of: ResourceType) -> Option<u16> {
    numbered(of, "version")?;
    numbered(of, "url")
}

/// Number of the rows of the parameter of this code, where it has one.
pub(crate) fn numbered(of: ResourceType, code: &str) -> Option<u16> {
    let params = index_params(of, search_param(of, code)?);
    <[u16; 1]>::try_from(params).ok().map(|[number]| number)
}

/// A composite of token and quantity whose parts are elements of the resource itself, so that it
/// says what its two parameters say together, but for `SampledData`.
pub(crate) struct RootComposite {
    pub(crate) param: u16,
    pub(crate) token: u16,
    pub(crate) quantity: u16,
}

/// The root composites of a type: `code-value-quantity` of Observation.
pub(crate) fn root_composites(of: ResourceType) -> impl Iterator<Item = RootComposite> {
    let number = move |code: &str| numbered(of, code);
    search_params(of).iter().filter(move |param| param.expression == of.name()).filter_map(
        move |param| {
            let [token, quantity] = param.components else { return None };
            if (token.kind, quantity.kind) != (ParamKind::Token, ParamKind::Quantity) {
                return None;
            }
            Some(RootComposite {
                param: number(param.code)?,
                token: number(token.code)?,
                quantity: number(quantity.code)?,
            })
        },
    )
}

/// Above every `ParamId`; 148 types of eight parameters end below [`CANONICAL`].
const COMMON_FROM: u16 = 4096;
const COMMON_COUNT: u16 = 8;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use fhir::search_params;

    use super::*;

    #[test]
    fn every_parameter_of_every_type_has_a_number_of_its_own_below_the_marks() {
        let mut seen = HashSet::new();
        for of in ResourceType::all() {
            for param in search_params(of).iter().filter(|param| param.held == Held::InIndex) {
                let number = index_param(of, param);
                assert!(number < CANONICAL);
                assert!(seen.insert(number), "{of} {}", param.code);
            }
        }
    }
}
