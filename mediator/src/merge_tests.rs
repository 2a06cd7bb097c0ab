//! Tests of [`super::merge`].

use std::sync::Arc;

use super::*;
use crate::WriteMode;

const T1: i64 = 1_772_362_800_000_000;
const T2: i64 = T1 + 60_000_000;

fn draft(body: &str, default: FieldMode, fields: &[(&str, FieldMode)], time: i64) -> Draft {
    let fields = fields.iter().map(|(name, mode)| ((*name).to_owned(), *mode)).collect();
    Draft {
        resource_type: "Patient",
        id: "p".to_owned(),
        body: format!(r#"{{"resourceType":"Patient","id":"p",{body}}}"#).into_bytes(),
        write: Arc::new(WriteMode { default, fields }),
        deletes: Vec::new(),
        event_time: Some(crate::EventTime::at(time)),
    }
}

/// Merges into a stored version and gives the members without `meta`, or the other outcome.
fn join(stored: &Draft, next: &Draft) -> Result<String, Merged> {
    let Merged::Write(first) = merge(None, stored) else { panic!("a first version is written") };
    let first = Tree::parse(first).expect("valid");
    match merge(Some(&first), next) {
        Merged::Write(bytes) => {
            let tree = Tree::parse(bytes).expect("valid");
            let mut all = members(tree.root());
            all.retain(|(key, _)| !matches!(&**key, "meta" | "resourceType" | "id"));
            Ok(String::from_utf8(render(&all)).expect("text"))
        }
        other => Err(other),
    }
}

#[test]
fn absent_keeps_present_replaces_and_null_deletes() {
    let stored = draft(r#""gender":"male","birthDate":"1980""#, FieldMode::Replace, &[], T1);
    let mut next = draft(r#""birthDate":"1980-02-01""#, FieldMode::Replace, &[], T2);

    let kept = join(&stored, &next).expect("written");
    next.deletes = vec!["gender".to_owned()];
    let deleted = join(&stored, &next).expect("written");

    assert_eq!(kept, r#"{"gender":"male","birthDate":"1980-02-01"}"#);
    assert_eq!(deleted, r#"{"birthDate":"1980-02-01"}"#);
}

#[test]
fn a_thin_message_erases_and_overwrites_nothing() {
    let stored = draft(
        r#""identifier":[{"system":"a","value":"1"}],"name":[{"family":"Okafor"}],"gender":"female""#,
        FieldMode::Replace,
        &[],
        T1,
    );
    let fields = [("identifier", FieldMode::Union)];
    let thin = draft(
        r#""identifier":[{"system":"a","value":"1"}],"name":[{"family":"O"}],"gender":"unknown""#,
        FieldMode::Fill,
        &fields,
        T2,
    );
    assert_eq!(join(&stored, &thin), Err(Merged::Unchanged));

    let more =
        draft(r#""identifier":[{"system":"b","value":"2"}]"#, FieldMode::Fill, &fields, T1 - 1);
    let joined = join(&stored, &more).expect("written");
    assert!(joined.starts_with(
        r#"{"identifier":[{"system":"a","value":"1"},{"system":"b","value":"2"}],"name""#
    ));
}

#[test]
fn an_older_message_changes_nothing_and_the_same_one_again_neither() {
    let stored = draft(r#""gender":"male""#, FieldMode::Replace, &[], T2);

    let older = draft(r#""gender":"female""#, FieldMode::Replace, &[], T1);
    assert_eq!(join(&stored, &older), Err(Merged::Stale));
    assert_eq!(join(&stored, &stored), Err(Merged::Unchanged));
    let newer = draft(r#""gender":"female""#, FieldMode::Replace, &[], T2 + 1);
    assert_eq!(join(&stored, &newer).expect("written"), r#"{"gender":"female"}"#);
}

#[test]
fn a_choice_holds_one_type_only() {
    let stored = draft(r#""deceasedBoolean":true"#, FieldMode::Replace, &[], T1);
    let next = draft(r#""deceasedDateTime":"2026-03-01""#, FieldMode::Replace, &[], T2);

    assert_eq!(join(&stored, &next).expect("written"), r#"{"deceasedDateTime":"2026-03-01"}"#);
}

#[test]
fn members_join_one_by_one_and_can_be_deleted_alone() {
    let fields = [("period", FieldMode::Members)];
    let stored = draft(r#""period":{"start":"2026"}"#, FieldMode::Replace, &fields, T1);
    let mut next = draft(r#""period":{"end":"2027"}"#, FieldMode::Replace, &fields, T2);
    let joined = join(&stored, &next).expect("written");
    assert_eq!(joined, r#"{"period":{"start":"2026","end":"2027"}}"#);

    next.body = br#"{"resourceType":"Patient","id":"p"}"#.to_vec();
    next.deletes = vec!["period.start".to_owned()];
    assert_eq!(join(&stored, &next).expect("written"), "{}");
}

#[test]
fn a_transfer_completes_the_earlier_location_once() {
    let fields = [("location", FieldMode::LocationHistory)];
    let at = |place: &str, start: &str| {
        format!(
            r#"{{"location":{{"reference":"Location/{place}"}},"status":"active","period":{{"start":"{start}"}}}}"#
        )
    };
    let stored =
        draft(&format!(r#""location":[{}]"#, at("a", "2026")), FieldMode::Replace, &fields, T1);
    let before =
        r#"{"location":{"reference":"Location/a"},"status":"completed","period":{"end":"2027"}}"#;
    let moved = draft(
        &format!(r#""location":[{before},{}]"#, at("b", "2027")),
        FieldMode::Replace,
        &fields,
        T2,
    );

    let joined = join(&stored, &moved).expect("written");

    let wanted = r#"{"location":[{"location":{"reference":"Location/a"},"status":"completed","period":{"start":"2026","end":"2027"}},"#;
    assert!(joined.starts_with(wanted), "{joined}");
    assert_eq!(joined.matches("Location/a").count(), 1);
    assert_eq!(joined.matches("Location/b").count(), 1);
    assert_eq!(join(&moved, &moved), Err(Merged::Unchanged));
}

#[test]
fn a_whole_draft_removes_what_it_does_not_say() {
    let stored = draft(r#""gender":"male","birthDate":"1980""#, FieldMode::Whole, &[], T1);
    let next = draft(r#""birthDate":"1981""#, FieldMode::Whole, &[], T2);

    assert_eq!(join(&stored, &next).expect("written"), r#"{"birthDate":"1981"}"#);
    assert_eq!(join(&next, &stored), Err(Merged::Stale));
}

#[test]
fn the_servers_meta_is_left_out_and_other_meta_is_kept() {
    let stored = br#"{"resourceType":"Patient","id":"p","meta":{"versionId":"3","lastUpdated":"2026-01-01T00:00:00.000000Z","tag":[{"code":"x"}]},"gender":"male"}"#;
    let stored = Tree::parse(stored.to_vec()).expect("valid");
    let next = draft(r#""gender":"female""#, FieldMode::Replace, &[], T1);

    let Merged::Write(bytes) = merge(Some(&stored), &next) else { panic!("written") };

    let text = String::from_utf8(bytes).expect("text");
    assert!(text.contains(r#""meta":{"tag":[{"code":"x"}],"extension":[{"url":"#), "{text}");
    assert!(!text.contains("versionId"));
    assert!(text.contains(r#""valueInstant":"2026-03-01T11:00:00.000000Z""#), "{text}");
}

#[test]
fn a_merge_the_other_way_round_is_a_cycle() {
    let link =
        |kind: &str| format!(r#""link":[{{"other":{{"reference":"Patient/q"}},"type":"{kind}"}}]"#);
    let fields = [("link", FieldMode::Union)];
    let stored = draft(&link("replaced-by"), FieldMode::Replace, &fields, T1);
    let reverse = draft(&link("replaces"), FieldMode::Replace, &fields, T2);

    assert_eq!(join(&stored, &reverse), Err(Merged::Cycle));
    assert_eq!(join(&stored, &stored), Err(Merged::Unchanged));
}

#[test]
fn an_ignored_element_is_not_even_created() {
    let fields = [("gender", FieldMode::Ignore)];
    let first = draft(r#""gender":"male","birthDate":"1980""#, FieldMode::Replace, &fields, T1);

    let Merged::Write(bytes) = merge(None, &first) else { panic!("written") };

    assert!(!String::from_utf8(bytes).expect("text").contains("gender"));
}
