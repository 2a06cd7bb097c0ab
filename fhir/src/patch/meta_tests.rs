//! Labels added and taken away.

use super::{PatchError, PatchKind, apply};

fn change(kind: PatchKind, meta: &str, before: &str) -> Result<String, PatchError> {
    let before = format!(r#"{{"resourceType":"Basic","id":"b"{before}}}"#);
    let after = apply(kind, meta.as_bytes(), before.as_bytes())?;
    Ok(String::from_utf8(after).unwrap().replacen(r#"{"resourceType":"Basic","id":"b""#, "", 1))
}

#[test]
fn labels_are_added_once_and_deleted_by_system_and_code() {
    let tag = r#"{"tag":[{"system":"s","code":"c","display":"D"}],"profile":["http://p"]}"#;
    let before = r#","meta":{"versionId":"3","tag":[{"code":"c"}]}"#;

    let added = change(PatchKind::MetaAdd, tag, before).unwrap();

    let expected = r#","meta":{"versionId":"3","tag":[{"code":"c"},{"system":"s","code":"c","display":"D"}],"profile":["http://p"]}}"#;
    assert_eq!(added, expected);
    let again = added.trim_end_matches('}').to_owned() + "}";
    assert_eq!(change(PatchKind::MetaAdd, tag, &again).unwrap(), expected);
    let other_display = r#"{"tag":[{"system":"s","code":"c"}],"profile":["http://p","http://q"]}"#;
    let deleted = change(PatchKind::MetaDelete, other_display, &again).unwrap();
    assert_eq!(deleted, r#","meta":{"versionId":"3","tag":[{"code":"c"}]}}"#);
    assert_eq!(
        change(PatchKind::MetaAdd, r#"{"security":[{"code":"R"}]}"#, "").unwrap(),
        r#","meta":{"security":[{"code":"R"}]}}"#
    );
    assert_eq!(change(PatchKind::MetaDelete, tag, "").unwrap(), "}");
}

#[test]
fn what_is_no_label_is_refused() {
    for bad in [r#"{"source":"x"}"#, r#"{"tag":{"code":"c"}}"#, "{}", r#"{"versionId":"4"}"#, "[]"]
    {
        let refused = change(PatchKind::MetaAdd, bad, "");
        assert!(matches!(refused, Err(PatchError::Malformed(_))), "{bad}");
    }
}
