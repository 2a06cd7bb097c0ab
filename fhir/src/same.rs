//! Whether two resources say the same: the test for an update that changes nothing.
//!
//! Members of objects have no order (RFC 8259 §4), white space and escapes have no meaning; numbers are compared as
//! written, because 1.10 is not 1.1 (FHIR R4 datatypes.html#decimal). `meta.versionId` and `meta.lastUpdated` are the
//! server's and do not count. Not here: equality of lists in another order, which FHIR does not have.

use crate::{Kind, Node};

/// True if two resources differ in nothing but what the server sets: `meta.versionId` and `meta.lastUpdated`.
#[must_use]
pub fn same_content(one: Node<'_>, other: Node<'_>) -> bool {
    same_members(
        one,
        other,
        |key| key == "meta",
        |a, b| match (a, b) {
            (Some(a), Some(b)) => same_members(a, b, is_servers, |_, _| true),
            (Some(only), None) | (None, Some(only)) => {
                only.children().all(|member| member.key().is_some_and(is_servers))
            }
            (None, None) => true,
        },
    )
}

fn is_servers(key: &str) -> bool {
    matches!(key, "versionId" | "lastUpdated")
}

/// Objects with the same members, but for those that are `set apart`: these are given to `judge`, once.
fn same_members(
    one: Node<'_>,
    other: Node<'_>,
    set_apart: impl Fn(&str) -> bool,
    judge: impl FnOnce(Option<Node<'_>>, Option<Node<'_>>) -> bool,
) -> bool {
    if one.kind() != Kind::Object || other.kind() != Kind::Object {
        return same(one, other);
    }
    let is_apart = |member: &Node<'_>| member.key().is_some_and(&set_apart);
    let (mut count, mut apart) = (0, None);
    for member in one.children() {
        if is_apart(&member) {
            apart = Some(member);
            continue;
        }
        count += 1;
        let partner = member.key().and_then(|key| other.get(key));
        if !partner.is_some_and(|partner| same(member, partner)) {
            return false;
        }
    }
    count == other.children().filter(|member| !is_apart(member)).count()
        && judge(apart, other.children().find(is_apart))
}

/// Recursion is bounded by the depth of the documents, which the parser has limited.
fn same(one: Node<'_>, other: Node<'_>) -> bool {
    if one.kind() != other.kind() {
        return false;
    }
    match one.kind() {
        Kind::Object => same_members(one, other, |_| false, |_, _| true),
        Kind::Array => {
            one.children().count() == other.children().count()
                && one.children().zip(other.children()).all(|(a, b)| same(a, b))
        }
        Kind::String => one.raw() == other.raw() || one.as_str() == other.as_str(),
        Kind::Number | Kind::Bool | Kind::Null => one.raw() == other.raw(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tree;

    fn are_same(one: &str, other: &str) -> bool {
        let parse = |text: &str| Tree::parse(text.into()).unwrap();
        let (one, other) = (parse(one), parse(other));
        let forth = same_content(one.root(), other.root());
        assert_eq!(forth, same_content(other.root(), one.root()), "the order does not matter");
        forth
    }

    #[test]
    fn order_of_members_white_space_escapes_and_the_servers_meta_do_not_count() {
        let one = r#"{"id":"1","meta":{"versionId":"1","tag":[{"code":"x"}]},"a":[1,"\u00e4"],"b":{"c":true}}"#;
        for other in [
            r#"{"b":{"c": true}, "a":[1,"ä"],"meta":{"tag":[{"code":"x"}],"versionId":"7","lastUpdated":"z"},"id":"1"}"#,
            one,
        ] {
            assert!(are_same(one, other), "{other}");
        }
        assert!(are_same(r#"{"id":"1"}"#, r#"{"id":"1","meta":{"versionId":"3"}}"#));
    }

    #[test]
    fn any_other_difference_counts() {
        let one = r#"{"id":"1","meta":{"tag":[{"code":"x"}]},"a":[1.10,2],"versionId":"1"}"#;
        for other in [
            r#"{"id":"1","meta":{"tag":[{"code":"y"}]},"a":[1.10,2],"versionId":"1"}"#,
            r#"{"id":"1","meta":{},"a":[1.10,2],"versionId":"1"}"#,
            r#"{"id":"1","a":[1.10,2],"versionId":"1"}"#,
            r#"{"id":"1","meta":{"tag":[{"code":"x"}]},"a":[1.1,2],"versionId":"1"}"#,
            r#"{"id":"1","meta":{"tag":[{"code":"x"}]},"a":[2,1.10],"versionId":"1"}"#,
            r#"{"id":"1","meta":{"tag":[{"code":"x"}]},"a":[1.10,2,3],"versionId":"1"}"#,
            r#"{"id":"1","meta":{"tag":[{"code":"x"}]},"a":[1.10,2],"versionId":"2"}"#,
            r#"{"id":"1","meta":{"tag":[{"code":"x"}]},"a":"1.10","versionId":"1"}"#,
            r#"{"id":"1","meta":{"tag":[{"code":"x"}]},"a":[1.10,2]}"#,
            r#"{"id":"1","meta":{"tag":[{"code":"x"}],"source":"urn:s"},"a":[1.10,2],"versionId":"1"}"#,
        ] {
            assert!(!are_same(one, other), "{other}");
        }
    }
}
