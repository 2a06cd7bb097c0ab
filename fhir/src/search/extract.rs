//! Elements of each datatype into values of each parameter type.
//!
//! Spec: FHIR R4 search.html sections 3.1.1.4.6 to 3.1.1.4.14. A value that is not as its type
//! says yields nothing; resources were checked before.
//! Not here: which elements (`program`), quantities and dates (`measure`).

use std::borrow::Cow;

use crate::{Kind, Node, ResourceType, TimeRange};

use super::context::Context;
use super::decimal::{NumberRange, parse_decimal};
use super::measure;
use super::param::ParamKind;
use super::value::{Target, Token, TypeOfIdentifier, Value};

/// How an element of one datatype is read for one kind of parameter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reader {
    TokenBoolean,
    TokenCode { system: &'static str },
    TokenCoding,
    TokenConcept,
    TokenContact,
    TokenIdentifier,
    TokenText,
    ReferenceCanonical,
    ReferenceInline,
    ReferenceLiteral,
    DatePeriod,
    DateText,
    DateTiming,
    NumberDecimal,
    NumberRange,
    QuantityAmount,
    QuantityMoney,
    QuantityRange,
    QuantitySampled,
    StringAddress,
    StringConcept,
    StringMember(&'static str),
    StringName,
    StringText,
    UriText,
    Position,
    Presence,
    Extension(ParamKind),
}

type Sink<'s, 't> = &'s mut dyn FnMut(Value<'t>);

impl Reader {
    /// The reader for a parameter's kind and an element's type, if the standard pairs them.
    pub(crate) fn of(kind: ParamKind, data_type: &str, system: &'static str) -> Option<Self> {
        if data_type == "Extension" {
            return Some(Self::Extension(kind));
        }
        match kind {
            ParamKind::Token => Self::of_token(data_type, system),
            ParamKind::Reference => match data_type {
                "Reference" => Some(Self::ReferenceLiteral),
                "canonical" | "uri" | "url" => Some(Self::ReferenceCanonical),
                "Resource" => Some(Self::ReferenceInline),
                _ => None,
            },
            ParamKind::Date => match data_type {
                "date" | "dateTime" | "instant" => Some(Self::DateText),
                "Period" => Some(Self::DatePeriod),
                "Timing" => Some(Self::DateTiming),
                _ => None,
            },
            ParamKind::Number => match data_type {
                "decimal" | "integer" | "positiveInt" | "unsignedInt" => Some(Self::NumberDecimal),
                "Range" => Some(Self::NumberRange),
                _ => None,
            },
            ParamKind::Quantity => match data_type {
                "Age" | "Count" | "Distance" | "Duration" | "Quantity" => {
                    Some(Self::QuantityAmount)
                }
                "Money" => Some(Self::QuantityMoney),
                "Range" => Some(Self::QuantityRange),
                "SampledData" => Some(Self::QuantitySampled),
                _ => None,
            },
            ParamKind::String => Self::of_string(data_type),
            ParamKind::Uri => is_text(data_type).then_some(Self::UriText),
            ParamKind::Special => (data_type == "BackboneElement").then_some(Self::Position),
            ParamKind::Composite => None,
        }
    }

    fn of_token(data_type: &str, system: &'static str) -> Option<Self> {
        match data_type {
            "boolean" => Some(Self::TokenBoolean),
            "code" => Some(Self::TokenCode { system }),
            "Coding" => Some(Self::TokenCoding),
            "CodeableConcept" => Some(Self::TokenConcept),
            "ContactPoint" => Some(Self::TokenContact),
            "Identifier" => Some(Self::TokenIdentifier),
            "integer" | "positiveInt" | "unsignedInt" => Some(Self::TokenText),
            text if is_text(text) => Some(Self::TokenText),
            _ => None,
        }
    }

    fn of_string(data_type: &str) -> Option<Self> {
        match data_type {
            "Address" => Some(Self::StringAddress),
            "Annotation" | "Dosage" => Some(Self::StringMember("text")),
            "CodeableConcept" => Some(Self::StringConcept),
            "Coding" => Some(Self::StringMember("display")),
            "HumanName" => Some(Self::StringName),
            text if is_text(text) => Some(Self::StringText),
            _ => None,
        }
    }

    /// Whether an element that yields no value counts as there for `:missing`: any but a primitive without a value.
    pub(super) fn tells_presence(self, node: Node<'_>) -> bool {
        match self {
            Self::ReferenceCanonical => node.as_str().is_some(),
            Self::Extension(kind) => {
                extension_values(kind, node).any(|(reader, value)| reader.tells_presence(value))
            }
            Self::Presence => true,
            _ => node.kind() == Kind::Object,
        }
    }

    /// Hands all values of the element to the sink.
    pub(super) fn read<'t>(self, node: Node<'t>, cx: &Context<'t, '_>, out: Sink<'_, 't>) {
        match self {
            Self::TokenBoolean => {
                if let Some(value) = node.as_bool() {
                    out(boolean_token(value));
                }
            }
            Self::TokenCode { system } => {
                let system = Some(Cow::Borrowed(system)).filter(|system| !system.is_empty());
                if let Some(code) = node.as_str() {
                    out(Value::Token(Token { system, code: Some(code), ..Token::default() }));
                }
            }
            Self::TokenCoding => coding(node, out),
            Self::TokenConcept => concept(node, out),
            Self::TokenContact => contact(node, out),
            Self::TokenIdentifier => identifier(node, out),
            Self::TokenText => {
                if let Some(code) = node.as_str().or_else(|| node.number_text().map(Cow::Borrowed))
                {
                    out(Value::Token(Token { code: Some(code), ..Token::default() }));
                }
            }
            Self::ReferenceCanonical | Self::ReferenceInline | Self::ReferenceLiteral => {
                self.read_reference(node, cx, out);
            }
            Self::Extension(kind) => {
                for (reader, value) in extension_values(kind, node) {
                    reader.read(value, cx, out);
                }
            }
            Self::StringAddress => strings(node, &ADDRESS_PARTS, out),
            Self::StringConcept => concept_strings(node, out),
            Self::StringMember(member) => strings(node, &[member], out),
            Self::StringName => strings(node, &NAME_PARTS, out),
            Self::StringText => out_some(out, node.as_str().map(Value::String)),
            Self::UriText => out_some(out, node.as_str().map(Value::Uri)),
            _ => self.read_measure(node, out),
        }
    }

    fn read_reference<'t>(self, node: Node<'t>, cx: &Context<'t, '_>, out: Sink<'_, 't>) {
        let target = match self {
            Self::ReferenceCanonical => node.as_str().and_then(|url| cx.canonical(url)),
            Self::ReferenceInline => inline(node),
            _ => {
                out_some(out, logical(node).map(Value::Reference));
                text(node, "reference").and_then(|reference| cx.target(reference))
            }
        };
        out_some(out, target.map(Value::Reference));
    }

    fn read_measure<'t>(self, node: Node<'t>, out: Sink<'_, 't>) {
        let date = |range: Option<TimeRange>| range.map(Value::Date);
        let value = match self {
            Self::DateText => date(node.as_str().and_then(|text| TimeRange::parse(&text))),
            Self::DatePeriod => date(measure::period(node)),
            Self::DateTiming => date(measure::timing(node)),
            Self::NumberDecimal => {
                let number = node.number_text().and_then(parse_decimal);
                number.map(NumberRange::exactly).map(Value::Number)
            }
            Self::NumberRange => measure::range(node).map(|range| Value::Number(range.number)),
            Self::QuantityAmount => measure::quantity(node).map(Value::Quantity),
            Self::QuantityMoney => measure::money(node).map(Value::Quantity),
            Self::QuantityRange => measure::range(node).map(Value::Quantity),
            Self::QuantitySampled => measure::sampled(node).map(Value::Quantity),
            Self::Position => measure::position(node),
            _ => None,
        };
        out_some(out, value);
    }
}

/// Token of a truth value.
pub(super) fn boolean_token<'t>(value: bool) -> Value<'t> {
    let code = Some(Cow::Borrowed(if value { "true" } else { "false" }));
    let system = Some(Cow::Borrowed(BOOLEAN_SYSTEM));
    Value::Token(Token { system, code, ..Token::default() })
}

/// A member's text.
pub(super) fn text<'t>(node: Node<'t>, member: &str) -> Option<Cow<'t, str>> {
    node.get(member).and_then(Node::as_str)
}

fn is_text(data_type: &str) -> bool {
    TEXT_TYPES.contains(&data_type)
}

fn out_some<'t>(out: Sink<'_, 't>, value: Option<Value<'t>>) {
    if let Some(value) = value {
        out(value);
    }
}

fn coding<'t>(node: Node<'t>, out: Sink<'_, 't>) {
    let mut token = Token::default();
    for member in node.children() {
        match member.key() {
            Some("system") => token.system = member.as_str(),
            Some("code") => token.code = member.as_str(),
            Some("display") => token.text = member.as_str(),
            _ => {}
        }
    }
    if token != Token::default() {
        out(Value::Token(token));
    }
}

fn concept<'t>(node: Node<'t>, out: Sink<'_, 't>) {
    for member in node.children() {
        match member.key() {
            Some("coding") => member.children().for_each(|each| coding(each, out)),
            Some("text") => out(Value::Token(Token { text: member.as_str(), ..Token::default() })),
            _ => {}
        }
    }
}

fn contact<'t>(node: Node<'t>, out: Sink<'_, 't>) {
    if let Some(value) = text(node, "value") {
        let system = text(node, "use");
        out(Value::Token(Token { system, code: Some(value), ..Token::default() }));
    }
}

fn identifier<'t>(node: Node<'t>, out: Sink<'_, 't>) {
    let of = node.get("type");
    let token = Token {
        system: text(node, "system"),
        code: text(node, "value"),
        text: of.and_then(|of| text(of, "text")),
        of_type: None,
    };
    if token == Token::default() {
        return;
    }
    let codings = of.and_then(|of| of.get("coding")).into_iter().flat_map(Node::children);
    let types: Vec<TypeOfIdentifier<'t>> = codings
        .filter_map(|each| {
            let system = text(each, "system");
            text(each, "code").map(|code| TypeOfIdentifier { system, code })
        })
        .collect();
    if types.is_empty() || token.code.is_none() {
        out(Value::Token(token));
        return;
    }
    for each in types {
        out(Value::Token(Token { of_type: Some(each), ..token.clone() }));
    }
}

/// The resource itself stands where a reference would, as in `Bundle.entry[0].resource`.
fn inline<'t>(node: Node<'t>) -> Option<Target<'t>> {
    let resource_type = ResourceType::parse(&text(node, "resourceType")?)?;
    let id = text(node, "id").filter(|id| crate::id::is_id(id))?;
    Some(Target::Local { resource_type, id, version: None })
}

fn logical<'t>(node: Node<'t>) -> Option<Target<'t>> {
    let identifier = node.get("identifier")?;
    Some(Target::Logical { system: text(identifier, "system"), value: text(identifier, "value")? })
}

/// The value of an extension, with the reader for the type in its member name.
fn extension_values(kind: ParamKind, node: Node<'_>) -> impl Iterator<Item = (Reader, Node<'_>)> {
    node.children().filter_map(move |member| {
        let name = member.key().and_then(|key| key.strip_prefix("value"))?;
        let starts = |c: char| c.is_ascii_uppercase();
        let primitive = |name: &str| {
            let mut letters = name.chars();
            let first = letters.next().map(|c| c.to_ascii_lowercase());
            first.into_iter().chain(letters).collect::<String>()
        };
        if !name.starts_with(starts) || name == "Extension" {
            return None;
        }
        let reader = Reader::of(kind, name, "").or_else(|| Reader::of(kind, &primitive(name), ""));
        reader.map(|reader| (reader, member))
    })
}

fn strings<'t>(node: Node<'t>, parts: &[&str], out: Sink<'_, 't>) {
    for member in node.children() {
        if member.key().is_some_and(|key| parts.contains(&key)) {
            for item in member.items() {
                out_some(out, item.as_str().map(Value::String));
            }
        }
    }
}

fn concept_strings<'t>(node: Node<'t>, out: Sink<'_, 't>) {
    strings(node, &["text"], out);
    for coding in node.get("coding").into_iter().flat_map(Node::children) {
        strings(coding, &["display"], out);
    }
}

const ADDRESS_PARTS: [&str; 7] =
    ["text", "line", "city", "district", "state", "postalCode", "country"];
const NAME_PARTS: [&str; 5] = ["text", "family", "given", "prefix", "suffix"];
const TEXT_TYPES: [&str; 9] =
    ["canonical", "code", "id", "markdown", "oid", "string", "uri", "url", "uuid"];
const BOOLEAN_SYSTEM: &str = "http://hl7.org/fhir/special-values";

#[cfg(test)]
#[path = "extract_tests.rs"]
mod tests;
