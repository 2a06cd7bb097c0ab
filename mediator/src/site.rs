//! What a site's configuration tells the mediator about one sender; rules are in `rules`.

use crate::hl7v2::{charset::Charset, primitive::zone::Zone};

/// Settings of one sending site.
#[derive(Clone, Debug)]
pub struct Site {
    /// Short name, part of nothing stored.
    pub name: String,
    /// Character set when MSH-18 is absent or ASCII and the bytes are not.
    pub charset: Option<Charset>,
    /// Time zone of timestamps without offset (after MSH-7's offset); without it they lose their time of day, and are
    /// older than a time with an offset only where every zone there is would have it so.
    pub zone: Option<Zone>,
    /// Accepted processing ids (MSH-11.1), upper case; others are rejected with 202.
    pub processing_ids: Vec<String>,
    /// Processing ids that are filtered (answered AA, nothing stored).
    pub filtered_processing_ids: Vec<String>,
    /// Identifier systems that name patients, best first; before the type order of the rule set.
    pub patient_systems: Vec<String>,
}

impl Default for Site {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            charset: None,
            zone: None,
            processing_ids: vec!["P".to_owned()],
            filtered_processing_ids: Vec::new(),
            patient_systems: Vec::new(),
        }
    }
}
