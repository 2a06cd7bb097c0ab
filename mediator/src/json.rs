//! JSON under construction: values that cannot be empty, written once.
//!
//! Empty text, empty lists and empty objects are never attached, so the output holds none.
//! Not here: reading JSON (`fhir::Tree`).

use std::borrow::Cow;

/// A value under construction.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json<'a> {
    /// A string.
    Text(Cow<'a, str>),
    /// A number or boolean token, written verbatim.
    Literal(Cow<'a, str>),
    /// An array.
    List(Vec<Json<'a>>),
    /// An object.
    Object(Object<'a>),
}

/// An object under construction; members keep the order in which they came.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Object<'a>(Vec<(&'a str, Json<'a>)>);

impl<'a> Json<'a> {
    pub(crate) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn boolean(value: bool) -> Self {
        Self::Literal(Cow::Borrowed(if value { "true" } else { "false" }))
    }

    pub(crate) fn reference(kind: &str, id: &str) -> Self {
        Self::Object(Object::new().with("reference", Self::text(format!("{kind}/{id}"))))
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) | Self::Literal(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Object(object) => object.0.is_empty(),
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => write_text(text, out),
            Self::Literal(token) => out.extend_from_slice(token.as_bytes()),
            Self::List(items) => {
                for (n, item) in items.iter().enumerate() {
                    out.push(if n == 0 { b'[' } else { b',' });
                    item.write(out);
                }
                out.push(b']');
            }
            Self::Object(object) => object.write(out),
        }
    }
}

impl<'a> Object<'a> {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a member; an empty value is left out.
    pub(crate) fn with(mut self, key: &'a str, value: Json<'a>) -> Self {
        self.set(key, value);
        self
    }

    /// Adds a text member when there is one.
    pub(crate) fn with_text(mut self, key: &'a str, value: Option<Cow<'a, str>>) -> Self {
        if let Some(value) = value {
            self.set(key, Json::Text(value));
        }
        self
    }

    /// Sets or replaces a member; an empty value is left out.
    pub(crate) fn set(&mut self, key: &'a str, value: Json<'a>) {
        if value.is_empty() {
            return;
        }
        match self.0.iter_mut().find(|(k, _)| *k == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key, value)),
        }
    }

    /// Appends to the array member `key`, which is made when missing; equal items are kept once.
    pub(crate) fn push(&mut self, key: &'a str, value: Json<'a>) {
        if value.is_empty() {
            return;
        }
        match self.0.iter_mut().find(|(k, _)| *k == key) {
            Some((_, Json::List(items))) => {
                if !items.contains(&value) {
                    items.push(value);
                }
            }
            Some((_, other)) => *other = Json::List(vec![value]),
            None => self.0.push((key, Json::List(vec![value]))),
        }
    }

    /// As [`Object::push`] for items known to differ (or meant to repeat).
    pub(crate) fn append(&mut self, key: &'a str, value: Json<'a>) {
        match self.0.iter_mut().find(|(k, _)| *k == key) {
            Some((_, Json::List(items))) => items.push(value),
            _ => self.push(key, value),
        }
    }

    /// The object member `key`, made when missing.
    pub(crate) fn object(&mut self, key: &'a str) -> &mut Object<'a> {
        let at = match self.0.iter().position(|(k, _)| *k == key) {
            Some(at) => at,
            None => {
                self.0.push((key, Json::Object(Object::new())));
                self.0.len() - 1
            }
        };
        let slot = &mut self.0[at].1;
        if !matches!(slot, Json::Object(_)) {
            *slot = Json::Object(Object::new());
        }
        let Json::Object(object) = slot else { unreachable!("just made an object") };
        object
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Json<'a>> {
        self.0.iter().find(|(k, _)| *k == key).map(|(_, v)| v)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        self.write_members(b'{', out);
        if out.len() == start {
            out.push(b'{');
        }
        out.push(b'}');
    }

    /// The members alone, `before` ahead of the first and commas between.
    pub(crate) fn write_members(&self, before: u8, out: &mut Vec<u8>) {
        let mut separator = before;
        for (key, value) in self.0.iter().filter(|(_, value)| !value.is_empty()) {
            out.push(separator);
            separator = b',';
            out.push(b'"');
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"\":");
            value.write(out);
        }
    }
}

/// Writes a JSON string.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut from = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..=0x1F => b" ",
            _ => continue,
        };
        out.extend_from_slice(&bytes[from..at]);
        out.extend_from_slice(escape);
        from = at + 1;
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}
