//! A JSON value that can be changed; scalars keep their text.
//!
//! Not here: reading (`tree_build`), where to change it (`pointer`).

use crate::json_text::{decode_escapes, write_json_string};
use crate::patch::number::same_number;
use crate::{Kind, Node};

/// A value; members in their order.
#[derive(Clone)]
pub(super) enum Value {
    Object(Vec<(Box<str>, Value)>),
    Array(Vec<Value>),
    /// String, number, boolean or null as written.
    Scalar(Box<str>),
}

impl Value {
    /// A copy of what a document holds.
    pub(super) fn of(node: Node<'_>) -> Self {
        match node.kind() {
            Kind::Object => {
                let member =
                    |child: Node<'_>| (child.key().unwrap_or_default().into(), Self::of(child));
                Self::Object(node.children().map(member).collect())
            }
            Kind::Array => Self::Array(node.children().map(Self::of).collect()),
            _ => Self::Scalar(String::from_utf8_lossy(node.raw()).into()),
        }
    }

    pub(super) fn member(&self, key: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(name, _)| **name == *key).map(|(_, value)| value)
    }

    /// A member of an object, made where there is none; any other value stays as it is.
    pub(super) fn member_or(&mut self, key: &str, make: impl FnOnce() -> Self) -> &mut Self {
        let Self::Object(members) = self else { return self };
        let at = members.iter().position(|(name, _)| **name == *key).unwrap_or_else(|| {
            members.push((key.into(), make()));
            members.len() - 1
        });
        &mut members[at].1
    }

    /// Nesting: 0 for a scalar.
    pub(super) fn depth(&self) -> usize {
        let deepest = match self {
            Self::Scalar(_) => return 0,
            Self::Object(members) => members.iter().map(|(_, value)| value.depth()).max(),
            Self::Array(items) => items.iter().map(Self::depth).max(),
        };
        1 + deepest.unwrap_or(0)
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Scalar(text) => text.len() + 1,
            Self::Object(members) => {
                2 + members.iter().map(|(key, value)| key.len() + 4 + value.bytes()).sum::<usize>()
            }
            Self::Array(items) => 2 + items.iter().map(Self::bytes).sum::<usize>(),
        }
    }

    /// Equality of RFC 6902 §4.6: numbers by value, strings by characters, objects whatever their order.
    pub(super) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Scalar(one), Self::Scalar(two)) => same_scalar(one, two),
            (Self::Array(one), Self::Array(two)) => {
                one.len() == two.len() && one.iter().zip(two).all(|(one, two)| one.same(two))
            }
            (Self::Object(one), Self::Object(two)) => {
                let (one, two) = (sorted(one), sorted(two));
                let same = |(one, two): (&&Member, &&Member)| one.0 == two.0 && one.1.same(&two.1);
                one.len() == two.len() && one.iter().zip(&two).all(same)
            }
            _ => false,
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Scalar(text) => out.extend_from_slice(text.as_bytes()),
            Self::Array(items) => {
                out.push(b'[');
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Self::Object(members) => {
                out.push(b'{');
                for (place, (key, value)) in members.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    write_json_string(key, out);
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }

    /// The bytes without empty lists and objects.
    pub(super) fn into_pruned_bytes(mut self) -> Vec<u8> {
        self.prune(false);
        let mut out = Vec::with_capacity(self.bytes());
        self.write(&mut out);
        out
    }

    /// Takes empty lists and objects out. Beside a primitive (`_given`) a place in a list is kept as null.
    fn prune(&mut self, beside: bool) {
        match self {
            Self::Scalar(_) => {}
            Self::Object(members) => {
                members.iter_mut().for_each(|(key, value)| value.prune(key.starts_with('_')));
                members.retain(|(key, value)| !value.is_void(key.starts_with('_')));
            }
            Self::Array(items) => {
                items.iter_mut().for_each(|item| item.prune(false));
                if beside {
                    for item in items.iter_mut().filter(|item| item.is_void(false)) {
                        *item = Self::null();
                    }
                } else {
                    items.retain(|item| !item.is_void(false));
                }
            }
        }
    }

    fn is_void(&self, beside: bool) -> bool {
        match self {
            Self::Scalar(_) => false,
            Self::Object(members) => members.is_empty(),
            Self::Array(items) => items.is_empty() || beside && items.iter().all(Self::is_null),
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Scalar(text) if **text == *"null")
    }

    fn null() -> Self {
        Self::Scalar("null".into())
    }
}

type Member = (Box<str>, Value);

fn sorted(members: &[Member]) -> Vec<&Member> {
    let mut sorted: Vec<&Member> = members.iter().collect();
    sorted.sort_by(|one, two| one.0.cmp(&two.0));
    sorted
}

/// Equality of two scalars as written.
pub(super) fn same_scalar(one: &str, two: &str) -> bool {
    if one == two {
        return true;
    }
    match (one.as_bytes().first(), two.as_bytes().first()) {
        (Some(b'"'), Some(b'"')) => {
            decode_escapes(&one[1..one.len() - 1]) == decode_escapes(&two[1..two.len() - 1])
        }
        (Some(b'-' | b'0'..=b'9'), Some(b'-' | b'0'..=b'9')) => same_number(one, two),
        _ => false,
    }
}
