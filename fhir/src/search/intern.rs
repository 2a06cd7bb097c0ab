//! Texts of custom parameters, each kept once for the life of the process.
//!
//! A [`super::SearchParam`] borrows for ever, as R4's own do from their table. What is defined again is found here, so
//! only texts that were never seen take room, and no more than [`BYTES_MAX`] of it: beyond that a further definition is
//! refused until the next start.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{LazyLock, Mutex};

use crate::ResourceType;

use super::param::{Component, ParamId, SearchParam};

/// The same text, kept.
pub(super) fn text(text: &str) -> Option<&'static str> {
    static KEPT: LazyLock<Kept<str>> = LazyLock::new(Kept::default);
    KEPT.get(text, text.len(), || Box::leak(Box::from(text)))
}

/// The same types, kept.
pub(super) fn types(types: &[ResourceType]) -> Option<&'static [ResourceType]> {
    static KEPT: LazyLock<Kept<[ResourceType]>> = LazyLock::new(Kept::default);
    KEPT.get(types, types.len(), || Box::leak(Box::from(types)))
}

/// The same components, kept.
pub(super) fn components(components: Vec<Component>) -> Option<&'static [Component]> {
    static KEPT: Mutex<Vec<&'static [Component]>> = Mutex::new(Vec::new());
    let mut kept = KEPT.lock().ok()?;
    if let Some(known) = kept.iter().find(|known| ***known == *components) {
        return Some(known);
    }
    if components.is_empty() {
        return Some(&[]);
    }
    if kept.len() >= COMPONENTS_MAX {
        return None;
    }
    let new: &'static [Component] = components.leak();
    kept.push(new);
    Some(new)
}

/// The same parameter, kept.
pub(super) fn param(param: SearchParam) -> Option<&'static SearchParam> {
    static KEPT: LazyLock<Mutex<HashMap<ParamId, Vec<&'static SearchParam>>>> =
        LazyLock::new(Mutex::default);
    let mut kept = KEPT.lock().ok()?;
    let count: usize = kept.values().map(Vec::len).sum();
    let same_id = kept.entry(param.id).or_default();
    if let Some(known) = same_id.iter().find(|known| ***known == param) {
        return Some(known);
    }
    if count >= PARAMS_MAX {
        return None;
    }
    let new: &'static SearchParam = Box::leak(Box::new(param));
    same_id.push(new);
    Some(new)
}

/// What is kept, and its size.
struct Kept<T: ?Sized + 'static>(Mutex<(HashSet<&'static T>, usize)>);

impl<T: ?Sized> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::new((HashSet::new(), 0)))
    }
}

impl<T: ?Sized + Eq + Hash> Kept<T> {
    fn get(
        &self,
        wanted: &T,
        bytes: usize,
        make: impl FnOnce() -> &'static T,
    ) -> Option<&'static T> {
        let mut kept = self.0.lock().ok()?;
        if let Some(known) = kept.0.get(wanted) {
            return Some(known);
        }
        if kept.1 + bytes > BYTES_MAX {
            return None;
        }
        kept.1 += bytes;
        let new = make();
        kept.0.insert(new);
        Some(new)
    }
}

/// Texts of all definitions that a process ever saw.
const BYTES_MAX: usize = 8 << 20;
/// Different lists of components.
const COMPONENTS_MAX: usize = 20_000;
/// Different parameters.
const PARAMS_MAX: usize = 50_000;
