//! fhir: the words that everybody shares. Pure: no I/O, no clock, no randomness.
//!
//! Ids, versions, instants, issues, the JSON document with its spans, the strict R4 reader,
//! resources, references, bundles and the splicing of `id` and `meta` into accepted bytes.
//! Not here: profiles, terminology, anything that stores.

mod bases;
mod bundle;
mod element_table;
mod id;
mod instant;
mod issue;
mod json_scan;
mod json_text;
mod key;
mod lines;
mod link;
mod location;
pub mod patch;
mod pretty;
mod primitive;
mod reader;
mod reference;
mod resource;
mod resource_type;
mod same;
mod search;
mod splice;
mod structure;
mod subset;
mod time_range;
mod tree;
mod tree_build;
mod ucum;
mod version;
mod xml;

pub use bases::{below_base, first_base};
pub use bundle::{Bundle, BundleKind, Entry, EntryRequest, Method, order_of_standard};
pub use id::{InvalidId, ResourceId};
pub use instant::{Instant, InvalidInstant};
pub use issue::{HTTP_PLACE, Issue, IssueType, OperationOutcome, REQUEST_ID_URL, Severity};
pub use json_text::write_json_string;
pub use key::{InvalidKey, ResourceKey, VersionKey};
pub use link::{LinkAt, LinkPlace, links};
pub use location::location;
pub use pretty::pretty;
pub use reader::{
    BatchRead, READ_BYTES_MAX, READ_ENTRIES_MAX, ReadLimits, check, check_placed, read, read_batch,
};
pub use reference::{ParsedReference, ReferenceAt, reference_location, references};
pub use resource::{Resource, type_of};
pub use resource_type::{NotStored, ResourceType};
pub use same::same_content;
pub use search::{
    CUSTOM_FROM, CUSTOM_TO, Component, CustomParam, DateQuery, Extracted, FullText, Held,
    InvalidSearchValue, NumberQuery, NumberRange, OfTypeQuery, OtherParam, ParamId, ParamKind,
    ParamLimits, Progress, Quantity, QuantityQuery, ReferenceQuery, SearchParam, SearchParams,
    SearchPrefix, Selection, SystemMatch, Target, TextPart, Token, TokenParts, TokenQuery,
    TypeOfIdentifier, Value, WORD_CHARS_MAX, approximate_dates, approximate_number,
    compartment_members, compartment_params, custom_params, date_matches, extract, fold,
    is_boolean, is_in_force, is_in_own_compartment, number_matches, patient_compartment,
    search_param, search_param_by_id, search_params, search_table_fingerprint, sort_param,
    sort_time, split_unescaped, texts, token_parts, unescape, values_of, words,
};
pub use splice::Template;
pub use structure::{Declared, Member};
pub use subset::{InvalidSubset, Subset, Summary};
pub use time_range::TimeRange;
pub use tree::{Children, DEPTH_MAX, Kind, NODES_MAX, Node, Tree};
pub use ucum::{CanonicalUnit, UCUM_SYSTEM};
pub use version::{InvalidVersion, VersionId};
pub use xml::{NotXml, XmlForm, json_to_xml, lines_in_xml, place_in_xml, xml_to_json};
