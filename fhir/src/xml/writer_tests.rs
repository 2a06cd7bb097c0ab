//! Tests of JSON to XML, by rule.

use crate::ReadLimits;
use crate::xml::{NotXml, XmlForm, json_to_xml, xml_to_json};

const PLAIN: XmlForm = XmlForm { pretty: false, bytes_max: 1 << 20 };

fn xml(json: &str) -> String {
    let made = json_to_xml(json.as_bytes(), &PLAIN).unwrap();
    let text = String::from_utf8(made).unwrap();
    text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").unwrap().trim_end().to_owned()
}

#[test]
fn elements_stand_in_the_order_of_the_definition_whatever_json_says() {
    let json = r#"{"birthDate":"1970","name":[{"given":["Ada",null],"_given":[null,{"id":"g"}],"id":"n"}],"id":"p","resourceType":"Patient",
      "extension":[{"valueDecimal":1.10,"url":"http://e.org/x"}],"_birthDate":{"extension":[{"url":"u","valueBoolean":true}]}}"#;

    let expected = concat!(
        r#"<Patient xmlns="http://hl7.org/fhir"><id value="p"/><extension url="http://e.org/x"><valueDecimal value="1.10"/></extension>"#,
        r#"<name id="n"><given value="Ada"/><given id="g"/></name>"#,
        r#"<birthDate value="1970"><extension url="u"><valueBoolean value="true"/></extension></birthDate></Patient>"#
    );
    assert_eq!(xml(json), expected);
}

#[test]
fn what_xml_would_change_is_written_as_references() {
    let json = r#"{"resourceType":"Patient","name":[{"text":"<a> & \"b\"\t\n\r'c'  \uffff"}]}"#;

    assert_eq!(
        xml(json),
        "<Patient xmlns=\"http://hl7.org/fhir\"><name><text value=\"&lt;a&gt; &amp; &quot;b&quot;&#9;&#10;&#13;'c'  \u{fffd}\"/></name></Patient>"
    );
}

#[test]
fn a_narrative_is_copied_and_what_is_no_xhtml_is_shown_as_text() {
    let shown = |div: &str| {
        let json =
            serde_json::json!({"resourceType": "Patient", "text": {"status": "empty", "div": div}});
        let xml = xml(&json.to_string());
        let back = xml_to_json(xml.as_bytes(), &ReadLimits::default()).expect(&xml);
        let value: serde_json::Value = serde_json::from_slice(&back).unwrap();
        value["text"]["div"].as_str().unwrap().to_owned()
    };
    let good =
        "<div xmlns=\"http://www.w3.org/1999/xhtml\">\n <b>a</b> <i x='y'>b</i><!-- c --></div>";
    let div =
        |content: &str| format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{content}</div>");

    assert_eq!(shown(good), good);
    assert_eq!(shown("<div>a&nbsp;b</div>"), div("a&#160;b"));
    assert_eq!(shown("<div>a<br></div>"), div("&lt;div&gt;a&lt;br&gt;&lt;/div&gt;"));
    assert_eq!(shown("<div/>"), "<div xmlns=\"http://www.w3.org/1999/xhtml\"/>");
    assert_eq!(shown("<div>a</div><script/>"), div("&lt;div&gt;a&lt;/div&gt;&lt;script/&gt;"));
    assert_eq!(shown("<div xmlns=\"http://www.w3.org/1999/xhtml\">a\r\nb</div>"), div("a\nb"));
}

#[test]
fn it_is_indented_when_asked_but_not_within_narratives() {
    let json = r#"{"resourceType":"Patient","text":{"status":"empty","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>a</p></div>"},"contained":[{"resourceType":"Basic","code":{"text":"x"}}]}"#;

    let form = XmlForm { pretty: true, ..PLAIN };
    let made = String::from_utf8(json_to_xml(json.as_bytes(), &form).unwrap()).unwrap();

    let expected = r#"<?xml version="1.0" encoding="UTF-8"?>
<Patient xmlns="http://hl7.org/fhir">
  <text>
    <status value="empty"/>
    <div xmlns="http://www.w3.org/1999/xhtml"><p>a</p></div>
  </text>
  <contained>
    <Basic>
      <code>
        <text value="x"/>
      </code>
    </Basic>
  </contained>
</Patient>
"#;
    assert_eq!(made, expected);
}

#[test]
fn what_is_no_resource_or_too_long_has_no_xml() {
    let short = XmlForm { bytes_max: 60, ..PLAIN };
    let json = br#"{"resourceType":"Patient","name":[{"text":"a long name"}]}"#;

    assert_eq!(json_to_xml(json, &short), Err(NotXml::TooLong));
    for bad in [
        "[]",
        "{}",
        "{\"a\":1}",
        "{\"resourceType\":\"Patient\",\"foo\":1}",
        "{\"resourceType\":\"Patient\",\"name\":[1]}",
    ] {
        assert_eq!(json_to_xml(bad.as_bytes(), &PLAIN), Err(NotXml::NoResource), "{bad}");
    }
}
