//! Acknowledgements: which codes a sender wants (original and enhanced mode) and the message that carries them.
//!
//! Spec: HL7 v2.9 sections 2.9.2 and 2.9.3, tables 0008, 0155, 0357, 0516. The answer uses the sender's separators and
//! character set (it adds ASCII only), repeats MSH-10 byte for byte and swaps MSH-3/4 with MSH-5/6.
//! Pure: the caller gives message id and time. Not here: when an acknowledgement may be sent (`gateway`).

use super::header::{Condition, Header};
use crate::{
    error::{ConvertError, Disposition},
    place::Place,
};

/// HL7 table 0008.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AckCode {
    /// AA.
    ApplicationAccept,
    /// AE.
    ApplicationError,
    /// AR.
    ApplicationReject,
    /// CA.
    CommitAccept,
    /// CE.
    CommitError,
    /// CR.
    CommitReject,
}

impl AckCode {
    /// The code as MSA-1 carries it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApplicationAccept => "AA",
            Self::ApplicationError => "AE",
            Self::ApplicationReject => "AR",
            Self::CommitAccept => "CA",
            Self::CommitError => "CE",
            Self::CommitReject => "CR",
        }
    }
}

/// How processing ended, as far as an acknowledgement tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Applied, unchanged, stale or filtered.
    Accepted,
    /// Quarantined: AE.
    Error,
    /// Would fail again unchanged: AR.
    Reject,
}

impl Verdict {
    /// The code of the original mode.
    pub fn code(self) -> AckCode {
        match self {
            Self::Accepted => AckCode::ApplicationAccept,
            Self::Error => AckCode::ApplicationError,
            Self::Reject => AckCode::ApplicationReject,
        }
    }
}

impl From<Disposition> for Verdict {
    fn from(disposition: Disposition) -> Self {
        match disposition {
            Disposition::Filtered => Self::Accepted,
            Disposition::Quarantined => Self::Error,
            Disposition::Rejected => Self::Reject,
        }
    }
}

/// Which acknowledgements a sender wants for one outcome.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Wanted {
    /// To answer on the same connection.
    pub first: Option<AckCode>,
    /// To send afterwards as a message of its own (enhanced mode with MSH-16).
    pub second: Option<AckCode>,
    /// MSH-15 or MSH-16 holds a code that table 0155 does not have; it was read as absent.
    pub condition_unknown: bool,
}

/// Applies MSH-15 and MSH-16 to an outcome.
pub fn wanted(header: &Header, verdict: Verdict) -> Wanted {
    let (accept, application) = (header.accept_condition(), header.application_condition());
    let condition_unknown = [accept, application].contains(&Condition::Unknown);
    let accepted = verdict == Verdict::Accepted;
    let holds = |condition: Condition, absent: bool| match condition {
        Condition::Always => true,
        Condition::Never => false,
        Condition::OnError => !accepted,
        Condition::OnSuccess => accepted,
        Condition::Absent | Condition::Unknown => absent,
    };
    let application_code = verdict.code();
    if holds(accept, false) {
        let first = Some(match verdict {
            Verdict::Accepted => AckCode::CommitAccept,
            Verdict::Error => AckCode::CommitError,
            Verdict::Reject => AckCode::CommitReject,
        });
        let second = holds(application, false).then_some(application_code);
        return Wanted { first, second, condition_unknown };
    }
    let first = holds(application, true).then_some(application_code);
    Wanted { first, second: None, condition_unknown }
}

/// One ERR segment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AckError {
    /// ERR-2.
    pub place: Option<Place>,
    /// ERR-3, HL7 table 0357.
    pub code: String,
    /// ERR-4, HL7 table 0516.
    pub severity: Severity,
    /// ERR-8, one sentence without patient data.
    pub text: String,
}

/// HL7 table 0516.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    /// E.
    Error,
    /// W.
    Warning,
}

impl From<&ConvertError> for AckError {
    fn from(error: &ConvertError) -> Self {
        Self {
            place: error.place,
            code: error.reason.table_0357().to_owned(),
            severity: Severity::Error,
            text: error.text.clone(),
        }
    }
}

/// The acknowledgement message.
///
/// `message_id` becomes MSH-10 and `time` (an HL7 timestamp) MSH-7. Without a header (the frame had no readable MSH)
/// the standard separators are used and MSA-2 stays empty.
pub fn acknowledge(
    header: Option<&Header>,
    code: AckCode,
    errors: &[AckError],
    message_id: &str,
    time: &str,
) -> Vec<u8> {
    let fallback = Header::read(b"MSH|^~\\&|||||||||P|2.5.1").expect("a constant header");
    let h = header.unwrap_or(&fallback);
    let mut out = Vec::with_capacity(256);
    let trigger = h.message_type(2);
    let component = h.delimiters().component;
    let mut kind = b"ACK".to_vec();
    if trigger.bytes().all(|b| b.is_ascii_alphanumeric())
        && !trigger.is_empty()
        && component != 0xFF
    {
        for part in [trigger.as_bytes(), b"ACK"] {
            kind.push(component);
            kind.extend_from_slice(part);
        }
    }
    let version: &[u8] = if h.field(12).is_empty() { b"2.5.1" } else { h.field(12) };
    let processing: &[u8] = if h.field(11).is_empty() { b"P" } else { h.field(11) };
    let mut msh: Vec<&[u8]> = vec![
        h.encoding_characters(),
        h.field(5),
        h.field(6),
        h.field(3),
        h.field(4),
        time.as_bytes(),
        b"",
        &kind,
        message_id.as_bytes(),
        processing,
        version,
    ];
    if !h.field(18).is_empty() {
        msh.extend_from_slice(&[b"", b"", b"", b"", b"", h.field(18)]);
    }
    put(&mut out, h, b"MSH", &msh);
    put(&mut out, h, b"MSA", &[code.as_str().as_bytes(), h.control_id()]);
    for error in errors {
        put_error(&mut out, h, error);
    }
    out
}

fn put_error(out: &mut Vec<u8>, h: &Header, error: &AckError) {
    let component = char::from(h.delimiters().component);
    let place = match error.place {
        Some(place) if component.is_ascii() => place.error_location(component),
        _ => String::new(),
    };
    let code = format!("{0}{component}{1}{component}HL70357", error.code, meaning(&error.code));
    let code = if component.is_ascii() { code } else { error.code.clone() };
    let severity = match error.severity {
        Severity::Error => "E",
        Severity::Warning => "W",
    };
    let text = plain(h, &error.text);
    put(
        out,
        h,
        b"ERR",
        &[
            b"",
            place.as_bytes(),
            code.as_bytes(),
            severity.as_bytes(),
            b"",
            b"",
            b"",
            text.as_bytes(),
        ],
    );
}

fn put(out: &mut Vec<u8>, header: &Header, name: &[u8], fields: &[&[u8]]) {
    out.extend_from_slice(name);
    for field in fields {
        out.push(header.delimiters().field);
        out.extend_from_slice(field);
    }
    out.push(b'\r');
}

/// ASCII text without the sender's separators.
fn plain(header: &Header, text: &str) -> String {
    let d = header.delimiters();
    let special = [d.field, d.component, d.repetition, d.escape, d.subcomponent];
    text.bytes()
        .map(|b| match b {
            b if special.contains(&b) => ' ',
            b' '..=b'~' => char::from(b),
            _ => ' ',
        })
        .collect()
}

fn meaning(code: &str) -> &'static str {
    match code {
        "0" => "accepted",
        "100" => "segment sequence error",
        "101" => "required field missing",
        "102" => "data type error",
        "103" => "table value not found",
        "200" => "unsupported message type",
        "201" => "unsupported event code",
        "202" => "unsupported processing id",
        "203" => "unsupported version id",
        "204" => "unknown key identifier",
        "205" => "duplicate key identifier",
        "206" => "application record locked",
        _ => "application internal error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(msh15: &str, msh16: &str) -> Header {
        let text = format!("MSH|^~\\&|A|B|C|D|1||ADT^A01^ADT_A01|7|P|2.5.1|||{msh15}|{msh16}");
        Header::read(text.as_bytes()).expect("an MSH")
    }

    #[test]
    fn codes_follow_the_table_of_both_modes() {
        use AckCode::*;
        let rows = [
            ("", "", [Some(ApplicationAccept), Some(ApplicationError), Some(ApplicationReject)]),
            ("NE", "", [Some(ApplicationAccept), Some(ApplicationError), Some(ApplicationReject)]),
            ("AL", "", [Some(CommitAccept), Some(CommitError), Some(CommitReject)]),
            ("ER", "", [Some(ApplicationAccept), Some(CommitError), Some(CommitReject)]),
            ("SU", "", [Some(CommitAccept), Some(ApplicationError), Some(ApplicationReject)]),
            ("XX", "", [Some(ApplicationAccept), Some(ApplicationError), Some(ApplicationReject)]),
            ("NE", "ER", [None, Some(ApplicationError), Some(ApplicationReject)]),
            ("ER", "NE", [None, Some(CommitError), Some(CommitReject)]),
        ];
        for (accept, application, codes) in rows {
            for (verdict, code) in
                [Verdict::Accepted, Verdict::Error, Verdict::Reject].into_iter().zip(codes)
            {
                let got = wanted(&header(accept, application), verdict);
                assert_eq!(got.first, code, "{accept} {application} {verdict:?}");
            }
        }
        let both = wanted(&header("AL", "AL"), Verdict::Accepted);
        assert_eq!((both.first, both.second), (Some(CommitAccept), Some(ApplicationAccept)));
        assert!(wanted(&header("XX", ""), Verdict::Accepted).condition_unknown);
    }

    #[test]
    fn the_answer_uses_the_senders_separators_and_repeats_its_control_id() {
        let header =
            Header::read(b"MSH*:!?%*EMR*H\xFC*GW*HIE*2026**ADT:A01*E 17*P*2.3******8859/1")
                .expect("an MSH");
        let error = AckError {
            place: Some(Place { repetition: 2, component: 1, ..Place::field("PID", 3) }),
            code: "101".to_owned(),
            severity: Severity::Error,
            text: "no patient: identifier".to_owned(),
        };

        let answer = acknowledge(
            Some(&header),
            AckCode::ApplicationError,
            &[error],
            "R1",
            "20260301120000+0000",
        );

        let wanted = b"MSH*:!?%*GW*HIE*EMR*H\xFC*20260301120000+0000**ACK:A01:ACK*R1*P*2.3******8859/1\rMSA*AE*E 17\r\
            ERR**PID:1:3:2:1*101:required field missing:HL70357*E****no patient  identifier\r";
        assert_eq!(answer, wanted);
    }

    #[test]
    fn a_frame_without_header_still_gets_an_answer() {
        let answer = acknowledge(None, AckCode::ApplicationError, &[], "R1", "2026");

        assert_eq!(answer, b"MSH|^~\\&|||||2026||ACK|R1|P|2.5.1\rMSA|AE|\r");
    }
}
