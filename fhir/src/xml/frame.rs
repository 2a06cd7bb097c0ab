//! The elements that are open, and the location that they make.

use crate::element_table::{Property, TypeId};

/// An element that is open.
pub(super) struct Frame {
    pub(super) of: Of,
    /// Its step in a location; empty where it makes none.
    pub(super) name: &'static str,
    pub(super) index: Option<usize>,
    /// The element read last in it.
    pub(super) last: Option<&'static Property>,
}

pub(super) enum Of {
    Object(TypeId),
    /// A place for one resource.
    Holder {
        filled: bool,
    },
    /// A primitive: what stands beside its value is an `Element`, if it may have that.
    Primitive {
        beside: Option<TypeId>,
        has_value: bool,
    },
}

/// FHIRPath location of what is open.
pub(super) fn path(frames: &[Frame]) -> String {
    let mut path = String::new();
    for frame in frames.iter().filter(|frame| !frame.name.is_empty()) {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(frame.name);
        if let Some(index) = frame.index {
            path.push_str(&format!("[{index}]"));
        }
    }
    path
}
