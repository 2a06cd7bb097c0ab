//! Layers of text to a checked [`RuleSet`].

use std::{collections::HashMap, sync::Arc};

use sha2::{Digest, Sha256};

use super::{
    check,
    condition::{Condition, FieldRef},
    layer::Layer,
    program::{Ignore, Program, SegmentPrograms, Step},
    set::{Event, Mapped, RuleSet, WriteRow},
};
use crate::{
    conversion::{FieldMode, RuleNames},
    hl7v2::{
        grammar::Structure,
        primitive::{Argument, Converter, converter, zone::Zone},
    },
};

/// Why rules were refused, with file and line.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{layer}/{file}:{line}: {text}")]
pub struct RuleError {
    /// Layer name.
    pub layer: String,
    /// File within the layer.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// What is wrong and what would be right.
    pub text: String,
}

/// Compiles layers, later ones over earlier ones.
pub(super) fn load(layers: &[Layer]) -> Result<RuleSet, RuleError> {
    let mut loader = Loader::default();
    // Rows name code maps and structures of any layer, so those come first.
    for phase in 0..3 {
        for layer in layers {
            for (file, text) in layer.files.iter().filter(|(file, _)| load_phase(file) == phase) {
                loader.file(layer, file, text)?;
            }
        }
    }
    Ok(loader.finish(layers))
}

/// Structures, then tables, then mapping rows.
fn load_phase(file: &str) -> u8 {
    let table = ["events.csv", "systems.csv", "namespaces.csv", "write.csv", "zones.csv"];
    match file {
        "structures.txt" => 0,
        _ if table.contains(&file) || file.starts_with("codes/") => 1,
        _ => 2,
    }
}

#[derive(Default)]
struct Loader {
    names: RuleNames,
    rows: Vec<Row>,
    maps: HashMap<String, HashMap<String, Mapped>>,
    systems: HashMap<String, String>,
    namespaces: HashMap<String, String>,
    events: HashMap<(String, String), Event>,
    structures: HashMap<String, Structure>,
    writes: Vec<WriteRow>,
    zones: HashMap<String, Zone>,
}

struct Row {
    id: String,
    segment: [u8; 3],
    what: What,
}

enum What {
    Map(Box<str>, Program),
    Ignore(Ignore),
}

impl Loader {
    fn file(&mut self, layer: &Layer, file: &str, text: &str) -> Result<(), RuleError> {
        let fail =
            |line, text| RuleError { layer: layer.name.clone(), file: file.to_owned(), line, text };
        if file == "structures.txt" {
            let all = Structure::parse_all(text).map_err(|(line, text)| fail(line, text))?;
            self.structures.extend(all);
            return Ok(());
        }
        if !file.ends_with(".csv") {
            return Err(fail(1, "not a rule file; see the list in the rules' README".to_owned()));
        }
        let mut writes = Vec::new();
        let mut reader = csv::ReaderBuilder::new()
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        for record in reader.records() {
            let record = record.map_err(|e| {
                fail(e.position().map_or(1, csv::Position::line), "malformed CSV".to_owned())
            })?;
            let line = record.position().map_or(1, csv::Position::line);
            let cells: Vec<&str> = record.iter().collect();
            self.record(layer, file, &cells, &mut writes).map_err(|text| fail(line, text))?;
        }
        // Rows of later layers come before those of earlier ones, since the first fitting row wins.
        writes.append(&mut self.writes);
        self.writes = writes;
        Ok(())
    }

    fn record(
        &mut self,
        layer: &Layer,
        file: &str,
        cells: &[&str],
        writes: &mut Vec<WriteRow>,
    ) -> Result<(), String> {
        let cell = |n: usize| cells.get(n).copied().unwrap_or_default().to_owned();
        match file {
            "systems.csv" => {
                self.systems.insert(cell(0), cell(1));
            }
            "namespaces.csv" => {
                self.namespaces.insert(cell(0), cell(1));
            }
            "zones.csv" => {
                let zone = Zone::parse(&cell(1)).ok_or(format!("`{}` is no time zone", cell(1)))?;
                self.zones.insert(cell(0), zone);
            }
            "events.csv" => {
                let mode = if cell(4).is_empty() { "replace".to_owned() } else { cell(4) };
                let status_mode =
                    FieldMode::parse(&mode).ok_or(format!("`{mode}` is no write mode"))?;
                let event = Event { structure: cell(2), encounter: cell(3), status_mode };
                if !self.structures.contains_key(&event.structure) {
                    return Err(format!("no structure `{}`", event.structure));
                }
                self.events.insert((cell(0), cell(1)), event);
            }
            "write.csv" => {
                let mode =
                    FieldMode::parse(&cell(3)).ok_or(format!("`{}` is no write mode", cell(3)))?;
                writes.push(WriteRow {
                    family: cell(0),
                    resource: cell(1),
                    element: cell(2),
                    mode,
                });
            }
            _ => match file.strip_prefix("codes/").and_then(|f| f.strip_suffix(".csv")) {
                Some(map) => {
                    let mapped = Mapped { system: cell(1), code: cell(2), display: cell(3) };
                    self.maps.entry(map.to_owned()).or_default().insert(cell(0), mapped);
                }
                None => self.mapping(layer, cells)?,
            },
        }
        Ok(())
    }

    /// A mapping row: rule, source, when, target, as, argument.
    fn mapping(&mut self, layer: &Layer, cells: &[&str]) -> Result<(), String> {
        let [id, source, when, target, how, argument] = cells else {
            return Err(format!("6 columns are wanted, not {}", cells.len()));
        };
        self.rows.retain(|row| row.id != *id);
        if *how == "disabled" {
            return Ok(());
        }
        let when = if when.is_empty() { None } else { Some(Condition::parse(when)?) };
        let from = source_field(source)?;
        let ignores = matches!(*how, "ignore" | "value" | "note");
        let mark = self.name(layer, id, *how == "ignore")?;
        let what = if ignores {
            What::Ignore(Ignore { mark, field: from.field, when })
        } else {
            let (resource, steps, converter) = self.target(target, how, argument)?;
            let program = Program {
                mark,
                field: from.field,
                component: from.component,
                subcomponent: from.subcomponent,
                when,
                steps,
                converter,
                argument: (*argument).into(),
            };
            What::Map(resource, program)
        };
        self.rows.push(Row { id: (*id).to_owned(), segment: from.segment, what });
        Ok(())
    }

    fn name(&mut self, layer: &Layer, id: &str, ignores: bool) -> Result<u16, String> {
        if self.names.rules.is_empty() {
            self.names.rules.push(("".into(), true));
        }
        self.names.rules.push((format!("{}/{id}", layer.name).into(), ignores));
        u16::try_from(self.names.rules.len() - 1).map_err(|_| "too many rules".to_owned())
    }

    fn target(
        &self,
        target: &str,
        how: &str,
        argument: &str,
    ) -> Result<(Box<str>, Vec<Step>, &'static Converter), String> {
        let found = converter(how).ok_or(format!("no converter `{how}`"))?;
        let element = check::element(target).ok_or(format!("no element `{target}` in FHIR R4"))?;
        if !found.types.contains(&element.kind) {
            return Err(format!(
                "`{target}` is a {}, but `{how}` makes a {}",
                element.kind,
                found.types.join(" or ")
            ));
        }
        let known = self.maps.contains_key(argument);
        match found.argument {
            Argument::Map if !known => return Err(format!("no code map `{argument}`")),
            Argument::OptionalMap if !known && !argument.is_empty() => {
                return Err(format!("no code map `{argument}`"));
            }
            Argument::None if !argument.is_empty() => {
                return Err(format!("`{how}` takes no argument"));
            }
            _ => {}
        }
        if let (Argument::Map, Some(set)) = (found.argument, element.binding)
            && let Some(codes) = self.maps.get(argument)
            && let Some(wrong) = codes.values().find(|m| !check::has_code(set, &m.code))
        {
            return Err(format!(
                "code map `{argument}` gives `{}`, which {set} does not have",
                wrong.code
            ));
        }
        let (resource, way) = target.split_once('.').ok_or("a target is Type.element")?;
        let mut path = resource.to_owned();
        let mut steps = Vec::new();
        for name in way.split('.') {
            path = format!("{path}.{name}");
            let element = check::element(&path).ok_or(format!("no element `{path}` in FHIR R4"))?;
            steps.push(Step { name: name.into(), is_array: element.is_array });
        }
        Ok((resource.into(), steps, found))
    }

    fn finish(self, layers: &[Layer]) -> RuleSet {
        let mut segments: HashMap<[u8; 3], SegmentPrograms> = HashMap::new();
        for row in self.rows {
            let programs = segments.entry(row.segment).or_default();
            match row.what {
                What::Ignore(ignore) => programs.ignores.push(ignore),
                What::Map(resource, program) => {
                    match programs.by_resource.iter_mut().find(|(name, _)| *name == resource) {
                        Some((_, all)) => all.push(program),
                        None => programs.by_resource.push((resource, vec![program])),
                    }
                }
            }
        }
        RuleSet {
            hash: hash(layers).into(),
            names: Arc::new(self.names),
            segments,
            maps: self.maps,
            systems: self.systems,
            namespaces: self.namespaces,
            events: self.events,
            structures: self.structures,
            writes: self.writes,
            zones: self.zones,
        }
    }
}

/// `PID-3.4`, or `SFT-*` for a whole segment.
fn source_field(source: &str) -> Result<FieldRef, String> {
    if let Some(name) = source.strip_suffix("-*")
        && let Ok(segment) = <[u8; 3]>::try_from(name.as_bytes())
    {
        return Ok(FieldRef { segment, field: 0, component: 0, subcomponent: 0 });
    }
    FieldRef::parse(source).ok_or(format!("`{source}` is not a field such as PID-3"))
}

fn hash(layers: &[Layer]) -> String {
    let mut hash = Sha256::new();
    hash.update(b"sealway:rules:v1");
    for layer in layers {
        let mut files: Vec<_> = layer.files.iter().collect();
        files.sort();
        for (file, text) in files {
            for part in [&layer.name, file, text] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part.as_bytes());
            }
        }
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}
