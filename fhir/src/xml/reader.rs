//! XML to JSON text: one pass over the tags beside the element table.
//!
//! Spec: FHIR R4 xml.html. Elements stand in the order of their definition, `value`, `id` and an extension's `url` are
//! attributes, nothing else is; text outside narratives is white space. What the value must be like is the strict
//! reader's matter. Comments and processing instructions are dropped outside narratives.
//! Not here: JSON's commas and lists (`output`), places of the strict reader's issues (`place`).

use super::ELEMENTS_DEEP_MAX;
use super::events::{Events, Piece, Tag, Token};
use super::frame::{Frame, Of, path};
use super::namespace::{Space, Spaces};
use super::narrative::{self, Named};
use super::output::Output;
use super::place::Watch;
use super::rule::{NOT_FHIR, is_attribute, misplaced, placed, said, scalar};
use super::text::{Attribute, Broken, attributes, is_space, prepare, unescape};
use crate::element_table::{ElementTable, Property, TypeId, TypeRef, element_table};
use crate::issue::{Issue, IssueType};
use crate::location::push_name;
use crate::primitive::Primitive;
use crate::tree_build::ISSUES_MAX;
use crate::{ReadLimits, ResourceType};

/// The JSON text of a resource in XML. It is not checked beyond what makes it XML of that resource: read it next.
///
/// # Errors
/// The issues found, at most 50, each with its FHIRPath location and the line and column of the XML.
pub fn xml_to_json(xml: &[u8], limits: &ReadLimits) -> Result<Vec<u8>, Vec<Issue>> {
    if xml.len() > limits.bytes_max {
        let text = format!("the document is larger than {} bytes", limits.bytes_max);
        return Err(vec![Issue::error(IssueType::TooLong, text)]);
    }
    let text = prepare(xml).map_err(|broken| vec![said(xml, &broken)])?;
    let mut reader = XmlReader::new(&text, None);
    reader.run();
    if reader.issues.is_empty() { Ok(reader.out.finish()) } else { Err(reader.issues) }
}

/// One conversion. Nothing in it recurses; elements are open in `frames`.
pub(super) struct XmlReader<'x> {
    table: &'static ElementTable,
    events: Events<'x>,
    spaces: Spaces,
    frames: Vec<Frame>,
    out: Output,
    pub(super) issues: Vec<Issue>,
    /// Places that are looked for, when it is run for them.
    pub(super) watch: Option<Watch>,
}

/// What was done with a start tag.
enum Done {
    /// A frame was opened for it.
    Opened,
    /// It was read to its end.
    Whole,
    /// It is wrong here, its content is passed over.
    Refused,
}

impl<'x> XmlReader<'x> {
    pub(super) fn new(text: &'x str, watch: Option<Watch>) -> Self {
        let root = Frame { of: Of::Holder { filled: false }, name: "", index: None, last: None };
        Self {
            table: element_table(),
            events: Events::new(text),
            spaces: Spaces::default(),
            frames: vec![root],
            out: Output::new(text.len()),
            issues: Vec::new(),
            watch,
        }
    }

    pub(super) fn run(&mut self) {
        if let Err(broken) = self.document() {
            let issue = said(self.events.text.as_bytes(), &broken);
            let place = path(&self.frames);
            self.issues.push(if place.is_empty() { issue } else { issue.at(place) });
        }
    }

    fn document(&mut self) -> Result<(), Broken> {
        while self.issues.len() < ISSUES_MAX {
            let piece = self.events.next()?;
            match piece.token {
                Token::Start(tag) => self.start(&piece, tag)?,
                Token::End => self.close(piece.at),
                Token::Text if piece.raw.chars().all(is_space) => {}
                Token::Text | Token::Literal(_) | Token::Reference(_) => {
                    self.report(piece.at, IssueType::Structure, "text is not allowed here");
                }
                Token::Comment | Token::Instruction => {}
                Token::Stop => {
                    let is_whole =
                        matches!(self.frames[..], [Frame { of: Of::Holder { filled: true }, .. }]);
                    let what = "ends too early";
                    return if is_whole || !self.issues.is_empty() {
                        Ok(())
                    } else {
                        Err(Broken { at: piece.at, what })
                    };
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, piece: &Piece<'x>, tag: Tag<'x>) -> Result<(), Broken> {
        let broken = Broken::at(piece.at);
        if self.frames.len() > ELEMENTS_DEEP_MAX {
            return Err(broken("is nested deeper than 65 levels"));
        }
        let found = attributes(tag.rest).map_err(&broken)?;
        self.spaces.enter(&found).map_err(&broken)?;
        let (space, local) = self.spaces.of(tag.name).map_err(&broken)?;
        let top = self.frames.last().map(|frame| &frame.of);
        let done = match top {
            Some(Of::Holder { filled }) => {
                let filled = *filled;
                self.resource(piece, space, local, &found, filled)
            }
            Some(Of::Object(id) | Of::Primitive { beside: Some(id), .. }) => {
                let id = *id;
                self.element(piece, tag, id, (space, local), &found)?
            }
            _ => {
                self.report(piece.at, IssueType::Structure, NO_ELEMENT);
                Done::Refused
            }
        };
        match done {
            Done::Opened => {
                self.look(piece.at);
                if tag.is_empty {
                    self.close(piece.at);
                }
                Ok(())
            }
            Done::Whole => Ok(()),
            Done::Refused => self.pass_over(tag),
        }
    }

    /// The element in a place for a resource.
    fn resource(
        &mut self,
        piece: &Piece<'x>,
        space: Space,
        local: &str,
        found: &[Attribute<'x>],
        filled: bool,
    ) -> Done {
        let wrong = match ResourceType::parse(local) {
            _ if filled => Err((IssueType::Structure, "only one resource may stand here")),
            _ if space != Space::Fhir => Err((IssueType::Structure, NOT_FHIR)),
            Some(of) => Ok(of),
            None => Err((IssueType::Value, "this is not a resource type of FHIR R4")),
        };
        let of = match wrong {
            Ok(of) => of,
            Err((code, text)) => {
                self.report(piece.at, code, text);
                return Done::Refused;
            }
        };
        if let Some(Frame { of: Of::Holder { filled }, .. }) = self.frames.last_mut() {
            *filled = true;
        }
        self.out.push_resource(of.name());
        let is_root = self.frames.len() == 1;
        let name = if is_root { of.name() } else { "" };
        self.push(Of::Object(self.table.of_resource(of)), name, None);
        self.no_attributes(piece, found);
        Done::Opened
    }

    /// An element of an object, or beside a primitive.
    fn element(
        &mut self,
        piece: &Piece<'x>,
        tag: Tag<'x>,
        id: TypeId,
        (space, local): (Space, &'x str),
        found: &[Attribute<'x>],
    ) -> Result<Done, Broken> {
        let table = self.table;
        let def = table.type_def(id);
        let Some(property) = def.find(local) else {
            self.report_below(piece.at, local, NO_ELEMENT);
            return Ok(Done::Refused);
        };
        let last = self.frames.last().and_then(|frame| frame.last);
        if let Some(text) = misplaced(property, last, space) {
            self.report_below(piece.at, local, text);
            return Ok(Done::Refused);
        }
        if last.is_none_or(|last| !std::ptr::eq(last, property)) {
            self.out.close_list();
            if property.is_list {
                self.out.open_list(property);
            }
        }
        if let Some(frame) = self.frames.last_mut() {
            frame.last = Some(property);
        }
        let index = property.is_list.then(|| self.out.item());
        let name = def.names[usize::from(property.slot)];
        match property.of {
            TypeRef::Primitive(Primitive::Xhtml) => {
                self.out.member(&property.key);
                let start = (tag, found, piece.raw, piece.at);
                let div =
                    narrative::div(&mut self.events, &mut self.spaces, start, Named::Refused)?;
                self.out.string(&div);
                return Ok(Done::Whole);
            }
            TypeRef::Primitive(primitive) => {
                self.primitive(piece, property, primitive, (name, index), found)?;
            }
            TypeRef::Resource => {
                self.value_of(property);
                self.out.push_holder();
                self.push(Of::Holder { filled: false }, name, index);
                self.no_attributes(piece, found);
            }
            TypeRef::Object(id) => {
                self.value_of(property);
                self.out.push_object();
                self.push(Of::Object(id), name, index);
                self.object_attributes(piece, id, found)?;
            }
        }
        Ok(Done::Opened)
    }

    fn primitive(
        &mut self,
        piece: &Piece<'x>,
        property: &'static Property,
        primitive: Primitive,
        (name, index): (&'static str, Option<usize>),
        found: &[Attribute<'x>],
    ) -> Result<(), Broken> {
        let mut value = None;
        let mut wrong = None;
        if let Some(attribute) = found.iter().find(|attribute| attribute.name == "value") {
            let text = unescape(attribute.raw).map_err(Broken::at(piece.at))?;
            let json = scalar(primitive, &text);
            wrong = json.as_ref().err().copied();
            value = json.ok();
        }
        let has_value = value.is_some() || wrong.is_some();
        self.out.push_primitive(property, value.as_deref());
        let beside = primitive.has_extensions().then_some(self.table.element);
        self.push(Of::Primitive { beside, has_value }, name, index);
        if let Some(text) = wrong {
            self.report(piece.at, IssueType::Value, text);
        }
        for attribute in found.iter().filter(|a| !a.is_declaration() && a.name != "value") {
            if attribute.name != "id" || beside.is_none() {
                self.no_attribute(piece, attribute);
                continue;
            }
            let text = unescape(attribute.raw).map_err(Broken::at(piece.at))?;
            self.out.member("id");
            self.out.string(&text);
        }
        Ok(())
    }

    /// `id`, and `url` of an extension.
    fn object_attributes(
        &mut self,
        piece: &Piece<'x>,
        id: TypeId,
        found: &[Attribute<'x>],
    ) -> Result<(), Broken> {
        let table = self.table;
        for attribute in found.iter().filter(|attribute| !attribute.is_declaration()) {
            if !table.type_def(id).find(attribute.name).is_some_and(is_attribute) {
                self.no_attribute(piece, attribute);
                continue;
            }
            let text = unescape(attribute.raw).map_err(Broken::at(piece.at))?;
            self.out.member(attribute.name);
            self.out.string(&text);
        }
        Ok(())
    }

    /// Begins the value of a member that is no primitive.
    fn value_of(&mut self, property: &Property) {
        if !property.is_list {
            self.out.member(&property.key);
        }
    }

    fn push(&mut self, of: Of, name: &'static str, index: Option<usize>) {
        self.frames.push(Frame { of, name, index, last: None });
    }

    fn close(&mut self, at: usize) {
        let had_beside = self.out.pop();
        self.spaces.leave();
        let wrong = match self.frames.last().map(|frame| &frame.of) {
            Some(Of::Holder { filled: false }) => Some("a resource must stand here"),
            Some(Of::Primitive { has_value: false, .. }) if !had_beside => {
                Some("this must have a value or an extension")
            }
            _ => None,
        };
        if let Some(text) = wrong {
            self.report(at, IssueType::Structure, text);
        }
        self.frames.pop();
    }

    /// Reads on to the end of an element that is not understood; its start tag has been entered.
    fn pass_over(&mut self, tag: Tag<'x>) -> Result<(), Broken> {
        let mut depth = usize::from(!tag.is_empty);
        while depth > 0 {
            let piece = self.events.next()?;
            match piece.token {
                Token::Start(tag) if !tag.is_empty => depth += 1,
                Token::End => depth -= 1,
                Token::Stop => return Err(Broken { at: piece.at, what: "ends too early" }),
                _ => {}
            }
        }
        self.spaces.leave();
        Ok(())
    }

    fn no_attributes(&mut self, piece: &Piece<'x>, found: &[Attribute<'x>]) {
        if let Some(other) = found.iter().find(|attribute| !attribute.is_declaration()) {
            self.no_attribute(piece, other);
        }
    }

    fn no_attribute(&mut self, piece: &Piece<'x>, attribute: &Attribute<'x>) {
        let text = match attribute.name {
            "value" => "only a primitive has a value",
            _ => "there is no such attribute here",
        };
        self.report(piece.at, IssueType::Structure, text);
    }

    fn report(&mut self, at: usize, code: IssueType, text: &str) {
        let place = path(&self.frames);
        self.issues.push(placed(self.events.text.as_bytes(), at, code, text, place));
    }

    fn report_below(&mut self, at: usize, name: &str, text: &str) {
        let mut place = path(&self.frames);
        push_name(&mut place, name);
        let all = self.events.text.as_bytes();
        self.issues.push(placed(all, at, IssueType::Structure, text, place));
    }

    fn look(&mut self, at: usize) {
        if let Some(mut watch) = self.watch.take() {
            watch.see(&path(&self.frames), at);
            self.watch = Some(watch);
        }
    }
}

const NO_ELEMENT: &str = "there is no such element here";
