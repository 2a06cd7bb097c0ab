//! What the reading of one resource needs to know beside the element at hand.

use std::borrow::Cow;

use crate::id::is_id;
use crate::{Node, ResourceType, below_base};

use super::value::Target;

/// The resource that is read, and where this server is.
#[derive(Clone, Copy)]
pub(crate) struct Context<'t, 'b> {
    /// The whole resource.
    pub(crate) resource: Node<'t>,
    /// Base URLs of this server (see [`below_base`]); empty if it has none.
    bases: &'b str,
}

impl<'t, 'b> Context<'t, 'b> {
    pub(crate) fn new(resource: Node<'t>, bases: &'b str) -> Self {
        Self { resource, bases }
    }

    /// What a literal reference points to; `None` for fragments and conditional references, which
    /// point to nothing that can be searched.
    pub(crate) fn target(&self, reference: Cow<'t, str>) -> Option<Target<'t>> {
        if reference.is_empty() || reference.starts_with('#') {
            return None;
        }
        let below = below_base(&reference, self.bases);
        let relative = below.map_or(0, |rest| reference.len() - rest.len());
        if let Some(local) = local(&reference, relative) {
            return Some(local);
        }
        if !reference.contains(':') {
            return None;
        }
        let (url, version) = cut(reference, "/_history/");
        Some(Target::Absolute { url, version, canonical: false })
    }

    /// What a canonical URL points to.
    pub(crate) fn canonical(&self, url: Cow<'t, str>) -> Option<Target<'t>> {
        if url.is_empty() || url.starts_with('#') {
            return None;
        }
        let (url, version) = cut(url, "|");
        Some(Target::Absolute { url, version, canonical: true })
    }
}

/// The type that a literal reference names, whichever server holds it.
pub(super) fn type_of(reference: &str) -> Option<&str> {
    let path = reference.split_once("/_history/").map_or(reference, |(path, _)| path);
    let mut segments = path.rsplit('/');
    let (id, name) = (segments.next()?, segments.next()?);
    (is_id(id) && ResourceType::parse(name).is_some()).then_some(name)
}

/// `Type/id` or `Type/id/_history/version`, from this byte on.
fn local<'t>(reference: &Cow<'t, str>, from: usize) -> Option<Target<'t>> {
    let text = &reference[from..];
    let (path, version) = match text.split_once("/_history/") {
        Some((path, version)) => (path, Some(version)),
        None => (text, None),
    };
    let (name, id) = path.split_once('/')?;
    if !is_id(id) || version.is_some_and(|version| !is_id(version)) {
        return None;
    }
    let resource_type = ResourceType::parse(name)?;
    let id_at = from + name.len() + 1;
    let version =
        version.map(|version| part(reference, reference.len() - version.len(), version.len()));
    Some(Target::Local { resource_type, id: part(reference, id_at, id.len()), version })
}

/// Splits at the last occurrence; what follows is the version.
fn cut<'t>(text: Cow<'t, str>, separator: &str) -> (Cow<'t, str>, Option<Cow<'t, str>>) {
    match text.rfind(separator) {
        Some(at) => {
            let version_at = at + separator.len();
            let version = part(&text, version_at, text.len() - version_at);
            (part(&text, 0, at), Some(version).filter(|version| !version.is_empty()))
        }
        None => (text, None),
    }
}

fn part<'t>(text: &Cow<'t, str>, from: usize, len: usize) -> Cow<'t, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[from..from + len]),
        Cow::Owned(text) => Cow::Owned(text[from..from + len].to_owned()),
    }
}
