//! Files and batches: FHS, BHS, messages, BTS, FTS.
//!
//! Splits the raw bytes (line ends are safe in every supported character set) without decoding them; one bad message
//! does not stop the rest. Counts in BTS-1 and FTS-1 are compared, not trusted.
//! Spec: HL7 v2.9 section 2.10.3.

use std::ops::Range;

use super::{delimiter::Delimiters, header::Header, tokenizer::lines};

/// The messages of a file or batch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Batch {
    /// Byte ranges of the messages, in order.
    pub messages: Vec<Range<usize>>,
    /// The BHS (or FHS) line when there is one; the answer is wrapped in a batch then.
    pub header: Option<Vec<u8>>,
    /// BTS-1 as declared by the sender.
    pub declared_messages: Option<usize>,
    /// True when the file has a batch or file envelope.
    pub is_enveloped: bool,
}

impl Batch {
    /// True when BTS-1 states another number of messages than there are.
    pub fn count_differs(&self) -> bool {
        self.declared_messages.is_some_and(|n| n != self.messages.len())
    }
}

/// Finds the messages; a plain message is a batch of one without envelope.
pub fn split(bytes: &[u8]) -> Batch {
    let mut batch =
        Batch { messages: Vec::new(), header: None, declared_messages: None, is_enveloped: false };
    let mut open: Option<usize> = None;
    for (start, end) in lines(bytes) {
        let line = &bytes[start..end];
        let lead = line
            .iter()
            .position(|b| !matches!(b, 0x0B | 0x1C | b' ' | 0xEF | 0xBB | 0xBF))
            .unwrap_or(line.len());
        let (start, line) = (start + lead, &line[lead..]);
        let Some(name) = line.get(..3) else { continue };
        if !matches!(name, b"MSH" | b"FHS" | b"BHS" | b"BTS" | b"FTS")
            || line.get(3).is_some_and(|b| !b.is_ascii_punctuation())
        {
            continue;
        }
        if let Some(from) = open.take() {
            batch.messages.push(from..start);
        }
        match name {
            b"MSH" => open = Some(start),
            b"BHS" | b"FHS" => {
                batch.is_enveloped = true;
                batch.header.get_or_insert_with(|| line.to_vec());
            }
            _ => {
                batch.is_enveloped = true;
                if name == b"BTS" {
                    batch.declared_messages = declared_count(line).or(batch.declared_messages);
                }
            }
        }
    }
    if let Some(from) = open {
        batch.messages.push(from..bytes.len());
    }
    batch
}

/// Wraps the acknowledgements of a batch: BHS with sender and receiver swapped, the answers, BTS with their number.
pub fn acknowledge(batch: &Batch, answers: &[Vec<u8>], batch_id: &str, time: &str) -> Vec<u8> {
    let line = batch.header.clone().unwrap_or_else(|| b"BHS|^~\\&".to_vec());
    let as_header = [b"MSH".as_slice(), line.get(3..).unwrap_or(b"|^~\\&")].concat();
    let delimiters = Delimiters::read(&as_header).unwrap_or(Delimiters::STANDARD);
    let mut out = Vec::new();
    let field = delimiters.field;
    let mut put = |name: &[u8], values: &[&[u8]]| {
        out.extend_from_slice(name);
        for value in values {
            out.push(field);
            out.extend_from_slice(value);
        }
        out.push(b'\r');
    };
    if let Some(h) = Header::read(&as_header) {
        let values: [&[u8]; 11] = [
            h.encoding_characters(),
            h.field(5),
            h.field(6),
            h.field(3),
            h.field(4),
            time.as_bytes(),
            b"",
            b"",
            b"",
            batch_id.as_bytes(),
            h.field(11),
        ];
        put(b"BHS", &values);
    }
    let count = answers.len().to_string();
    for answer in answers {
        out.extend_from_slice(answer);
        if answer.last() != Some(&b'\r') {
            out.push(b'\r');
        }
    }
    out.extend_from_slice(b"BTS");
    out.push(field);
    out.extend_from_slice(count.as_bytes());
    out.push(b'\r');
    out
}

fn declared_count(line: &[u8]) -> Option<usize> {
    let text = line.get(4..)?.split(|b| *b == line[3]).next()?;
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_split_and_its_count_compared() {
        let bytes =
            b"BHS|^~\\&|A|B|C|D|2026||||B1\rMSH|^~\\&|1\rPID|1\rMSH|^~\\&|2\rPID|1\rBTS|2\r";
        let batch = split(bytes);

        assert_eq!(batch.messages.len(), 2);
        assert!(bytes[batch.messages[1].clone()].starts_with(b"MSH|^~\\&|2"));
        assert!(batch.is_enveloped && !batch.count_differs());

        let answer = acknowledge(&batch, &[b"MSH|1\r".to_vec()], "R1", "20260301");
        assert_eq!(answer, b"BHS|^~\\&|C|D|A|B|20260301||||R1|B1\rMSH|1\rBTS|1\r");
    }

    #[test]
    fn a_plain_message_is_a_batch_of_one() {
        let batch = split(b"\x0bMSH|^~\\&|1\rPID|1\r\x1c\r");

        assert_eq!(batch.messages.len(), 1);
        assert!(!batch.is_enveloped);
    }
}
