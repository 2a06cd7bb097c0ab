//! Datatypes that need code: one function per HL7 v2 datatype, one file per kind.
//!
//! A converter reads a slice of a field and gives a FHIR value or nothing; a value that it cannot use is refused with a
//! warning, which leaves its atoms "left over" in the account.

pub(crate) mod zone;

pub(crate) mod attachment;
pub(crate) mod concept;
pub(crate) mod demographic;
pub(crate) mod dtm;
pub(crate) mod identifier;
pub(crate) mod number;
pub(crate) mod party;
pub(crate) mod simple;

use super::{message::Slice, work::Work};
use crate::json::Json;

/// A converter by the name that rule files use.
pub(crate) struct Converter {
    pub(crate) name: &'static str,
    /// FHIR types that it produces; a rule's target must have one of them.
    pub(crate) types: &'static [&'static str],
    /// What the rule's argument means.
    pub(crate) argument: Argument,
    pub(crate) run: Run,
}

/// The function behind a converter.
pub(crate) type Run = for<'m> fn(&mut Work<'m>, Slice<'m>, &'m str) -> Option<Json<'m>>;

/// What the argument of a rule means to its converter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Argument {
    None,
    Text,
    /// Name of a code map that must exist.
    Map,
    /// As `Map`, and may be left out.
    OptionalMap,
}

/// The converter of this name.
pub(crate) fn converter(name: &str) -> Option<&'static Converter> {
    CONVERTERS.iter().find(|c| c.name == name)
}

macro_rules! converters {
    ($($name:literal $types:tt $argument:ident $run:path;)*) => {
        static CONVERTERS: &[Converter] = &[$(
            Converter { name: $name, types: &$types, argument: Argument::$argument, run: $run },
        )*];
    };
}

converters! {
    "string" ["string"] None simple::string;
    "constant" ["string", "code", "uri"] Text simple::constant;
    "boolean" ["boolean"] None simple::boolean;
    "positiveInt" ["positiveInt"] None simple::positive_integer;
    "integer" ["integer"] None simple::integer;
    "date" ["date"] None simple::date;
    "dateTime" ["dateTime"] None simple::date_time;
    "instant" ["instant"] None simple::instant;
    "code" ["code"] Map simple::code;
    "code-coded" ["code"] Map simple::code;
    "annotation" ["Annotation"] None simple::annotation;
    "reference-range" ["BackboneElement"] None number::reference_range;
    "CX" ["Identifier"] Text identifier::cx;
    "EI" ["Identifier"] Text identifier::ei;
    "text-identifier" ["Identifier"] Text identifier::text;
    "license" ["Identifier"] Text identifier::license;
    "XPN" ["HumanName"] Text demographic::xpn;
    "XAD" ["Address"] None demographic::xad;
    "XTN" ["ContactPoint"] Text demographic::xtn;
    "mother" ["BackboneElement"] None demographic::mother;
    "language" ["BackboneElement"] None demographic::language;
    "CWE" ["CodeableConcept"] OptionalMap concept::codeable_concept;
    "text-concept" ["CodeableConcept"] None concept::text;
    "class" ["Coding"] Map concept::class;
    "coverage-class" ["BackboneElement"] Text concept::coverage_class;
    "extension-concept" ["Extension"] Text concept::extension;
    "extension-string-address" ["Extension"] Text concept::extension_address;
    "extension-citizenship" ["Extension"] Text concept::extension_citizenship;
    "XCN" ["Reference"] None party::xcn;
    "NDL" ["Reference"] None party::ndl;
    "XON" ["Reference"] None party::xon;
    "CWE-organization" ["Reference"] None party::cwe_organization;
    "DLD" ["Reference"] None party::dld;
    "participant" ["BackboneElement"] Text party::participant;
    "location-active" ["BackboneElement"] None party::location_active;
    "location-completed" ["BackboneElement"] None party::location_completed;
}
