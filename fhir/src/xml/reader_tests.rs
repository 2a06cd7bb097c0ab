//! Tests of XML to JSON, by rule.

use crate::xml::{place_in_xml, xml_to_json};
use crate::{ReadLimits, read};

fn json(xml: &str) -> String {
    let made =
        xml_to_json(xml.as_bytes(), &ReadLimits::default()).unwrap_or_else(|i| panic!("{i:#?}"));
    let text = String::from_utf8(made.clone()).unwrap();
    read(made, &ReadLimits::default()).unwrap_or_else(|issues| panic!("{text}: {issues:#?}"));
    text
}

/// The first issue's place and text.
fn refused(xml: &str) -> (String, String) {
    let issues = xml_to_json(xml.as_bytes(), &ReadLimits::default()).expect_err(xml);
    (issues[0].expression.clone().unwrap_or_default(), issues[0].text.clone())
}

fn patient(content: &str) -> String {
    format!("<Patient xmlns=\"http://hl7.org/fhir\">{content}</Patient>")
}

#[test]
fn lists_primitives_and_what_stands_beside_them_become_json() {
    let xml = patient(
        r#"<id value="p1"/><active value="true"/><name id="n1"><use value="official"/><given value="Ada"/>
        <given><extension url="http://e.org/x"><valueString value="y"/></extension></given>
        <given id="g3" value="B &amp; C"/></name>
        <birthDate id="b" value="1970-03-30"><extension url="http://e.org/t"><valueDecimal value="1.10"/></extension></birthDate>
        <multipleBirthInteger value="2"/>"#,
    );

    let expected = concat!(
        r#"{"resourceType":"Patient","id":"p1","active":true,"name":[{"id":"n1","use":"official","#,
        r#""given":["Ada",null,"B & C"],"_given":[null,{"extension":[{"url":"http://e.org/x","valueString":"y"}]},{"id":"g3"}]}],"#,
        r#""birthDate":"1970-03-30","_birthDate":{"id":"b","extension":[{"url":"http://e.org/t","valueDecimal":1.10}]},"#,
        r#""multipleBirthInteger":2}"#
    );
    assert_eq!(json(&xml), expected);
}

#[test]
fn a_list_of_primitives_without_any_value_has_only_what_stands_beside() {
    let xml = patient(r#"<name><given id="a"/><given id="b"/></name>"#);

    assert_eq!(
        json(&xml),
        r#"{"resourceType":"Patient","name":[{"_given":[{"id":"a"},{"id":"b"}]}]}"#
    );
}

#[test]
fn contained_resources_and_bundles_nest() {
    let xml = r##"<Bundle xmlns="http://hl7.org/fhir"><type value="collection"/><entry><fullUrl value="urn:x"/>
      <resource><Patient><contained><Organization><id value="o"/><name value="O"/></Organization></contained>
      <managingOrganization><reference value="#o"/></managingOrganization></Patient></resource></entry></Bundle>"##;

    let expected = concat!(
        r##"{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:x","resource":{"resourceType":"Patient","##,
        r##""contained":[{"resourceType":"Organization","id":"o","name":"O"}],"managingOrganization":{"reference":"#o"}}}]}"##
    );
    assert_eq!(json(xml), expected);
}

#[test]
fn decimals_and_narratives_are_kept_as_written() {
    let xml = r#"<?xml version="1.0" encoding="utf-8"?><!-- c --><?pi x?>
<Observation xmlns="http://hl7.org/fhir"><text><status value="generated"/><div xmlns="http://www.w3.org/1999/xhtml"><b>John</b> <i>Smith</i>
  <!-- kept --><br />&lt;&#160;<![CDATA[a<b]]></div></text><!-- dropped --><status value="final"/><code><text value="x"/></code>
<valueQuantity><value value="1.0e-24"/></valueQuantity></Observation>"#;

    let made: serde_json::Value = serde_json::from_str(&json(xml)).unwrap();

    let div = "<div xmlns=\"http://www.w3.org/1999/xhtml\"><b>John</b> <i>Smith</i>\n  <!-- kept --><br />&lt;&#160;a&lt;b</div>";
    assert_eq!(made["text"]["div"], div);
    assert_eq!(made["valueQuantity"]["value"].to_string(), "1.0e-24");
}

#[test]
fn prefixes_mean_what_they_are_declared_to_mean() {
    let xml = r#"<f:Patient xmlns:f="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml"><f:text><f:status value="generated"/>
      <h:div class="a"><h:p>x</h:p></h:div></f:text><f:active value="true"/></f:Patient>"#;

    let made: serde_json::Value = serde_json::from_str(&json(xml)).unwrap();

    assert_eq!(
        made["text"]["div"],
        "<div xmlns=\"http://www.w3.org/1999/xhtml\" class=\"a\"><p>x</p></div>"
    );
    assert_eq!(made["active"], true);
    for bad in [
        "<Patient><active value=\"true\"/></Patient>",
        "<Patient xmlns=\"urn:other\"><active value=\"true\"/></Patient>",
        "<x:Patient><active value=\"true\"/></x:Patient>",
        "<Patient xmlns=\"http://hl7.org/fhir\"><text><status value=\"empty\"/><div>x</div></text></Patient>",
    ] {
        refused(bad);
    }
}

#[test]
fn white_space_in_values_is_what_xml_says_it_is() {
    let xml = patient("<name><text value=\"a\tb\nc&#10;d&#9;e&#xD;f  g\"/></name>");

    assert_eq!(json(&xml), r#"{"resourceType":"Patient","name":[{"text":"a b c\nd\te\rf  g"}]}"#);
}

#[test]
fn errors_name_their_place_in_fhirpath_and_their_line() {
    let cases = [
        ("<foo value=\"1\"/>", "Patient.foo", "there is no such element here (line 1, column 38)"),
        (
            "\n <active value=\"1\"/>",
            "Patient.active",
            "this must be true or false (line 2, column 2)",
        ),
        (
            "<name/><name><given/></name>",
            "Patient.name[1].given[0]",
            "this must have a value or an extension (line 1, column 51)",
        ),
        (
            "<birthDate value=\"1970\"/><active value=\"true\"/>",
            "Patient.active",
            "the elements stand in another order than the standard's (line 1, column 63)",
        ),
        (
            "<active value=\"true\"/><active value=\"true\"/>",
            "Patient.active",
            "this must not occur more than once (line 1, column 60)",
        ),
        (
            "<name foo=\"x\"/>",
            "Patient.name[0]",
            "there is no such attribute here (line 1, column 38)",
        ),
        (
            "<name value=\"x\"/>",
            "Patient.name[0]",
            "only a primitive has a value (line 1, column 38)",
        ),
        ("x", "Patient", "text is not allowed here (line 1, column 38)"),
        ("<contained/>", "Patient.contained[0]", "a resource must stand here (line 1, column 38)"),
        (
            "<extension><url value=\"x\"/></extension>",
            "Patient.extension[0].url",
            "in XML this is an attribute (line 1, column 49)",
        ),
        (
            "<multipleBirthInteger value=\"01\"/>",
            "Patient.multipleBirth",
            "this must be a number (line 1, column 38)",
        ),
        (
            "<active value=\"true\">",
            "Patient.active",
            "the XML text has an end tag that does not match its start tag (line 1, column 59)",
        ),
    ];
    for (content, place, text) in cases {
        assert_eq!(refused(&patient(content)), (place.to_owned(), text.to_owned()));
    }
}

#[test]
fn issues_of_the_strict_reader_get_their_line() {
    let xml = patient("\n<name>\n <given value=\"\"/>\n</name>\n<birthDate value=\"1970-13\"/>");
    let made = xml_to_json(xml.as_bytes(), &ReadLimits::default()).unwrap();

    let mut issues = read(made, &ReadLimits::default()).unwrap_err();
    place_in_xml(xml.as_bytes(), &mut issues);

    let shown: Vec<_> = issues
        .iter()
        .map(|i| (i.expression.as_deref().unwrap(), i.text.rsplit_once(" (").unwrap().1))
        .collect();
    assert_eq!(
        shown,
        [
            ("Patient.name[0].given[0]", "line 3, column 2)"),
            ("Patient.birthDate", "line 5, column 1)")
        ]
    );
}

#[test]
fn nothing_is_fetched_expanded_or_believed() {
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>";
    let within = patient("<name><text value=\"&b;\"/></name>");
    let cases = [
        format!("{bomb}{within}"),
        within,
        "<!DOCTYPE Patient SYSTEM \"file:///etc/passwd\"><Patient xmlns=\"http://hl7.org/fhir\"/>".to_owned(),
        format!("<?xml-stylesheet href=\"http://e.org/x.xsl\"?>{}", patient("<active value=\"true\"/>")),
        patient("<xi:include xmlns:xi=\"http://www.w3.org/2001/XInclude\" href=\"file:///etc/passwd\"/>"),
        "<Patient xmlns=\"http://hl7.org/fhir\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:schemaLocation=\"http://hl7.org/fhir x\"/>".to_owned(),
        "<?xml version=\"1.0\" encoding=\"utf-16\"?><Patient xmlns=\"http://hl7.org/fhir\"/>".to_owned(),
        patient("<text><status value=\"empty\"/><div xmlns=\"http://www.w3.org/1999/xhtml\">&nbsp;</div></text>"),
        patient("<name><text value=\"&#0;\"/></name>"),
        patient("<name><text value=\"a<b\"/></name>"),
        patient("<name><text value='a'id=\"x\"/></name>"),
        patient("<name><text value='a' value=\"x\"/></name>"),
        String::new(),
        " ".to_owned(),
        "<Patient xmlns=\"http://hl7.org/fhir\"/><Patient xmlns=\"http://hl7.org/fhir\"/>".to_owned(),
        "\u{1}".to_owned(),
    ];
    for xml in cases {
        let (_, text) = refused(&xml);
        assert!(!text.contains("passwd"), "{text}");
    }
}

#[test]
fn every_prefix_and_every_changed_byte_of_a_document_is_answered() {
    let xml = patient(
        r#"<text><status value="empty"/><div xmlns="http://www.w3.org/1999/xhtml"><p a="b">x &amp; y</p></div></text>
        <name><given value="A"/><given id="x"><extension url="u"><valueCode value="c"/></extension></given></name>"#,
    );
    let limits = ReadLimits::default();
    for end in 0..xml.len() {
        assert!(xml_to_json(&xml.as_bytes()[..end], &limits).is_err(), "{end}");
    }
    for at in 0..xml.len() {
        for byte in *b"<>/&;\"'= \0:x]!?-\xff" {
            let mut changed = xml.clone().into_bytes();
            changed[at] = byte;
            if let Ok(json) = xml_to_json(&changed, &limits) {
                crate::Tree::parse(json).expect("what is converted is JSON");
            }
        }
    }
}
