//! Where in the source message a value, a rule or a complaint sits.
//!
//! Text form `PID-3[2].1`: segment, field, repetition (left out when 1), component, subcomponent;
//! a segment that is not the first of its name carries its occurrence, `OBX[3]-5`.
//! Not here: XPath or row and column places of other source formats.

use std::fmt;

/// A position in an HL7 v2 message; every number counts from 1, and 0 means "the whole above it".
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// Segment name, three ASCII bytes.
    pub segment: [u8; 3],
    /// Which segment of this name, from 1.
    pub occurrence: u32,
    /// Field number as the standard counts (MSH-1 is the separator itself).
    pub field: u16,
    /// Repetition of the field.
    pub repetition: u16,
    /// Component of the repetition.
    pub component: u16,
    /// Subcomponent of the component.
    pub subcomponent: u16,
}

impl Place {
    /// The whole first segment of this name.
    pub fn segment(name: &str) -> Self {
        let mut segment = *b"???";
        for (to, from) in segment.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        Self { segment, occurrence: 1, ..Self::default() }
    }

    /// One field of the first segment of this name.
    pub fn field(name: &str, field: u16) -> Self {
        Self { field, ..Self::segment(name) }
    }

    /// The segment's name as text.
    pub fn name(&self) -> &str {
        std::str::from_utf8(&self.segment).unwrap_or("???")
    }

    /// The value of an `ERR-2` (datatype ERL): segment, sequence, field, repetition, component, subcomponent.
    pub fn error_location(&self, component_separator: char) -> String {
        let mut text = format!("{}{component_separator}{}", self.name(), self.occurrence.max(1));
        for number in [self.field, self.repetition, self.component, self.subcomponent] {
            if number == 0 {
                break;
            }
            text.push(component_separator);
            text.push_str(&number.to_string());
        }
        text
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())?;
        if self.occurrence > 1 {
            write!(out, "[{}]", self.occurrence)?;
        }
        if self.field == 0 {
            return Ok(());
        }
        write!(out, "-{}", self.field)?;
        if self.repetition > 1 {
            write!(out, "[{}]", self.repetition)?;
        }
        if self.component > 0 {
            write!(out, ".{}", self.component)?;
            if self.subcomponent > 1 {
                write!(out, ".{}", self.subcomponent)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_as_analysts_write_it() {
        let place = Place { repetition: 2, component: 1, ..Place::field("PID", 3) };

        assert_eq!(place.to_string(), "PID-3[2].1");
        assert_eq!(place.error_location('^'), "PID^1^3^2^1");
        assert_eq!(Place { occurrence: 3, ..Place::field("OBX", 5) }.to_string(), "OBX[3]-5");
    }
}
