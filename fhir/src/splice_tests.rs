//! Tests of the final bytes.

use super::*;
use crate::{Resource, Tree};

const AT: &str = "2026-11-21T10:00:00.000000Z";

fn filled(text: &str) -> String {
    let tree = Tree::parse(text.into()).unwrap();
    fill(&Template::prepare(tree.root(), &ResourceId::parse("9").unwrap(), &[]))
}

fn fill(template: &Template) -> String {
    let bytes = template.fill(VersionId::new(3).unwrap(), Instant::parse(AT).unwrap());
    assert!(bytes.len() <= template.filled_bytes_max());
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_resource_without_id_and_meta_gets_both_after_its_type() {
    assert_eq!(
        filled("{ \"resourceType\" : \"Patient\" }"),
        format!(
            "{{ \"resourceType\" : \"Patient\",\"id\":\"9\",\"meta\":{{\"versionId\":\"3\",\"lastUpdated\":\"{AT}\"}} }}"
        )
    );
}

#[test]
fn the_clients_id_version_and_time_are_replaced_where_they_stand() {
    let text = r#"{"id": "old","meta":{"lastUpdated" :"2020", "profile":["p"],"versionId":"x"},"resourceType":"Patient","d":1.10}"#;
    assert_eq!(
        filled(text),
        format!(
            r#"{{"id": "9","meta":{{"lastUpdated" :"{AT}", "profile":["p"],"versionId":"3"}},"resourceType":"Patient","d":1.10}}"#
        )
    );
}

#[test]
fn other_children_of_meta_are_kept_verbatim() {
    let text = r#"{"resourceType":"Patient","meta":{ "tag" : [ {"code":"é"} ] }}"#;
    assert_eq!(
        filled(text),
        format!(
            r#"{{"resourceType":"Patient","id":"9","meta":{{"versionId":"3","lastUpdated":"{AT}", "tag" : [ {{"code":"é"}} ] }}}}"#
        )
    );
    let only_time = r#"{"resourceType":"Patient","id":"1","meta":{"lastUpdated":"2020"}}"#;
    assert_eq!(
        filled(only_time),
        format!(
            r#"{{"resourceType":"Patient","id":"9","meta":{{"versionId":"3","lastUpdated":"{AT}"}}}}"#
        )
    );
}

#[test]
fn what_was_served_and_sent_back_is_filled_to_the_same_shape() {
    let first = filled(r#"{"resourceType":"Patient","active":true}"#);
    assert_eq!(filled(&first), first);
}

#[test]
fn references_are_replaced_in_an_entry_of_a_bundle_and_nothing_else_is() {
    let text = r#"{"entry":[{"resource":{"resourceType":"Observation","subject":{"reference":"urn:uuid:1"},"v":[1E5, 1.10]}},{"reference":"urn:uuid:1"}]}"#;
    let tree = Tree::parse(text.into()).unwrap();
    let entry = tree.root().get("entry").unwrap().children().next().unwrap();
    let replacements: Vec<_> = crate::references(tree.root())
        .into_iter()
        .map(|at| (at.span, "\"Patient/5\"".to_owned()))
        .collect();

    let node = entry.get("resource").unwrap();
    let template = Template::prepare(node, &ResourceId::parse("9").unwrap(), &replacements);

    let out = fill(&template);
    assert_eq!(
        out,
        format!(
            r#"{{"resourceType":"Observation","id":"9","meta":{{"versionId":"3","lastUpdated":"{AT}"}},"subject":{{"reference":"Patient/5"}},"v":[1E5, 1.10]}}"#
        )
    );
    assert!(Resource::from_stored(out.into()).is_ok());
}
