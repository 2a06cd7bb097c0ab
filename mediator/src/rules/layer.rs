//! One layer of rule files, as text given by the caller; the base layer is compiled in.
//!
//! File names decide the meaning: `events.csv`, `systems.csv`, `namespaces.csv`, `write.csv`, `zones.csv`,
//! `structures.txt`, `codes/NAME.csv`; every other `*.csv` holds mapping rows. Files that are none of these are refused.

/// A named set of rule files.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Prefix of its rule ids, such as `base` or `site/riverside`.
    pub name: String,
    /// Relative file name and text.
    pub files: Vec<(String, String)>,
}

impl Layer {
    /// The layer that comes with the program.
    pub fn base() -> Self {
        let files =
            BASE.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Self { name: "base".to_owned(), files }
    }
}

macro_rules! base {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../rules/base/", $name))),)*]
    };
}

static BASE: &[(&str, &str)] = base! {
    "adt.csv"
    "envelope.csv"
    "events.csv"
    "oru.csv"
    "structures.txt"
    "systems.csv"
    "write.csv"
    "zones.csv"
    "codes/administrative-gender.csv"
    "codes/admission-type.csv"
    "codes/admit-source.csv"
    "codes/allergy-category.csv"
    "codes/allergy-criticality.csv"
    "codes/contact-role.csv"
    "codes/diagnostic-service-section.csv"
    "codes/discharge-disposition.csv"
    "codes/encounter-class.csv"
    "codes/identifier-rank.csv"
    "codes/interpretation.csv"
    "codes/marital-status.csv"
    "codes/observation-category.csv"
    "codes/observation-status.csv"
    "codes/relationship.csv"
    "codes/report-status.csv"
    "codes/request-priority.csv"
    "codes/request-status.csv"
};
