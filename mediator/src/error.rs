//! Why a message did not become resources: filtered, quarantined or rejected, always with a reason and a place.
//!
//! Texts name the place and the rule, never patient data, so they may be logged and answered.
//! Not here: warnings about a message that was applied (`conversion`), HTTP or MLLP codes (`gateway`).

use crate::place::Place;

/// A message that ends without resources. The raw bytes stay with the caller.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text}")]
pub struct ConvertError {
    /// The closed list of causes.
    pub reason: Reason,
    /// Where in the message, when one place is to blame.
    pub place: Option<Place>,
    /// One sentence, lower case, free of patient data.
    pub text: String,
}

/// How the sender and the operator should see a message that was not applied.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Disposition {
    /// Nothing to do, by rule; answered positively (or not at all, for an acknowledgement).
    Filtered,
    /// Kept for an operator; the sender hears AE, a retry may work.
    Quarantined,
    /// Would fail again unchanged; the sender hears AR.
    Rejected,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident, $slug:literal, $disposition:ident, $code:literal;)*) => {
        /// The closed list of causes; each has a stable slug, a disposition and a code of HL7 table 0357.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[non_exhaustive]
        pub enum Reason { $($(#[$doc])* $variant,)* }

        impl Reason {
            /// Stable machine-readable name, used in logs, metrics and the quarantine table.
            pub fn slug(self) -> &'static str {
                match self { $(Self::$variant => $slug,)* }
            }

            /// What becomes of the message.
            pub fn disposition(self) -> Disposition {
                match self { $(Self::$variant => Disposition::$disposition,)* }
            }

            /// `ERR-3` code of HL7 table 0357.
            pub fn table_0357(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }
        }
    };
}

reasons! {
    /// The message is itself an acknowledgement.
    AcknowledgementReceived, "acknowledgement-received", Filtered, "0";
    /// The site's configuration filters this processing id.
    ProcessingIdFiltered, "processing-id-filtered", Filtered, "0";
    /// No bytes, or blanks only.
    Empty, "empty", Quarantined, "100";
    /// More bytes, segments or fields than the limits allow.
    TooLarge, "too-large", Quarantined, "207";
    /// No readable MSH segment.
    HeaderUnreadable, "header-unreadable", Quarantined, "100";
    /// A file or batch holds several messages; split it first.
    BatchNotSplit, "batch-not-split", Quarantined, "100";
    /// MSH-18 names a character set that is not supported here.
    CharsetUnsupported, "charset-unsupported", Quarantined, "102";
    /// Bytes that the declared character set does not have.
    CharsetUndecodable, "charset-undecodable", Quarantined, "102";
    /// MSH-9 is empty.
    MessageTypeMissing, "message-type-missing", Quarantined, "101";
    /// MSH-10 is empty, so no answer could be correlated.
    ControlIdMissing, "control-id-missing", Quarantined, "101";
    /// No usable PID-3; no patient is made up.
    PatientIdentifierMissing, "patient-identifier-missing", Quarantined, "101";
    /// A merge without MRG-1.
    MergeIdentifierMissing, "merge-identifier-missing", Quarantined, "101";
    /// A merge of a patient with itself, or a cycle of merges.
    MergeCycle, "merge-cycle", Quarantined, "205";
    /// A segment that this structure requires is missing.
    SegmentMissing, "segment-missing", Quarantined, "100";
    /// Message code (MSH-9.1) not supported.
    UnsupportedMessageType, "unsupported-message-type", Rejected, "200";
    /// Trigger event (MSH-9.2) not supported.
    UnsupportedEvent, "unsupported-event", Rejected, "201";
    /// Processing id (MSH-11) not accepted on this site.
    UnsupportedProcessingId, "unsupported-processing-id", Rejected, "202";
    /// Version (MSH-12) not supported.
    UnsupportedVersion, "unsupported-version", Rejected, "203";
}

impl ConvertError {
    /// An error without one place to blame.
    pub fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, place: None, text: text.into() }
    }

    /// An error at a place.
    pub fn at(place: Place, reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, place: Some(place), text: text.into() }
    }

    /// What becomes of the message.
    pub fn disposition(&self) -> Disposition {
        self.reason.disposition()
    }
}
