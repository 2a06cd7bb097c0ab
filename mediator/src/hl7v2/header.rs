//! The header segment as raw bytes: what answering and deduplicating need, readable before any decoding.
//!
//! Values are bytes exactly as received, so that an acknowledgement can repeat them byte for byte.
//! Not here: the mapping of MSH to resources (`rules/base`).

use super::{delimiter::Delimiters, tokenizer::lines};

/// The fields of an MSH segment, unescaped and undecoded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    delimiters: Delimiters,
    encoding_characters: Vec<u8>,
    fields: Vec<Vec<u8>>,
}

impl Header {
    /// Reads the first MSH segment of a message, a frame or a file; `None` when there is none.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (start, end) = lines(strip(bytes))
            .take(LINES_MAX)
            .find(|(s, e)| strip(bytes)[*s..*e].starts_with(b"MSH"))?;
        let line = &strip(bytes)[start..end];
        let delimiters = Delimiters::read(line)?;
        let mut fields = line.get(4..)?.split(|b| *b == delimiters.field).map(<[u8]>::to_vec);
        let encoding_characters = fields.next().unwrap_or_default();
        let fields = fields.take(FIELDS_MAX).collect();
        Some(Self { delimiters, encoding_characters, fields })
    }

    /// The separators that the sender declares.
    pub fn delimiters(&self) -> Delimiters {
        self.delimiters
    }

    /// MSH-2.
    pub fn encoding_characters(&self) -> &[u8] {
        &self.encoding_characters
    }

    /// A field by the standard's number, from 3; empty when absent.
    pub fn field(&self, number: usize) -> &[u8] {
        number.checked_sub(3).and_then(|n| self.fields.get(n)).map_or(b"", Vec::as_slice)
    }

    /// MSH-10, byte for byte.
    pub fn control_id(&self) -> &[u8] {
        self.field(10)
    }

    /// MSH-3 and MSH-4: who sends, the scope in which a control id is unique.
    pub fn sender(&self) -> (&[u8], &[u8]) {
        (self.field(3), self.field(4))
    }

    /// MSH-15, what the sender wants as accept acknowledgement.
    pub fn accept_condition(&self) -> Condition {
        Condition::parse(self.field(15))
    }

    /// MSH-16, what the sender wants as application acknowledgement.
    pub fn application_condition(&self) -> Condition {
        Condition::parse(self.field(16))
    }

    /// Component of MSH-9 as text: 1 code, 2 trigger event, 3 structure.
    pub fn message_type(&self, component: usize) -> String {
        let text = self
            .field(9)
            .split(|b| *b == self.delimiters.component)
            .nth(component.saturating_sub(1))
            .unwrap_or_default();
        String::from_utf8_lossy(text).trim().to_uppercase()
    }
}

/// HL7 table 0155: when an acknowledgement is wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Condition {
    /// The field is empty: original mode.
    Absent,
    /// AL.
    Always,
    /// NE.
    Never,
    /// ER: on errors and rejects only.
    OnError,
    /// SU: on success only.
    OnSuccess,
    /// Any other text; treated as absent, with a warning.
    Unknown,
}

impl Condition {
    fn parse(text: &[u8]) -> Self {
        match text.trim_ascii().to_ascii_uppercase().as_slice() {
            b"" => Self::Absent,
            b"AL" => Self::Always,
            b"NE" => Self::Never,
            b"ER" => Self::OnError,
            b"SU" => Self::OnSuccess,
            _ => Self::Unknown,
        }
    }
}

/// Leaves out what wraps a message in frames and files: byte-order mark, MLLP bytes, blanks.
pub(crate) fn strip(bytes: &[u8]) -> &[u8] {
    let wrapped = |b: &u8| b.is_ascii_whitespace() || matches!(b, 0x0B | 0x1C | 0);
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let start = bytes.iter().position(|b| !wrapped(b)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|b| !wrapped(b)).map_or(start, |n| n + 1);
    let bytes = &bytes[start..end];
    bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)
}

const LINES_MAX: usize = 16;
const FIELDS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_fields_are_the_senders_bytes() {
        let header =
            Header::read(b"\x0bMSH|^~\\&|A\xFC|B|C|D|2026||ADT^A01^ADT_A01|X 1|P|2.5\rPID|1")
                .expect("has an MSH");

        assert_eq!(header.control_id(), b"X 1");
        assert_eq!(header.sender(), (b"A\xFC".as_slice(), b"B".as_slice()));
        assert_eq!(header.message_type(2), "A01");
        assert_eq!(header.accept_condition(), Condition::Absent);
        assert_eq!(Header::read(b"PID|1"), None);
    }
}
