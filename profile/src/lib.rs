//! Validation of resources against the rules of R4 and against profiles.
//!
//! Pure: profiles in, findings with places out. Spec: FHIR R4 profiling.html, validation.html.
//! One walk over a resource by R4's own rules (`walk`, from tables), one for each profile that it claims (`conform`).
//! Not here: the shape of R4 itself (`fhir::read`), code systems beyond R4's own (`terminology`), requests (`gateway`).

mod bundle;
mod by_hand;
mod coded;
mod codes;
mod conform;
mod definition;
mod extensions;
mod finding;
mod form;
mod matching;
mod profiles;
mod reference;
mod rule;
mod rules;
mod slicing;
mod walk;

pub use codes::{Codes, Membership, R4Codes};
pub use definition::{DefinitionError, compile};
pub use finding::{FINDINGS_MAX, Finding};
pub use profiles::Profiles;
pub use rule::Profile;
pub use walk::{Checks, Report, Validator};
