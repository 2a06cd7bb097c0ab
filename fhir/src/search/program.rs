//! The search expressions of one resource type as one program: a tree of member names, walked
//! once along the document.
//!
//! All expressions of the type share the walk, so its cost does not grow with the number of
//! parameters. Types are known from the element table, so each end of a path knows how to read
//! its values. Not here: the grammar (`expression`), the reading of values (`extract`).

use crate::{Kind, Node};

use super::context::{Context, type_of};
use super::extract::{Reader, boolean_token};
use super::param::ParamId;
use super::value::{Extracted, Value};

/// Programs of one type; a place is an index into `places`.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(super) places: Vec<Place>,
}

/// What to do at one element.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Where to go from here by member name, sorted by tag.
    pub(super) edges: Vec<Edge>,
    /// Where to go on the same element if the condition holds.
    pub(super) filters: Vec<(Condition, usize)>,
    pub(super) emits: Vec<Emit>,
    pub(super) composites: Vec<CompositeEmit>,
    pub(super) predicates: Vec<PredicateEmit>,
}

/// The way to one member. Names are compared by a tag of one word first: most members of a
/// resource are not searched, and most that are differ in it.
#[derive(Debug)]
pub(super) struct Edge {
    tag: u64,
    name: Box<str>,
    pub(super) to: usize,
}

/// The element is a value of this parameter.
#[derive(Debug)]
pub(super) struct Emit {
    pub(super) param: ParamId,
    pub(super) reader: Reader,
}

/// The element is a root of this composite parameter.
#[derive(Debug)]
pub(super) struct CompositeEmit {
    pub(super) param: ParamId,
    pub(super) parts: Vec<Part>,
}

/// One component: where its program starts, and whether it does so at the resource.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) start: usize,
    pub(super) from_resource: bool,
}

/// `exists() and != literal` over the members that a choice element may be.
#[derive(Debug)]
pub(super) struct PredicateEmit {
    pub(super) param: ParamId,
    pub(super) members: Vec<Box<str>>,
    pub(super) literal: bool,
}

/// When a filter holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Condition {
    /// It is the n-th of its list.
    Index(usize),
    /// A member has this text.
    MemberIs { member: Box<str>, text: Box<str> },
    /// Its literal reference names this type.
    ResolvesTo(Box<str>),
    /// It has an extension with this URL.
    HasExtension(Box<str>),
}

impl Program {
    /// True if there is anything it may find.
    pub(super) fn yields(&self) -> bool {
        self.places.iter().any(|place| {
            !(place.emits.is_empty() && place.composites.is_empty() && place.predicates.is_empty())
        })
    }

    /// Runs from `start` on an element or a list of elements.
    pub(super) fn run<'t>(
        &self,
        start: usize,
        node: Node<'t>,
        cx: &Context<'t, '_>,
        out: &mut Vec<Extracted<'t>>,
    ) {
        if node.kind() == Kind::Array {
            for (index, child) in node.children().enumerate() {
                self.visit(start, child, index, cx, out);
            }
        } else {
            self.visit(start, node, 0, cx, out);
        }
    }

    fn visit<'t>(
        &self,
        at: usize,
        node: Node<'t>,
        index: usize,
        cx: &Context<'t, '_>,
        out: &mut Vec<Extracted<'t>>,
    ) {
        let place = &self.places[at];
        for emit in &place.emits {
            let before = out.len();
            emit.reader.read(node, cx, &mut |value| {
                out.push(Extracted { param: emit.param, value });
            });
            if out.len() == before && emit.reader.tells_presence(node) {
                out.push(Extracted { param: emit.param, value: Value::Present });
            }
        }
        for (condition, to) in &place.filters {
            if condition.holds(node, index) {
                self.visit(*to, node, index, cx, out);
            }
        }
        if node.kind() != Kind::Object {
            return;
        }
        self.follow(place, node, cx, out);
        for composite in &place.composites {
            self.compose(composite, node, cx, out);
        }
        for predicate in &place.predicates {
            out.push(predicate.value(node));
        }
    }

    fn follow<'t>(
        &self,
        place: &Place,
        node: Node<'t>,
        cx: &Context<'t, '_>,
        out: &mut Vec<Extracted<'t>>,
    ) {
        match place.edges.as_slice() {
            [] => {}
            [edge] => {
                if let Some(child) = node.get(&edge.name) {
                    self.run(edge.to, child, cx, out);
                }
            }
            _ => {
                for child in node.children() {
                    if let Some(to) = child.key().and_then(|key| place.edge(key)) {
                        self.run(to, child, cx, out);
                    }
                }
            }
        }
    }

    /// Emits the composite if every component has a value. The last is tried first: it is the
    /// value, and rarer than the code.
    fn compose<'t>(
        &self,
        composite: &CompositeEmit,
        node: Node<'t>,
        cx: &Context<'t, '_>,
        out: &mut Vec<Extracted<'t>>,
    ) {
        let mut parts: Vec<Vec<Value<'t>>> = Vec::new();
        let mut found = Vec::new();
        for part in composite.parts.iter().rev() {
            let from = if part.from_resource { cx.resource } else { node };
            self.run(part.start, from, cx, &mut found);
            if found.is_empty() {
                return;
            }
            parts.push(found.drain(..).map(|one| one.value).collect());
        }
        parts.reverse();
        out.push(Extracted { param: composite.param, value: Value::Composite(parts) });
    }
}

impl Place {
    /// Where the member of this name leads.
    pub(super) fn edge(&self, name: &str) -> Option<usize> {
        let tag = tag(name);
        let from = self.edges.partition_point(|edge| edge.tag < tag);
        let same = self.edges[from..].iter().take_while(|edge| edge.tag == tag);
        same.into_iter().find(|edge| *edge.name == *name).map(|edge| edge.to)
    }

    pub(super) fn add_edge(&mut self, name: &str, to: usize) {
        let tag = tag(name);
        let at = self.edges.partition_point(|edge| edge.tag < tag);
        self.edges.insert(at, Edge { tag, name: name.into(), to });
    }
}

/// A word made of both ends of a name.
fn tag(name: &str) -> u64 {
    let bytes = name.as_bytes();
    match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(23)
        }
        _ => bytes.iter().fold(0, |tag, byte| tag << 8 | u64::from(*byte)),
    }
}

impl Condition {
    fn holds(&self, node: Node<'_>, index: usize) -> bool {
        match self {
            Self::Index(wanted) => index == *wanted,
            Self::MemberIs { member, text } => {
                node.get(member).and_then(|found| found.as_str()).is_some_and(|s| s == **text)
            }
            Self::ResolvesTo(type_name) => {
                let reference = node.get("reference").and_then(|found| found.as_str());
                reference.is_some_and(|text| type_of(&text) == Some(type_name))
            }
            Self::HasExtension(url) => {
                let is_it = |extension: Node<'_>| {
                    extension
                        .get("url")
                        .and_then(|found| found.as_str())
                        .is_some_and(|s| s == **url)
                };
                node.get("extension").is_some_and(|list| list.children().any(is_it))
            }
        }
    }
}

impl PredicateEmit {
    fn value<'t>(&self, node: Node<'t>) -> Extracted<'t> {
        let found = self.members.iter().find_map(|member| node.get(member));
        let holds = found.is_some_and(|element| element.as_bool() != Some(self.literal));
        Extracted { param: self.param, value: boolean_token(holds) }
    }
}
