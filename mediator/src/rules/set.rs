//! A checked set of rules and what passes ask of it.

use std::{collections::HashMap, sync::Arc};

use super::{
    layer::Layer,
    load::{self, RuleError},
    program::{Ignore, Program, SegmentPrograms},
};
use crate::{
    conversion::{FieldMode, RuleNames, WriteMode},
    hl7v2::{grammar::Structure, primitive::zone::Zone},
};

/// Compiled rules of all layers, named by the SHA-256 of their text.
pub struct RuleSet {
    pub(super) hash: Arc<str>,
    pub(crate) names: Arc<RuleNames>,
    pub(super) segments: HashMap<[u8; 3], SegmentPrograms>,
    pub(super) maps: HashMap<String, HashMap<String, Mapped>>,
    pub(super) systems: HashMap<String, String>,
    pub(super) namespaces: HashMap<String, String>,
    pub(super) events: HashMap<(String, String), Event>,
    pub(super) structures: HashMap<String, Structure>,
    pub(super) writes: Vec<WriteRow>,
    pub(super) zones: HashMap<String, Zone>,
}

/// Target of a code map.
#[derive(Clone, Debug)]
pub(crate) struct Mapped {
    pub(crate) system: String,
    pub(crate) code: String,
    pub(crate) display: String,
}

/// What one trigger event does.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) structure: String,
    pub(crate) encounter: String,
    pub(crate) status_mode: FieldMode,
}

/// One row of `write.csv`.
pub(super) struct WriteRow {
    pub(super) family: String,
    pub(super) resource: String,
    pub(super) element: String,
    pub(super) mode: FieldMode,
}

impl RuleSet {
    /// The rules that come with the program.
    pub fn base() -> Self {
        Self::compile(&[Layer::base()]).expect("the base layer is checked by a test")
    }

    /// Compiles layers, later ones over earlier ones.
    ///
    /// # Errors
    /// The first wrong row, with layer, file and line.
    pub fn compile(layers: &[Layer]) -> Result<Self, RuleError> {
        load::load(layers)
    }

    /// Lower-case hexadecimal SHA-256 over the layers' names and files.
    pub fn hash(&self) -> &Arc<str> {
        &self.hash
    }

    /// The zone of a name such as `Europe/Berlin`, a fixed offset or a POSIX TZ text.
    pub fn zone(&self, text: &str) -> Option<Zone> {
        self.zones.get(text).cloned().or_else(|| Zone::parse(text))
    }

    /// Message types and trigger events that this rule set converts.
    pub fn supported(&self) -> impl Iterator<Item = (&str, &str)> {
        self.events.keys().map(|(kind, event)| (kind.as_str(), event.as_str()))
    }

    pub(crate) fn programs(&self, segment: [u8; 3], kind: &str) -> Option<&[Program]> {
        let all = &self.segments.get(&segment)?.by_resource;
        all.iter().find(|(name, _)| **name == *kind).map(|(_, programs)| programs.as_slice())
    }

    pub(crate) fn ignores(&self, segment: [u8; 3]) -> &[Ignore] {
        self.segments.get(&segment).map_or(&[], |s| &s.ignores)
    }

    /// The mark of a rule that a pass applies in code, by the segment and field it stands for.
    pub(crate) fn mark_of(&self, segment: [u8; 3], field: u16) -> u16 {
        let find = |i: &&Ignore| i.field == field;
        self.ignores(segment).iter().find(find).map_or(0, |i| i.mark)
    }

    /// True for a rule that leaves its field out, false for one that a pass applies in code.
    pub(crate) fn is_ignored(&self, mark: u16) -> bool {
        self.names.rules.get(usize::from(mark)).is_some_and(|(_, ignores)| *ignores)
    }

    pub(crate) fn code(&self, map: &str, from: &str) -> Option<&Mapped> {
        let map = self.maps.get(map)?;
        map.get(from).or_else(|| map.get(&from.to_ascii_uppercase()))
    }

    pub(crate) fn system(&self, name: &str) -> Option<&str> {
        let found = self.systems.get(name);
        found.or_else(|| self.systems.get(&name.to_ascii_uppercase())).map(String::as_str)
    }

    pub(crate) fn namespace(&self, name: &str) -> Option<&str> {
        if self.namespaces.is_empty() {
            None
        } else {
            self.namespaces.get(name).map(String::as_str)
        }
    }

    pub(crate) fn event(&self, kind: &str, event: &str) -> Option<&Event> {
        self.events.get(&(kind.to_owned(), event.to_owned()))
    }

    pub(crate) fn knows_type(&self, kind: &str) -> bool {
        self.events.keys().any(|(k, _)| k == kind)
    }

    pub(crate) fn structure(&self, name: &str) -> Option<&Structure> {
        self.structures.get(name)
    }

    /// How a resource of a message joins the store; the first fitting row of `write.csv` wins for each element.
    pub(crate) fn write_mode(&self, kind: &str, event: &str, resource: &str) -> WriteMode {
        let exact = format!("{kind}_{event}");
        let fits = |row: &&WriteRow| {
            (row.family == "*" || row.family == kind || row.family == exact)
                && (row.resource == "*" || row.resource == resource)
        };
        let mut mode = WriteMode::default();
        for row in self.writes.iter().filter(fits) {
            if row.element == "*" {
                mode.default = row.mode;
                break;
            }
            if !mode.fields.iter().any(|(name, _)| *name == row.element) {
                mode.fields.push((row.element.clone(), row.mode));
            }
        }
        mode
    }
}
