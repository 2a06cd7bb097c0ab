//! The search parameters that a query is read with: R4's own, and within [`with_params`] those of the installation.
//!
//! Reading is synchronous and its readers lie many levels below the caller, so the set is lent to the thread for the
//! time of one reading. A parameter whose index is not whole refuses the query, wherever in it it is named: an answer
//! without what is not indexed yet would be wrong and would not look it.

use std::cell::RefCell;
use std::sync::Arc;

use fhir::{FullText, ResourceType, SearchParam, SearchParams};

use crate::error::ReadError;

/// Reads a query with these parameters in force.
///
/// # Errors
/// Those of `read`; [`ReadError::NotIndexed`] when it names a parameter whose index is not whole.
pub fn with_params<T>(
    params: &Arc<SearchParams>,
    read: impl FnOnce() -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    let _lent = Lent(LENT.replace(Some((Arc::clone(params), None))));
    let result = read();
    match LENT.with_borrow_mut(|lent| lent.as_mut().and_then(|(_, refusal)| refusal.take())) {
        Some(refusal) => Err(ReadError::NotIndexed(refusal)),
        None => result,
    }
}

/// The parameter in force with this code on this type.
pub(super) fn search_param(of: ResourceType, code: &str) -> Option<&'static SearchParam> {
    let own = fhir::search_param(of, code);
    own.or_else(|| LENT.with_borrow_mut(|lent| custom(lent.as_mut()?, of, code)))
}

/// The installation's own parameters on this type.
pub(super) fn custom_params(of: ResourceType) -> Vec<&'static SearchParam> {
    let own = |lent: &Option<Params>| {
        let params = lent.as_ref().map(|(params, _)| params);
        params.into_iter().flat_map(|params| params.custom_of(of)).collect()
    };
    LENT.with_borrow(own)
}

/// What may be searched by words: what the lent set says, and where none is lent nothing.
pub(super) fn full_text() -> FullText {
    LENT.with_borrow(|lent| lent.as_ref().map_or(FullText::Off, |(params, _)| params.full_text()))
}

fn custom(lent: &mut Params, of: ResourceType, code: &str) -> Option<&'static SearchParam> {
    let (params, refusal) = lent;
    let found = params.find(of, code)?;
    if let Some(progress) = params.progress(found) {
        refusal.get_or_insert_with(|| {
            format!(
                "the search parameter {code} of {of} is being indexed: {} of {} resources are done; retry later",
                progress.done, progress.total
            )
        });
    }
    Some(found)
}

/// Set and the first refusal that reading with it met.
type Params = (Arc<SearchParams>, Option<String>);

thread_local! {
    static LENT: RefCell<Option<Params>> = const { RefCell::new(None) };
}

/// Gives the thread back what it had before.
struct Lent(Option<Params>);

impl Drop for Lent {
    fn drop(&mut self) {
        LENT.set(self.0.take());
    }
}
