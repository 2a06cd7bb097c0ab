//! The acknowledgement of a message: its codes, what of an applied message is in no resource, and its bytes.
//!
//! Spec: HL7 v2.5 chapter 2 (ERR, table 0516: W is "applied, but there may be issues"), v2.9 §2.9.
//! Not here: how a message ended (`super`).

use mediator::hl7v2::ack::{AckCode, AckError, Severity, Verdict, acknowledge, wanted};
use mediator::{Conversion, Place, Warning};

use super::{Message, Reply, State};
use crate::clock;

/// What of a message is in no resource, for its acknowledgement and the log: codes and places, never a value. ERR with a
/// severity is of HL7 v2.5 (table 0516: applied, but there may be issues); who speaks an older version is not told.
pub(super) fn warned(message: &Message<'_>, conversion: &Conversion) -> Vec<AckError> {
    let mut lost: Vec<&Warning> = conversion.warnings.iter().filter(|w| w.loses()).collect();
    // Every time of a sender without a zone is one of these; they leave room for what is rarer.
    lost.sort_by_key(|warning| warning.wants_zone());
    log(message, &lost);
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

/// One line for each kind of warning.
fn log(message: &Message<'_>, lost: &[&Warning]) {
    for (n, warning) in lost.iter().enumerate() {
        if lost[..n].iter().any(|before| before.code == warning.code) {
            continue;
        }
        let count = lost.iter().filter(|other| other.code == warning.code).count();
        tracing::warn!(
            message.control_id = message.control_id,
            message.sender = message.sender,
            message.warning = warning.code,
            message.place = %warning.place,
            message.warnings = count,
            "something of a message could not be used"
        );
    }
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
