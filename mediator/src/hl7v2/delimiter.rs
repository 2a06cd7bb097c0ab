//! The separators that a message declares in MSH-1 and MSH-2 (also FHS and BHS).
//!
//! Spec: HL7 v2.9 section 2.5.4. Five encoding characters since 2.7 (`#` truncation); senders with only three
//! do without subcomponents. A separator is one ASCII byte, never a letter, digit, blank or control character.

/// The separators of one message. An absent one is [`ABSENT`], a byte that UTF-8 text never holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Delimiters {
    /// Between fields, MSH-1.
    pub field: u8,
    /// Between components.
    pub component: u8,
    /// Between repetitions.
    pub repetition: u8,
    /// Opens and closes an escape sequence.
    pub escape: u8,
    /// Between subcomponents.
    pub subcomponent: u8,
    /// Marks a truncated value (2.7 and later).
    pub truncation: u8,
}

impl Delimiters {
    /// The usual `|^~\&`.
    pub const STANDARD: Self = Self {
        field: b'|',
        component: b'^',
        repetition: b'~',
        escape: b'\\',
        subcomponent: b'&',
        truncation: ABSENT,
    };

    /// Reads them from a header segment (`MSH|^~\&|…`); `None` when the segment has no usable MSH-1.
    pub fn read(header: &[u8]) -> Option<Self> {
        let field = *header.get(3).filter(|b| is_separator(**b))?;
        let rest = &header[4..];
        let end = rest
            .iter()
            .position(|b| *b == field || matches!(b, b'\r' | b'\n'))
            .unwrap_or(rest.len());
        let declared = &rest[..end];
        if declared.is_empty() {
            return Some(Self { field, ..Self::STANDARD });
        }
        let at = |i: usize| declared.get(i).copied().filter(|b| is_separator(*b)).unwrap_or(ABSENT);
        Some(Self {
            field,
            component: at(0),
            repetition: at(1),
            escape: at(2),
            subcomponent: at(3),
            truncation: at(4),
        })
    }
}

fn is_separator(byte: u8) -> bool {
    byte.is_ascii_punctuation()
}

/// Stands for a separator that the message does not declare.
pub const ABSENT: u8 = 0xFF;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_those_the_sender_declares() {
        let custom = Delimiters::read(b"MSH*:!?%*EMR").expect("declares all");
        assert_eq!((custom.field, custom.component, custom.repetition), (b'*', b':', b'!'));
        assert_eq!((custom.escape, custom.subcomponent, custom.truncation), (b'?', b'%', ABSENT));

        let three = Delimiters::read(b"MSH|^~\\|EMR").expect("declares three");
        assert_eq!(three.subcomponent, ABSENT);
        assert_eq!(Delimiters::read(b"MSH|^~\\&#|").expect("declares five").truncation, b'#');
        assert_eq!(Delimiters::read(b"MSH"), None);
        assert_eq!(Delimiters::read(b"MSHA"), None);
    }
}
