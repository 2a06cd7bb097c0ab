//! The acknowledgement of a message: its codes, what of an applied message is in no resource, and its bytes.
//!
//! Spec: HL7 v2.5 chapter 2 (ERR, table 0516: W is "applied, but there may be issues"), v2.9 §2.9.
//! Not here: how a message ended (`super`).

use mediator::hl7v2::ack::{AckCode, AckError, Severity, Verdict, acknowledge, wanted};
use mediator::{Conversion, Place, Warning};

use super::{Message, Reply, State};
use crate::clock;

/// What of a message is in no resource, for its acknowledgement and the log: codes and places, never a value.
pub(super) fn lost(conversion: &Conversion) -> Vec<Warning> {
    let lost = conversion.warnings.iter().filter(|warning| warning.loses());
    let mut lost: Vec<Warning> = lost.cloned().collect();
    // Every time of a sender without a zone is one of these; they leave room for what is rarer.
    lost.sort_by_key(Warning::wants_zone);
    lost
}

/// What of it is acknowledged. ERR with a severity is of HL7 v2.5 (table 0516: applied, but there may be issues); who speaks
/// an older version is not told.
pub(super) fn warned(message: &Message<'_>, lost: &[Warning]) -> Vec<AckError> {
    if message.header.is_none_or(|header| !knows_severity(header.field(12))) {
        return Vec::new();
    }
    let told = lost.iter().take(WARNINGS_TOLD_MAX).map(|lost| {
        let code = match lost.code {
            "code-unmapped" => TABLE_VALUE_NOT_FOUND,
            code if code.ends_with("-missing") => REQUIRED_FIELD_MISSING,
            _ => DATA_TYPE_ERROR,
        };
        warning(Some(lost.place), code, lost.text())
    });
    told.collect()
}

/// That what is stored is of a later event, at the place of the event's time.
pub(super) fn older(message: &Message<'_>, conversion: &Conversion) -> Option<AckError> {
    let is_told = message.header.is_some_and(|header| knows_severity(header.field(12)));
    let place = conversion.event_time.map(|(_, place)| place);
    is_told.then(|| warning(place, ACCEPTED, OLDER.to_owned()))
}

fn warning(place: Option<Place>, code: &str, text: String) -> AckError {
    AckError { place, code: code.to_owned(), severity: Severity::Warning, text }
}

/// One line for one message: each kind of what is lost with its first place, and where the message is kept.
pub(super) fn log(message: &Message<'_>, raw: &str, lost: &[Warning]) {
    if lost.is_empty() {
        return;
    }
    let is_first = |(n, warning): &(usize, &Warning)| {
        lost[..*n].iter().all(|before| before.code != warning.code)
    };
    let kinds = lost.iter().enumerate().filter(is_first);
    let kinds = kinds.map(|(_, warning)| format!("{} at {}", warning.code, warning.place));
    tracing::warn!(
        message.id = message.request_id(),
        message.kind = message.kind(),
        message.problems = lost.len(),
        message.lost = kinds.collect::<Vec<_>>().join(", "),
        "parts of an HL7 v2 message are in no resource; see {raw}"
    );
}

/// MSH-12 from 2.5 on.
fn knows_severity(version: &[u8]) -> bool {
    let version = String::from_utf8_lossy(version);
    let mut numbers = version.split(['.', '^']).map_while(|part| part.trim().parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(2), Some(5))
}

/// Both acknowledgements as one block of bytes, so that a repetition gets the same ones.
pub(super) fn answer(message: &Message<'_>, verdict: Verdict, errors: &[AckError]) -> Vec<u8> {
    let (id, time) = stamp();
    let (first, second) = match message.header {
        Some(header) => {
            let wanted = wanted(header, verdict);
            (wanted.first, wanted.second)
        }
        None => (Some(verdict.code()), None),
    };
    let make = |code: AckCode| acknowledge(message.header, code, errors, &id, &time);
    let mut bytes = first.map(make).unwrap_or_default();
    if let Some(second) = second {
        bytes.push(SEPARATOR);
        bytes.extend_from_slice(&acknowledge(message.header, second, errors, &stamp().0, &time));
    }
    bytes
}

pub(super) fn reply(answer: Vec<u8>, state: State) -> Reply {
    let mut parts = answer.split(|byte| *byte == SEPARATOR).map(<[u8]>::to_vec);
    let first = parts.next().filter(|first| !first.is_empty());
    Reply { first, second: parts.next(), state }
}

pub(super) fn repeat(answer: Vec<u8>) -> Reply {
    reply(answer, State::Duplicate)
}

/// A fresh MSH-10 and MSH-7.
pub(super) fn stamp() -> (String, String) {
    let now = clock::now().to_string();
    let digits: String = now.chars().filter(char::is_ascii_digit).take(14).collect();
    (uuid::Uuid::now_v7().simple().to_string()[..20].to_owned(), format!("{digits}+0000"))
}

const OLDER: &str =
    "not applied where it differs: older-than-stored: what is stored is of a later event";
/// HL7 table 0357.
const ACCEPTED: &str = "0";
/// HL7 table 0357.
const REQUIRED_FIELD_MISSING: &str = "101";
/// HL7 table 0357.
const DATA_TYPE_ERROR: &str = "102";
/// HL7 table 0357.
const TABLE_VALUE_NOT_FOUND: &str = "103";
/// Warnings that an acknowledgement tells of one message.
const WARNINGS_TOLD_MAX: usize = 20;
/// Between two acknowledgements; MLLP's start byte never stands inside a message.
const SEPARATOR: u8 = 0x0B;
