//! The query AST: what a search asks for, checked against the parameters of R4.
//!
//! Spec: FHIR R4 search (`hl7.org/fhir/R4/search.html`). Made by [`super::parse`] only; the executor
//! refuses nothing that this can hold. All filters must hold; the tests of one filter are alternatives.
//! Not here: hashes and SQL (`plan`, `sql`).

use fhir::{NumberRange, ResourceType, SearchParam, SearchPrefix, TimeRange};
use policy::TypeSet;

use super::tree::TreeWay;
use super::words::{WordPlace, WordQuery};
use crate::page::Cursor;

/// One search, as parsed.
#[derive(Clone, Debug)]
pub struct SearchQuery {
    /// Path below the base URL: `Observation`, `Patient/1/*`, empty for all types.
    pub path: String,
    /// One for each type that is searched; their matches stand in one order.
    pub legs: Vec<Leg>,
    /// Nobody named the types: those that the caller may not search are left out.
    pub implied: bool,
    /// `_include`.
    pub includes: Vec<Include>,
    /// `_revinclude`.
    pub revincludes: Vec<Include>,
    /// Types that the includes may bring, as R4's parameters have it, whoever asks.
    pub brings: TypeSet,
    /// Matches a page; 0 asks for the total only.
    pub count: u32,
    /// `_total`.
    pub total: Total,
    /// `_summary`, as given.
    pub summary: Option<String>,
    /// Where the page starts.
    pub cursor: Option<Cursor>,
    /// Names and values that take effect, decoded, in their order: the `self` link. No cursor.
    pub applied: Vec<(String, String)>,
    /// Names that were left out, to be reported in the bundle.
    pub ignored: Vec<String>,
    /// Whether the page tells the place after each match ([`crate::page::Page::places`]).
    pub each_place: bool,
}

/// A search in one type.
#[derive(Clone, Debug, PartialEq)]
pub struct Leg {
    /// Type that is searched.
    pub resource_type: ResourceType,
    /// All must hold.
    pub filters: Vec<Filter>,
    /// `_sort`; empty for the default order (newest first by the type's clinical date). All legs have keys of
    /// the same kinds and directions.
    pub sort: Vec<SortKey>,
}

impl Leg {
    /// One more condition; what all must hold anyway stands by itself, so that any of it can lead.
    pub(super) fn require(&mut self, filter: Filter) {
        match filter {
            Filter::All(each) => each.into_iter().for_each(|one| self.require(one)),
            // What stands twice says nothing new.
            other if self.filters.contains(&other) => {}
            other => self.filters.push(other),
        }
    }
}

/// How exact `Bundle.total` must be.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Total {
    /// Not wanted.
    None,
    /// Present when it is cheap.
    #[default]
    Cheap,
    /// Exact at any price within the budget.
    Accurate,
}

/// One condition on a resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Logical id is one of these.
    Id(Vec<String>),
    /// `meta.lastUpdated` passes one of these.
    LastUpdated(Vec<DateTest>),
    /// A value of one of the parameters passes one of the tests; with `not`, none does.
    Value {
        /// Index parameters whose rows are asked, as in the tables.
        params: Vec<u16>,
        /// Alternatives.
        tests: Tests,
        /// Modifier `:not`.
        not: bool,
    },
    /// The words of the resource are such, or with `not` are not.
    Words {
        /// What is looked for.
        query: WordQuery,
        /// Where.
        place: WordPlace,
        /// Turns it round.
        not: bool,
    },
    /// The resource has (or, with `missing`, has not) a value of the parameters.
    Missing {
        /// Index parameters, one of which is listed as present.
        params: Vec<u16>,
        /// `:missing=true`.
        missing: bool,
    },
    /// A resource that is referenced passes the filter.
    Chain {
        /// Index parameters of the reference.
        params: Vec<u16>,
        /// Types of the referenced resource with the filter as it reads there.
        targets: Vec<(ResourceType, Filter)>,
    },
    /// A resource that refers here passes the filter.
    Has {
        /// Its type.
        source: ResourceType,
        /// Index parameters of its reference.
        params: Vec<u16>,
        /// What it must pass.
        filter: Box<Filter>,
    },
    /// One of these passes.
    Any(Vec<Filter>),
    /// Each of these passes.
    All(Vec<Filter>),
    /// It does not pass.
    Not(Box<Filter>),
}

/// Tests by the kind of the parameter; one must pass.
#[derive(Clone, Debug, PartialEq)]
pub enum Tests {
    /// token
    Token(Vec<TokenTest>),
    /// reference
    Reference(Vec<ReferenceTest>),
    /// date
    Date(Vec<DateTest>),
    /// number
    Number(Vec<NumberTest>),
    /// quantity
    Quantity(Vec<QuantityTest>),
    /// string
    String(Vec<StringTest>),
    /// uri
    Uri(Vec<UriTest>),
    /// special, of positions
    Near(Vec<NearTest>),
    /// composite: the first component and the rest of the same element
    Composite(Vec<(TokenTest, Rest)>),
}

/// What stands with the token of a composite.
#[derive(Clone, Debug, PartialEq)]
pub enum Rest {
    /// token
    Token(TokenTest),
    /// reference
    Reference(ReferenceTest),
    /// quantity
    Quantity(QuantityTest),
    /// date
    Date(DateTest),
    /// string
    String(StringTest),
    /// Two numbers, such as start and end.
    Numbers(NumberTest, NumberTest),
}

/// Index table of a kind of value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Table {
    /// `search_token`
    Token,
    /// `search_reference`
    Reference,
    /// `search_date`
    Date,
    /// `search_number`
    Number,
    /// `search_quantity`
    Quantity,
    /// `search_string`
    String,
    /// `search_uri`
    Uri,
}

/// `system|code` in its forms.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TokenTest {
    /// `code`: in any system or none.
    Code(String),
    /// `system|code`.
    SystemCode(String, String),
    /// `|code`: without a system.
    NoSystem(String),
    /// `system|`: any code of the system.
    System(String),
    /// `:of-type`: type system, type code, value.
    OfType(String, String, String),
}

/// What a reference must point to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ReferenceTest {
    /// A resource here, by type and id.
    Key(ResourceType, String),
    /// Anything elsewhere, by absolute URL.
    Url(String),
    /// `:identifier`: the identifier in the reference itself.
    Identifier(Option<String>, String),
    /// `:above` or `:below`: a resource here or what is above or below it in its type's hierarchy.
    Tree(ResourceType, String, TreeWay),
}

/// A date with its prefix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DateTest {
    /// How to compare.
    pub prefix: SearchPrefix,
    /// Range of the precision given; for `ap` already widened.
    pub range: TimeRange,
}

/// A number with its prefix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NumberTest {
    /// How to compare.
    pub prefix: SearchPrefix,
    /// The number and the range of its precision; for `ap` already widened.
    pub range: NumberRange,
}

/// A place on the globe and how far from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NearTest {
    /// In degrees north.
    pub latitude: f64,
    /// In degrees east.
    pub longitude: f64,
    /// Along the great circle, in metres.
    pub distance_m: f64,
}

/// A number with an optional unit.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantityTest {
    /// The number.
    pub number: NumberTest,
    /// System of the unit, when given.
    pub system: Option<String>,
    /// Code or text of the unit, when given.
    pub unit: Option<String>,
}

/// A text and how it must match.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StringTest {
    /// Starts with, after folding.
    Prefix(String),
    /// `:exact`.
    Exact(String),
    /// `:contains`, after folding.
    Contains(String),
    /// Equal after folding.
    Equal(String),
    /// Not equal after folding.
    Unequal(String),
    /// Ends with, after folding.
    Suffix(String),
    /// Before or after it by code points, after folding.
    Order(SearchPrefix, String),
}

/// A uri and how it must match.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum UriTest {
    /// Equal.
    Exact(String),
    /// `:below`: equal, or below it in the path.
    Below(String),
    /// Not equal.
    Unequal(String),
    /// Starts with.
    Prefix(String),
    /// Ends with.
    Suffix(String),
    /// Holds it.
    Contains(String),
}

/// `_include` or `_revinclude`: `Source:param[:Target]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Include {
    /// Type that holds the reference; `None` for any (`*`).
    pub source: Option<ResourceType>,
    /// Index parameters of the reference; empty for `*` (all references of the source).
    pub params: Vec<u16>,
    /// Only targets of this type.
    pub target: Option<ResourceType>,
    /// Types that the reference may have, as its parameter and the target say; all for a `*` alone.
    pub leads_to: TypeSet,
    /// `:iterate`: starts from what was included too.
    pub iterate: bool,
}

/// One key of `_sort`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SortKey {
    /// What is compared.
    pub by: SortBy,
    /// Leading `-`.
    pub descending: bool,
}

/// What a sort key compares. Resources without the value come last in both directions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SortBy {
    /// The type's clinical date, which the default order follows too.
    Clinical,
    /// `_id`
    Id,
    /// `_lastUpdated`
    LastUpdated,
    /// Lowest (or, descending, highest) value of an ordered parameter.
    Value(Table, Vec<u16>),
    /// Lowest (or, descending, highest) id of the visible resources that are referred to; of this type only.
    Target(Vec<u16>, Option<ResourceType>),
    /// First (or, descending, last) code of a token parameter, which only the contents tell.
    Content(&'static SearchParam),
}
