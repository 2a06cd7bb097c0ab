//! What files become: items, parts, lines that cannot be read.

use super::*;

fn file(name: &str, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("temp folder");
    let path = folder.path().join(name);
    fs::write(&path, content).expect("written");
    (folder, path)
}

#[test]
fn a_feed_is_cut_at_its_headers_and_keeps_its_lines() {
    let feed =
        b"FHS|^~\\&\nBHS|^~\\&\nMSH|^~\\&|A\nPID|1\n\n\x0bMSH|^~\\&|B\rPID|2\r\x1c\rBTS|2\nFTS|1\n";
    let (_folder, path) = file("feed.hl7", feed);

    let items = contents(&path).expect("readable").items;

    assert_eq!(items.len(), 2);
    assert_eq!(items[0].body, b"MSH|^~\\&|A\rPID|1\r");
    assert_eq!(items[1].body, b"MSH|^~\\&|B\rPID|2\r");
    assert_eq!((items[0].line, items[1].line), (3, 6));
}

#[test]
fn ndjson_becomes_batches_that_put_what_has_an_id() {
    let lines = b"{\"resourceType\":\"Patient\",\"id\":\"a\"}\n\n{\"resourceType\":\"Patient\"}\n";
    let (_folder, path) = file("patients.ndjson", lines);

    let items = contents(&path).expect("readable").items;

    let body = String::from_utf8(items[0].body.clone()).expect("utf-8");
    assert_eq!((items.len(), items[0].parts.len()), (1, 2));
    assert!(body.contains(r#""method":"PUT","url":"Patient/a""#), "{body}");
    assert!(body.contains(r#""method":"POST","url":"Patient""#), "{body}");
}

#[test]
fn a_broken_line_is_named_and_the_others_are_loaded_with_their_own_lines() {
    let (_folder, path) = file(
        "p.ndjson",
        b"{\"resourceType\":\"Patient\"}\n\n{\"resourceType\":\n{\"resourceType\":\"Group\"}\n",
    );

    let contents = contents(&path).expect("readable");

    let part = |line, name: &str| Part { line, entry: None, name: name.into() };
    assert_eq!(contents.items[0].parts, [part(1, "Patient"), part(4, "Group")]);
    assert_eq!(contents.broken.len(), 1);
    assert_eq!(contents.broken[0].0, 3);
    assert!(contents.broken[0].1.contains("(column "), "{:?}", contents.broken);
}

#[test]
fn a_broken_document_is_one_refusal_not_one_a_line() {
    let (_folder, path) = file("p.json", b"{\n \"resourceType\": \"Patient\",\n \"id\": \n}\n");

    let error = contents(&path).expect_err("no value of id");

    assert!(error.to_string().contains("line 4"), "{error}");
}

#[test]
fn the_entries_of_a_bundle_keep_their_lines() {
    let bundle = b"{\"resourceType\":\"Bundle\",\n\"type\":\"collection\",\n\"entry\":[\n{\"resource\":{\"resourceType\":\"Patient\"}},\n\n{\"resource\":{\"resourceType\":\"Group\"}}]}";
    let (_folder, path) = file("b.json", bundle);

    let contents = contents(&path).expect("readable");

    let lines: Vec<_> = contents.items[0].parts.iter().map(|p| (p.line, p.entry)).collect();
    assert_eq!(lines, [(4, Some(0)), (6, Some(1))]);
}

#[test]
fn shared_synthea_files_go_first_whatever_their_names() {
    let folder = tempfile::tempdir().expect("temp folder");
    for name in ["a.json", "zhospitalInformation1.json.bz2", "note.pdf", "feed.hl7"] {
        fs::write(folder.path().join(name), b"{}").expect("written");
    }

    let files = collect(&[folder.path().to_path_buf()]).expect("listed");

    let names: Vec<_> = files.iter().filter_map(|f| f.file_name()?.to_str()).collect();
    assert_eq!(names, ["zhospitalInformation1.json.bz2", "a.json", "feed.hl7"]);
}

#[test]
fn packed_files_are_unpacked_by_their_name() {
    let plain = br#"{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}]}"#;
    let packed = zstd::encode_all(&plain[..], 3).expect("packs");
    let (_folder, path) = file("b.json.zst", &packed);

    let items = contents(&path).expect("readable").items;

    assert_eq!((items[0].kind, items[0].parts.len()), (ItemKind::Bundle, 1));
    assert_eq!(items[0].body, plain);
}
