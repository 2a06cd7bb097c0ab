//! `_sort` → [`SortKey`]s.
//!
//! Spec: FHIR R4 search § 3.1.1.5.1. What is stored readable has an order (dates, numbers, quantities, texts, uris), and a
//! reference that of the ids it leads to. Codes are stored as keyed hashes, which have none: their order is that of the
//! contents (`by_content`). Composites and positions have no order: refused by name.

use fhir::{Held, ParamKind, ResourceType, SearchParam};

use super::clause::{Leg, SortBy, SortKey, Table};
use super::in_force::search_param;
use crate::error::ReadError;
use crate::index::param::{index_params, sort_index_param};

/// Gives every leg its keys, after those of an earlier `_sort`. Several types share an order only where the parameter is of one kind in all.
pub(super) fn apply(legs: &mut [Leg], value: &str) -> Result<(), ReadError> {
    let keys: Vec<_> = value.split(',').collect();
    let before = legs.first().map_or(0, |leg| leg.sort.len());
    if before + keys.len() > SORT_KEYS_MAX {
        return Err(ReadError::TooCostly(format!("_sort takes at most {SORT_KEYS_MAX} keys")));
    }
    let alone = legs.len() == 1;
    for leg in legs.iter_mut() {
        let of = leg.resource_type;
        let keys = keys.iter().map(|key| sort_key(of, key, alone));
        leg.sort.extend(keys.collect::<Result<Vec<_>, _>>()?);
    }
    let kinds = |leg: &Leg| leg.sort.iter().map(kind).collect::<Vec<_>>();
    let mut rest = legs.windows(2);
    if rest.any(|pair| kinds(&pair[0]) != kinds(&pair[1])) {
        let text = "_sort: the types do not share a parameter of one kind by this name";
        return Err(ReadError::Invalid(text.into()));
    }
    Ok(())
}

/// What keys must have in common to be compared across types.
fn kind(key: &SortKey) -> (u8, Option<Table>) {
    match &key.by {
        SortBy::Clinical => (0, None),
        SortBy::Id => (1, None),
        SortBy::LastUpdated => (2, None),
        SortBy::Value(table, _) => (3, Some(*table)),
        SortBy::Target(..) => (4, None),
        SortBy::Content(_) => (5, None),
    }
}

fn sort_key(of: ResourceType, text: &str, alone: bool) -> Result<SortKey, ReadError> {
    let (name, descending) = match text.strip_prefix('-') {
        Some(name) => (name, true),
        None => (text, false),
    };
    let by = match name {
        "_id" => SortBy::Id,
        "_lastUpdated" => SortBy::LastUpdated,
        _ => {
            let unknown = || ReadError::Invalid(format!("_sort: {of} has no parameter {name:?}"));
            let param = search_param(of, name).ok_or_else(unknown)?;
            by_value(of, param, alone).ok_or_else(|| {
                ReadError::Unsupported(format!("_sort by {name} of {of} is not supported"))
            })?
        }
    };
    Ok(SortKey { by, descending })
}

fn by_value(of: ResourceType, param: &'static SearchParam, alone: bool) -> Option<SortBy> {
    let params = index_params(of, param);
    if params.is_empty() {
        return None;
    }
    if alone && sort_index_param(of).is_some_and(|clinical| params == [clinical]) {
        return Some(SortBy::Clinical);
    }
    if param.kind == ParamKind::Token {
        return Some(SortBy::Content(param));
    }
    if param.kind == ParamKind::Reference {
        let only = match param.held {
            Held::InParam { only, .. } => only,
            _ => None,
        };
        return Some(SortBy::Target(params, only));
    }
    Some(SortBy::Value(sort_table(param.kind)?, params))
}

/// Whether `_sort` takes parameters of this kind.
pub(super) fn is_sortable(kind: ParamKind) -> bool {
    matches!(kind, ParamKind::Reference | ParamKind::Token) || sort_table(kind).is_some()
}

/// Table of the kinds whose values are stored readable and so have an order.
fn sort_table(kind: ParamKind) -> Option<Table> {
    match kind {
        ParamKind::Date => Some(Table::Date),
        ParamKind::Number => Some(Table::Number),
        ParamKind::Quantity => Some(Table::Quantity),
        ParamKind::String => Some(Table::String),
        ParamKind::Uri => Some(Table::Uri),
        _ => None,
    }
}

/// Keys that `_sort` may have.
pub const SORT_KEYS_MAX: usize = 5;
