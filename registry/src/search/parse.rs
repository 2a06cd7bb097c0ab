//! Query string → [`SearchQuery`]: names, result parameters, what is ignored and what is refused.
//!
//! Spec: FHIR R4 search § 3.1.1.4 to 3.1.1.6. What is unknown or not done is refused by name; what may be ignored
//! (`parse_unknown`) is reported. A parameter with one value that is given two is refused, `_sort` and `_elements` go
//! on where they are repeated. `self` repeats what is applied ([`SearchQuery::self_query`]).
//! Not here: which types are searched (`target`), values and modifiers of filters (`parse_filter`), chains
//! (`parse_chain`), includes (`parse_include`), sorting (`parse_sort`), the cursor's inside (`cursor`).

use std::cell::Cell;

use fhir::ResourceType;
use policy::TypeSet;

use super::clause::{Filter, SearchQuery, Total};
use super::codes::CodeSets;
use super::parse_chain::{CHAIN_LEGS_MAX, Hops};
use super::parse_filter::{self, Context};
use super::supported::has_narrative;
use super::target::SearchTarget;
use super::{parse_include, parse_sort, parse_unknown, query_string, weight};
use crate::error::ReadError;
use crate::page::Cursor;

/// How a query is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct ParseOptions<'a> {
    /// Base URLs of this server (see [`fhir::below_base`]); references below them are local. Empty for none.
    pub base_url: &'a str,
    /// `Prefer: handling=lenient`: ignore and report what is unknown or unsupported.
    pub lenient: bool,
    /// Now, for `ap` on dates: microseconds since 1970 UTC.
    pub now_us: i64,
    /// Who answers `:in`, `:not-in`, `:above` and `:below` on tokens; without, these are refused.
    pub codes: Option<&'a dyn CodeSets>,
}

/// Reads a query string or form body of a search in one type.
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

/// Reads decoded pairs of a search in one type.
///
/// # Errors
/// As [`parse`].
pub fn parse_pairs(
    of: ResourceType,
    pairs: Vec<(String, String)>,
    options: &ParseOptions<'_>,
) -> Result<SearchQuery, ReadError> {
    parse_at(&SearchTarget::Type(of), pairs, options)
}

/// Reads decoded pairs of a search anywhere, such as those of a query string and a form body together.
///
/// # Errors
/// As [`parse`].
pub fn parse_at(
    target: &SearchTarget,
    pairs: Vec<(String, String)>,
    options: &ParseOptions<'_>,
) -> Result<SearchQuery, ReadError> {
    parse_placed(target, pairs, options).map_err(|misread| misread.error)
}

/// Why a query was refused, and where.
#[derive(Debug)]
pub struct Misread {
    /// Name of the parameter, if it is one that is wrong.
    pub parameter: Option<String>,
    /// Why.
    pub error: ReadError,
}

impl From<ReadError> for Misread {
    fn from(error: ReadError) -> Self {
        Self { parameter: None, error }
    }
}

/// [`parse_at`], saying which parameter it refuses.
///
/// # Errors
/// As [`parse`].
pub fn parse_placed(
    target: &SearchTarget,
    pairs: Vec<(String, String)>,
    options: &ParseOptions<'_>,
) -> Result<SearchQuery, Misread> {
    let (legs, implied) = target.legs(&pairs)?;
    let mut query = SearchQuery {
        path: target.path(),
        legs,
        implied,
        includes: Vec::new(),
        revincludes: Vec::new(),
        brings: TypeSet::NONE,
        count: COUNT_DEFAULT,
        total: Total::default(),
        summary: None,
        cursor: None,
        applied: Vec::new(),
        ignored: Vec::new(),
        each_place: false,
    };
    let left = Cell::new(CHAIN_LEGS_MAX);
    let hops = Hops::start(&left);
    let ParseOptions { base_url, now_us, codes, .. } = *options;
    let context = Context { base_url, now_us, codes, hops };
    for (name, value) in pairs {
        let read = read(&mut query, target, &name, value, &context, options.lenient);
        read.map_err(|error| Misread { parameter: Some(name), error })?;
    }
    parse_include::check(&mut query)?;
    query.legs.iter().try_for_each(weight::check)?;
    if query.summary.as_deref() == Some("count") {
        query.count = 0;
    }
    if query.count == 0 {
        query.total = Total::Accurate;
    }
    Ok(query)
}

impl SearchQuery {
    /// Query of the `self` link: what was applied, encoded, with the size of the page and where it starts.
    pub fn self_query(&self) -> String {
        match &self.cursor {
            Some(cursor) => self.page_query(cursor),
            None => query_string::render(&self.repeated()),
        }
    }

    /// Query of the page that starts at `cursor`.
    pub fn page_query(&self, cursor: &Cursor) -> String {
        let mut pairs = self.repeated();
        pairs.push((CURSOR.to_owned(), cursor.encode()));
        query_string::render(&pairs)
    }

    fn repeated(&self) -> Vec<(String, String)> {
        let mut pairs = self.applied.clone();
        if self.summary.as_deref() != Some("count") {
            pairs.retain(|(name, _)| name != "_count");
            pairs.push(("_count".to_owned(), self.count.to_string()));
        }
        pairs
    }
}

/// Reads one parameter, or leaves it out.
fn read(
    query: &mut SearchQuery,
    target: &SearchTarget,
    name: &str,
    value: String,
    context: &Context<'_>,
    lenient: bool,
) -> Result<(), ReadError> {
    if name == PASSES_CACHES {
        return Ok(());
    }
    let single = parse_unknown::is_single(name);
    match query.applied.iter().find(|(known, _)| single && known == name) {
        Some((_, known)) if *known == value => return Ok(()),
        Some(_) => {
            return Err(ReadError::Invalid(format!("{name} may be given once, with one value")));
        }
        None => {}
    }
    match apply(query, target, name, &value, context) {
        Ok(Applied::Kept) => query.applied.push((name.to_owned(), value)),
        Ok(Applied::Elsewhere) => {}
        Ok(Applied::Unknown(of)) => {
            parse_unknown::ignore(of, name, lenient)?;
            query.ignored.push(name.to_owned());
        }
        Err(ReadError::Unsupported(_)) if parse_unknown::may_skip(name, lenient) => {
            query.ignored.push(name.to_owned());
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

enum Applied {
    Kept,
    /// It counts, but is no part of the query that links repeat.
    Elsewhere,
    /// The type does not know it.
    Unknown(ResourceType),
}

fn apply(
    query: &mut SearchQuery,
    target: &SearchTarget,
    name: &str,
    value: &str,
    context: &Context<'_>,
) -> Result<Applied, ReadError> {
    match name {
        "_count" => query.count = count(value)?,
        "_total" => query.total = total(value)?,
        "_sort" => parse_sort::apply(&mut query.legs, value)?,
        "_summary" => {
            query.summary = Some(summary(value)?);
        }
        "_type" if target.takes_types() => {}
        // How hits are shown is the caller's matter; links repeat it.
        "_pretty" if !matches!(value, "true" | "false") => {
            return Err(invalid("_pretty must be true or false"));
        }
        "_format" | "_pretty" | "_elements" => {}
        "_contained" if value == "false" => {}
        CURSOR => {
            if query.cursor.is_some() {
                return Err(invalid("_cursor may be given once"));
            }
            let cursor = Cursor::decode(value);
            query.cursor = Some(cursor.ok_or_else(|| invalid("_cursor is not one of ours"))?);
            return Ok(Applied::Elsewhere);
        }
        _ if REFUSED.contains(&name) => {
            return Err(ReadError::Unsupported(format!("{name} is not supported")));
        }
        _ if parse_include::apply(query, name, value)? => {}
        _ => return filter(query, target, name, value, context),
    }
    Ok(Applied::Kept)
}

/// One filter, read for every type that is searched.
fn filter(
    query: &mut SearchQuery,
    target: &SearchTarget,
    name: &str,
    value: &str,
    context: &Context<'_>,
) -> Result<Applied, ReadError> {
    if name.starts_with("_has:") && !target.is_one_type() {
        let text = format!("{name}: only a search in one type, [base]/[type]?_has:…, takes _has");
        return Err(ReadError::Unsupported(text));
    }
    // Among several types those without a narrative match nothing.
    if let Some(of) = target.one_type().filter(|of| name == "_text" && !has_narrative(*of)) {
        return Err(ReadError::Unsupported(format!("_text: {of} has no narrative")));
    }
    let mut filters = Vec::with_capacity(query.legs.len());
    for leg in &query.legs {
        if name == "_text" && !has_narrative(leg.resource_type) {
            filters.push(Filter::Any(Vec::new()));
            continue;
        }
        match parse_filter::filter(leg.resource_type, name, value, context)? {
            Some(filter) => filters.push(filter),
            None => return Ok(Applied::Unknown(leg.resource_type)),
        }
    }
    query.legs.iter_mut().zip(filters).for_each(|(leg, filter)| leg.require(filter));
    Ok(Applied::Kept)
}

fn count(value: &str) -> Result<u32, ReadError> {
    let count: u32 = value
        .parse()
        .map_err(|_| invalid("_count is the most matches of a page, a whole number such as 50"))?;
    Ok(count.min(COUNT_MAX))
}

/// The exact number is an estimate too, and the only one that tells no more than the caller may see.
fn total(value: &str) -> Result<Total, ReadError> {
    match value {
        "none" => Ok(Total::None),
        "estimate" | "accurate" => Ok(Total::Accurate),
        _ => Err(invalid("_total is none, estimate or accurate")),
    }
}

fn summary(value: &str) -> Result<String, ReadError> {
    if ["true", "text", "data", "count", "false"].contains(&value) {
        return Ok(value.to_owned());
    }
    Err(invalid("_summary is true, text, data, count or false"))
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
/// Clients add it with a number so that no cache answers; it says nothing.
const PASSES_CACHES: &str = "_";
/// Defined by the standard and not done here: refused, as ignoring them would change the answer.
const REFUSED: [&str; 5] = ["_contained", "_containedType", "_query", "_type", "_has"];
