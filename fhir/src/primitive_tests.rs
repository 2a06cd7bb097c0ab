//! Tests of the primitive forms: for each datatype what is taken and what is not.

use super::*;
use crate::Tree;

fn verdict(primitive: Primitive, json: &str) -> Result<(), Fault> {
    primitive.check(Tree::parse(json.into()).unwrap().root())
}

fn takes(primitive: Primitive, texts: &[&str]) {
    for text in texts {
        let json = format!("\"{text}\"");
        assert_eq!(verdict(primitive, &json), Ok(()), "{primitive:?} {text}");
    }
}

fn refuses(primitive: Primitive, texts: &[&str]) {
    for text in texts {
        let json = format!("\"{text}\"");
        assert!(verdict(primitive, &json).is_err(), "{primitive:?} {text}");
    }
}

#[test]
fn whole_numbers_have_no_fraction_no_exponent_and_32_bits() {
    for good in ["0", "-2147483648", "2147483647"] {
        assert_eq!(verdict(Primitive::Integer, good), Ok(()), "{good}");
    }
    for bad in ["-0", "1.0", "1e2", "2147483648", "-2147483649", "\"1\"", "true"] {
        assert!(verdict(Primitive::Integer, bad).is_err(), "{bad}");
    }
    assert!(verdict(Primitive::PositiveInt, "0").is_err());
    assert_eq!(verdict(Primitive::PositiveInt, "1"), Ok(()));
    assert!(verdict(Primitive::UnsignedInt, "-1").is_err());
    assert_eq!(verdict(Primitive::UnsignedInt, "0"), Ok(()));
}

#[test]
fn decimals_are_any_json_number_that_a_machine_can_hold() {
    for good in ["1.10", "1E5", "-0", "0.000", "123456789012345678901234567890.5", "1e-400"] {
        assert_eq!(verdict(Primitive::Decimal, good), Ok(()), "{good}");
    }
    for bad in ["1E400", "\"1.0\"", "true"] {
        assert!(verdict(Primitive::Decimal, bad).is_err(), "{bad}");
    }
}

#[test]
fn dates_and_times_must_exist_in_the_calendar() {
    takes(Primitive::Date, &["2021", "2021-12", "2020-02-29"]);
    refuses(
        Primitive::Date,
        &["2021-02-30", "2021-2-3", "0000", "21", "2021-01-01T00:00:00Z", "2021-13"],
    );
    takes(
        Primitive::DateTime,
        &["2021", "2021-12", "2020-02-29", "2021-01-01T23:59:60Z", "2021-01-01T00:00:00.123+14:00"],
    );
    refuses(
        Primitive::DateTime,
        &[
            "2021-01-01T10:00Z",
            "2021-01-01T10:00:00",
            "2021-01-01T24:00:00Z",
            "2021-02-30",
            "2021-01-01 10:00:00Z",
            "2021-01-01T10:00:61Z",
        ],
    );
    takes(Primitive::Instant, &["2021-01-01T10:00:00Z", "2021-01-01T10:00:00.5-05:00"]);
    refuses(Primitive::Instant, &["2021-01-01", "2021-01-01T10:00:00", "2021-02-29T10:00:00Z"]);
    takes(Primitive::Time, &["10:00:00", "23:59:59.999"]);
    refuses(Primitive::Time, &["10:00", "24:00:00", "10:00:00Z", "1:00:00"]);
}

#[test]
fn identifiers_of_all_kinds_have_their_form() {
    takes(Primitive::Id, &["a-1.B"]);
    refuses(Primitive::Id, &["a b", "../x", "<script>", "é", "a_b"]);
    takes(Primitive::Oid, &["urn:oid:1.2.840.0.1"]);
    refuses(
        Primitive::Oid,
        &["1.2.3", "urn:oid:3.1", "urn:oid:1", "urn:oid:1.02", "urn:oid:1..2", "urn:oid:1."],
    );
    takes(Primitive::Uuid, &["urn:uuid:c757873d-ec9a-4326-a141-556f43239520"]);
    refuses(
        Primitive::Uuid,
        &[
            "c757873d-ec9a-4326-a141-556f43239520",
            "urn:uuid:C757873D-EC9A-4326-A141-556F43239520",
            "urn:uuid:c757873dec9a4326a141556f43239520",
        ],
    );
    takes(Primitive::Uri, &["http://x.example/a|b#c", "urn:oid:1.2", "x"]);
    refuses(Primitive::Uri, &["http://x example", " x", "x\\n"]);
}

#[test]
fn codes_have_single_spaces_inside_only() {
    takes(Primitive::Code, &["a", "a b", "a/b.c", "a\u{a0}"]);
    refuses(Primitive::Code, &[" a", "a ", "a  b", "\\t", ""]);
}

#[test]
fn strings_are_not_empty_and_hold_no_control_characters() {
    takes(Primitive::String, &["a", "\\r\\n\\tx", " "]);
    assert_eq!(verdict(Primitive::String, "\"\""), Err(Fault::Empty));
    refuses(Primitive::String, &["\\u0001", "a\\bc"]);
    assert_eq!(verdict(Primitive::String, "1"), Err(Fault::Kind("a string")));
    let long = "a".repeat(STRING_BYTES_MAX + 1);
    assert_eq!(verdict(Primitive::Markdown, &format!("\"{long}\"")), Err(Fault::TooLong));
    assert!(verdict(Primitive::Base64Binary, &format!("\"{}\"", "abcd".repeat(300_000))).is_ok());
}

#[test]
fn base64_comes_in_fours_with_padding_at_the_end() {
    takes(Primitive::Base64Binary, &["AA==", "AAA=", "AAAA", "AA AA\\nAAAA"]);
    refuses(Primitive::Base64Binary, &["A", "AAA", "A===", "AA=A", "AA-_", "===="]);
}

#[test]
fn a_narrative_is_one_div() {
    takes(Primitive::Xhtml, &["<div>x</div>", "<div xmlns='a'>x</div>"]);
    refuses(Primitive::Xhtml, &["x", "<p>x</p>", "<divx>"]);
}
