//! One operation of a FHIRPath Patch: add, insert, delete, replace, move (FHIR R4 fhirpatch.html).
//!
//! A value is `value[x]`, a `resource`, or `part`s for types that `Parameters` cannot hold. Whether an element repeats
//! and which types a choice has comes from the element table. Not here: paths.

use crate::element_table::TypeRef;
use crate::patch::PatchError;
use crate::patch::element::{Element, Location, Property};
use crate::patch::evaluate::{Budget, locate};
use crate::patch::expression::{Expression, parse};
use crate::{DEPTH_MAX, Node};

/// An operation as it was sent.
pub(super) struct Operation<'p> {
    place: &'p str,
    kind: Kind,
    path: Expression,
    name: Option<String>,
    value: Option<Node<'p>>,
    index: Option<usize>,
    source: Option<usize>,
    destination: Option<usize>,
    budget: &'p Budget,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Add,
    Insert,
    Delete,
    Replace,
    Move,
}

impl<'p> Operation<'p> {
    /// Takes the parts of a parameter apart; what its path looks at is taken from the budget.
    pub(super) fn read(
        parameter: Node<'p>,
        place: &'p str,
        budget: &'p Budget,
    ) -> Result<Self, PatchError> {
        let malformed = |text: &str| PatchError::malformed(place, text);
        let mut parts: Vec<(String, Node<'p>)> = Vec::new();
        for part in parameter.get("part").into_iter().flat_map(Node::children) {
            let name = part.get("name").and_then(Node::as_str).unwrap_or_default().into_owned();
            if !PARTS.contains(&name.as_str()) {
                return Err(malformed(
                    "a part is type, path, name, value, index, source or destination",
                ));
            }
            if parts.iter().any(|(known, _)| *known == name) {
                return Err(malformed("a part occurs twice"));
            }
            parts.push((name, part));
        }
        let part =
            |name: &str| parts.iter().find(|(known, _)| known == name).map(|(_, part)| *part);
        let text = |name: &str| {
            let (_, value) = value_of(part(name)?)?;
            value.as_str().map(std::borrow::Cow::into_owned)
        };
        let number = |name: &str| match part(name) {
            None => Ok(None),
            Some(part) => {
                let digits = value_of(part).and_then(|(_, value)| value.number_text());
                let number = digits.and_then(|digits| digits.parse().ok());
                number.map(Some).ok_or_else(|| malformed("an index is a whole number from 0"))
            }
        };
        let kind = match text("type").as_deref() {
            Some("add") => Kind::Add,
            Some("insert") => Kind::Insert,
            Some("delete") => Kind::Delete,
            Some("replace") => Kind::Replace,
            Some("move") => Kind::Move,
            _ => return Err(malformed("the type is add, insert, delete, replace or move")),
        };
        let path = text("path").ok_or_else(|| malformed("an operation has a path, a string"))?;
        let path = parse(&path).map_err(|refused| malformed(&refused.0))?;
        Ok(Self {
            place,
            kind,
            path,
            name: text("name"),
            value: part("value"),
            index: number("index")?,
            source: number("source")?,
            destination: number("destination")?,
            budget,
        })
    }

    /// Changes the resource.
    pub(super) fn apply(&self, root: &mut Element) -> Result<(), PatchError> {
        match self.kind {
            Kind::Add => self.add(root),
            Kind::Insert => self.insert(root),
            Kind::Delete => self.delete(root),
            Kind::Replace => self.replace(root),
            Kind::Move => self.move_item(root),
        }
    }

    fn add(&self, root: &mut Element) -> Result<(), PatchError> {
        let name = self.name.as_deref().ok_or_else(|| self.malformed("an add has a name"))?;
        let location = self.one(root, &self.path)?.ok_or_else(|| self.nothing_there())?;
        let parent = root.at(&location);
        let target = self.target(parent, name)?;
        let known = parent.positions(name);
        if !target.is_list && !known.is_empty() {
            let text = "the element is there already and does not repeat; use replace";
            return Err(self.inapplicable(text));
        }
        let element = self.element(&target, location.len())?;
        put(root.at_mut(&location), &target, known.first().copied(), None, element);
        Ok(())
    }

    fn insert(&self, root: &mut Element) -> Result<(), PatchError> {
        let index = self.index.ok_or_else(|| self.malformed("an insert has an index"))?;
        let (location, name) = self.list(root)?;
        let parent = root.at(&location);
        let target = self.target(parent, &name)?;
        if !target.is_list {
            return Err(self.inapplicable("the path names no list; use add"));
        }
        let known = parent.position(&target.key);
        let items = known.map_or(0, |at| parent.properties[at].items.len());
        if index > items {
            return Err(self.inapplicable("the index is beyond the end of the list"));
        }
        let element = self.element(&target, location.len())?;
        put(root.at_mut(&location), &target, known, Some(index), element);
        Ok(())
    }

    fn delete(&self, root: &mut Element) -> Result<(), PatchError> {
        if let Some(location) = self.one(root, &self.path)? {
            self.remove(root, &location)?;
        }
        Ok(())
    }

    /// Takes an element out, and its parents as far as nothing else is in them.
    fn remove(&self, root: &mut Element, location: &Location) -> Result<(), PatchError> {
        let mut location = location.clone();
        loop {
            let Some((property, item)) = location.pop() else {
                return Err(self.inapplicable("the resource itself cannot be deleted by a patch"));
            };
            let parent = root.at_mut(&location);
            parent.properties[property].items.remove(item);
            if parent.properties[property].items.is_empty() {
                parent.properties.remove(property);
            }
            if location.is_empty() || !parent.is_void() {
                return Ok(());
            }
        }
    }

    fn replace(&self, root: &mut Element) -> Result<(), PatchError> {
        let location = self.one(root, &self.path)?.ok_or_else(|| self.nothing_there())?;
        let Some(((property, item), parents)) = location.split_last() else {
            return Err(self.inapplicable("a patch cannot replace the resource as a whole"));
        };
        let parent = root.at(parents);
        let key = parent.properties[*property].key.clone();
        let base = parent.base_name(&key).to_owned();
        let target = self.target(parent, &base)?;
        let element = self.element(&target, parents.len())?;
        let property = &mut root.at_mut(parents).properties[*property];
        // A choice takes the name of its new type.
        property.key = target.key;
        property.items[*item] = element;
        Ok(())
    }

    fn move_item(&self, root: &mut Element) -> Result<(), PatchError> {
        let (Some(source), Some(destination)) = (self.source, self.destination) else {
            return Err(self.malformed("a move has a source and a destination"));
        };
        let (location, name) = self.list(root)?;
        let parent = root.at_mut(&location);
        let Some(at) = parent.position(&name) else { return Err(self.nothing_there()) };
        let items = &mut parent.properties[at].items;
        if source >= items.len() || destination >= items.len() {
            return Err(self.inapplicable("source or destination is beyond the end of the list"));
        }
        let item = items.remove(source);
        items.insert(destination, item);
        Ok(())
    }

    /// The one element that a path names; `None` when there is none.
    fn one(&self, root: &Element, path: &Expression) -> Result<Option<Location>, PatchError> {
        let found = locate(path, root, self.budget);
        let mut found = found.map_err(|refused| self.inapplicable(&refused.0))?;
        match found.len() {
            0 | 1 => Ok(found.pop()),
            many => {
                let text = format!("the path names {many} elements; it must name one");
                Err(self.inapplicable(&text))
            }
        }
    }

    /// The parent and name of a list, which may be empty.
    fn list(&self, root: &Element) -> Result<(Location, String), PatchError> {
        let Expression::Member(parent, name) = &self.path else {
            return Err(self.malformed("the path must end with the name of a list"));
        };
        let parent = self.one(root, parent)?.ok_or_else(|| self.nothing_there())?;
        Ok((parent, name.clone()))
    }

    /// Where the value goes: for a choice under the name of the value's type.
    fn target(&self, parent: &Element, name: &str) -> Result<Target, PatchError> {
        let declared = |key: &str| {
            let declared = parent.declared(key)?;
            Some(Target { key: key.into(), is_list: declared.is_list, of: Some(declared.of) })
        };
        if let Some(target) = declared(name) {
            return Ok(target);
        }
        let value = self.value.and_then(value_of);
        let of_type = value.and_then(|(key, _)| key.trim_start_matches('_').strip_prefix("value"));
        let choice = of_type.and_then(|of_type| declared(&format!("{name}{of_type}")));
        choice.ok_or_else(|| {
            self.inapplicable("there is no such element here, or it has not the type of the value")
        })
    }

    /// The value as an element of the target's type.
    fn element(&self, target: &Target, depth: usize) -> Result<Element, PatchError> {
        let value = self.value.ok_or_else(|| self.malformed("the operation has a value"))?;
        let element = self.built(value, target.of)?;
        // Each step is an object and perhaps a list.
        if 2 * depth + element.depth() > DEPTH_MAX {
            let text = format!("the result would be nested deeper than {DEPTH_MAX}");
            return Err(self.inapplicable(&text));
        }
        if element.is_void() {
            return Err(self.malformed("the value is empty"));
        }
        Ok(element)
    }

    fn built(&self, part: Node<'p>, of: Option<TypeRef>) -> Result<Element, PatchError> {
        if let Some(resource) = part.get("resource") {
            return Ok(Element::resource(resource));
        }
        if let Some((key, value)) = value_of(part) {
            let mut element = if key.starts_with('_') {
                let mut bare = Element::empty(of);
                bare.put_beside(value);
                bare
            } else {
                Element::of(value, of)
            };
            if let Some(beside) = part.get(&format!("_{key}")) {
                element.put_beside(beside);
            }
            return Ok(element);
        }
        let mut element = Element::empty(of);
        for inner in part.get("part").into_iter().flat_map(Node::children) {
            let name = inner.get("name").and_then(Node::as_str);
            let name = name.ok_or_else(|| self.malformed("a part of a value has a name"))?;
            let nested = Operation { value: Some(inner), name: None, ..self.bare() };
            let target = nested.target(&element, &name)?;
            let child = self.built(inner, target.of)?;
            let known = element.position(&target.key);
            if known.is_some() && !target.is_list {
                return Err(self.malformed("a part of a value occurs twice and does not repeat"));
            }
            put(&mut element, &target, known, None, child);
        }
        Ok(element)
    }

    /// The same place without content, for the parts of a value.
    fn bare(&self) -> Self {
        Self {
            place: self.place,
            kind: self.kind,
            path: Expression::This,
            name: None,
            value: None,
            index: None,
            source: None,
            destination: None,
            budget: self.budget,
        }
    }

    fn nothing_there(&self) -> PatchError {
        self.inapplicable("the path names nothing in the resource")
    }

    fn malformed(&self, text: &str) -> PatchError {
        PatchError::malformed(self.place, text)
    }

    fn inapplicable(&self, text: &str) -> PatchError {
        PatchError::inapplicable(self.place, text)
    }
}

/// A property that takes a value.
struct Target {
    key: Box<str>,
    is_list: bool,
    of: Option<TypeRef>,
}

fn put(
    parent: &mut Element,
    target: &Target,
    known: Option<usize>,
    index: Option<usize>,
    element: Element,
) {
    let at = known.unwrap_or_else(|| {
        let (key, is_list) = (target.key.clone(), target.is_list);
        parent.properties.push(Property { key, is_list, items: Vec::new() });
        parent.properties.len() - 1
    });
    let items = &mut parent.properties[at].items;
    items.insert(index.unwrap_or(items.len()), element);
}

/// `value[x]` of a parameter with its JSON name; the one with an underscore when there is no other.
fn value_of(part: Node<'_>) -> Option<(&str, Node<'_>)> {
    let named = |prefix: &str| {
        let mut members = part.children().filter_map(|child| Some((child.key()?, child)));
        members.find(|(key, _)| key.starts_with(prefix))
    };
    named("value").or_else(|| named("_value"))
}

const PARTS: [&str; 7] = ["type", "path", "name", "value", "index", "source", "destination"];
