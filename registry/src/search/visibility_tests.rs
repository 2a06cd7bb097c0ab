//! Structure of every statement: no alias stands for a resource without the caller's visibility.
//!
//! A recorder takes the place of the database, so both dialects and both kinds of plan (few rows, many
//! rows) are seen. What the predicate does is tested on real databases by the oracle of `tests/it`.

use fhir::{ResourceId, ResourceType};
use futures::FutureExt;
use policy::{AccessRequest, Permit, Principal, Role};

use super::ask::{Cell, Connection, Row};
use super::sql::{Dialect, Statement};
use super::{ParseOptions, parse, run, unsorted};
use crate::error::ReadError;
use crate::hash::IndexKey;

/// Answers counts with a number, places with one place, and remembers what was asked.
struct Recorder<const POSTGRES: bool> {
    count: i64,
    statements: Vec<String>,
}

impl<const POSTGRES: bool> Connection for Recorder<POSTGRES> {
    const DIALECT: Dialect = if POSTGRES { Dialect::Postgres } else { Dialect::Sqlite };

    async fn ask(&mut self, statement: Statement) -> Result<Vec<Row>, ReadError> {
        let text = statement.text;
        let placeholders = if POSTGRES { text.matches('$') } else { text.matches('?') }.count();
        assert_eq!(placeholders, statement.binds.len(), "{text}");
        let place = |rid: i64| vec![Cell::Int(-5), Cell::Int(rid), Cell::Int(1), Cell::Int(1)];
        let rows = if text.starts_with("select count") {
            vec![vec![Cell::Int(self.count)]]
        } else if text.starts_with("select d.") || text.starts_with("select m.") {
            (0..self.count.min(1_200)).map(place).collect()
        } else if text.starts_with("with recursive n") {
            vec![vec![Cell::Int(7), Cell::Int(1)]]
        } else if text.starts_with("select t.terms") || text.starts_with("select r.rid, r.khash") {
            Vec::new()
        } else {
            vec![vec![Cell::Int(7)]]
        };
        self.statements.push(text);
        Ok(rows)
    }
}

#[test]
fn every_resource_in_every_statement_is_limited_to_what_the_caller_sees() {
    for count in [0, 3, 100_000] {
        for query in QUERIES {
            let sqlite = record::<false>(count, query);
            let postgres = record::<true>(count, query);
            for statement in sqlite.iter().chain(&postgres) {
                check(statement).unwrap_or_else(|alias| {
                    panic!("{query}: {alias} is not limited in\n{statement}");
                });
            }
        }
    }
}

#[test]
fn the_check_itself_sees_what_is_missing() {
    assert_eq!(check("select d.rid from search_token d where d.param = ?"), Err("d".into()));
    assert!(check("select d.rid from search_token d where (d.patient = ? or 1 = 0)").is_ok());
    let bound = "select d.rid from search_uri d where (d.patient = ?) and exists (select 1 from \
                 search_date p where p.rid = d.rid)";
    assert!(check(bound).is_ok());
    assert_eq!(check(&bound.replace("p.rid = d.rid", "1 = 1")), Err("p".into()));
}

fn record<const POSTGRES: bool>(count: i64, query: &str) -> Vec<String> {
    let (of, query) = query.split_once('?').unwrap_or((query, ""));
    let of = ResourceType::parse(of).expect("a type");
    let principal = Principal::builder("user")
        .role(Role::Patient)
        .scopes("patient/*.rs")
        .patient(ResourceId::parse("p1").expect("an id"))
        .build();
    let permit: Permit =
        policy::decide(&principal, &AccessRequest::Search(of)).expect("patients may search");
    let options = ParseOptions { base_url: "", lenient: false, now_us: 0, codes: None };
    let query = parse(of, query, &options).expect("a valid query");
    let mut recorder = Recorder::<POSTGRES> { count, statements: Vec::new() };
    let key = IndexKey::from_bytes([7; 16]);
    let answer = async {
        match query.opens() {
            true => unsorted(&query, &permit, &key, &mut recorder).await.map(drop),
            false => run(&query, &permit, &key, &mut recorder).await.map(drop),
        }
    };
    match answer.now_or_never().expect("the recorder answers at once") {
        Ok(()) | Err(ReadError::TooCostly(_)) => {}
        Err(error) => panic!("{error}"),
    }
    recorder.statements
}

/// Each alias is limited itself, or tied by `rid` to one that is, or names a compartment.
fn check(statement: &str) -> Result<(), String> {
    let roots = ["select r.rid from resource r where r.khash = ", "select t.terms"];
    if roots.iter().any(|root| statement.starts_with(root)) && !statement.contains(" j ") {
        return Ok(());
    }
    let words: Vec<_> = statement.split([' ', '(', ')', ',']).filter(|w| !w.is_empty()).collect();
    for triple in words.windows(3) {
        let [lead, table, alias] = triple else { continue };
        let names_table = table.starts_with("search_") || *table == "resource";
        if !["from", "join"].contains(lead) || !names_table {
            continue;
        }
        let limited = statement.contains(&format!("({alias}.patient"));
        let tied = statement.split(&format!("{alias}.rid = ")).skip(1).any(|rest| {
            let other = rest.split([' ', ')']).next().unwrap_or_default();
            *alias != "r" && (other.ends_with(".rid") || other == "j.value")
        });
        let listed = statement.contains(&format!("rid in (select {alias}.rid from"))
            || statement.contains(&format!("rid not in (select {alias}.rid from"));
        if !(limited || tied || listed) {
            return Err((*alias).to_owned());
        }
    }
    Ok(())
}

const QUERIES: &[&str] = &[
    "Observation",
    "Observation?code=a",
    "Observation?code=a,b,c,d,e,f,g",
    "Observation?code=s|",
    "Observation?code:not=a&status=final",
    "Observation?code=a&value-quantity=gt5&date=ge2020",
    "Observation?component-code-value-quantity=a$gt5&status=final",
    "Observation?date=ge2020&date=lt2021&_sort=date",
    "Observation?patient=Patient/p1&code=a",
    "Observation?subject=Patient/p2&_count=0",
    "Observation?subject:missing=true&date:missing=true",
    "Observation?subject:Patient.name=a&_total=accurate",
    "Observation?encounter.date=ge2020",
    "Observation?_sort=-value-quantity,_id",
    "Observation?_sort=-_lastUpdated&_lastUpdated=ge2020",
    "Observation?_id=a,b&_include=Observation:subject&_include=*",
    "Patient?name=a&_revinclude=Observation:subject&_revinclude=Encounter:*",
    "Patient?name:contains=a&birthdate=ge2020&_sort=name",
    "Patient?_has:Observation:patient:code=a",
    "Patient?_has:Observation:subject:date=ge2020&gender=male",
    "Patient?_sort=birthdate",
    "Organization?name=a&_sort=name",
    "Observation?subject:Patient.organization.name=a&status=final",
    "Observation?subject:Patient.general-practitioner:Practitioner.name=a&_sort=subject",
    "Observation?encounter.service-provider.partof.name:exact=a",
    "Patient?_has:Observation:patient:_has:Provenance:target:agent=Practitioner/1",
    "Patient?_has:Observation:patient:encounter.service-provider.name=a",
    "Encounter?subject:Patient._has:Condition:patient:code=a",
    "Patient?_list=l",
    "Patient?_id=a&_revinclude:iterate=*&_include:iterate=*",
    "Encounter?_sort=-subject,_id",
    "Observation?_sort=code",
    "Observation?status=final&_sort=-code,subject,date",
    "Observation?_sort=-date,_id",
    "Observation?_sort=date,-_lastUpdated&code=a",
    "Patient?_sort=family,-birthdate",
    "Observation?_sort=-_lastUpdated,subject&status=final",
    "Organization?_profile=u&_profile:below=u",
    "Location?near=52.5|13.4|5|km&name=a",
    "Location?near=-89.9|13.4,0|0|1000&_sort=-name",
    "Observation?_filter=not%20(code%20eq%20a)%20or%20subject:Patient.name%20co%20b",
    "Observation?_filter=(code%20eq%20a%20and%20date%20co%202020)%20or%20status%20ne%20final",
    "Patient?_filter=not%20(_has:Observation:patient:code%20eq%20a)%20and%20name%20ew%20b",
    "Encounter?_filter=subject:Patient[birthdate%20po%202020].organization.name%20gt%20x",
];
