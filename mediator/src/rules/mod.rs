//! Mapping rules as data: layers of files, compiled and checked at load, named by a hash.
//!
//! Layers apply in order (base, realm, vendor, site); a later row with the same rule id replaces the earlier one, and
//! `disabled` removes it. A rule that names an unknown element, converter, code map or segment field is a load error
//! with file and line. Not here: what passes decide in code (`hl7v2::pass`).

pub(crate) mod check;
pub(crate) mod condition;
pub(crate) mod layer;
pub(crate) mod load;
pub(crate) mod program;
pub(crate) mod set;

pub use layer::Layer;
pub use load::RuleError;
pub use set::RuleSet;
