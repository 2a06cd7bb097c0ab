//! Query string → [`SearchQuery`]: names, result parameters, what is ignored and what is refused.
//!
//! Spec: FHIR R4 search § 3.1.1.4 to 3.1.1.6. An unknown name is refused unless it starts with `_` or the
//! client asked for lenient handling; then it is ignored and reported. What the executor cannot do is
//! refused by name, never skipped. `self` repeats what is applied ([`SearchQuery::self_query`]).
//! Not here: values and modifiers of filters (`parse_filter`), the cursor's inside (`cursor`).

use fhir::{ParamKind, ResourceType, search_param};

use super::clause::{Include, SearchQuery, SortBy, SortKey, Table, Total};
use super::codes::CodeSets;
use super::parse_filter::{self, Context};
use super::query_string;
use crate::error::ReadError;
use crate::index::param::{index_params, sort_index_param};
use crate::page::Cursor;

/// How a query is read.
#[derive(Clone, Copy, Debug)]
pub struct ParseOptions<'a> {
    /// Base URL without a final slash; references that start with it are local. Empty for none.
    pub base_url: &'a str,
    /// `Prefer: handling=lenient`: ignore and report what is unknown or unsupported.
    pub lenient: bool,
    /// Now, for `ap` on dates: microseconds since 1970 UTC.
    pub now_us: i64,
    /// Who answers `:in`, `:not-in`, `:above` and `:below` on tokens; without, these are refused.
    pub codes: Option<&'a dyn CodeSets>,
}

/// Reads a query string or form body.
///
/// # Errors
/// [`ReadError::Invalid`], [`ReadError::Unsupported`] or [`ReadError::TooCostly`], naming the parameter.
pub fn parse(
    of: ResourceType,
    query: &str,
    options: &ParseOptions<'_>,
) -> Result<SearchQuery, ReadError> {
    parse_pairs(of, query_string::pairs(query)?, options)
}

/// Reads decoded pairs, such as those of a query string and a form body together.
///
/// # Errors
/// As [`parse`].
pub fn parse_pairs(
    of: ResourceType,
    pairs: Vec<(String, String)>,
    options: &ParseOptions<'_>,
) -> Result<SearchQuery, ReadError> {
    let mut query = SearchQuery {
        resource_type: of,
        filters: Vec::new(),
        includes: Vec::new(),
        revincludes: Vec::new(),
        sort: Vec::new(),
        count: COUNT_DEFAULT,
        total: Total::default(),
        summary: None,
        cursor: None,
        applied: Vec::new(),
        ignored: Vec::new(),
    };
    for (name, value) in pairs {
        match apply(&mut query, &name, &value, options) {
            Ok(Applied::Kept) => query.applied.push((name, value)),
            Ok(Applied::Cursor) => {}
            Ok(Applied::Unknown) if options.lenient || name.starts_with('_') => {
                query.ignored.push(name);
            }
            Ok(Applied::Unknown) => {
                return Err(ReadError::Invalid(format!("{of} has no search parameter {name:?}")));
            }
            Err(ReadError::Unsupported(_)) if options.lenient => query.ignored.push(name),
            Err(error) => return Err(error),
        }
    }
    if query.summary.as_deref() == Some("count") {
        query.count = 0;
    }
    if query.count == 0 {
        query.total = Total::Accurate;
    }
    Ok(query)
}

impl SearchQuery {
    /// Query of the `self` link: what was applied, encoded, without the cursor.
    pub fn self_query(&self) -> String {
        query_string::render(&self.applied)
    }

    /// Query of the page that starts at `cursor`.
    pub fn page_query(&self, cursor: &Cursor) -> String {
        let mut pairs = self.applied.clone();
        pairs.push((CURSOR.to_owned(), cursor.encode()));
        query_string::render(&pairs)
    }
}

enum Applied {
    Kept,
    Cursor,
    Unknown,
}

fn apply(
    query: &mut SearchQuery,
    name: &str,
    value: &str,
    options: &ParseOptions<'_>,
) -> Result<Applied, ReadError> {
    let of = query.resource_type;
    match name {
        "_count" => query.count = count(value)?,
        "_total" => query.total = total(value)?,
        "_sort" => query.sort = sort_keys(of, value)?,
        "_summary" => {
            query.summary = Some(summary(value)?);
        }
        "_include" => query.includes.push(include(of, value, true)?),
        "_revinclude" => query.revincludes.push(include(of, value, false)?),
        // How hits are shown is the caller's matter; links repeat it.
        "_format" | "_pretty" | "_elements" => {}
        "_contained" if value == "false" => {}
        CURSOR => {
            let cursor = Cursor::decode(value);
            query.cursor = Some(cursor.ok_or_else(|| invalid("_cursor is not one of ours"))?);
            return Ok(Applied::Cursor);
        }
        _ if REFUSED.contains(&name) => {
            return Err(ReadError::Unsupported(format!("{name} is not supported")));
        }
        _ if name.starts_with("_include:") || name.starts_with("_revinclude:") => {
            return Err(ReadError::Unsupported(format!("{name}: only one level is supported")));
        }
        _ => {
            let ParseOptions { base_url, now_us, codes, .. } = *options;
            let context = Context { base_url, now_us, codes };
            match parse_filter::filter(of, name, value, &context)? {
                Some(filter) => query.filters.push(filter),
                None => return Ok(Applied::Unknown),
            }
        }
    }
    Ok(Applied::Kept)
}

fn count(value: &str) -> Result<u32, ReadError> {
    let count: u32 = value.parse().map_err(|_| invalid("_count is not a whole number"))?;
    Ok(count.min(COUNT_MAX))
}

fn total(value: &str) -> Result<Total, ReadError> {
    match value {
        "none" => Ok(Total::None),
        "estimate" => Ok(Total::Cheap),
        "accurate" => Ok(Total::Accurate),
        _ => Err(invalid("_total is none, estimate or accurate")),
    }
}

fn summary(value: &str) -> Result<String, ReadError> {
    if ["true", "text", "data", "count", "false"].contains(&value) {
        return Ok(value.to_owned());
    }
    Err(invalid("_summary is true, text, data, count or false"))
}

fn sort_keys(of: ResourceType, value: &str) -> Result<Vec<SortKey>, ReadError> {
    let keys: Vec<_> = value.split(',').collect();
    if keys.len() > SORT_KEYS_MAX {
        return Err(ReadError::TooCostly(format!("_sort takes at most {SORT_KEYS_MAX} keys")));
    }
    keys.into_iter().map(|key| sort_key(of, key)).collect()
}

fn sort_key(of: ResourceType, text: &str) -> Result<SortKey, ReadError> {
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
            let params = index_params(of, param);
            if sort_index_param(of).is_some_and(|clinical| params == [clinical]) {
                SortBy::Clinical
            } else {
                let unsortable =
                    || ReadError::Unsupported(format!("_sort by {name} is not supported"));
                SortBy::Value(sort_table(param.kind).ok_or_else(unsortable)?, params)
            }
        }
    };
    Ok(SortKey { by, descending })
}

/// Table of the kinds whose values are stored readable and so have an order.
pub(super) fn sort_table(kind: ParamKind) -> Option<Table> {
    match kind {
        ParamKind::Date => Some(Table::Date),
        ParamKind::Number => Some(Table::Number),
        ParamKind::Quantity => Some(Table::Quantity),
        ParamKind::String => Some(Table::String),
        ParamKind::Uri => Some(Table::Uri),
        _ => None,
    }
}

fn include(of: ResourceType, value: &str, forward: bool) -> Result<Include, ReadError> {
    let name = if forward { "_include" } else { "_revinclude" };
    let wrong = |why: &str| ReadError::Invalid(format!("{name}={value}: {why}"));
    if value == "*" && forward {
        return Ok(Include { source: of, params: Vec::new(), target: None });
    }
    let mut parts = value.splitn(3, ':');
    let source = parts.next().and_then(ResourceType::parse);
    let source = source.ok_or_else(|| wrong("does not start with a resource type"))?;
    let code = parts.next().ok_or_else(|| wrong("names no parameter"))?;
    let target = parts.next().map(ResourceType::parse);
    let target = match target {
        Some(None) => return Err(wrong("the target is no resource type")),
        Some(Some(target)) => Some(target),
        None => None,
    };
    if forward && source != of {
        return Err(wrong("the source is not the type that is searched"));
    }
    if code == "*" {
        return Ok(Include { source, params: Vec::new(), target });
    }
    let param = search_param(source, code).filter(|param| param.kind == ParamKind::Reference);
    let param = param.ok_or_else(|| wrong("no such reference parameter"))?;
    let target = match param.held {
        fhir::Held::InParam { only: Some(only), .. }
            if target.is_none_or(|given| given == only) =>
        {
            Some(only)
        }
        _ => target,
    };
    Ok(Include { source, params: index_params(source, param), target })
}

fn invalid(text: &str) -> ReadError {
    ReadError::Invalid(text.to_owned())
}

/// Name of the paging parameter in `next` and `previous` links.
pub const CURSOR: &str = "_cursor";
/// Matches a page when the client does not say.
pub const COUNT_DEFAULT: u32 = 50;
/// Most matches a page; a larger `_count` is cut to it.
pub const COUNT_MAX: u32 = 1_000;
/// Keys that `_sort` may have.
pub const SORT_KEYS_MAX: usize = 5;
/// Defined by the standard and not done here: refused, as ignoring them would change the answer.
const REFUSED: [&str; 9] = [
    "_content",
    "_contained",
    "_containedType",
    "_filter",
    "_list",
    "_query",
    "_text",
    "_type",
    "_has",
];
