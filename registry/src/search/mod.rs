//! Search: query text → AST → SQL → page, the same on both engines.
//!
//! [`parse`] reads the query, [`run`] answers it on one snapshot under a permit. What is supported is
//! told by [`supported`], from the same tables that [`parse`] reads with.
//! Not here: payloads (`repository`), bundles and links (`gateway`).

mod arm;
mod arms;
mod ask;
mod at_once;
mod by_content;
mod choice;
mod clause;
mod codes;
mod condition;
mod criteria;
mod cursor;
mod explain;
mod expression;
mod groups;
mod hits;
mod in_force;
mod in_order;
mod include;
mod include_at_once;
mod include_canonical;
#[cfg(test)]
mod limit_tests;
mod matching;
mod memory;
mod merge;
mod near;
mod one_range;
mod operator;
mod order;
mod page;
mod parse;
mod parse_chain;
mod parse_expression;
mod parse_filter;
mod parse_include;
mod parse_sort;
mod parse_unknown;
mod parse_value;
mod plan;
#[cfg(test)]
mod plan_tests;
mod presence;
mod probe;
mod query_string;
mod reach;
mod resolve;
mod row_test;
mod scope;
mod sql;
mod supported;
mod target;
mod tree;
#[cfg(test)]
mod visibility_tests;
mod walk;
mod weight;
mod words;

pub use ask::{Cell, Connection, Remembering, Row, Sizing};
pub use at_once::run_at_once;
pub use by_content::{
    ContentKey, ContentKeys, SORT_OPENED_MAX, SORT_STORED_BYTES_MAX, Unsorted, page_of, unsorted,
};
pub use clause::{
    DateTest, Filter, Include, Leg, NearTest, NumberTest, QuantityTest, ReferenceTest, Rest,
    SearchQuery, SortBy, SortKey, StringTest, Table, Tests, TokenTest, Total, UriTest,
};
pub use codes::{ANSWER_CODES_MAX, CodeAnswer, CodeQuestion, CodeSets, code_questions};
pub use criteria::{Criteria, is_of_results};
pub use explain::{ExplainedLeg, ExplainedStatement, Explanation, Rows, explain};
pub use expression::{FILTER_CHARS_MAX, FILTER_DEPTH_MAX, FILTER_TESTS_MAX};
pub use in_force::with_params;
pub use include::{INCLUDE_ROUNDS_MAX, INCLUDES_MAX};
pub use memory::Memory;
pub use near::NEAR_DISTANCE_M;
pub(crate) use near::register;
pub use operator::filter_operators;
pub use page::{MATCHES_MAX, Matches, matching_ids, run};
pub use parse::{
    COUNT_DEFAULT, COUNT_MAX, CURSOR, Misread, ParseOptions, parse, parse_at, parse_pairs,
    parse_placed,
};
pub use parse_chain::{CHAIN_DEPTH_MAX, CHAIN_LEGS_MAX};
pub use parse_filter::OR_VALUES_MAX;
pub use parse_sort::SORT_KEYS_MAX;
pub(crate) use plan::code_param;
pub use query_string::{pairs, render};
pub use reach::refers_to;
pub use resolve::{CHAIN_TARGETS_MAX, HAS_SOURCES_MAX};
pub use sql::{Bind, Dialect, Statement};
pub use supported::{SupportedParam, supported};
pub use target::SearchTarget;
pub use tree::TreeWay;
pub(crate) use weight::HEAVY_WEIGHT;
pub use weight::WEIGHT_MAX;
pub use words::{QUERY_WORDS_MAX, WordPlace, WordQuery};
