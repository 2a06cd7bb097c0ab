//! The elements that rules may target, with type and cardinality, so that a wrong target is a load error.

use std::{collections::HashMap, sync::OnceLock};

/// One element of a resource.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element {
    pub(crate) kind: &'static str,
    pub(crate) is_array: bool,
}

/// The element at a path such as `Patient.contact.name`.
pub(crate) fn element(path: &str) -> Option<Element> {
    elements().get(path).copied()
}

fn elements() -> &'static HashMap<&'static str, Element> {
    static TABLE: OnceLock<HashMap<&'static str, Element>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let rows = include_str!("../../rules/elements.csv").lines().filter(|l| !l.starts_with('#'));
        rows.skip(1)
            .filter_map(|line| {
                let mut cells = line.split(',');
                let (path, kind, max) = (cells.next()?, cells.next()?, cells.next()?);
                Some((path, Element { kind, is_array: max == "*" }))
            })
            .collect()
    })
}
