//! What a search parameter finds in a resource: one value, ready to be indexed or compared.
//!
//! Spec: FHIR R4 search.html sections 3.1.1.4.6 to 3.1.1.4.14. Text is borrowed from the document
//! unless it holds escapes.

use std::borrow::Cow;

use crate::{ResourceType, TimeRange};

use super::decimal::NumberRange;
use super::param::ParamId;

/// One value that a parameter selected.
#[derive(Clone, Debug, PartialEq)]
pub struct Extracted<'t> {
    /// Which parameter.
    pub param: ParamId,
    /// What it found.
    pub value: Value<'t>,
}

/// A value by the type of its parameter.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value<'t> {
    /// For token parameters.
    Token(Token<'t>),
    /// For reference parameters.
    Reference(Target<'t>),
    /// For date parameters.
    Date(TimeRange),
    /// For number parameters.
    Number(NumberRange),
    /// For quantity parameters.
    Quantity(Quantity<'t>),
    /// For string parameters; as written, to be folded for comparison.
    String(Cow<'t, str>),
    /// For uri parameters.
    Uri(Cow<'t, str>),
    /// The element is there and says nothing that could be compared, such as a reference with a display only.
    Present,
    /// For composite parameters: one list per component, never empty, all of one element.
    Composite(Vec<Vec<Value<'t>>>),
    /// For `Location.near`, in degrees.
    Position {
        /// North of the equator.
        latitude: f64,
        /// East of Greenwich.
        longitude: f64,
    },
}

/// A code, identifier or other text that matches exactly.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Token<'t> {
    /// Namespace of the code; for a contact point its use.
    pub system: Option<Cow<'t, str>>,
    /// The code or value. `None` where there is only a text.
    pub code: Option<Cow<'t, str>>,
    /// What `:text` searches: a display, a concept's text, the text of an identifier's type.
    pub text: Option<Cow<'t, str>>,
    /// What `:of-type` searches: the type of an identifier. An identifier with several codings in
    /// its type comes once for each.
    pub of_type: Option<TypeOfIdentifier<'t>>,
}

/// One coding of `Identifier.type`.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeOfIdentifier<'t> {
    /// The coding's system.
    pub system: Option<Cow<'t, str>>,
    /// The coding's code.
    pub code: Cow<'t, str>,
}

/// What a reference or canonical points to.
#[derive(Clone, Debug, PartialEq)]
pub enum Target<'t> {
    /// A resource of this server: a relative reference, or an absolute one below the base URL.
    Local {
        /// Type of the target.
        resource_type: ResourceType,
        /// Its id, well-formed.
        id: Cow<'t, str>,
        /// The version, if the reference names one.
        version: Option<Cow<'t, str>>,
    },
    /// Any other URL or URN.
    Absolute {
        /// Without the version.
        url: Cow<'t, str>,
        /// After `/_history/` in a reference or `|` in a canonical.
        version: Option<Cow<'t, str>>,
        /// It stands in a `canonical`, `uri` or `url`, not in a `Reference`.
        canonical: bool,
    },
    /// `Reference.identifier`, for `:identifier`; also where there is a literal reference too.
    Logical {
        /// The identifier's system.
        system: Option<Cow<'t, str>>,
        /// The identifier's value.
        value: Cow<'t, str>,
    },
}

/// A measured amount, or a range of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantity<'t> {
    /// The amount; a comparator such as `<` opens the range at that side, and then its number is not within.
    pub number: NumberRange,
    /// System of the coded unit.
    pub system: Option<Cow<'t, str>>,
    /// The coded unit.
    pub code: Option<Cow<'t, str>>,
    /// The unit as people read it.
    pub unit: Option<Cow<'t, str>>,
    /// Least to greatest of `SampledData`, which composites of a `Quantity` leave out.
    pub sampled: bool,
}
