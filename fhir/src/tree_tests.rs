//! Tests of the document reader, by rule.

use super::*;
use crate::issue::IssueType;

fn issues(text: &str) -> Vec<Issue> {
    Tree::parse(text.as_bytes().to_vec()).expect_err("refused")
}

fn first_place(text: &str) -> String {
    issues(text)[0].expression.clone().unwrap_or_default()
}

#[test]
fn values_of_all_kinds_are_found_by_name() {
    let text = r#"{"a":[1,{"b":"x"},null],"c":true,"d":-1.10,"e":"\u00e9\n\ud83d\ude00","f":{}}"#;
    let tree = Tree::parse(text.into()).unwrap();
    let root = tree.root();

    let a = root.get("a").unwrap();
    let items: Vec<Kind> = a.children().map(Node::kind).collect();

    assert_eq!(items, [Kind::Number, Kind::Object, Kind::Null]);
    assert_eq!(a.children().nth(1).unwrap().get("b").unwrap().as_str().unwrap(), "x");
    assert_eq!(root.get("c").unwrap().as_bool(), Some(true));
    assert_eq!(root.get("d").unwrap().number_text(), Some("-1.10"));
    assert_eq!(root.get("e").unwrap().as_str().unwrap(), "é\n😀");
    assert!(root.get("f").unwrap().is_empty());
    assert_eq!(a.raw(), br#"[1,{"b":"x"},null]"#);
    assert_eq!(&text[a.span()], r#"[1,{"b":"x"},null]"#);
    assert_eq!(root.children().map(|c| c.key().unwrap()).collect::<String>(), "acdef");
    assert_eq!(a.items().count(), 3);
    assert_eq!(root.get("c").unwrap().items().count(), 1);
    assert_eq!(tree.bytes(), text.as_bytes());
}

#[test]
fn duplicate_keys_are_all_reported_at_their_place() {
    let text = r#"{"resourceType":"Patient","name":[{"family":"a","family":"b"}],"id":"1","id":"2","id":"3"}"#;

    let found = issues(text);

    let places: Vec<_> = found.iter().map(|i| i.expression.clone().unwrap()).collect();
    assert_eq!(places, ["Patient.name[0].family", "Patient.id"]);
    assert!(found.iter().all(|i| i.code == IssueType::Structure));
}

#[test]
fn a_duplicate_key_hidden_by_an_escape_is_found() {
    assert_eq!(first_place(r#"{"resourceType":"Patient","id":"1","\u0069d":"2"}"#), "Patient.id");
    let tree = Tree::parse(br#"{"\u0069d":"2","x":1}"#.to_vec()).unwrap();
    assert_eq!(tree.root().get("id").unwrap().as_str().unwrap(), "2");
}

#[test]
fn a_duplicate_among_many_keys_is_found() {
    let mut text = String::from("{");
    for key in 0..500 {
        text.push_str(&format!("\"k{key}\":1,"));
    }
    let good = format!("{}\"z\":1}}", text);
    let bad = format!("{}\"k250\":1}}", text);

    assert!(Tree::parse(good.into()).is_ok());
    assert_eq!(first_place(&bad), "Resource.k250");
}

#[test]
fn a_million_keys_are_checked_in_good_time() {
    let mut text = String::from("{");
    for key in 0..200_000 {
        text.push_str(&format!("\"{key}\":1,"));
    }
    text.push_str("\"z\":1}");
    assert!(Tree::parse(text.into()).is_ok());
}

#[test]
fn nesting_of_64_is_read_and_of_65_refused() {
    let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);

    assert!(Tree::parse(nested(64).into()).is_ok());
    let found = issues(&nested(65));
    assert_eq!(found[0].code, IssueType::Structure);
    assert!(found[0].text.contains("deeper than 64"));
    assert!(issues(&"[".repeat(100_000))[0].text.contains("deeper"));
    assert!(issues(&"{\"a\":".repeat(100_000))[0].text.contains("deeper"));
}

#[test]
fn nul_and_lone_surrogates_are_refused_at_their_place() {
    for bad in [r"\u0000", r"\ud800", r"\udc00", r"\ud800\ud800", r"\ud800x"] {
        let text = format!(r#"{{"resourceType":"Patient","name":[{{"given":["a","{bad}"]}}]}}"#);
        assert_eq!(first_place(&text), "Patient.name[0].given[1]", "{bad}");
        assert_eq!(issues(&text)[0].code, IssueType::Value);
    }
}

#[test]
fn what_is_no_json_is_refused() {
    for bad in [
        "",
        "  ",
        "{",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "[1 2]",
        "[1}",
        "{\"a\":1]",
        "nul",
        "truex",
        "NaN",
        "Infinity",
        "-",
        "01",
        "1.",
        "\"",
        "\"\\x\"",
        "\"\\u12\"",
        "// x\n1",
        "[1] x",
        "{}{}",
        "\u{feff}{}",
        "\"\t\"",
        "]",
        "tru",
        "+1",
    ] {
        assert!(Tree::parse(bad.as_bytes().to_vec()).is_err(), "{bad}");
    }
    assert!(Tree::parse(vec![b'"', 0xFF, b'"']).is_err());
    assert!(Tree::parse(vec![b'"', 0xED, 0xA0, 0x80, b'"']).is_err());
}

#[test]
fn trailing_bytes_are_refused_and_spaces_are_not() {
    assert!(Tree::parse(b" \r\n\t{} \n".to_vec()).is_ok());
    let found = issues("{\"a\":1}\n x");
    assert_eq!(found[0].text, "the JSON text goes on after its end (line 2, column 2)");
}

#[test]
fn the_reader_agrees_with_serde_json_on_escapes() {
    let text = r#"["\"\\\/\b\f\n\r\tA\u00fc\ud834\udd1e€"]"#;
    let tree = Tree::parse(text.into()).unwrap();
    let other: Vec<String> = serde_json::from_str(text).unwrap();

    assert_eq!(tree.root().children().next().unwrap().as_str().unwrap(), other[0].as_str());
}

#[test]
fn every_prefix_of_a_document_is_refused() {
    let text = r#"{"resourceType":"Patient","a":[1.5e3,true,null,{"x":"\u00e9\\"}],"_b":"é"}"#;
    for end in 0..text.len() {
        assert!(Tree::parse(text.as_bytes()[..end].to_vec()).is_err(), "{end}");
    }
}
