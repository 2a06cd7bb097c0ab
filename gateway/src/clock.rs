//! The only reader of the wall clock in the gateway.
//!
//! Not here: the time of a commit, which the registry's writer decides.

use std::time::{SystemTime, UNIX_EPOCH};

use fhir::Instant;

/// Now, in microseconds since 1970 UTC.
pub fn now() -> Instant {
    Instant::from_micros(now_us())
}

/// Now, as microseconds since 1970 UTC.
pub fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
