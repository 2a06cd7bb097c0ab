//! The naive search: every resource against every parameter, straight from the R4 search page.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use fhir::ResourceType;
use policy::TypeSet;
use serde_json::Value as Json;

use super::cases::Case;
use super::compare::{Question, date_holds, escape, passes, refers, split, unescape};
use super::filter;
use super::params::{Kind, Param, compartment_codes, param, params};
use super::schema::schema;
use super::value::{Reference, Value, literal, values};
use super::words;

/// A resource as the oracle keeps it.
pub(crate) struct Stored {
    pub(crate) key: String,
    pub(crate) json: Json,
    pub(crate) patients: BTreeSet<String>,
    pub(crate) updated_us: i64,
    cache: RefCell<HashMap<&'static str, Rc<Vec<Value>>>>,
}

impl Stored {
    pub(crate) fn new(key: String, json: Json, updated_us: i64) -> Self {
        let patients = BTreeSet::new();
        let mut stored = Self { key, json, patients, updated_us, cache: RefCell::default() };
        stored.patients = stored.compartment();
        stored
    }

    pub(crate) fn of(&self) -> &str {
        self.key.split('/').next().unwrap_or("")
    }

    pub(crate) fn id(&self) -> &str {
        self.key.split('/').nth(1).unwrap_or("")
    }

    /// Values of a parameter.
    pub(crate) fn values(&self, param: &'static Param) -> Rc<Vec<Value>> {
        let mut cache = self.cache.borrow_mut();
        Rc::clone(cache.entry(param.code).or_insert_with(|| Rc::new(values(&self.json, param))))
    }

    /// Values of the parameter of this code; none where the type has no such parameter.
    pub(crate) fn values_of(&self, code: &str) -> Rc<Vec<Value>> {
        param(self.of(), code).map_or_else(Rc::default, |param| self.values(param))
    }

    /// References of a parameter.
    pub(crate) fn references(&self, code: &str) -> Vec<Reference> {
        let own = self.values_of(code);
        let reference = |value: &Value| match value {
            Value::Reference(reference) => Some(reference.clone()),
            _ => None,
        };
        own.iter().filter_map(reference).collect()
    }

    /// Patients whose compartment this is in (compartmentdefinition-patient).
    fn compartment(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        if self.of() == "Patient" {
            all.insert(self.id().to_owned());
        }
        for code in compartment_codes("Patient", self.of()) {
            let local = self.references(code).into_iter().filter_map(|one| one.local);
            all.extend(local.filter_map(|key| Some(key.strip_prefix("Patient/")?.to_owned())));
        }
        all
    }
}

/// Everything that was written.
pub(crate) struct Naive {
    pub(crate) resources: Vec<Stored>,
    places: HashMap<String, usize>,
    /// The patient who asks; `None` sees everything.
    pub(crate) patient: Option<String>,
    /// Types that includes may bring along.
    pub(crate) included: TypeSet,
}

impl Naive {
    pub(crate) fn new(resources: Vec<Stored>) -> Self {
        let places = resources.iter().enumerate().map(|(at, one)| (one.key.clone(), at)).collect();
        Self { resources, places, patient: None, included: TypeSet::all() }
    }

    /// The resource of a key.
    pub(crate) fn named(&self, key: &str) -> Option<&Stored> {
        self.places.get(key).map(|at| &self.resources[*at])
    }

    /// Resources of a type that the one who asks may see.
    pub(crate) fn visible<'a>(&'a self, of: &'a str) -> impl Iterator<Item = &'a Stored> {
        self.resources.iter().filter(move |one| one.of() == of && self.sees(one))
    }

    /// All visible matches, in no order.
    ///
    /// # Errors
    /// Names what the oracle does not know.
    pub(crate) fn search(&self, case: &Case) -> Result<Vec<&Stored>, String> {
        let is_filter = |name: &str| !RESULT_PARAMETERS.contains(&bare(name));
        let filters: Vec<_> = case.pairs.iter().filter(|(name, _)| is_filter(name)).collect();
        let mut found = Vec::new();
        let types = types(case);
        let of_types = |one: &&Stored| types.contains(&one.of()) && self.sees(one);
        'all: for stored in self.resources.iter().filter(of_types) {
            if case.owner.as_ref().is_some_and(|owner| !belongs(stored, owner)) {
                continue;
            }
            for (name, value) in &filters {
                if !self.holds(stored, name, value)? {
                    continue 'all;
                }
            }
            found.push(stored);
        }
        Ok(found)
    }

    fn may_include(&self, stored: &Stored) -> bool {
        let of = ResourceType::parse(stored.of());
        self.sees(stored) && of.is_some_and(|of| self.included.contains(of))
    }

    /// Whether the one who asks may see it.
    pub(crate) fn sees(&self, stored: &Stored) -> bool {
        let Some(patient) = &self.patient else { return true };
        if stored.patients.is_empty() {
            // The product's policy, not the standard's.
            let of = ResourceType::parse(stored.of());
            return of.is_some_and(|of| policy::universal_types().contains(of));
        }
        stored.patients.contains(patient)
    }

    fn holds(&self, stored: &Stored, name: &str, value: &str) -> Result<bool, String> {
        if let Some(rest) = name.strip_prefix("_has:") {
            return self.is_referred_to(stored, rest, value);
        }
        if let Some((reference, inner)) = name.split_once('.') {
            return self.chain(stored, reference, inner, value);
        }
        if name == "_filter" {
            return filter::holds(self, stored, value);
        }
        let (code, modifier) = name.split_once(':').unwrap_or((name, ""));
        let alternatives = split(value, ',');
        match code {
            "_id" | "_lastUpdated" if modifier == "missing" => return Ok(value == "false"),
            "_id" if ["", "not"].contains(&modifier) => {
                let is_one = alternatives.iter().any(|one| unescape(one) == stored.id());
                return Ok(is_one == modifier.is_empty());
            }
            // Types without a narrative are met among several only, and match nothing.
            "_text" | "_content" if modifier.is_empty() => {
                return Ok(
                    param(stored.of(), code).is_some() && words::holds(&stored.json, code, value)
                );
            }
            "_list" => {
                let lists = self.visible("List").filter(|list| {
                    let id = |one: &&str| one.strip_prefix("List/").unwrap_or(one) == list.id();
                    alternatives.iter().any(id)
                });
                let mut items = lists.flat_map(|list| list.references("item"));
                return Ok(items.any(|one| one.local.as_ref() == Some(&stored.key)));
            }
            "_lastUpdated" if modifier.is_empty() => {
                let own = (stored.updated_us, stored.updated_us + 1);
                return Ok(alternatives.iter().any(|one| date_holds(own, one)));
            }
            _ => {}
        }
        let param = param(stored.of(), code).ok_or_else(|| format!("no parameter {name}"))?;
        let own = stored.values(param);
        if modifier == "missing" {
            return Ok(own.is_empty() == (value == "true"));
        }
        if (param.kind, modifier) == (Kind::String, "text") {
            return Ok(words::values_hold(&own, value));
        }
        if param.kind == Kind::Reference && ["above", "below"].contains(&modifier) {
            let asked: Vec<_> = alternatives.iter().map(|one| unescape(one)).collect();
            return Ok(self.in_tree(stored, param, modifier == "below", &asked));
        }
        let parts: Vec<Kind> = param.parts.iter().map(|(kind, _)| *kind).collect();
        let question = Question { kind: param.kind, modifier, parts: &parts };
        let any = one_passes(&own, question, &alternatives)?;
        Ok(if ["not", "not-in"].contains(&modifier) { !any } else { any })
    }

    /// `_has:Type:reference:name`: a resource that refers to this one passes.
    fn is_referred_to(&self, stored: &Stored, rest: &str, value: &str) -> Result<bool, String> {
        let parts: Vec<_> = rest.splitn(3, ':').collect();
        let [source, reference, inner] = parts[..] else { panic!("{rest}") };
        for other in self.visible(source) {
            let points = |one: &Reference| one.local.as_ref() == Some(&stored.key);
            if other.references(reference).iter().any(points) && self.holds(other, inner, value)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// One of the references is to what is asked for, or to what is below or above it by `partof`.
    fn in_tree(&self, stored: &Stored, param: &Param, below: bool, asked: &[String]) -> bool {
        let own = stored.references(param.code);
        asked.iter().any(|asked| {
            let named = literal(asked);
            let Some(start) = named.local else {
                let bare = |key: &String| key.split('/').nth(1) == Some(asked);
                let starts: Vec<_> = own.iter().filter_map(|one| one.local.clone()).collect();
                if !asked.contains(['/', ':']) {
                    let types = param.targets.iter();
                    let keys: Vec<_> = types.map(|of| format!("{of}/{asked}")).collect();
                    let found = keys.iter().any(|key| {
                        own.iter().any(|one| {
                            one.local.as_ref().is_some_and(|own| self.reaches(key, own, below))
                        })
                    });
                    return found || starts.iter().any(bare);
                }
                return own.iter().any(|one| refers(one, None, &escape(asked)));
            };
            own.iter().any(|one| refers(one, None, &escape(asked)))
                || own.iter().any(|one| {
                    one.local.as_ref().is_some_and(|own| self.reaches(&start, own, below))
                })
        })
    }

    /// Whether one leads to the other, downwards or upwards, within its type.
    fn reaches(&self, from: &str, to: &str, below: bool) -> bool {
        let of = from.split('/').next().unwrap_or("");
        let parents = |key: &str| -> Vec<String> {
            let Some(one) = self.named(key).filter(|one| self.sees(one)) else { return Vec::new() };
            let own = ["partof", "part-of"]
                .into_iter()
                .filter(|code| param(of, code).is_some_and(|param| param.targets.contains(&of)));
            let all = own.flat_map(|code| one.references(code)).filter_map(|one| one.local);
            all.filter(|key| key.starts_with(&format!("{of}/"))).collect()
        };
        let (child, ancestor) = if below { (to, from) } else { (from, to) };
        let (mut seen, mut open) = (BTreeSet::from([child.to_owned()]), vec![child.to_owned()]);
        while let Some(key) = open.pop() {
            if key == ancestor {
                return true;
            }
            open.extend(parents(&key).into_iter().filter(|key| seen.insert(key.clone())));
        }
        false
    }

    /// `reference[:Type].inner`: one of the resources that are referred to passes.
    fn chain(&self, stored: &Stored, name: &str, inner: &str, value: &str) -> Result<bool, String> {
        let (code, only) = name.split_once(':').unwrap_or((name, ""));
        for reference in stored.references(code) {
            let Some(other) = reference.local.and_then(|key| self.named(&key)) else { continue };
            // Accesses are rendered from the journal: no chain reaches them.
            let is_asked = other.of() != "AuditEvent" && (only.is_empty() || other.of() == only);
            if is_asked
                && self.sees(other)
                && reads(other.of(), inner)
                && self.holds(other, inner, value)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Keys of what these matches include, themselves left out.
    pub(crate) fn included(
        &self,
        matches: &[&Stored],
        includes: &[(String, String)],
    ) -> BTreeSet<String> {
        self.rounds(matches, includes).into_iter().flatten().collect()
    }

    /// The same as it comes, round after round.
    pub(crate) fn rounds(
        &self,
        matches: &[&Stored],
        includes: &[(String, String)],
    ) -> Vec<Vec<String>> {
        let mut seen: BTreeSet<_> = matches.iter().map(|one| one.key.clone()).collect();
        let mut rounds: Vec<Vec<String>> = Vec::new();
        let mut from: Vec<&Stored> = matches.to_vec();
        loop {
            let takes_part = |name: &str| rounds.is_empty() || name.ends_with(":iterate");
            let rules = includes.iter().filter(|(name, _)| takes_part(name));
            let all: BTreeSet<_> =
                rules.flat_map(|(name, rule)| self.follow(&from, name, rule)).collect();
            let new: Vec<String> = all.into_iter().filter(|key| !seen.contains(key)).collect();
            if new.is_empty() {
                return rounds;
            }
            from = new.iter().filter_map(|key| self.named(key)).collect();
            seen.extend(new.iter().cloned());
            rounds.push(new);
        }
    }

    /// Keys of what a reference names: one resource, or all that a canonical means.
    fn led_to(&self, reference: Reference, param: &Param) -> Vec<String> {
        let Some(url) = reference.url.filter(|_| reference.canonical) else {
            return reference.local.into_iter().collect();
        };
        let is_named = |one: &&Stored| {
            let is_canonical = ["url", "version"]
                .iter()
                .all(|code| super::params::param(one.of(), code).is_some());
            let version = reference.version.as_deref();
            let has = |name: &str, text: &str| one.json[name].as_str() == Some(text);
            is_canonical
                && (param.targets.is_empty() || param.targets.contains(&one.of()))
                && has("url", &url)
                && version.is_none_or(|version| has("version", version))
        };
        self.resources.iter().filter(is_named).map(|one| one.key.clone()).collect()
    }

    /// `Source:code[:Target]`, `Source:*`, `*`.
    fn follow(&self, from: &[&Stored], name: &str, rule: &str) -> Vec<String> {
        let parts: Vec<_> = rule.split(':').collect();
        let (source, code) = (parts[0], parts.get(1).copied().unwrap_or("*"));
        let target = parts.get(2).copied();
        let forward = bare(name) == "_include";
        let is_source = |one: &Stored| source == "*" || one.of() == source;
        let keys = |one: &Stored| {
            let codes = params(one.of()).filter(|param| param.kind == Kind::Reference);
            let codes = codes.filter(|param| code == "*" || param.code == code);
            let is_target =
                |key: &String| target.is_none_or(|of| key.split('/').next() == Some(of));
            let all = codes.flat_map(|param| {
                let own = one.references(param.code).into_iter();
                own.flat_map(|reference| self.led_to(reference, param))
            });
            all.filter(is_target).collect::<BTreeSet<_>>()
        };
        if forward {
            let sources = from.iter().filter(|one| is_source(one));
            let seen = |key: &String| self.named(key).is_some_and(|one| self.may_include(one));
            return sources.flat_map(|one| keys(one)).filter(seen).collect();
        }
        let points =
            |one: &Stored| keys(one).iter().any(|key| from.iter().any(|hit| hit.key == *key));
        let sources = self.resources.iter().filter(|one| is_source(one) && self.may_include(one));
        sources.filter(|one| points(one)).map(|one| one.key.clone()).collect()
    }
}

/// Whether one of the values passes one of the alternatives.
fn one_passes(own: &[Value], question: Question<'_>, asked: &[&str]) -> Result<bool, String> {
    let mut any = false;
    for asked in asked {
        for own in own {
            any |= passes(own, question, asked)?;
        }
    }
    Ok(any)
}

/// Types that a case searches: its own, those of `_type`, or all.
fn types(case: &Case) -> Vec<&str> {
    let named = case.pairs.iter().find(|(name, _)| name == "_type");
    match (case.of, named) {
        ("", Some((_, types))) => types.split(',').collect(),
        // Rendered from the access journal, so in no search over several types.
        ("", None) => schema().stored().filter(|of| *of != "AuditEvent").collect(),
        (of, _) => vec![of],
    }
}

/// Whether a resource is in the compartment of its owner, `Type/id`.
fn belongs(stored: &Stored, owner: &str) -> bool {
    let of = owner.split('/').next().unwrap_or("");
    stored.key == owner
        || compartment_codes(of, stored.of()).into_iter().any(|code| match code {
            "{def}" => stored.key == owner,
            code => stored.references(code).iter().any(|one| one.local.as_deref() == Some(owner)),
        })
}

/// Whether a type has the parameter that a chain ends in.
fn reads(of: &str, inner: &str) -> bool {
    if let Some(rest) = inner.strip_prefix("_has:") {
        let mut parts = rest.splitn(3, ':');
        let (source, code) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        return param(source, code).is_some_and(|param| param.targets.contains(&of));
    }
    let code = bare(inner.split('.').next().unwrap_or(inner));
    ["_id", "_lastUpdated"].contains(&code) || param(of, code).is_some()
}

/// A name without its modifier.
pub(crate) fn bare(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

const RESULT_PARAMETERS: [&str; 6] =
    ["_sort", "_count", "_total", "_include", "_revinclude", "_type"];
