//! Lines of issues in long XML documents.

use std::time::{Duration, Instant};

use fhir::{Issue, IssueType, place_in_xml};

#[test]
fn many_issues_of_a_long_document_get_their_lines_in_the_time_of_one_reading() {
    // Each name on three lines of its own, its family wrong.
    let name = "<name>\n <family value=\"x\"/>\n</name>\n";
    let names = name.repeat(20_000);
    let xml = format!("<Patient xmlns=\"http://hl7.org/fhir\">\n{names}</Patient>");
    let at = |index: usize| {
        Issue::error(IssueType::Value, "x").at(format!("Patient.name[{index}].family"))
    };
    let indexes = || (0..20_000).rev().step_by(2);
    let mut issues: Vec<Issue> = indexes().map(at).collect();

    let began = Instant::now();
    place_in_xml(xml.as_bytes(), &mut [at(0)]);
    let one = began.elapsed();
    place_in_xml(xml.as_bytes(), &mut issues);
    let all = began.elapsed() - one;

    for (issue, index) in issues.iter().zip(indexes()) {
        assert_eq!(issue.text, format!("x (line {}, column 2)", 3 + 3 * index));
    }
    assert!(all < one * 10 + Duration::from_millis(100), "{all:?}, and {one:?} for one issue");
}
