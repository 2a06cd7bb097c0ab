//! What rules cannot say: which resources a group makes, under which key, and how they refer to each other.

pub(crate) mod admission;
pub(crate) mod merge;
pub(crate) mod observation;
pub(crate) mod patient;
pub(crate) mod provenance;
pub(crate) mod result;
pub(crate) mod value;
