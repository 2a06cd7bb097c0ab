//! SQLite's own account of the statements: every table is reached through an index, and a page in the default
//! order of a large range is read in index order, without sorting.

use std::sync::Arc;

use fhir::{Instant, ResourceType};
use futures::FutureExt;
use policy::Permit;

use super::ask::{Connection, Row};
use super::sql::{Dialect, Statement};
use super::{Cell, ParseOptions, parse, run, unsorted};
use crate::error::ReadError;
use crate::hash::IndexKey;
use crate::sqlite::{SqliteOptions, SqliteStore};

/// Claims that every range has `rows` rows, and keeps SQLite's plans.
struct Explainer {
    rows: i64,
    connection: rusqlite::Connection,
    plans: Vec<(String, String)>,
}

impl Connection for &mut Explainer {
    const DIALECT: Dialect = Dialect::Sqlite;

    async fn ask(&mut self, statement: Statement) -> Result<Vec<Row>, ReadError> {
        let text = format!("explain query plan {}", statement.text);
        let mut prepared = self.connection.prepare(&text)?;
        let mut rows = prepared.raw_query();
        let mut plan = String::new();
        while let Some(row) = rows.next()? {
            plan.push_str(&row.get::<_, String>(3)?);
            plan.push('\n');
        }
        drop(rows);
        drop(prepared);
        let rows = match &statement.text {
            text if text.starts_with("select count") => vec![vec![Cell::Int(self.rows)]],
            // A set of what is present that passes.
            text if text.starts_with("with recursive n") => vec![vec![Cell::Int(7), Cell::Int(1)]],
            _ => Vec::new(),
        };
        self.plans.push((statement.text, plan));
        Ok(rows)
    }
}

#[test]
fn every_statement_reaches_its_rows_through_an_index() {
    for (query, text, plan) in plans(LARGE, &[QUERIES, STREAMED].concat()) {
        let sorted_first = text.contains(") d where 1 = 1");
        let scans = plan.lines().filter(|line| line.contains("SCAN"));
        let scans = scans.filter(|line| !(sorted_first && *line == "SCAN d"));
        let tables: Vec<_> = scans.filter(|line| !line.contains("SCAN j ")).collect();
        let harmless = |line: &&str| {
            ["SCAN (subquery", "SCAN n", "SCAN m", "SCAN CONSTANT", "SCAN json_each"]
                .iter()
                .any(|known| line.contains(known))
        };
        let bad: Vec<_> = tables.into_iter().filter(|line| !harmless(line)).collect();
        assert!(bad.is_empty(), "{query}\n{text}\n{plan}");
        assert!(!plan.contains("AUTOMATIC"), "{query}\n{text}\n{plan}");
    }
}

#[test]
fn a_page_of_a_large_range_is_not_sorted() {
    for (query, text, plan) in plans(LARGE, STREAMED) {
        let page = text.starts_with("select d.nsort, d.rid");
        let irregular = text.contains("from search_date d");
        if page && !irregular {
            assert!(!plan.contains("TEMP B-TREE FOR ORDER BY"), "{query}\n{text}\n{plan}");
        }
    }
}

#[test]
fn a_small_range_is_sorted_by_another_value_without_walking_all_values() {
    let query = &["Condition?subject=Patient/a&_sort=-onset-date"];
    let walks = |rows| {
        let mut texts = plans(rows, query).into_iter().map(|(_, text, _)| text);
        texts.any(|text| text.contains(" from search_date d where"))
    };

    assert!(!walks(24), "24 rows are sorted");
    assert!(walks(LARGE), "a range without end is not");
}

#[test]
fn presence_alone_leads_by_its_sets_where_they_are_few_and_is_streamed_where_they_are_not() {
    let leads = |rows, query: &str| {
        let plans = plans(rows, &[query]);
        let (_, page, _) = plans.last().expect("a page").clone();
        page.contains(
            " from resource_terms t indexed by resource_terms_by_set cross join resource d",
        )
    };

    assert!(leads(24, "Patient?organization:missing=true"));
    assert!(leads(1_500, "Patient?organization:missing=true&birthdate:missing=false"));
    assert!(!leads(LARGE, "Patient?organization:missing=true"));
    assert!(!leads(24, "Patient?organization:missing=true&_id=a"), "the id leads");
}

fn plans(rows: i64, queries: &[&str]) -> Vec<(String, String, String)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("registry.db");
    let clock = Arc::new(|| Instant::from_micros(0));
    drop(SqliteStore::open(SqliteOptions::new(&path, clock)).expect("the database opens"));
    let mut found = Vec::new();
    for text in queries {
        let connection = rusqlite::Connection::open(&path).expect("a connection opens");
        let mut explainer = Explainer { rows, connection, plans: Vec::new() };
        let (of, query) = text.split_once('?').expect("a query");
        let options = ParseOptions { base_url: "", lenient: false, now_us: 0, codes: None };
        let query = parse(ResourceType::parse(of).expect("a type"), query, &options);
        let query = query.expect("a valid query");
        let key = IndexKey::from_bytes([7; 16]);
        let (permit, connection) = (Permit::maintenance(), &mut &mut explainer);
        let answer = async {
            match query.opens() {
                true => unsorted(&query, &permit, &key, connection).await.map(drop),
                false => run(&query, &permit, &key, connection).await.map(drop),
            }
        };
        answer.now_or_never().expect("SQLite answers at once").expect("the search succeeds");
        let plans = explainer.plans.into_iter();
        found.extend(plans.map(|(statement, plan)| ((*text).to_owned(), statement, plan)));
    }
    found
}

/// Rows of a range that is not sorted whole.
const LARGE: i64 = 1_000_000;

/// Pages that are read in index order.
const STREAMED: &[&str] = &[
    "Observation?",
    "Observation?_sort=date",
    "Observation?code=a",
    "Observation?code=a,b,c,d,e,f",
    "Observation?code=s|a&status=final",
    "Observation?code=a&status:not=final&date=ge2020&date=lt2021",
    "Observation?date=ge2020",
    "Observation?date=lt2020&_sort=-date",
    "Observation?subject=Patient/a",
    "Observation?subject=Patient/a&code=s|b",
    "Observation?value-quantity=gt5",
    "Patient?name=a",
    "Patient?birthdate=ge1980",
];

/// Others.
const QUERIES: &[&str] = &[
    "Observation?_sort=-value-quantity",
    "Condition?_sort=onset-date",
    "Patient?_sort=-_lastUpdated",
    "Patient?_sort=family,-birthdate",
    "Patient?_lastUpdated=ge2020",
    "Patient?_id=a,b,c,d,e,f",
    "Observation?_count=0&code=a",
    "Observation?component-code-value-quantity=a$gt5",
    "Observation?value-quantity=5||cm&code=a",
    "Observation?subject:Patient.name=a",
    "Patient?_has:Observation:patient:code=a",
    "Patient?name:contains=a",
    "Observation?subject:Patient.organization.name=a",
    "Patient?_has:Observation:patient:_has:Provenance:target:agent=Practitioner/1",
    "Observation?_sort=-subject",
    "Observation?_sort=code",
    "Observation?status=final&_sort=-code,-date",
    "Observation?_sort=-date,_id",
    "Patient?_sort=-_lastUpdated,family",
    "Patient?_sort=-_id",
    "Patient?_sort=_id,family",
    "Patient?_filter=name%20sw%20a%20or%20not%20(birthdate%20lt%202000)",
    "Observation?subject:missing=true",
    "Patient?_list=l&_revinclude=*",
    "Patient?name:missing=true",
    "Patient?_include=Patient:organization&_revinclude=Observation:subject",
    "Patient?_profile=u",
];
