//! JSON to XML: elements in the order of their definition.
//!
//! Spec: FHIR R4 xml.html. Values keep their text, decimals included; white space in values is written as references,
//! so that an XML parser gives it back. A narrative is copied, its line ends made line feeds.
//! Recursion is bounded by the depth of the document, which the parser has limited.
//! Not here: the other way (`reader`).

use super::FHIR;
use super::narrative;
use super::rule::is_attribute;
use super::text::escape;
use crate::element_table::{ElementTable, Property, TypeId, TypeRef, element_table};
use crate::primitive::Primitive;
use crate::resource::type_of;
use crate::{Kind, Node, Tree};

/// How XML is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct XmlForm {
    /// Each element on a line of its own, indented by two spaces a level; narratives are left alone.
    pub pretty: bool,
    /// Longest text that is made.
    pub bytes_max: usize,
}

/// Why a document has no XML form.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotXml {
    /// It is no resource of R4.
    #[error("this is no resource that XML can show")]
    NoResource,
    /// It would be longer than allowed.
    #[error("as XML this would be too long")]
    TooLong,
}

/// The XML text of a resource in JSON; bundles may hold any others.
///
/// # Errors
/// [`NotXml`]; never for a resource that the strict reader took and that is not too long.
pub fn json_to_xml(json: &[u8], form: &XmlForm) -> Result<Vec<u8>, NotXml> {
    let tree = Tree::parse_made(json.to_vec()).map_err(|_| NotXml::NoResource)?;
    let mut writer = Writer {
        table: element_table(),
        form: *form,
        out: Vec::with_capacity(json.len().min(form.bytes_max)),
    };
    writer.out.extend_from_slice(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    if !form.pretty {
        writer.out.push(b'\n');
    }
    writer.resource(tree.root(), 0)?;
    writer.out.push(b'\n');
    if writer.out.len() > form.bytes_max { Err(NotXml::TooLong) } else { Ok(writer.out) }
}

struct Writer {
    table: &'static ElementTable,
    form: XmlForm,
    out: Vec<u8>,
}

/// A property with the value that JSON has in one or two members.
struct Held<'t> {
    property: &'static Property,
    /// Where the first of them stood, so that equal ones keep their order.
    place: usize,
    value: Option<Node<'t>>,
    beside: Option<Node<'t>>,
}

impl Writer {
    fn resource(&mut self, node: Node<'_>, level: usize) -> Result<(), NotXml> {
        let of = type_of(node).ok_or(NotXml::NoResource)?;
        self.line(level);
        self.text("<");
        self.text(of.name());
        if level == 0 {
            self.text(" xmlns=\"");
            self.text(FHIR);
            self.text("\"");
        }
        self.content(node, self.table.of_resource(of), of.name(), level)
    }

    fn object(
        &mut self,
        node: Node<'_>,
        id: TypeId,
        name: &str,
        level: usize,
    ) -> Result<(), NotXml> {
        self.line(level);
        self.text("<");
        self.text(name);
        self.content(node, id, name, level)
    }

    /// From the attributes on, the end tag included.
    fn content(
        &mut self,
        node: Node<'_>,
        id: TypeId,
        name: &str,
        level: usize,
    ) -> Result<(), NotXml> {
        if node.kind() != Kind::Object {
            return Err(NotXml::NoResource);
        }
        let held = self.sorted(node, id)?;
        self.attributes(&held);
        self.elements(&held, name, level)
    }

    /// What stands between the tags, and the end tag; an element without any is closed at once.
    fn elements(&mut self, held: &[Held<'_>], name: &str, level: usize) -> Result<(), NotXml> {
        let mut elements = held.iter().filter(|held| !is_attribute(held.property)).peekable();
        if elements.peek().is_none() {
            self.text("/>");
            return Ok(());
        }
        self.text(">");
        for held in elements {
            self.element(held, level + 1)?;
        }
        self.line(level);
        self.end(name);
        Ok(())
    }

    fn attributes(&mut self, held: &[Held<'_>]) {
        for held in held.iter().filter(|held| is_attribute(held.property)) {
            let value = held.value.and_then(Node::as_str).unwrap_or_default();
            self.attribute(&held.property.key, &value);
        }
    }

    /// The members of an object by the order of the definition, each with what stands beside it.
    fn sorted<'t>(&self, node: Node<'t>, id: TypeId) -> Result<Vec<Held<'t>>, NotXml> {
        let table = self.table;
        let def = table.type_def(id);
        let mut found: Vec<Held<'t>> = Vec::new();
        for (place, member) in node.children().enumerate() {
            let key = member.key().unwrap_or_default();
            if def.is_resource && key == "resourceType" {
                continue;
            }
            let beside = key.strip_prefix('_');
            let property = def.find(beside.unwrap_or(key)).ok_or(NotXml::NoResource)?;
            let at = found.iter().position(|held| std::ptr::eq(held.property, property));
            let at = at.unwrap_or_else(|| {
                found.push(Held { property, place, value: None, beside: None });
                found.len() - 1
            });
            match beside {
                Some(_) => found[at].beside = Some(member),
                None => found[at].value = Some(member),
            }
        }
        found.sort_by_key(|held| (held.property.slot, held.place));
        Ok(found)
    }

    fn element(&mut self, held: &Held<'_>, level: usize) -> Result<(), NotXml> {
        if !held.property.is_list {
            return self.item(held.property, held.value, held.beside, level);
        }
        let mut values = held.value.into_iter().flat_map(Node::children);
        let mut besides = held.beside.into_iter().flat_map(Node::children);
        loop {
            let (value, beside) = (values.next(), besides.next());
            if value.is_none() && beside.is_none() {
                return Ok(());
            }
            self.item(held.property, value, beside, level)?;
        }
    }

    fn item(
        &mut self,
        property: &'static Property,
        value: Option<Node<'_>>,
        beside: Option<Node<'_>>,
        level: usize,
    ) -> Result<(), NotXml> {
        if self.out.len() > self.form.bytes_max {
            return Err(NotXml::TooLong);
        }
        let is_there = |node: &Node<'_>| node.kind() != Kind::Null;
        let (value, beside) = (value.filter(is_there), beside.filter(is_there));
        match (property.of, value) {
            (TypeRef::Primitive(Primitive::Xhtml), Some(value)) => {
                self.line(level);
                let div = value.as_str().ok_or(NotXml::NoResource)?;
                self.text(&narrative::to_xml(&div));
                Ok(())
            }
            (TypeRef::Primitive(_), value) => self.primitive(&property.key, value, beside, level),
            (TypeRef::Object(id), Some(value)) => self.object(value, id, &property.key, level),
            (TypeRef::Resource, Some(value)) => {
                self.line(level);
                self.text("<");
                self.text(&property.key);
                self.text(">");
                self.resource(value, level + 1)?;
                self.line(level);
                self.end(&property.key);
                Ok(())
            }
            (_, None) => Ok(()),
        }
    }

    fn primitive(
        &mut self,
        name: &str,
        value: Option<Node<'_>>,
        beside: Option<Node<'_>>,
        level: usize,
    ) -> Result<(), NotXml> {
        let held = match beside {
            Some(beside) if beside.kind() == Kind::Object => {
                self.sorted(beside, self.table.element)?
            }
            Some(_) => return Err(NotXml::NoResource),
            None => Vec::new(),
        };
        if value.is_none() && beside.is_none() {
            return Ok(());
        }
        self.line(level);
        self.text("<");
        self.text(name);
        self.attributes(&held);
        match value.map(|value| (value, value.kind())) {
            None => {}
            Some((value, Kind::String)) => {
                self.attribute("value", &value.as_str().unwrap_or_default())
            }
            Some((value, Kind::Number | Kind::Bool)) => {
                self.attribute("value", &String::from_utf8_lossy(value.raw()));
            }
            Some(_) => return Err(NotXml::NoResource),
        }
        self.elements(&held, name, level)
    }

    fn attribute(&mut self, name: &str, value: &str) {
        self.text(" ");
        self.text(name);
        self.text("=\"");
        escape(value, &mut self.out);
        self.text("\"");
    }

    fn end(&mut self, name: &str) {
        self.text("</");
        self.text(name);
        self.text(">");
    }

    fn line(&mut self, level: usize) {
        if self.form.pretty {
            self.out.push(b'\n');
            self.out.resize(self.out.len() + 2 * level, b' ');
        }
    }

    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }
}
