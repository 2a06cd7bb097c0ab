//! A random corpus: for every resource type a few resources that fill what its search parameters read.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value as Json, json};

use super::dice::Dice;
use super::params::{Kind, Param, params};
use super::path::Expression;
use super::schema::{Element, choice_name, schema};
use super::vocabulary::{IDS, NARRATIVES, coding, datatype};

/// `rounds` times [`IDS`] resources of every type, in the order of types.
pub(crate) fn corpus(seed: u64, rounds: usize) -> Vec<Json> {
    let mut all = Vec::new();
    for of in schema().stored() {
        let maker = Maker::of(of);
        for at in 0..IDS * rounds {
            let dice = Dice::named(seed, &format!("{of}/{at}"));
            all.push(maker.resource(dice, at));
        }
    }
    all
}

/// What the parameters of one type read.
struct Maker {
    of: &'static str,
    /// Members that an expression names.
    members: BTreeSet<String>,
    /// Types that an expression asks for.
    types: BTreeSet<String>,
    /// Types that references may have, by the path of their element.
    targets: HashMap<String, Vec<&'static str>>,
    /// URLs of extensions with the kind of their parameter.
    extensions: Vec<(String, Kind)>,
}

impl Maker {
    fn of(of: &'static str) -> Self {
        let mut maker = Self {
            of,
            members: BTreeSet::new(),
            types: BTreeSet::new(),
            targets: HashMap::new(),
            extensions: Vec::new(),
        };
        for param in params(of) {
            let roots = param.expression.iter().flat_map(|one| maker.learn(one, param, &[]));
            let roots: Vec<_> = roots.collect();
            for (_, part) in &param.parts {
                maker.learn(part, param, &roots);
            }
            for path in roots.into_iter().filter(|_| param.kind == Kind::Reference) {
                let known = maker.targets.entry(path).or_default();
                known.extend(&param.targets);
                known.sort_unstable();
                known.dedup();
            }
        }
        maker
    }

    /// Notes what an expression reads; returns the paths it selects.
    fn learn(&mut self, expression: &Expression, param: &Param, here: &[String]) -> Vec<String> {
        match expression {
            Expression::Resource => vec![String::new()],
            Expression::Here => here.to_vec(),
            Expression::Member(from, name) => {
                self.members.insert(name.clone());
                let from = self.learn(from, param, here);
                from.iter().map(|path| format!("{path}.{name}")).collect()
            }
            Expression::OfType(from, of) => {
                self.types.insert(of.clone());
                self.learn(from, param, here)
            }
            Expression::Extension(from, url) => {
                self.extensions.push((url.clone(), param.kind));
                self.learn(from, param, here);
                Vec::new()
            }
            Expression::Index(from, _) | Expression::Where(from, _) => {
                self.learn(from, param, here)
            }
            Expression::Union(all) => {
                all.iter().flat_map(|one| self.learn(one, param, here)).collect()
            }
            Expression::Exists(from) | Expression::Differs(from, _) => {
                self.learn(from, param, here);
                Vec::new()
            }
            Expression::And(a, b) => {
                self.learn(a, param, here);
                self.learn(b, param, here);
                Vec::new()
            }
        }
    }

    fn resource(&self, mut dice: Dice, at: usize) -> Json {
        let dice = &mut dice;
        let mut fields = Map::new();
        fields.insert("resourceType".into(), self.of.into());
        fields.insert("id".into(), format!("r{at}").into());
        if dice.chance(50) {
            fields.insert("meta".into(), meta(dice));
        }
        self.fill(dice, self.of, "", &mut fields);
        if schema().is_a(self.of, "DomainResource") {
            let about = json!({"resourceType": "Patient", "id": "c1", "gender": "male"});
            if Json::from(fields.clone()).to_string().contains("\"#c1\"") {
                fields.insert("contained".into(), json!([about]));
            }
            self.extend(dice, &mut fields);
            // Of its own, so that the rest stays what a seed has always made.
            let mut dice = dice.clone();
            if dice.chance(60) {
                let (div, _) = dice.pick(NARRATIVES);
                fields.insert("text".into(), json!({"status": "generated", "div": div}));
            }
        }
        fields.into()
    }

    fn extend(&self, dice: &mut Dice, fields: &mut Map<String, Json>) {
        let mut all = Vec::new();
        for (url, kind) in &self.extensions {
            if !dice.chance(60) {
                continue;
            }
            let (of, targets) = match kind {
                Kind::Token => (dice.pick(&["CodeableConcept", "Identifier", "code"]), &[][..]),
                Kind::Reference => ("Reference", &["Condition", "Observation"][..]),
                _ => ("string", &[][..]),
            };
            let value = datatype(dice, of, None, targets);
            all.push(json!({"url": url, choice_name("value", of): value}));
        }
        if !all.is_empty() {
            fields.insert("extension".into(), all.into());
        }
    }

    fn fill(&self, dice: &mut Dice, of: &str, path: &str, fields: &mut Map<String, Json>) {
        let depth = path.matches('.').count();
        for element in schema().elements(of) {
            let is_read = self.members.contains(element.name);
            let percent = match (element.is_required, is_read) {
                (true, _) => 100,
                (false, true) if depth < 4 => 70,
                _ => 0,
            };
            if LEFT_OUT.contains(&element.name) && depth == 0 || !dice.chance(percent) {
                continue;
            }
            let many = if element.is_list { 1 + dice.roll(2) } else { 1 };
            let of = self.type_of(dice, element);
            let items: Vec<_> =
                (0..many).filter_map(|_| self.value(dice, element, of, path)).collect();
            let key =
                if element.is_choice { choice_name(element.name, of) } else { element.name.into() };
            match (element.is_list, items.is_empty()) {
                (_, true) => {}
                (true, _) => drop(fields.insert(key, items.into())),
                (false, _) => drop(fields.insert(key, items.into_iter().next().into())),
            }
        }
        // A primitive without a value is not there for a search.
        let free = fields.contains_key("status") && dice.chance(5) && depth == 0;
        let is_code = |one: &Element| !one.is_required && one.types == ["code"];
        if free && schema().element(of, "status").is_some_and(is_code) {
            fields.remove("status");
            let unknown =
                json!({"extension": [{"url": "http://example.org/why", "valueCode": "unknown"}]});
            fields.insert("_status".into(), unknown);
        }
    }

    /// One of the element's types, more often one that an expression asks for.
    fn type_of(&self, dice: &mut Dice, element: &Element) -> &'static str {
        let asked = element.types.iter().copied().filter(|of| self.types.contains(*of));
        let asked: Vec<_> = asked.collect();
        match asked.is_empty() || dice.chance(15) {
            true => dice.pick(&element.types),
            false => dice.pick(&asked),
        }
    }

    fn value(&self, dice: &mut Dice, element: &Element, of: &str, path: &str) -> Option<Json> {
        let path = format!("{path}.{}", element.name);
        let targets = self.targets.get(&path).map_or(&[][..], Vec::as_slice);
        if of == "Resource" {
            let of = dice.pick_any(targets).unwrap_or("Basic");
            let id = format!("r{}", dice.roll(IDS));
            let mut fields = Map::new();
            fields.insert("resourceType".into(), of.into());
            fields.insert("id".into(), id.into());
            Self::of(schema().resources().into_iter().find(|name| *name == of)?).required(
                dice,
                of,
                &mut fields,
            );
            return Some(fields.into());
        }
        if let Some(value) = datatype(dice, of, element.set, targets) {
            return Some(value);
        }
        let mut fields = Map::new();
        if path.matches('.').count() <= DEPTH_MAX {
            self.fill(dice, of, &path, &mut fields);
        }
        if fields.is_empty() {
            fields.insert("id".into(), "e1".into());
        }
        Some(fields.into())
    }

    /// Only what must be there.
    fn required(mut self, dice: &mut Dice, of: &str, fields: &mut Map<String, Json>) {
        self.members.clear();
        self.fill(dice, of, "", fields);
    }
}

fn meta(dice: &mut Dice) -> Json {
    let mut meta = json!({});
    for list in ["tag", "security"] {
        if dice.chance(60) {
            let codings: Vec<_> = (0..1 + dice.roll(2)).map(|_| coding(dice)).collect();
            meta[list] = codings.into();
        }
    }
    if dice.chance(60) {
        meta["profile"] = json!([datatype(dice, "uri", None, &[])]);
    }
    if dice.chance(60) || meta == json!({}) {
        meta["source"] = datatype(dice, "uri", None, &[]).into();
    }
    meta
}

const LEFT_OUT: [&str; 8] = [
    "id",
    "meta",
    "extension",
    "modifierExtension",
    "contained",
    "text",
    "implicitRules",
    "language",
];
const DEPTH_MAX: usize = 6;
