//! Words of the narrative and of the whole resource: "Text Search Parameters" of the search page, whose example asks
//! for `(bone OR liver) and metastases`.

use fhir::ResourceType;
use registry::check::IndexTable;
use registry::search::parse;
use registry::write_set::Action;
use serde_json::{Value as Json, json};

use super::{Cases, check, ids};
use crate::engines::on_each_engine;
use crate::oracle::corpus;
use crate::sets::set;

fn condition(id: &str, narrative: &str, note: &str) -> Json {
    let mut made =
        json!({"resourceType": "Condition", "id": id, "subject": {"reference": "Patient/p"}});
    if !narrative.is_empty() {
        let div = format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{narrative}</div>");
        made["text"] = json!({"status": "additional", "div": div});
    }
    if !note.is_empty() {
        made["note"] = json!([{"text": note}, {"text": "second"}]);
    }
    made
}

#[test]
fn narratives_and_contents_are_searched_by_words() {
    let resources = vec![
        condition("a", "<p>Metastases of the <b>B</b>one.</p>", ""),
        condition("b", "liver metastases &amp; pain", "Bone scan"),
        condition("c", "Liver only", "metastases, maybe"),
        condition("d", "", "糖尿病 since 2019; Müller&Co \"x-ray\""),
        json!({"resourceType": "Patient", "id": "p", "name": [{"family": "von Bone", "given": ["Ada"]}],
            "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">bone</div>"}}),
        json!({"resourceType": "Binary", "id": "n", "contentType": "text/plain", "data": "Ym9uZQ=="}),
    ];
    check(resources, WORDS);
}

const WORDS: Cases = &[
    ("Condition?_text=(bone OR liver) and metastases", &["a", "b"]),
    ("Condition?_text=metastases", &["a", "b"]),
    ("Condition?_text=METASTASES", &["a", "b"]),
    ("Condition?_text=metastas", &[]),
    ("Condition?_text=bone", &["a"]),
    ("Condition?_text=liver metastases", &["b"]),
    ("Condition?_text=\"metastases liver\"", &[]),
    ("Condition?_text=\"liver metastases\"", &["b"]),
    ("Condition?_text=bone,liver", &["a", "b", "c"]),
    ("Condition?_text=bone&_text=liver", &[]),
    ("Condition?_text=liver NOT pain", &["c"]),
    ("Condition?_text=not liver", &["a", "d"]),
    ("Condition?_text=pain or not liver", &["a", "b", "d"]),
    ("Condition?_content=bone", &["a", "b"]),
    ("Condition?_content=\"bone scan second\"", &[]),
    ("Condition?_content=scan second", &["b"]),
    ("Condition?_content=metastases", &["a", "b", "c"]),
    ("Condition?_content=patient p", &["a", "b", "c", "d"]),
    ("Condition?_content=尿病", &["d"]),
    ("Condition?_content=糖病", &[]),
    ("Condition?_content=muller", &["d"]),
    ("Condition?_content=\"MÜLLER CO\"", &["d"]),
    ("Condition?_content=x-ray 2019", &["d"]),
    ("Condition?_content=Condition", &[]),
    ("Condition?_text=metastases&_sort=-_lastUpdated", &["a", "b"]),
    ("Condition?subject._text=bone&_text=liver", &["b", "c"]),
    ("Condition?subject:Patient._content=nobody", &[]),
    ("Patient?_has:Condition:subject:_text=pain", &["p"]),
    ("Patient?_has:Condition:subject:_text=nothing", &[]),
    ("Patient?family:text=bone", &["p"]),
    ("Patient?name:text=ada bone", &["p"]),
    ("Patient?name:text=\"von bone\" NOT eve", &["p"]),
    ("Patient?name:text=\"bone ada\"", &[]),
    ("Patient?given:text=bone", &[]),
    ("Patient?given:text=not bone", &["p"]),
    ("Condition?subject:Patient.name:text=ADA&_text=bone", &["a"]),
    ("Patient?_text=ada", &[]),
    ("Binary?_content=Ym9uZQ", &[]),
    ("Binary?_content=plain", &["n"]),
];

#[test]
fn words_go_with_what_had_them() {
    on_each_engine(async |site| {
        let store = &*site.store;
        let index_key = store.index_key().clone();
        corpus::write(store, &index_key, vec![condition("a", "old words", "note")]).await;

        let mut second = corpus::make(&condition("a", "new words", "note"), &index_key);
        (second.action, second.previous) = (Action::Update, fhir::VersionId::new(1));
        store.commit(set(vec![second])).await.unwrap();

        assert!(ids(site, "Condition?_text=old").await.is_empty());
        assert_eq!(ids(site, "Condition?_text=new").await, ["a"]);
        assert_eq!(ids(site, "Condition?_content=note").await, ["a"]);
        let rows = || async { store.checks().index(IndexTable::Text, None, 9).await.unwrap() };
        assert_eq!(rows().await.len(), 1);

        let mut gone = corpus::make(&condition("a", "", ""), &index_key);
        (gone.action, gone.previous) = (Action::Delete, fhir::VersionId::new(2));
        gone.rows = registry::index::IndexRows::default();
        store.commit(set(vec![gone])).await.unwrap();

        assert!(ids(site, "Condition?_text=new").await.is_empty());
        assert!(rows().await.is_empty(), "{}", site.engine);
    });
}

#[test]
fn no_word_stands_in_the_database_in_clear() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let store = crate::engines::open_sqlite(&path);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let index_key = registry::store::Store::index_key(&store).clone();
    let secret = condition("a", "zanzibar", "quetzal");
    runtime.block_on(corpus::write(&store, &index_key, vec![secret]));
    drop(store);

    let found = std::fs::read_dir(folder.path()).unwrap().flat_map(|file| {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let has = |word: &[u8]| bytes.windows(word.len()).any(|part| part == word);
        [has(b"zanzibar"), has(b"quetzal")]
    });
    assert!(!found.into_iter().any(|found| found));
}

/// Nothing is lent here: so it is where conditional interactions read their criteria.
#[test]
fn without_a_setting_nothing_is_searched_by_words() {
    let options =
        registry::search::ParseOptions { base_url: "", lenient: false, now_us: 0, codes: None };
    for name in ["_text", "_content", "name:text"] {
        let refused = parse(ResourceType::PATIENT, &format!("{name}=a"), &options).unwrap_err();
        assert!(refused.to_string().contains(name), "{refused}");
    }
}
