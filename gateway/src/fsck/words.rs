//! The words of resources in the full-text index, compared with those that their contents give.
//!
//! Which resources have words, and the sum of these, is compared with all index rows (`index`); here the engine is asked
//! whether the words stand where they should. Not here: words too many beside the right ones on SQLite, beyond their
//! number.

use fhir::ResourceKey;
use registry::index::words::Words;

use super::Check;
use super::report::About;
use crate::app::OpenError;

/// The words that a resource should have.
pub(super) struct Worded {
    pub(super) key: ResourceKey,
    pub(super) rid: i64,
    pub(super) words: Words,
}

impl Check<'_> {
    /// Reports the resources whose words are others.
    pub(super) async fn words(&mut self, all: Vec<Worded>) -> Result<(), OpenError> {
        if all.is_empty() {
            return Ok(());
        }
        let asked = all.iter().map(|one| (one.rid, one.words.clone())).collect();
        let read = self.checks.other_words(asked).await;
        let others = self.rows("search_text", read)?;
        for one in all.iter().filter(|one| others.contains(&one.rid)) {
            let what = "search_text has other words than its content";
            self.report.add(About::Index, one.key.to_string(), what);
        }
        Ok(())
    }
}
