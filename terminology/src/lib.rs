//! CodeSystem, ValueSet and ConceptMap as loaded: look-up, subsumption, expansion, translation.
//!
//! Pure: resources in, answers out. Spec: FHIR R4 terminology-service.html. A question is asked of a [`Shelf`]; where
//! the shelf does not know a canonical yet, the answer is [`Refusal::Load`]: the caller puts what it has of it on the
//! shelf and asks again. So nothing here waits, and nothing is loaded that no question needs.
//! Not here: where the resources are kept (`registry`), requests (`gateway`).

mod builtin;
mod canonical;
mod code_system;
mod coding;
mod concept_map;
mod designation;
mod expand;
mod expansion;
mod filter;
mod lookup;
mod member;
mod parameters;
mod read_code_system;
mod read_value_set;
mod refusal;
mod shelf;
mod subsumes;
mod translate;
mod validate;
mod value_set;

pub use builtin::{builtin_code_systems, builtin_value_sets};
pub use canonical::Canonical;
pub use code_system::{CodeSystem, Concept, Content};
pub use coding::{Coding, codings_of};
pub use concept_map::ConceptMap;
pub use designation::Designation;
pub use expand::{EXPANSION_CODES_MAX, ExpandOptions, expand};
pub use expansion::{Expansion, Stamp};
pub use filter::members_of_hierarchy;
pub use lookup::{Lookup, lookup};
pub use member::{Found, contains};
pub use refusal::{Refusal, Wanted};
pub use shelf::{Definition, Shelf};
pub use subsumes::{Subsumption, subsumes};
pub use translate::{TranslateOptions, Translation, translate};
pub use validate::{ValidateOptions, Validation, validate_in_code_system, validate_in_value_set};
pub use value_set::ValueSet;
