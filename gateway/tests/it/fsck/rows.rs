//! Rows that somebody deleted, altered or added in the database.

use super::folder::Folder;

/// An alteration, and a word of what must be said of it.
pub(super) const ALTERATIONS: &[(&str, &str)] = &[
    // Versions.
    (
        "delete from resource_version where version = 1 and rid = (select rid from resource where id = 'ada')",
        "Patient/ada/_history/1: is gone",
    ),
    (
        "delete from resource_version where version = 2 and rid = (select rid from resource where id = 'ada')",
        "Patient/ada: the version of its current row",
    ),
    (
        "delete from resource_version where rid in (select rid from resource where id = 'ada')",
        "its version is gone",
    ),
    (
        "update resource_version set version = 3 where version = 2 and rid = (select rid from resource where id = 'ada')",
        "Patient/ada/_history/2: is gone",
    ),
    (
        "update resource_version set updated_us = updated_us + 1 where version = 1 and rid = (select rid from resource where id = 'ada')",
        "its content has another time than its row",
    ),
    (
        "update resource_version set patient = 0 where version = 1 and rid = (select rid from resource where id = 'ada')",
        "another patient than it was sealed for",
    ),
    (
        "update resource_version set action = 3 where version = 2 and rid = (select rid from resource where id = 'ada')",
        "marks it as deleted",
    ),
    (
        "update resource_version set action = 1 where version = 2 and rid = (select rid from resource where id = 'ada')",
        "cannot have action 1",
    ),
    (
        "update resource_version set type = type + 1 where version = 1 and rid = (select rid from resource where id = 'eve')",
        "Patient/eve/_history/1: its row names another type",
    ),
    // Current rows.
    ("delete from resource where id = 'ada'", "has versions, but no current row"),
    ("delete from resource where id = 'unwritten'", "the row of its patient is gone"),
    ("update resource set deleted = 1 where id = 'ada'", "Patient/ada: the mark of deletion"),
    ("update resource set deleted = 0 where id = 'gone'", "Appointment/gone: the mark of deletion"),
    ("update resource set version = 1 where id = 'ada'", "Patient/ada: the version"),
    ("update resource set updated_us = updated_us - 1 where id = 'ada'", "Patient/ada: the time"),
    ("update resource set nsort = nsort + 1 where id = 'ada'", "Patient/ada: the place in the order"),
    (
        "update resource set change = (select change from resource_version v where v.rid = resource.rid and v.version = 1) where id = 'ada'",
        "Patient/ada: the change number",
    ),
    ("update resource set khash = khash + 1 where id = 'ada'", "Patient/ada: the hash of its key"),
    ("update resource set id = 'adb' where id = 'ada'", "Patient/adb/_history/1: envelope does not authenticate"),
    (
        "update resource set patient = (select rid from resource where id = 'eve') where id = 'ada'",
        "Patient/ada: the patient of its current row",
    ),
    ("update resource set patient = 0 where id = 'gone'", "Appointment/gone: the patient of its current row"),
    (
        "insert into resource select max(rid) + 1, min(type), 'new', 5, 1, 9, 9, 9, 0, 0 from resource",
        "is current, but has no version",
    ),
    // The whole of a resource, with everything that names it but the log.
    (
        "delete from search_token where rid = (select rid from resource where id = 'large');
         delete from resource_terms where rid = (select rid from resource where id = 'large');
         delete from ledger_entry where change in (select change from resource_version where rid = (select rid from resource where id = 'large'));
         delete from resource_version where rid = (select rid from resource where id = 'large');
         delete from resource where id = 'large'",
        "its version is gone",
    ),
    // Contents.
    (
        "create table swapped as select change, payload, entry, salt_id from resource_version
           where rid in (select rid from resource where id in ('ada', 'eve')) and version = 1;
         update resource_version set payload = (select payload from swapped s where s.change <> resource_version.change)
           where change in (select change from swapped);
         drop table swapped",
        "envelope does not authenticate",
    ),
    (
        "update resource_version set entry = (select entry from resource_version v where v.change = 2) where change = 1",
        "its entry does not commit to it",
    ),
    // Places in the log.
    ("delete from ledger_entry where change = 1", "stands neither in the log nor in the outbox"),
    ("update ledger_entry set change = 1000000 where change = 1", "its version is gone (change 1000000)"),
    (
        "update ledger_entry set log_index = log_index + 1000000 where change = 1",
        "is recorded, but the log ends before",
    ),
    (
        "update ledger_entry set log_index = -5 where change = 1",
        "has its place in the log beyond its end",
    ),
    ("update ledger_entry set change = null where change = 1", "is recorded as that of no version"),
    (
        "insert into ledger_outbox (change, entry) select 1000000, entry from resource_version where change = 1",
        "waits in the outbox for a version that is gone",
    ),
    (
        "insert into ledger_outbox (change, entry) select change, entry from resource_version where change = 1",
        "waits in the outbox for a version that is gone, or is in the log",
    ),
    ("delete from setting where name = 'sealed_size'", "not counted in setting sealed_size"),
    (
        "update resource_version set version = -7 where version = 1 and rid = (select rid from resource where id = 'ada')",
        "cannot have this number",
    ),
    ("delete from setting where name = 'journal_sealed'", "setting journal_sealed"),
    // Access records of commits, on their way to the journal.
    (
        "update access_outbox set body = (select payload from resource_version where change = 1)",
        "of the registry: envelope does not authenticate",
    ),
    (
        "update access_outbox set salt_id = (select salt_id from resource_version where change = 1)",
        "of the registry: envelope does not authenticate",
    ),
    (
        "update access_outbox set entry = (select entry from resource_version where change = 1)",
        "of the registry: its entry does not commit to it",
    ),
    (
        "insert into access_outbox (salt_id, entry, body) select salt_id, entry, payload from resource_version where change = 1",
        "of the registry: envelope does not authenticate",
    ),
    // Keys.
    ("delete from data_key where compartment = 'Patient/ada'", "data key"),
    ("delete from data_key where compartment = ''", "is gone"),
    ("update data_key set compartment = 'Patient/other' where compartment = 'Patient/ada'", "data key"),
    // Erasures: claimed, denied, and used to pass destruction off as one.
    ("delete from erasure", "is recorded as that of no version and no erasure"),
    ("delete from erasure; delete from ledger_entry where change is null", "its erasure is gone"),
    ("delete from erasure", "no erasure tells of it"),
    ("delete from ledger_entry where change is null", "is claimed, but stands neither in the log nor in the outbox"),
    ("update erasure set key_id = key_id + 1", "its row names another data key"),
    ("update erasure set entry = (select entry from resource_version where change = 1)", "its entry does not commit to it"),
    ("update erasure set body = (select body from access_outbox)", "erasure 1: envelope does not authenticate"),
    (
        "update resource_version set payload = (select payload from resource_version v where length(v.payload) = 38)
           where change = 1",
        "Patient/ada/_history/1: its content is gone, and what stands there was not made by an erasure",
    ),
    (
        "insert into erasure (patient, key_id, salt_id, entry, body, ended)
           select k.rid, d.key_id, k.salt_id, k.entry, k.payload, 2 from data_key d, resource_version k
           where d.compartment = 'Patient/ada' and k.change = 1;
         delete from data_key where compartment = 'Patient/ada'",
        "erasure 2: is claimed, but stands neither in the log nor in the outbox",
    ),
    (
        "insert into data_key (key_id, compartment, wrapped)
           select e.key_id, 'Patient/zoe', k.wrapped from erasure e, data_key k where k.compartment = ''",
        "is there, although it was erased",
    ),
    ("update resource set deleted = 0 where id = 'zoe'", "Patient/zoe: the mark of deletion"),
    (
        "insert into search_string select param, 'lovelace', nsort, (select rid from resource where id = 'zoe'), exact, patient
           from search_string where rid = (select rid from resource where id = 'eve') and norm = 'lovelace'",
        "Patient/zoe: search_string has a row too many",
    ),
    // The index: each table, each way.
    ("delete from search_token where rid = (select rid from resource where id = 'eve') and code_hash = (select max(code_hash) from search_token where rid = (select rid from resource where id = 'eve'))", "Patient/eve: search_token lacks a row for"),
    ("delete from search_reference where code_hash = 0 and rid = (select min(rid) from search_reference)", "search_reference lacks a row for"),
    ("delete from search_date where rid = (select min(rid) from search_date)", "search_date lacks a row for"),
    ("delete from search_number", "search_number lacks a row for `probability`"),
    ("delete from search_quantity where code_hash = 0", "search_quantity lacks a row for"),
    ("delete from search_string where rid = (select rid from resource where id = 'ada') and norm = 'lovelace'", "Patient/ada: search_string lacks a row for"),
    ("delete from search_uri", "search_uri lacks a row for `url`"),
    ("delete from compartment where patient = (select rid from resource where id = 'ada') and rid = (select rid from resource where id = 'gone')", "Appointment/gone: compartment lacks a row"),
    ("delete from version_compartment where change = (select max(change) from version_compartment)", "version_compartment lacks a row"),
    ("delete from resource_terms where rid = (select rid from resource where id = 'ada')", "Patient/ada: its list of index terms"),
    ("update resource_terms set terms = (select terms from resource_terms where rid = (select rid from resource where id = 'eve')) where rid = (select rid from resource where id = 'ada')", "Patient/ada: its list of index terms"),
    ("update resource_terms set present = present || '9,' where rid = (select rid from resource where id = 'ada')", "Patient/ada: its list of index terms"),
    ("update resource_terms set present_set = present_set + 1 where rid = (select rid from resource where id = 'ada')", "Patient/ada: its list of index terms"),
    ("insert into search_token select param, code_hash + 1, nsort, rid, sys_hash, patient from search_token where rid = (select rid from resource where id = 'eve')", "Patient/eve: search_token has a row too many"),
    ("insert into search_reference select param, target_hash + 1, code_hash, nsort, rid, patient from search_reference where code_hash = 0", "search_reference has a row too many"),
    ("insert into search_date select param, lo - 1, hi, nsort, rid, patient from search_date", "search_date has a row too many"),
    ("insert into search_number select param, lo - 1, hi, nsort, rid, patient from search_number", "search_number has a row too many"),
    ("insert into search_quantity select param, code_hash, lo * 2 + 7, hi, nsort, rid, unit_hash, sys_hash, patient from search_quantity", "search_quantity has a row too many"),
    ("insert into search_string select param, 'aaa', nsort, rid, exact, patient from search_string where rid = (select rid from resource where id = 'eve') and norm = 'lovelace'", "Patient/eve: search_string has a row too many"),
    ("insert into search_uri select param, 'urn:other', nsort, rid, patient from search_uri", "search_uri has a row too many"),
    ("insert into search_uri select param, uri, nsort, 1000000, patient from search_uri", "resource number 1000000: search_uri has a row too many"),
    ("insert into compartment select (select rid from resource where id = 'unwritten'), type, nsort, rid from compartment where patient = (select rid from resource where id = 'ada')", "compartment has a row too many"),
    ("insert into version_compartment select max(change) + 1000000, min(patient) from version_compartment", "version_compartment has a row too many"),
    ("insert into resource_terms select 1000000, terms, present, present_set from resource_terms where rid = (select rid from resource where id = 'ada')", "resource number 1000000: resource_terms has a row too many"),
    ("delete from search_text", "Patient/ada: search_text lacks a row"),
    ("update search_token set patient = 0 where rid = (select rid from resource where id = 'eve')", "Patient/eve: search_token lacks a row for"),
];

/// Of words, which each engine keeps in its own way.
pub(super) const OTHER_WORDS: &str = "Patient/ada: search_text has other words than its content";

#[tokio::test(flavor = "multi_thread")]
async fn every_altered_row_is_found_in_sqlite() {
    let folder = Folder::make(None).await;
    folder.execute(&folder.waiting_access(|hex| format!("x'{hex}'"))).unwrap();
    let sound = std::fs::read(folder.database()).unwrap();
    let findings = folder.findings().await;
    assert_eq!(findings.problems, Vec::<String>::new());
    assert!(findings.index_rows.unwrap() > 50, "{findings:?}");

    let words = [("update search_text_docsize set sz = x'0700'", OTHER_WORDS)];
    for (sql, word) in ALTERATIONS.iter().chain(&words) {
        folder.execute(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
        let problems = folder.problems().await;
        assert!(
            problems.iter().any(|problem| problem.contains(word)),
            "{word:?} is not said of\n{sql}\nbut: {problems:#?}"
        );
        folder.restore(&sound);
    }
    assert_eq!(folder.problems().await, Vec::<String>::new(), "restored");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_row_alone_is_the_only_finding() {
    let folder = Folder::make(None).await;
    folder.execute("delete from search_number").unwrap();

    let problems = folder.problems().await;

    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(problems[0].starts_with("RiskAssessment/"), "{problems:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_and_not_recorded_is_no_finding_until_it_is_lost() {
    let folder = Folder::make(None).await;
    // As a crash leaves it between publishing and recording.
    folder
        .execute(
            "insert into ledger_outbox (change, salt_id, entry)
               select e.change, e.salt_id, coalesce(v.entry, x.entry) from ledger_entry e
               left join resource_version v on v.change = e.change
               left join erasure x on x.salt_id = e.salt_id
               where e.log_index >= 5 order by e.log_index;
             delete from ledger_entry where log_index >= 5;
             update setting set value = x'0500000000000000' where name = 'sealed_size'",
        )
        .unwrap();
    assert_eq!(folder.problems().await, Vec::<String>::new());

    folder
        .execute("delete from ledger_outbox where change = (select max(change) from ledger_outbox)")
        .unwrap();

    let problems = folder.problems().await;
    assert!(
        problems.iter().any(|one| one.contains("neither in the log nor in the outbox")),
        "{problems:#?}"
    );
    assert!(
        problems.iter().any(|one| one.contains("of the log: its version is gone")),
        "{problems:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_everywhere_is_no_flood() {
    let folder = Folder::make(None).await;
    folder.execute("update search_token set sys_hash = sys_hash + 1").unwrap();

    let findings = folder.findings().await;

    // Each row lacks, and each is too many.
    assert!(findings.problem_count >= 40, "{}", findings.problem_count);
    let more = format!("and {} more about the search index", findings.problem_count - 20);
    assert_eq!(findings.problems.len(), 21, "{:#?}", findings.problems);
    assert_eq!(findings.problems[20], more);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_of_an_earlier_release_is_refused_and_left() {
    let folder = Folder::make(None).await;
    folder.execute("delete from _sqlx_migrations where version > 1").unwrap();
    let before = std::fs::read(folder.database()).unwrap();

    let mut fsck = crate::process::sealway(folder.path());
    let said = fsck.args(["ledger", "fsck"]).output().unwrap();

    let text = String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.code(), Some(1), "{text}");
    assert!(text.contains("start the gateway once, it brings it up to date"), "{text}");
    assert_eq!(std::fs::read(folder.database()).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_index_key_is_found() {
    let folder = Folder::make(None).await;
    folder.execute("update setting set value = randomblob(16) where name = 'index_key'").unwrap();

    let problems = folder.problems().await;

    assert!(problems.iter().any(|one| one.contains("the hash of its key")), "{problems:#?}");
}
