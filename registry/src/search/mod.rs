//! Search: query text to clauses to SQL.

/// A parsed search.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SearchQuery {}
