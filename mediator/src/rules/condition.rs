//! Conditions of rules: a small language without loops.
//!
//! `PID-29 valued`, `PV1-2 = I`, `OBX-2 in (NM, SN)`, `event in (A02)`, `not …`, `… and …`, `… or …`, parentheses.
//! A field of the rule's own segment is read there; of another one, in its first occurrence before it in the message
//! (so `OBR-2` in an ORC rule is the next OBR's, see `Scope`). Reading a condition does not count as mapping.

use crate::hl7v2::message::SegmentView;

/// A compiled condition.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Valued(FieldRef),
    Equals(FieldRef, Vec<Box<str>>),
    Event(Vec<Box<str>>),
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
}

/// `PID-3.4.2`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct FieldRef {
    pub(crate) segment: [u8; 3],
    pub(crate) field: u16,
    pub(crate) component: u16,
    pub(crate) subcomponent: u16,
}

impl FieldRef {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once('-')?;
        let segment: [u8; 3] = name.as_bytes().try_into().ok()?;
        if !segment.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) {
            return None;
        }
        let mut numbers = rest.split('.').map(|n| n.parse::<u16>().ok().filter(|n| *n > 0));
        let field = numbers.next()??;
        let component = numbers.next().map_or(Some(0), |n| n)?;
        let subcomponent = numbers.next().map_or(Some(0), |n| n)?;
        numbers.next().is_none().then_some(Self { segment, field, component, subcomponent })
    }
}

impl Condition {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = tokenize(text);
        tokens.reverse();
        let condition = either(&mut tokens)?;
        match tokens.pop() {
            None => Ok(condition),
            Some(extra) => Err(format!("unexpected `{extra}` in condition")),
        }
    }

    /// Whether it holds for a segment within a message about this trigger event.
    pub(crate) fn holds(&self, segment: SegmentView<'_>, event: &str) -> bool {
        match self {
            Self::Valued(field) => read(*field, segment).is_some(),
            Self::Equals(field, values) => {
                read(*field, segment).is_some_and(|v| values.iter().any(|w| **w == *v))
            }
            Self::Event(events) => events.iter().any(|e| **e == *event),
            Self::Not(inner) => !inner.holds(segment, event),
            Self::And(a, b) => a.holds(segment, event) && b.holds(segment, event),
            Self::Or(a, b) => a.holds(segment, event) || b.holds(segment, event),
        }
    }
}

fn read<'m>(field: FieldRef, segment: SegmentView<'m>) -> Option<std::borrow::Cow<'m, str>> {
    let from = if segment.name_bytes() == field.segment {
        segment
    } else {
        neighbour(segment, field.segment)?
    };
    let slice = from.field(field.field);
    match (field.component, field.subcomponent) {
        (0, _) => slice.is_valued().then(|| slice.peek().unwrap_or("…".into())),
        (component, 0) => {
            let slice = slice.component(component);
            slice.is_valued().then(|| slice.peek().unwrap_or("…".into()))
        }
        (component, sub) => slice.component(component).sub(sub).peek(),
    }
}

/// The nearest segment of another name: the next one within reach, else the last one before.
fn neighbour(segment: SegmentView<'_>, name: [u8; 3]) -> Option<SegmentView<'_>> {
    let message = segment.message();
    let count = message.segments().len();
    let after = (segment.index() + 1..count.min(segment.index() + 1 + REACH))
        .map(|i| message.segment(i))
        .take_while(|s| s.name_bytes() != segment.name_bytes())
        .find(|s| s.name_bytes() == name);
    let before = || {
        (segment.index().saturating_sub(REACH)..segment.index())
            .rev()
            .map(|i| message.segment(i))
            .find(|s| s.name_bytes() == name)
    };
    after.or_else(before)
}

fn tokenize(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    for word in text.split_whitespace() {
        let mut token = String::new();
        for c in word.chars() {
            if matches!(c, '(' | ')' | ',' | '=') {
                if !token.is_empty() {
                    tokens.push(std::mem::take(&mut token));
                }
                tokens.push(c.to_string());
            } else {
                token.push(c);
            }
        }
        if !token.is_empty() {
            tokens.push(token);
        }
    }
    tokens
}

fn either(tokens: &mut Vec<String>) -> Result<Condition, String> {
    let mut left = both(tokens)?;
    while tokens.last().is_some_and(|t| t == "or") {
        tokens.pop();
        left = Condition::Or(Box::new(left), Box::new(both(tokens)?));
    }
    Ok(left)
}

fn both(tokens: &mut Vec<String>) -> Result<Condition, String> {
    let mut left = single(tokens)?;
    while tokens.last().is_some_and(|t| t == "and") {
        tokens.pop();
        left = Condition::And(Box::new(left), Box::new(single(tokens)?));
    }
    Ok(left)
}

fn single(tokens: &mut Vec<String>) -> Result<Condition, String> {
    let token = tokens.pop().ok_or("condition ends early")?;
    match token.as_str() {
        "not" => return Ok(Condition::Not(Box::new(single(tokens)?))),
        "(" => {
            let inner = either(tokens)?;
            return match tokens.pop().as_deref() {
                Some(")") => Ok(inner),
                _ => Err("missing `)` in condition".to_owned()),
            };
        }
        "event" => {
            expect(tokens, "in")?;
            return Ok(Condition::Event(list(tokens)?));
        }
        _ => {}
    }
    let field = FieldRef::parse(&token).ok_or(format!("`{token}` is not a field"))?;
    match tokens.pop().as_deref() {
        Some("valued") => Ok(Condition::Valued(field)),
        Some("not") => {
            expect(tokens, "valued")?;
            Ok(Condition::Not(Box::new(Condition::Valued(field))))
        }
        Some("=") => {
            let value = tokens.pop().ok_or("condition ends early")?;
            Ok(Condition::Equals(field, vec![value.into()]))
        }
        Some("in") => Ok(Condition::Equals(field, list(tokens)?)),
        other => {
            Err(format!("expected `valued`, `=` or `in`, not `{}`", other.unwrap_or("nothing")))
        }
    }
}

fn expect(tokens: &mut Vec<String>, wanted: &str) -> Result<(), String> {
    match tokens.pop() {
        Some(token) if token == wanted => Ok(()),
        other => Err(format!("expected `{wanted}`, not `{}`", other.unwrap_or_default())),
    }
}

fn list(tokens: &mut Vec<String>) -> Result<Vec<Box<str>>, String> {
    expect(tokens, "(")?;
    let mut values = Vec::new();
    loop {
        values.push(tokens.pop().ok_or("condition ends early")?.into());
        match tokens.pop().as_deref() {
            Some(",") => {}
            Some(")") => return Ok(values),
            _ => return Err("missing `)` in condition".to_owned()),
        }
    }
}

/// How many segments away a neighbour may be.
const REACH: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hl7v2::{charset::Charset, delimiter::Delimiters, tokenizer::tokenize};

    #[test]
    fn conditions_read_the_message() {
        let text = "MSH|^~\\&|A\rORC|RE|7\rOBR|1|8^X||C^D^LN\rOBX|1|NM";
        let message = tokenize(text, Delimiters::STANDARD, Charset::UTF_8).expect("small");
        let (orc, obx) = (message.segment(1), message.segment(3));
        let holds = |text: &str, segment| Condition::parse(text).expect(text).holds(segment, "R01");

        assert!(holds("OBR-2 valued", orc));
        assert!(holds("OBR-3 not valued and (event in (R01) or ORC-9 valued)", orc));
        assert!(holds("OBX-2 in (NM, SN)", obx));
        assert!(holds("not OBX-2 = ST", obx));
        assert!(holds("OBR-4.3 = LN", obx));
        for bad in ["", "OBX", "OBX-2", "OBX-2 in (NM", "event R01", "OBX-2 = A B", "obx-2 valued"]
        {
            assert!(Condition::parse(bad).is_err(), "{bad}");
        }
    }
}
