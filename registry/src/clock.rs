//! The source of time that the writers ask; tests tick it by hand.

use std::sync::Arc;

use fhir::Instant;

/// Source of the time of commits.
pub type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;
