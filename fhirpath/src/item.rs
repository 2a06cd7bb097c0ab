//! One item of a collection: an element of a document, or a value that was computed.

use std::borrow::Cow;

use rust_decimal::Decimal;

use crate::element::Element;
use crate::moment::Moment;
use crate::types::TypeName;

/// An item.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Item<'t> {
    /// An element of a document, with its declared type.
    Element(Element<'t>),
    /// `System.Boolean`
    Boolean(bool),
    /// `System.Integer`
    Integer(i64),
    /// `System.Decimal`
    Decimal(Decimal),
    /// `System.String`
    String(Cow<'t, str>),
    /// `System.Date`, `System.DateTime` or `System.Time`
    Moment(Moment),
    /// `System.Quantity`
    Quantity(Quantity<'t>),
    /// A resource that a reference names by its type and that is not at hand.
    Absent(&'static str),
    /// What `type()` answers.
    Type(TypeName),
}

/// A number with a unit.
#[derive(Clone, Debug)]
pub struct Quantity<'t> {
    /// The number.
    pub value: Decimal,
    /// Code of the unit, or its name when it has no code.
    pub unit: Cow<'t, str>,
    /// System of the code; empty when there is none.
    pub system: Cow<'t, str>,
}

impl Quantity<'_> {
    /// A literal: the word of a duration, or a UCUM code in quotes.
    pub(crate) fn literal(value: Decimal, unit: String) -> Self {
        Self { value, unit: unit.into(), system: UCUM.into() }
    }
}

impl<'t> Item<'t> {
    /// The value as one of the `System` types; the item itself when it is a complex element.
    #[must_use]
    pub fn simple(&self) -> Self {
        match self {
            Self::Element(element) => element.system_value().unwrap_or_else(|| self.clone()),
            other => other.clone(),
        }
    }

    /// Its text, when it is a string or a primitive element that holds one.
    #[must_use]
    pub fn text(&self) -> Option<Cow<'t, str>> {
        match self {
            Self::Element(element) => element.text(),
            Self::String(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// The element, when it is one.
    #[must_use]
    pub fn element(&self) -> Option<&Element<'t>> {
        match self {
            Self::Element(element) => Some(element),
            _ => None,
        }
    }
}

/// The system of units.
pub(crate) const UCUM: &str = "http://unitsofmeasure.org";
