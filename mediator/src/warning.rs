//! What was odd about a message that was applied: a code for programs, a sentence for people, a place; never a value.
//!
//! Not here: messages that were not applied (`error`).

use crate::place::Place;

/// Something odd that did not stop the conversion; never holds patient data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Warning {
    /// Stable machine-readable name.
    pub code: &'static str,
    /// Where.
    pub place: Place,
}

impl Warning {
    /// Whether something of the message is in no resource for it; else it only was read with a doubt.
    pub fn loses(&self) -> bool {
        let is_needed = !matches!(self.code, "processing-id-missing");
        self.code.ends_with("-unreadable")
            || self.code.ends_with("-missing") && is_needed
            || self.wants_zone()
            || matches!(
                self.code,
                "code-unmapped"
                    | "instant-not-precise-enough"
                    | "repetitions-past-the-limit"
                    | "control-character-dropped"
            )
    }

    /// Whether the zone of the sender is what is missing.
    pub fn wants_zone(&self) -> bool {
        matches!(self.code, NO_OFFSET | NO_OFFSET_INSTANT)
    }

    /// One sentence for the sender: what was left out, why, and what helps where that is known.
    pub fn text(&self) -> String {
        let (lost, why) = match self.code {
            NO_OFFSET => ("its time of day", NO_OFFSET_WHY),
            NO_OFFSET_INSTANT => ("this", NO_OFFSET_WHY),
            "encounter-key-missing" => (
                "a visit",
                "no number in PV1-19, PV1-50 or PID-18 and no admission time in PV1-44; no Encounter was made",
            ),
            _ => return format!("applied without this: {}", self.code),
        };
        format!("applied without {lost}: {}: {why}", self.code)
    }
}

/// A FHIR dateTime with a time has an offset (R4, datatypes), and the message has none for this one.
pub(crate) const NO_OFFSET: &str = "no-offset-time-dropped";
/// The same where FHIR takes no date instead.
pub(crate) const NO_OFFSET_INSTANT: &str = "no-offset-instant-dropped";
const NO_OFFSET_WHY: &str =
    "no UTC offset here or in MSH-7; send one, or set hl7v2.zone to the zone of the senders";
