//! Which access records a query on AuditEvents asks for.
//!
//! Spec: FHIR R4 search.html section 3.1.1.3.1 (commas are OR, repetition is AND), 3.1.1.4.7 (dates), 3.1.1.4.12
//! (references). A value that cannot be read is refused, as in any other search: an empty answer would say that nobody
//! looked. Not here: how records are found and shown (`audit`).

use std::collections::HashSet;

use fhir::{
    DateQuery, ResourceId, ResourceType, SearchPrefix, TimeRange, approximate_dates, below_base,
    date_matches, split_unescaped, unescape,
};
use registry::error::ReadError;
use registry::search::{OR_VALUES_MAX, pairs};

use super::Record;
use crate::clock;
use crate::error::{Answered, Fault, FaultKind, brief};
use crate::http::parameters::says;

/// What to look for.
pub(super) struct Filter {
    /// Of each list one must hold.
    dates: Vec<Vec<DateQuery>>,
    /// Ids, of each list one.
    patients: Vec<HashSet<String>>,
    /// Subjects or clients, of each list one.
    agents: Vec<HashSet<String>>,
    /// Most events of a page.
    pub(super) count: usize,
    /// Position before which to look.
    pub(super) before: Option<u64>,
}

impl Filter {
    /// Reads a query; `bases` are our own URLs (see [`below_base`]).
    ///
    /// # Errors
    /// 400 that names the parameter.
    pub(super) fn parse(query: &str, count_default: usize, bases: &str) -> Answered<Self> {
        let (dates, patients, agents) = (Vec::new(), Vec::new(), Vec::new());
        let mut filter = Self { dates, patients, agents, count: count_default, before: None };
        let pairs = pairs(query)?;
        for (at, (name, value)) in pairs.iter().enumerate() {
            let is_other = |(known, other): &(String, String)| known == name && other != value;
            if SINGLE.contains(&name.as_str()) && pairs[..at].iter().any(is_other) {
                let text = format!("{name} may be given once, with one value");
                return Err(Fault::new(FaultKind::Invalid, text).in_parameter(name));
            }
            if says(name).is_none() {
                filter.read(name, value, bases).map_err(|fault| fault.in_parameter(name))?;
            }
        }
        Ok(filter)
    }

    /// Whether a record is asked for.
    pub(super) fn holds(&self, record: &Record) -> bool {
        let at = TimeRange { lo_us: record.at_us, hi_us: record.at_us + 1 };
        let in_time =
            |any: &Vec<DateQuery>| any.iter().any(|date| date_matches(date.prefix, date.range, at));
        let concerns =
            |any: &HashSet<String>| record.patients.iter().any(|patient| any.contains(patient));
        let by = |any: &HashSet<String>| {
            let client = record.client.as_ref();
            any.contains(&record.subject) || client.is_some_and(|client| any.contains(client))
        };
        self.dates.iter().all(in_time)
            && self.patients.iter().all(concerns)
            && self.agents.iter().all(by)
    }

    fn read(&mut self, name: &str, value: &str, bases: &str) -> Answered<()> {
        match name {
            "date" => {
                let dates = alternatives(name, value)?.into_iter().map(date);
                self.dates.push(dates.collect::<Answered<_>>()?);
                if self.dates.iter().map(Vec::len).sum::<usize>() > DATES_MAX {
                    let text = format!("date: more than {DATES_MAX} values");
                    return Err(ReadError::TooCostly(text).into());
                }
            }
            "patient" => {
                let mut ids = HashSet::new();
                for value in alternatives(name, value)? {
                    ids.extend(patient(&unescape(value), bases)?);
                }
                self.patients.push(ids);
            }
            // A caller has no system, so that a bar is a character like any other.
            "agent" => {
                let texts = alternatives(name, value)?.into_iter();
                self.agents.push(texts.map(|text| unescape(text).into_owned()).collect());
            }
            "_count" => {
                let count = value.parse().ok().filter(|count: &usize| *count > 0);
                let wanted = "_count is the most events of a page, a whole number such as 50; AuditEvents are not counted";
                self.count = count.ok_or_else(|| invalid(wanted))?.min(AUDIT_COUNT_MAX);
            }
            PAGE => {
                let before = value.parse().ok();
                self.before =
                    Some(before.ok_or_else(|| invalid("_page must be that of a next link"))?);
            }
            _ => {
                let text = format!(
                    "AuditEvent has no search parameter {} here; it has date, patient, agent, _count",
                    brief(name)
                );
                return Err(invalid(&text));
            }
        }
        Ok(())
    }
}

/// The values between commas.
fn alternatives<'v>(name: &str, value: &'v str) -> Answered<Vec<&'v str>> {
    let values = split_unescaped(value, ',');
    if values.iter().any(|value| value.is_empty()) {
        return Err(invalid(&format!("{name} has no value")));
    }
    if values.len() > OR_VALUES_MAX {
        let text = format!("{name}: more than {OR_VALUES_MAX} values");
        return Err(ReadError::TooCostly(text).into());
    }
    Ok(values)
}

fn date(value: &str) -> Answered<DateQuery> {
    let DateQuery { prefix, range } = DateQuery::parse(&unescape(value))
        .map_err(|_| invalid("date must be a date such as ge2026-01-31"))?;
    let range = match prefix {
        SearchPrefix::Approximate => approximate_dates(range, clock::now_us()),
        _ => range,
    };
    Ok(DateQuery { prefix, range })
}

/// The patient that a reference means; `None` for one of another server.
fn patient(text: &str, bases: &str) -> Answered<Option<String>> {
    let below = below_base(text, bases);
    if below.is_none() && text.contains(':') {
        return Ok(None);
    }
    let local = below.unwrap_or(text);
    let key = local.split_once("/_history/").map_or(local, |(key, _)| key);
    let id = match key.split_once('/') {
        None => Some(key).filter(|_| below.is_none()),
        Some((of, id)) => Some(id).filter(|_| of == ResourceType::PATIENT.name()),
    };
    match id.filter(|id| ResourceId::parse(id).is_ok()) {
        Some(id) => Ok(Some(id.to_owned())),
        None => Err(invalid("patient must be the id of a Patient, Patient/id or an absolute URL")),
    }
}

fn invalid(text: &str) -> Fault {
    Fault::new(FaultKind::Invalid, text)
}

/// Name of the parameter in `next` links.
pub(super) const PAGE: &str = "_page";
/// Parameters of which a second value would have to be guessed about.
const SINGLE: [&str; 5] = ["_count", "_summary", "_format", "_pretty", PAGE];
const AUDIT_COUNT_MAX: usize = 1000;
/// Dates of one query: each is compared with every record that is looked at.
const DATES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    const BASES: &str = "http://h/fhir http://h/fhir/R4";

    fn record(patients: &[&str]) -> Record {
        Record {
            at_us: 1_792_000_000_000_000, // 2026-10-14T17:46:40Z
            subject: "auth0|anna".to_owned(),
            client: Some("app".to_owned()),
            patients: patients.iter().map(|id| (*id).to_owned()).collect(),
            ..Record::default()
        }
    }

    fn holds(query: &str) -> bool {
        Filter::parse(query, 50, BASES).unwrap().holds(&record(&["p1", "p2"]))
    }

    #[test]
    fn commas_are_or_and_repetition_is_and() {
        for (query, expected) in [
            ("patient=p1", true),
            ("patient=none", false),
            ("patient=p1,none", true),
            ("patient=Patient/p1,Patient/none", true),
            ("patient=p1&patient=none", false),
            ("patient=p1&patient=p2", true),
            ("agent=app", true),
            ("agent=nobody,app", true),
            ("agent=app&agent=nobody", false),
            ("agent=app&agent=auth0%7Canna", true),
            ("agent=auth0%5C%7Canna", true),
            ("agent=auth0", false),
            ("date=2026-10-14", true),
            ("date=2026-10-13,2026-10-14", true),
            ("date=2026-10-13&date=2026-10-14", false),
            ("date=ge2026-10-14T19:46:40+02:00&date=lt2026-10-15", true),
        ] {
            assert_eq!(holds(query), expected, "{query}");
        }
    }

    #[test]
    fn a_reference_is_ours_below_one_of_our_bases_only() {
        for (query, expected) in [
            ("patient=http://h/fhir/Patient/p1", true),
            ("patient=http://h/fhir/R4/Patient/p1/_history/3", true),
            ("patient=http://elsewhere/Patient/p1", false),
            ("patient=urn:uuid:p1", false),
            ("patient=http://elsewhere/Patient/p1,p2", true),
        ] {
            assert_eq!(holds(query), expected, "{query}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_at_its_parameter() {
        for query in [
            "patient=",
            "patient=p1,",
            "patient=a/b/c",
            "patient=PP1!!",
            "patient=Observation/p1",
            "patient=http://h/fhir/Observation/p1",
            "patient=http://h/fhir/p1",
            "agent=",
            "agent=,app",
            "date=",
            "date=2026-10-14,soon",
            "_count=1&_count=2",
            "_count=0",
            "_count=",
            "_pretty=true&_pretty=false",
            "_page=x",
            "_page=1&_page=2",
            "entity=Patient/p1",
            "patient:missing=true",
        ] {
            let fault = Filter::parse(query, 50, BASES).err().unwrap();
            assert_eq!(fault.status(), 400, "{query}");
            let name = query.split('=').next().unwrap();
            let place = format!("http.{name}");
            assert_eq!(fault.issues[0].expression.as_deref(), Some(&*place), "{query}");
        }
        assert_eq!(Filter::parse("_count=7&_count=7", 50, BASES).unwrap().count, 7);
        let dates = vec!["2026"; DATES_MAX + 1].join(",");
        let fault = Filter::parse(&format!("date={dates}"), 50, BASES).err().unwrap();
        assert_eq!(fault.issues[0].code, fhir::IssueType::TooCostly);
    }
}
