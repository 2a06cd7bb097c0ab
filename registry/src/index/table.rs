//! Which rules made the index rows of a database: setting `search_table`.
//!
//! Rows hold numbers of `fhir`'s parameter table, so rows of another table would answer other
//! questions. A database that was indexed by other rules is refused until it is indexed again.

use fhir::FullText;

use crate::error::OpenError;

/// Name of the setting.
pub(crate) const SEARCH_TABLE: &str = "search_table";

/// Its value in this release, where this much is searched by words.
pub(crate) fn mark(full_text: FullText) -> Vec<u8> {
    let mut mark = vec![ROWS_REVISION];
    mark.extend_from_slice(&fhir::search_table_fingerprint().to_le_bytes());
    mark.push(match full_text {
        FullText::Off => 0,
        FullText::Narrative => 1,
        FullText::All => 2,
    });
    mark
}

/// Compares a stored mark; a database without resources is taken over.
///
/// # Errors
/// [`OpenError::OtherSearchTable`] when resources are indexed by other rules, [`OpenError::OtherFullText`] when it is
/// only that their words are indexed otherwise.
pub(crate) fn check(
    stored: Option<&[u8]>,
    is_empty: bool,
    full_text: FullText,
) -> Result<(), OpenError> {
    if is_empty || stored == Some(&mark(full_text)[..]) {
        return Ok(());
    }
    let others = [FullText::Off, FullText::Narrative, FullText::All].into_iter();
    match others.into_iter().find(|other| stored == Some(&mark(*other)[..])) {
        Some(stored) => {
            Err(OpenError::OtherFullText { stored: stored.name(), wanted: full_text.name() })
        }
        None => Err(OpenError::OtherSearchTable),
    }
}

/// Its value while the rows are being made anew: no release takes it for its own.
pub(crate) const REBUILDING: [u8; 1] = [0];

/// Tables that hold nothing but what contents give.
pub(crate) const DERIVED: [&str; 9] = [
    "search_token",
    "search_reference",
    "search_date",
    "search_number",
    "search_quantity",
    "search_string",
    "search_uri",
    "resource_terms",
    "search_text",
];

/// To be raised when `index::build` makes other rows of the same values.
const ROWS_REVISION: u8 = 7;
