//! mediator: HL7 v2 bytes to FHIR R4, by compiled rules held as data.
//!
//! Shape: `convert(bytes, context, rules)` gives a [`Conversion`] (drafts of resources and an account of every input
//! atom) or a [`ConvertError`] (filtered, quarantined or rejected, with reason and place); [`merge()`] joins a draft with
//! the stored version. Pure: no clock, no randomness, no I/O; the same bytes and rules always give the same result.
//! Not here: framing and sockets, storage, when to acknowledge (`gateway`).

mod conversion;
mod error;
mod event_time;
pub mod hl7v2;
mod json;
mod merge;
mod place;
mod redirect;
mod rules;
mod site;
mod stable_id;
mod warning;

pub use conversion::{Account, Conversion, Draft, Fate, FieldMode, Totals, WriteMode, transaction};
pub use error::{ConvertError, Disposition, Reason};
pub use event_time::EventTime;
pub use hl7v2::{charset::Charset, primitive::zone::Zone};
pub use merge::{EVENT_LOCAL_TIME, EVENT_TIME, Merged, is_stale, merge};
pub use place::Place;
pub use redirect::replaced_by;
pub use rules::{Layer, RuleError, RuleSet};
pub use site::Site;
pub use stable_id::stable_id;
pub use warning::Warning;

/// What the caller knows beyond the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Settings of the sending site.
    pub site: &'a Site,
    /// Where the raw message is stored; with it a Provenance is drafted.
    pub source: Option<Source<'a>>,
}

/// The stored raw message and who received it, for the Provenance.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Reference to the stored raw message, such as `Binary/…` or `DocumentReference/…`.
    pub raw: &'a str,
    /// When the gateway received it: a FHIR instant.
    pub recorded: &'a str,
    /// Reference to the gateway's Device.
    pub device: &'a str,
}

/// Converts one HL7 v2 message to drafts of FHIR R4 resources.
///
/// # Errors
/// A [`ConvertError`] whose [`ConvertError::disposition`] says whether the message is filtered, quarantined or rejected.
pub fn convert(
    bytes: &[u8],
    context: &Context<'_>,
    rules: &RuleSet,
) -> Result<Conversion, ConvertError> {
    hl7v2::convert::convert(bytes, context, rules)
}
