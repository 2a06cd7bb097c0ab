//! JSON text as the elements of an XML document come, one level of nesting after the other.
//!
//! Spec: FHIR R4 json.html#primitive: id and extensions of a primitive stand in `_name` beside it, for a list in a
//! list of the same length with nulls between. Not here: which elements there are (`reader`).

use crate::element_table::Property;
use crate::json_text::write_json_string;

/// What has been written, and what is open.
pub(super) struct Output {
    /// The document, and above it what is beside the primitives in lists that are open.
    texts: Vec<Vec<u8>>,
    levels: Vec<Level>,
}

#[derive(Default)]
struct Level {
    members: usize,
    list: Option<List>,
    beside: Option<Beside>,
    kind: Kind,
}

#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum Kind {
    #[default]
    Object,
    /// Holds a value that writes itself.
    Holder,
    Primitive,
}

/// A list that is open.
struct List {
    property: &'static Property,
    /// Where its text begins and how many members stood before, should it be taken back.
    from: usize,
    members: usize,
    count: usize,
    has_value: bool,
    beside: Vec<u8>,
    besides: usize,
}

/// The object beside a primitive: written when something comes that belongs into it.
#[derive(Clone, Copy)]
struct Beside {
    property: &'static Property,
    is_open: bool,
}

impl Output {
    pub(super) fn new(bytes: usize) -> Self {
        let level = Level { kind: Kind::Holder, ..Level::default() };
        Self { texts: vec![Vec::with_capacity(bytes)], levels: vec![level] }
    }

    /// The finished document.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.texts.swap_remove(0)
    }

    /// Begins a member of what is open.
    pub(super) fn member(&mut self, key: &str) {
        self.open_beside();
        let level = self.level();
        level.members += 1;
        let comma = level.members > 1;
        self.key(comma, "", key);
    }

    /// Begins a list member.
    pub(super) fn open_list(&mut self, property: &'static Property) {
        self.open_beside();
        let from = self.text().len();
        let members = self.level().members;
        self.member(&property.key);
        self.text().push(b'[');
        self.level().list = Some(List {
            property,
            from,
            members,
            count: 0,
            has_value: false,
            beside: Vec::new(),
            besides: 0,
        });
    }

    /// Begins an item of the open list; its index.
    pub(super) fn item(&mut self) -> usize {
        let Some(list) = &mut self.level().list else { return 0 };
        let index = list.count;
        list.count += 1;
        if index > 0 {
            self.text().push(b',');
        }
        index
    }

    /// Ends the open list, if there is one.
    pub(super) fn close_list(&mut self) {
        let Some(mut list) = self.level().list.take() else { return };
        if list.has_value {
            self.text().push(b']');
        } else {
            self.text().truncate(list.from);
            self.level().members = list.members;
        }
        if list.besides == 0 {
            return;
        }
        list.pad(list.count);
        let level = self.level();
        level.members += 1;
        let comma = level.members > 1;
        self.key(comma, "_", &list.property.key);
        let text = self.text();
        text.push(b'[');
        text.extend_from_slice(&list.beside);
        text.push(b']');
    }

    /// Opens an object.
    pub(super) fn push_object(&mut self) {
        self.holds_value();
        self.text().push(b'{');
        self.levels.push(Level::default());
    }

    /// Opens a resource within the holder that is open.
    pub(super) fn push_resource(&mut self, name: &str) {
        self.text().extend_from_slice(b"{\"resourceType\":\"");
        self.text().extend_from_slice(name.as_bytes());
        self.text().push(b'"');
        self.levels.push(Level { members: 1, ..Level::default() });
    }

    /// Opens the place of a resource.
    pub(super) fn push_holder(&mut self) {
        self.holds_value();
        self.levels.push(Level { kind: Kind::Holder, ..Level::default() });
    }

    /// Opens a primitive: the JSON text of its value is written, what stands beside it may follow.
    pub(super) fn push_primitive(&mut self, property: &'static Property, value: Option<&[u8]>) {
        match value {
            Some(value) => {
                self.holds_value();
                if !property.is_list {
                    self.member(&property.key);
                }
                self.text().extend_from_slice(value);
            }
            None if property.is_list => self.text().extend_from_slice(b"null"),
            None => {}
        }
        let beside = Some(Beside { property, is_open: false });
        self.levels.push(Level { beside, kind: Kind::Primitive, ..Level::default() });
    }

    /// Closes what was opened last; whether a primitive had something beside it.
    pub(super) fn pop(&mut self) -> bool {
        self.close_list();
        let Some(level) = self.levels.pop() else { return false };
        match level.kind {
            Kind::Holder => return false,
            Kind::Object => self.text().push(b'}'),
            Kind::Primitive => {}
        }
        let Some(Beside { property, is_open: true }) = level.beside else { return false };
        self.text().push(b'}');
        if property.is_list
            && let Some(object) = self.texts.pop()
            && let Some(list) = &mut self.level().list
        {
            list.pad(list.count.saturating_sub(1));
            list.beside_item(&object);
        }
        true
    }

    /// Writes a string value.
    pub(super) fn string(&mut self, text: &str) {
        write_json_string(text, self.text());
    }

    /// A primitive's id or extension comes: the object beside it begins, now at the latest.
    fn open_beside(&mut self) {
        let Some(beside) = &mut self.level().beside else { return };
        if std::mem::replace(&mut beside.is_open, true) {
            return;
        }
        let property = beside.property;
        if property.is_list {
            self.texts.push(b"{".to_vec());
            return;
        }
        let above = self.levels.len().saturating_sub(2);
        self.levels[above].members += 1;
        let comma = self.levels[above].members > 1;
        self.key(comma, "_", &property.key);
        self.text().push(b'{');
    }

    /// The open list, if any, has something that is no null.
    fn holds_value(&mut self) {
        if let Some(list) = &mut self.level().list {
            list.has_value = true;
        }
    }

    fn key(&mut self, comma: bool, before: &str, key: &str) {
        let text = self.text();
        text.extend_from_slice(if comma { b",\"" } else { b"\"" });
        text.extend_from_slice(before.as_bytes());
        text.extend_from_slice(key.as_bytes());
        text.extend_from_slice(b"\":");
    }

    fn text(&mut self) -> &mut Vec<u8> {
        self.texts.last_mut().expect("the document's own text is never taken away")
    }

    fn level(&mut self) -> &mut Level {
        self.levels.last_mut().expect("the document's own level is never closed")
    }
}

impl List {
    /// Nulls up to the item of this index.
    fn pad(&mut self, index: usize) {
        while self.besides < index {
            self.beside_item(b"null");
        }
    }

    fn beside_item(&mut self, text: &[u8]) {
        if self.besides > 0 {
            self.beside.push(b',');
        }
        self.beside.extend_from_slice(text);
        self.besides += 1;
    }
}
