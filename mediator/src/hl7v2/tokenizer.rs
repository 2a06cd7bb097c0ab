//! Text of one message to a flat table of atoms: no copies, one pass, tolerant of line ends.
//!
//! An *atom* is a non-empty piece at the lowest level that the message uses. A segment starts on a new line with
//! three characters `[A-Z][A-Z0-9]{2}` and a field separator (or nothing more); any other non-blank line continues
//! the field before it. CR, LF, CRLF and blank lines all end segments.
//! Not here: escapes (`escape`), meaning (`message`, `grammar`).

use std::{cell::Cell, collections::HashMap};

use memchr::memchr2_iter;

use super::{charset::Charset, delimiter::Delimiters, message::Message};

/// One segment of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) name: [u8; 3],
    /// Which segment of this name, from 1.
    pub(crate) occurrence: u32,
    /// Index into `Message::fields` of field 1's first atom.
    pub(crate) first_field: u32,
    /// Number of fields.
    pub(crate) fields: u32,
}

/// One non-empty piece of the message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Atom {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) segment: u32,
    pub(crate) field: u16,
    pub(crate) repetition: u16,
    pub(crate) component: u16,
    pub(crate) subcomponent: u16,
}

/// Why a message cannot be held in the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TooLarge;

/// Splits `text`; what comes before the first segment is left out.
pub(crate) fn tokenize(
    text: &str,
    delimiters: Delimiters,
    charset: Charset,
) -> Result<Message<'_>, TooLarge> {
    if text.len() > MESSAGE_BYTES_MAX {
        return Err(TooLarge);
    }
    let estimate = text.len() / 8;
    let mut table = Table {
        bytes: text.as_bytes(),
        delimiters,
        segments: Vec::with_capacity(32),
        fields: Vec::with_capacity(estimate),
        atoms: Vec::with_capacity(estimate),
    };
    let mut open: Option<usize> = None;
    for (start, end) in lines(table.bytes) {
        if starts_segment(&table.bytes[start..end], delimiters.field) {
            if let Some(from) = open {
                table.segment(from, start)?;
            }
            open = Some(start);
        }
    }
    if let Some(from) = open {
        table.segment(from, table.bytes.len())?;
    }
    table.number_occurrences();
    let marks = vec![Cell::new(0); table.atoms.len()];
    Ok(Message::new(text, delimiters, charset, table.segments, table.fields, table.atoms, marks))
}

/// Byte ranges of lines without their ends.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, usize)> + '_ {
    let mut from = 0;
    memchr2_iter(b'\r', b'\n', bytes)
        .chain(std::iter::once(bytes.len()))
        .map(move |end| {
            let line = (from, end);
            from = end + 1;
            line
        })
        .filter(|(start, end)| start < end)
}

/// True when a line opens a segment.
pub(crate) fn starts_segment(line: &[u8], field_separator: u8) -> bool {
    line.len() >= 3
        && line[0].is_ascii_uppercase()
        && line[1..3].iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && line.get(3).is_none_or(|b| *b == field_separator)
}

struct Table<'t> {
    bytes: &'t [u8],
    delimiters: Delimiters,
    segments: Vec<Segment>,
    fields: Vec<u32>,
    atoms: Vec<Atom>,
}

impl Table<'_> {
    fn segment(&mut self, from: usize, to: usize) -> Result<(), TooLarge> {
        if self.segments.len() >= SEGMENTS_MAX || self.atoms.len() >= ATOMS_MAX {
            return Err(TooLarge);
        }
        let mut end = to;
        while end > from && matches!(self.bytes[end - 1], b'\r' | b'\n') {
            end -= 1;
        }
        let name = [self.bytes[from], self.bytes[from + 1], self.bytes[from + 2]];
        let first_field = as_u32(self.fields.len());
        let mut at = from + 3;
        if is_header(name) && at < end {
            // MSH-1 is the separator itself, MSH-2 must not be split.
            self.fields.push(as_u32(self.atoms.len()));
            self.atom(at, at + 1, [1, 1, 1, 1]);
            let stop = self.next_field(at + 1, end);
            self.fields.push(as_u32(self.atoms.len()));
            self.atom(at + 1, stop, [2, 1, 1, 1]);
            at = stop;
        }
        while at < end {
            let number = self.fields.len() - first_field as usize + 1;
            if number > FIELDS_MAX {
                return Err(TooLarge);
            }
            let stop = self.next_field(at + 1, end);
            self.fields.push(as_u32(self.atoms.len()));
            self.field(at + 1, stop, u16::try_from(number).map_err(|_| TooLarge)?)?;
            at = stop;
        }
        let fields = as_u32(self.fields.len()) - first_field;
        self.fields.push(as_u32(self.atoms.len()));
        self.segments.push(Segment { name, occurrence: 1, first_field, fields });
        Ok(())
    }

    fn next_field(&self, from: usize, end: usize) -> usize {
        memchr::memchr(self.delimiters.field, &self.bytes[from..end]).map_or(end, |n| from + n)
    }

    fn field(&mut self, from: usize, to: usize, number: u16) -> Result<(), TooLarge> {
        let d = self.delimiters;
        let mut place = [number, 1, 1, 1];
        let mut start = from;
        for at in from..to {
            let byte = self.bytes[at];
            let level = if byte == d.component {
                2
            } else if byte == d.repetition {
                1
            } else if byte == d.subcomponent {
                3
            } else {
                continue;
            };
            self.atom(start, at, place);
            place[level] = place[level].checked_add(1).ok_or(TooLarge)?;
            place[level + 1..].fill(1);
            start = at + 1;
        }
        self.atom(start, to, place);
        Ok(())
    }

    fn atom(&mut self, start: usize, end: usize, place: [u16; 4]) {
        if start < end {
            let [field, repetition, component, subcomponent] = place;
            self.atoms.push(Atom {
                start: as_u32(start),
                end: as_u32(end),
                segment: as_u32(self.segments.len()),
                field,
                repetition,
                component,
                subcomponent,
            });
        }
    }

    fn number_occurrences(&mut self) {
        let mut seen: HashMap<[u8; 3], u32> = HashMap::with_capacity(16);
        for segment in &mut self.segments {
            let count = seen.entry(segment.name).or_default();
            *count += 1;
            segment.occurrence = *count;
        }
    }
}

fn is_header(name: [u8; 3]) -> bool {
    matches!(&name, b"MSH" | b"BHS" | b"FHS")
}

fn as_u32(n: usize) -> u32 {
    u32::try_from(n).expect("messages are at most MESSAGE_BYTES_MAX bytes")
}

/// Largest message, the frame limit of the listener.
pub(crate) const MESSAGE_BYTES_MAX: usize = 128 << 20;
const SEGMENTS_MAX: usize = 50_000;
const ATOMS_MAX: usize = 8_000_000;
const FIELDS_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Message<'_> {
        tokenize(text, Delimiters::STANDARD, Charset::UTF_8).expect("small")
    }

    #[test]
    fn all_line_ends_give_the_same_segments() {
        let wanted = ["MSH", "EVN", "PID"];
        for end in ["\r", "\n", "\r\n", "\r\r", "\n\n"] {
            let text = ["MSH|^~\\&|A", "EVN|", "PID|1||7"].join(end) + end;
            let message = read(&text);
            let names: Vec<_> = message.segments().map(|s| s.name().to_owned()).collect();
            assert_eq!(names, wanted);
            assert_eq!(
                message.segments().nth(2).expect("PID").field(3).text().as_deref(),
                Some("7")
            );
        }
    }

    #[test]
    fn a_line_that_is_no_segment_continues_the_field() {
        let message = read("MSH|^~\\&|A\rNTE|1||line one\nline two|x\r");
        let note = message.segments().nth(1).expect("NTE");

        assert_eq!(note.field(3).text().as_deref(), Some("line one\nline two"));
        assert_eq!(note.field(4).text().as_deref(), Some("x"));
    }

    #[test]
    fn repetitions_components_and_subcomponents_are_found_by_number() {
        let message = read("MSH|^~\\&|A\rPID|||1^^^H&1.2&ISO^MR~2||D^J");
        let field = message.segments().nth(1).expect("PID").field(3);

        assert_eq!(field.repetition(1).component(4).sub(2).text().as_deref(), Some("1.2"));
        assert_eq!(field.repetition(2).component(1).text().as_deref(), Some("2"));
        assert_eq!(field.repetitions().count(), 2);
        assert!(field.repetition(2).component(4).is_empty());
    }
}
