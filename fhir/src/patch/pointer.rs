//! JSON Pointer (RFC 6901), strict: a `~` that escapes nothing, a leading zero or a missing parent is an error.

use crate::patch::value::Value;

/// The unescaped reference tokens of a pointer.
pub(super) struct Pointer(Vec<String>);

/// Why a pointer leads nowhere.
pub(super) type Lost = &'static str;

impl Pointer {
    /// Reads a pointer.
    ///
    /// # Errors
    /// What is wrong with its text.
    pub(super) fn parse(text: &str) -> Result<Self, Lost> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err("a JSON Pointer starts with a slash");
        };
        rest.split('/').map(unescape).collect::<Result<_, _>>().map(Self)
    }

    /// How deep it leads.
    pub(super) fn depth(&self) -> usize {
        self.0.len()
    }

    /// Whether it leads into what `other` names, but not to that itself.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.0.len() > other.0.len() && self.0.starts_with(&other.0)
    }

    /// The value it names.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn find<'v>(&self, root: &'v Value) -> Result<&'v Value, Lost> {
        self.0.iter().try_fold(root, |at, token| match at {
            Value::Object(_) => at.member(token).ok_or(NO_MEMBER),
            Value::Array(items) => items.get(index(token)?).ok_or(NO_ITEM),
            Value::Scalar(_) => Err(IN_SCALAR),
        })
    }

    /// Puts a value in: a member is added or replaced, an item moves those after it.
    ///
    /// # Errors
    /// When there is no place for it.
    pub(super) fn add(&self, root: &mut Value, value: Value) -> Result<(), Lost> {
        let Some((last, parents)) = self.0.split_last() else {
            *root = value;
            return Ok(());
        };
        match parent(root, parents)? {
            Value::Object(members) => {
                match members.iter_mut().find(|(key, _)| **key == **last) {
                    Some((_, old)) => *old = value,
                    None => members.push((last.as_str().into(), value)),
                }
                Ok(())
            }
            Value::Array(items) => {
                let at = if last == "-" { items.len() } else { index(last)? };
                if at > items.len() {
                    return Err(NO_ITEM);
                }
                items.insert(at, value);
                Ok(())
            }
            Value::Scalar(_) => Err(IN_SCALAR),
        }
    }

    /// Takes a value out; the whole document cannot be.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn remove(&self, root: &mut Value) -> Result<Value, Lost> {
        let Some((last, parents)) = self.0.split_last() else {
            return Err("the whole resource cannot be removed");
        };
        match parent(root, parents)? {
            Value::Object(members) => {
                let at = members.iter().position(|(key, _)| **key == **last).ok_or(NO_MEMBER)?;
                Ok(members.remove(at).1)
            }
            Value::Array(items) => {
                let at = index(last)?;
                if at >= items.len() {
                    return Err(NO_ITEM);
                }
                Ok(items.remove(at))
            }
            Value::Scalar(_) => Err(IN_SCALAR),
        }
    }

    /// Puts a value in the place of another.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn replace(&self, root: &mut Value, value: Value) -> Result<(), Lost> {
        let Some((last, parents)) = self.0.split_last() else {
            *root = value;
            return Ok(());
        };
        let parent = parent(root, parents)?;
        *child(parent, last)? = value;
        Ok(())
    }
}

fn parent<'v>(root: &'v mut Value, tokens: &[String]) -> Result<&'v mut Value, Lost> {
    tokens.iter().try_fold(root, |at, token| child(at, token))
}

fn child<'v>(at: &'v mut Value, token: &str) -> Result<&'v mut Value, Lost> {
    match at {
        Value::Object(members) => {
            let found = members.iter_mut().find(|(key, _)| **key == *token);
            found.map(|(_, value)| value).ok_or(NO_MEMBER)
        }
        Value::Array(items) => items.get_mut(index(token)?).ok_or(NO_ITEM),
        Value::Scalar(_) => Err(IN_SCALAR),
    }
}

/// RFC 6901 §4: digits without leading zeros.
fn index(token: &str) -> Result<usize, Lost> {
    let digits = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || token.len() > 1 && token.starts_with('0') {
        return Err("the index of a list is digits without leading zeros");
    }
    token.parse().map_err(|_| NO_ITEM)
}

fn unescape(token: &str) -> Result<String, Lost> {
    let mut out = String::with_capacity(token.len());
    let mut letters = token.chars();
    while let Some(letter) = letters.next() {
        match (letter, if letter == '~' { letters.next() } else { None }) {
            ('~', Some('0')) => out.push('~'),
            ('~', Some('1')) => out.push('/'),
            ('~', _) => return Err("in a JSON Pointer ~ stands before 0 or 1 only"),
            _ => out.push(letter),
        }
    }
    Ok(out)
}

const NO_MEMBER: Lost = "there is no such member";
const NO_ITEM: Lost = "there is no such item in the list";
const IN_SCALAR: Lost = "the path leads into a value that is no list or object";
