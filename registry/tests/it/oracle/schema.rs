//! R4's types and elements as data: what an object may have, of which types, from which codes.
//!
//! Source: `fhir-profiles/r4/elements.txt`, read here anew; nothing of the product's tables is used.

use std::collections::HashMap;
use std::sync::LazyLock;

/// All types and value sets of R4.
pub(crate) struct Schema {
    types: HashMap<&'static str, Type>,
    sets: HashMap<&'static str, Vec<(&'static str, &'static str)>>,
}

struct Type {
    base: Option<&'static str>,
    elements: Vec<Element>,
}

/// One element of a type.
#[derive(Clone, Debug)]
pub(crate) struct Element {
    pub(crate) name: &'static str,
    /// `value[x]`: its JSON names end in the type.
    pub(crate) is_choice: bool,
    pub(crate) is_required: bool,
    pub(crate) is_list: bool,
    pub(crate) types: Vec<&'static str>,
    /// Value set of a required binding.
    pub(crate) set: Option<&'static str>,
}

/// The schema, read once.
pub(crate) fn schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(read);
    &SCHEMA
}

impl Schema {
    /// Elements of a type with those it inherits.
    pub(crate) fn elements(&self, of: &str) -> &[Element] {
        self.types.get(of).map_or(&[], |found| &found.elements)
    }

    /// The element of this name, choices without `[x]`.
    pub(crate) fn element(&self, of: &str, name: &str) -> Option<&Element> {
        self.elements(of).iter().find(|element| element.name == name)
    }

    fn inherited(&self, of: &str) -> Vec<Element> {
        let Some(base) = self.types.get(of).and_then(|of| of.base) else { return Vec::new() };
        let own = self.types.get(base).map_or(&[][..], |base| &base.elements);
        [self.inherited(base), own.to_vec()].concat()
    }

    /// Whether the type is `base` or has it among its ancestors.
    pub(crate) fn is_a(&self, of: &str, base: &str) -> bool {
        of == base
            || self.types.get(of).and_then(|of| of.base).is_some_and(|next| self.is_a(next, base))
    }

    /// System and code of each member of a value set.
    pub(crate) fn codes(&self, set: &str) -> &[(&'static str, &'static str)] {
        self.sets.get(set).map_or(&[], Vec::as_slice)
    }

    /// Resource types that are stored: not the one that has no end-point (parameters.html).
    pub(crate) fn stored(&self) -> impl Iterator<Item = &'static str> {
        self.resources().into_iter().filter(|of| *of != "Parameters")
    }

    /// All resource types that a reference may name, in the order of their names.
    pub(crate) fn resources(&self) -> Vec<&'static str> {
        let abstracts = ["Resource", "DomainResource"];
        let names = self.types.keys().copied();
        let mut all: Vec<_> =
            names.filter(|name| self.is_a(name, "Resource") && !abstracts.contains(name)).collect();
        all.sort_unstable();
        all
    }
}

/// Member name of a choice for one of its types: `value` and `dateTime` make `valueDateTime`.
pub(crate) fn choice_name(name: &str, of: &str) -> String {
    let mut letters = of.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    name.chars().chain(first).chain(letters).collect()
}

fn read() -> Schema {
    let mut schema = Schema { types: HashMap::new(), sets: HashMap::new() };
    let mut current = "";
    for line in ELEMENTS.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let first = words.next().unwrap_or("");
        if let Some(name) = first.strip_prefix('=') {
            schema.sets.insert(name, codes(words));
        } else if let Some(name) = first.strip_prefix('@') {
            schema.types.insert(name, Type { base: words.next(), elements: Vec::new() });
            current = name;
        } else if let Some(of) = schema.types.get_mut(current) {
            of.elements.push(element(first, words));
        }
    }
    let mime = MIME_CODES.iter().map(|code| (MIME_SYSTEM, *code)).collect();
    schema.sets.insert(MIME_SET, mime);
    for (of, name) in MIME_ELEMENTS {
        let elements = &mut schema.types.get_mut(of).expect("a type of R4").elements;
        let bound = elements.iter_mut().find(|element| element.name == name);
        bound.expect("an element of R4").set = Some(MIME_SET);
    }
    let inherited: Vec<_> = schema.types.keys().map(|of| (*of, schema.inherited(of))).collect();
    for (of, elements) in inherited {
        schema.types.get_mut(of).expect("one of the types").elements.splice(0..0, elements);
    }
    schema
}

fn codes<'a>(words: impl Iterator<Item = &'a str>) -> Vec<(&'a str, &'a str)> {
    let mut system = "";
    let mut all = Vec::new();
    // A plus marks what belongs to a summary.
    for word in words.filter(|word| *word != "+") {
        match word.strip_prefix('<').and_then(|word| word.strip_suffix('>')) {
            Some(url) => system = url,
            None => all.push((system, word)),
        }
    }
    all
}

fn element(name: &'static str, mut words: impl Iterator<Item = &'static str>) -> Element {
    let is_required = words.next() != Some("0");
    let is_list = words.next() != Some("1");
    let mut element = Element {
        name: name.strip_suffix("[x]").unwrap_or(name),
        is_choice: name.ends_with("[x]"),
        is_required,
        is_list,
        types: Vec::new(),
        set: None,
    };
    // A plus marks what belongs to a summary.
    for word in words.filter(|word| *word != "+") {
        match word.strip_prefix('!') {
            Some(set) => element.set = Some(set),
            None => element.types.push(word.strip_prefix('@').unwrap_or(word)),
        }
    }
    element
}

const ELEMENTS: &str = include_str!("../../../../fhir-profiles/r4/elements.txt");
/// Required bindings to all MIME types, which the table does not list.
const MIME_ELEMENTS: [(&str, &str); 3] = [
    ("Attachment", "contentType"),
    ("CapabilityStatement", "format"),
    ("Subscription.channel", "payload"),
];
const MIME_SET: &str = "mimetypes";
const MIME_SYSTEM: &str = "urn:ietf:bcp:13";
const MIME_CODES: [&str; 2] = ["text/plain", "application/fhir+json"];
