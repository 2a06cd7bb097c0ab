//! JSON Patch against appendix A of RFC 6902, merge patch against appendix A of RFC 7396, and FHIR's own needs.

use super::{PatchError, PatchKind, apply, kind_of};

fn json(current: &str, patch: &str) -> Result<String, PatchError> {
    apply(PatchKind::Json, patch.as_bytes(), current.as_bytes())
        .map(|bytes| String::from_utf8(bytes).unwrap())
}

fn merge(current: &str, patch: &str) -> Result<String, PatchError> {
    apply(PatchKind::Merge, patch.as_bytes(), current.as_bytes())
        .map(|bytes| String::from_utf8(bytes).unwrap())
}

fn place(error: &PatchError) -> &str {
    error.issues()[0].expression.as_deref().unwrap()
}

#[test]
fn the_examples_of_rfc_6902_appendix_a_are_applied() {
    let cases = [
        // A.1 to A.7
        (
            r#"{"foo":"bar"}"#,
            r#"[{"op":"add","path":"/baz","value":"qux"}]"#,
            r#"{"foo":"bar","baz":"qux"}"#,
        ),
        (
            r#"{"foo":["bar","baz"]}"#,
            r#"[{"op":"add","path":"/foo/1","value":"qux"}]"#,
            r#"{"foo":["bar","qux","baz"]}"#,
        ),
        (r#"{"baz":"qux","foo":"bar"}"#, r#"[{"op":"remove","path":"/baz"}]"#, r#"{"foo":"bar"}"#),
        (
            r#"{"foo":["bar","qux","baz"]}"#,
            r#"[{"op":"remove","path":"/foo/1"}]"#,
            r#"{"foo":["bar","baz"]}"#,
        ),
        (
            r#"{"baz":"qux","foo":"bar"}"#,
            r#"[{"op":"replace","path":"/baz","value":"boo"}]"#,
            r#"{"baz":"boo","foo":"bar"}"#,
        ),
        (
            r#"{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}"#,
            r#"[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]"#,
            r#"{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}"#,
        ),
        (
            r#"{"foo":["all","grass","cows","eat"]}"#,
            r#"[{"op":"move","from":"/foo/1","path":"/foo/3"}]"#,
            r#"{"foo":["all","cows","eat","grass"]}"#,
        ),
        // A.8, A.10, A.11
        (
            r#"{"baz":"qux","foo":["a",2,"c"]}"#,
            r#"[{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}]"#,
            r#"{"baz":"qux","foo":["a",2,"c"]}"#,
        ),
        (
            r#"{"foo":"bar"}"#,
            r#"[{"op":"add","path":"/child","value":{"grandchild":{"a":1}}}]"#,
            r#"{"foo":"bar","child":{"grandchild":{"a":1}}}"#,
        ),
        (
            r#"{"foo":"bar"}"#,
            r#"[{"op":"add","path":"/baz","value":"qux","xyz":123}]"#,
            r#"{"foo":"bar","baz":"qux"}"#,
        ),
        // A.14, A.16
        (r#"{"/":9,"~1":10}"#, r#"[{"op":"test","path":"/~01","value":10}]"#, r#"{"/":9,"~1":10}"#),
        (
            r#"{"foo":["bar"]}"#,
            r#"[{"op":"add","path":"/foo/-","value":["abc","def"]}]"#,
            r#"{"foo":["bar",["abc","def"]]}"#,
        ),
    ];
    for (current, patch, expected) in cases {
        assert_eq!(json(current, patch).unwrap(), expected, "{patch}");
    }
}

#[test]
fn what_rfc_6902_appendix_a_calls_an_error_is_one_with_its_place() {
    let a9 = json(r#"{"baz":"qux"}"#, r#"[{"op":"test","path":"/baz","value":"bar"}]"#);
    assert!(matches!(a9, Err(PatchError::TestFailed(_))), "{a9:?}");
    let a12 =
        json(r#"{"foo":"bar"}"#, r#"[{"op":"add","path":"/baz/bat","value":"qux"}]"#).unwrap_err();
    assert!(matches!(a12, PatchError::Inapplicable(_)));
    assert_eq!(place(&a12), "$[0].path");
    // A.13: two members of one name.
    let a13 =
        json(r#"{"foo":"bar"}"#, r#"[{"op":"add","path":"/baz","value":"qux","op":"remove"}]"#);
    assert!(matches!(a13, Err(PatchError::Malformed(_))));
    // A.15: a number is no string.
    let a15 = json(r#"{"/":9,"~1":10}"#, r#"[{"op":"test","path":"/~01","value":"10"}]"#);
    assert!(matches!(a15, Err(PatchError::TestFailed(_))));
}

#[test]
fn a_path_that_is_not_exact_is_refused() {
    let current = r#"{"name":[{"family":"A"}],"active":true}"#;
    for (path, malformed) in [
        ("name/0", true),
        ("/name/00", false),
        ("/name/-1", false),
        ("/name/1", false),
        ("/name/-/family", false),
        ("/nome", false),
        ("/active/x", false),
        ("/a~2", true),
        ("/a~", true),
        ("", false),
    ] {
        let patch = format!(
            r#"[{{"op":"test","path":"/active","value":true}},{{"op":"remove","path":"{path}"}}]"#
        );
        let error = json(current, &patch).unwrap_err();
        assert_eq!(matches!(error, PatchError::Malformed(_)), malformed, "{path}: {error:?}");
        assert_eq!(place(&error), "$[1].path", "{path}");
    }
    for bad in [
        r#"{"op":"remove","path":"/active"}"#,
        r#"[{"path":"/active"}]"#,
        r#"[{"op":"remove"}]"#,
        r#"[{"op":"add","path":"/active"}]"#,
        r#"[{"op":"copy","path":"/active"}]"#,
        r#"[{"op":"drop","path":"/active"}]"#,
        r#"[{"op":"move","from":"/name","path":"/name/0"}]"#,
        "[1]",
        "",
    ] {
        assert!(matches!(json(current, bad), Err(PatchError::Malformed(_))), "{bad}");
    }
}

#[test]
fn numbers_keep_their_text_and_are_tested_by_value() {
    let current = r#"{"a":1.10,"b":1E5,"c":"\u0041"}"#;
    let patch = r#"[{"op":"test","path":"/a","value":1.1},{"op":"test","path":"/b","value":100000},
        {"op":"test","path":"/c","value":"A"},{"op":"copy","from":"/a","path":"/d"},
        {"op":"add","path":"/e","value":2.50}]"#;

    assert_eq!(
        json(current, patch).unwrap(),
        r#"{"a":1.10,"b":1E5,"c":"\u0041","d":1.10,"e":2.50}"#
    );
}

#[test]
fn what_a_patch_leaves_empty_is_left_out() {
    let current = r#"{"name":[{"given":["A"],"_given":[{"id":"1"}]}],"contact":[{"gender":"male"},{"id":"x"}]}"#;

    let removed = json(
        current,
        r#"[{"op":"remove","path":"/name/0/given/0"},{"op":"remove","path":"/name/0/_given/0/id"},
        {"op":"remove","path":"/contact/0/gender"}]"#,
    );
    let refilled = json(
        current,
        r#"[{"op":"remove","path":"/name/0"},{"op":"add","path":"/name/-","value":{"family":"B"}}]"#,
    );

    assert_eq!(removed.unwrap(), r#"{"contact":[{"id":"x"}]}"#);
    assert_eq!(
        refilled.unwrap(),
        r#"{"name":[{"family":"B"}],"contact":[{"gender":"male"},{"id":"x"}]}"#
    );
}

#[test]
fn copies_that_double_the_document_end_soon() {
    let doubling = r#"{"op":"copy","from":"","path":"/a"},{"op":"copy","from":"","path":"/b"},{"op":"remove","path":"/a"}"#;
    let patch = format!("[{}]", vec![doubling; 300].join(","));
    let many = format!("[{}]", vec![r#"{"op":"test","path":"","value":{}}"#; 1001].join(","));

    assert!(matches!(json("{}", &patch), Err(PatchError::Inapplicable(_))));
    assert!(matches!(json("{}", &many), Err(PatchError::Malformed(_))));
}

#[test]
fn type_and_id_stay() {
    let current = r#"{"resourceType":"Patient","id":"1","active":true}"#;
    for patch in [
        r#"[{"op":"replace","path":"/id","value":"2"}]"#,
        r#"[{"op":"remove","path":"/id"}]"#,
        r#"[{"op":"replace","path":"/resourceType","value":"Person"}]"#,
        r#"[{"op":"replace","path":"","value":{"resourceType":"Patient"}}]"#,
    ] {
        assert!(matches!(json(current, patch), Err(PatchError::Inapplicable(_))), "{patch}");
    }
    assert!(json(current, r#"[{"op":"add","path":"/id","value":"1"}]"#).is_ok());
}

#[test]
fn the_examples_of_rfc_7396_appendix_a_are_merged() {
    for (current, patch, expected) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        // The standard's own result is {"a":{"bb":{}}}; FHIR has no empty objects.
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, "{}"),
        (r#"{"a":1.10}"#, r#"{"b":1E5}"#, r#"{"a":1.10,"b":1E5}"#),
    ] {
        assert_eq!(merge(current, patch).unwrap(), expected, "{current} + {patch}");
    }
    for bad in ["[]", "null", "1"] {
        assert!(matches!(merge("{}", bad), Err(PatchError::Malformed(_))), "{bad}");
    }
}

#[test]
fn plain_json_is_told_apart_by_its_form() {
    assert_eq!(kind_of(br#"[{"op":"remove"}]"#), PatchKind::Json);
    assert_eq!(kind_of(br#"{"active":true}"#), PatchKind::Merge);
    assert_eq!(kind_of(br#"{"resourceType":"Patient","active":true}"#), PatchKind::Merge);
    assert_eq!(kind_of(br#"{"resourceType":"Parameters"}"#), PatchKind::FhirPath);
}
