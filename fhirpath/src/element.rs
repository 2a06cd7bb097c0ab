//! An element of a document: its JSON value, what stands beside it under `_name`, and its declared type.
//!
//! Spec: FHIR R4 json.html (primitives and their extensions), fhirpath.html (choices are named without their type).

use std::borrow::Cow;

use fhir::{Declared, Kind, Node};
use rust_decimal::Decimal;

use crate::item::{Item, Quantity};
use crate::moment::Moment;

/// An element; as cheap as two references.
#[derive(Clone, Copy, Debug)]
pub struct Element<'t> {
    value: Option<Node<'t>>,
    beside: Option<Node<'t>>,
    of: Declared,
}

impl<'t> Element<'t> {
    /// The resource at a node.
    #[must_use]
    pub fn resource(node: Node<'t>) -> Self {
        Self { value: Some(node), beside: None, of: Declared::RESOURCE.seen_in(node) }
    }

    /// An element of that type; at least one of the nodes must be there.
    #[must_use]
    pub fn new(value: Option<Node<'t>>, beside: Option<Node<'t>>, of: Declared) -> Self {
        let of = value.map_or(of, |node| of.seen_in(node));
        Self { value, beside, of }
    }

    /// Its JSON value; none when only extensions are there.
    #[must_use]
    pub fn value(&self) -> Option<Node<'t>> {
        self.value
    }

    /// The node that says where it is: its value, or what stands beside it.
    ///
    /// # Panics
    /// Never: an element has one of them.
    #[must_use]
    pub fn node(&self) -> Node<'t> {
        self.value.or(self.beside).expect("an element has a value or extensions")
    }

    /// Declared type.
    #[must_use]
    pub fn of(&self) -> Declared {
        self.of
    }

    /// Whether a primitive value is there.
    #[must_use]
    pub fn has_value(&self) -> bool {
        self.value
            .is_some_and(|node| !matches!(node.kind(), Kind::Object | Kind::Array | Kind::Null))
    }

    /// The text of a JSON string.
    #[must_use]
    pub fn text(&self) -> Option<Cow<'t, str>> {
        self.value?.as_str()
    }

    /// Its elements of that name, a choice by its name without type.
    pub fn member(&self, name: &str, mut found: impl FnMut(Element<'t>)) {
        for object in [self.value, self.beside].into_iter().flatten() {
            if object.kind() != Kind::Object {
                continue;
            }
            for node in object.children() {
                let key = node.key().unwrap_or_default();
                let plain = key.strip_prefix('_').unwrap_or(key);
                if !plain.starts_with(name) || (plain == "resourceType" && self.of.is_resource()) {
                    continue;
                }
                let member = self.member_type(object).member(plain);
                match member {
                    Some(member) if member.element == name => {
                        pair(object, node, key, member.of, &mut found);
                    }
                    None if plain == name => {
                        pair(object, node, key, Declared::UNKNOWN, &mut found);
                    }
                    _ => {}
                }
            }
        }
    }

    /// All its elements.
    pub fn children(&self, mut found: impl FnMut(Element<'t>)) {
        self.named_children(|_, child| found(child));
    }

    /// All its elements with their names, a choice without its type; what R4 does not know, under its JSON key.
    pub fn named_children(&self, mut found: impl FnMut(&'t str, Element<'t>)) {
        for object in [self.value, self.beside].into_iter().flatten() {
            if object.kind() != Kind::Object {
                continue;
            }
            for node in object.children() {
                let key = node.key().unwrap_or_default();
                if key == "resourceType" && self.of.is_resource() {
                    continue;
                }
                let member = self.member_type(object).member(key);
                let (name, of) = match member {
                    Some(member) => (member.element, member.of),
                    None => (key.strip_prefix('_').unwrap_or(key), Declared::UNKNOWN),
                };
                pair(object, node, key, of, &mut |child| found(name, child));
            }
        }
    }

    /// What stands beside a primitive is an `Element`.
    fn member_type(&self, object: Node<'t>) -> Declared {
        let is_beside = self.beside.is_some_and(|beside| beside.span() == object.span());
        match is_beside {
            true => Declared::named("Element").unwrap_or(Declared::UNKNOWN),
            false => self.of,
        }
    }

    /// The value of a primitive or a Quantity as a `System` type; `None` for what is neither or has no value.
    pub(crate) fn system_value(&self) -> Option<Item<'t>> {
        let node = self.value?;
        match node.kind() {
            Kind::Bool => Some(Item::Boolean(node.as_bool()?)),
            Kind::Number => number(node.number_text()?, self.of.name() == Some("decimal")),
            Kind::String => {
                let text = node.as_str()?;
                let moment = match self.of.name() {
                    Some("date") => Moment::date(&text),
                    Some("dateTime" | "instant") => Moment::date_time(&text),
                    Some("time") => Moment::time(&text),
                    _ => None,
                };
                Some(moment.map_or(Item::String(text), Item::Moment))
            }
            Kind::Object if self.of.name().is_some_and(is_quantity) => self.quantity(node),
            _ => None,
        }
    }

    fn quantity(&self, node: Node<'t>) -> Option<Item<'t>> {
        let text = |key| node.get(key).and_then(Node::as_str);
        if node.get("comparator").is_some() {
            return None;
        }
        let value = decimal(node.get("value")?.number_text()?)?;
        let (unit, system) = match text("code") {
            Some(code) => (code, text("system").unwrap_or_default()),
            None => (text("unit").unwrap_or(Cow::Borrowed("1")), Cow::Borrowed("")),
        };
        Some(Item::Quantity(Quantity { value, unit, system }))
    }
}

/// Joins `name` and `_name` of one object to elements; the second of the pair, when met, is passed over.
fn pair<'t>(
    object: Node<'t>,
    node: Node<'t>,
    key: &str,
    of: Declared,
    found: &mut impl FnMut(Element<'t>),
) {
    let is_primitive = of.is_primitive() || of == Declared::UNKNOWN;
    let (value, beside) = match key.strip_prefix('_') {
        Some(plain) if is_primitive => {
            if object.get(plain).is_some() {
                return;
            }
            (None, Some(node))
        }
        _ if is_primitive => (Some(node), object.get(&format!("_{key}"))),
        _ => (Some(node), None),
    };
    let list = value.or(beside).is_some_and(|node| node.kind() == Kind::Array);
    if !list {
        found(Element::new(value, beside, of));
        return;
    }
    let mut values = value.map(Node::children);
    let mut besides = beside.filter(|node| node.kind() == Kind::Array).map(Node::children);
    loop {
        let value = values.as_mut().and_then(Iterator::next);
        let beside = besides.as_mut().and_then(Iterator::next);
        if value.is_none() && beside.is_none() {
            return;
        }
        let present = |node: &Node<'t>| node.kind() != Kind::Null;
        let (value, beside) = (value.filter(present), beside.filter(present));
        if value.is_some() || beside.is_some() {
            found(Element::new(value, beside, of));
        }
    }
}

fn number(text: &str, decimal_type: bool) -> Option<Item<'static>> {
    if !decimal_type && let Ok(whole) = text.parse() {
        return Some(Item::Integer(whole));
    }
    decimal(text).map(Item::Decimal)
}

/// A JSON number of at most 28 digits; `None` for larger ones.
pub(crate) fn decimal(text: &str) -> Option<Decimal> {
    match text.contains(['e', 'E']) {
        true => Decimal::from_scientific(text).ok(),
        false => text.parse().ok(),
    }
}

fn is_quantity(name: &str) -> bool {
    matches!(
        name,
        "Quantity" | "Age" | "Count" | "Distance" | "Duration" | "SimpleQuantity" | "MoneyQuantity"
    )
}
