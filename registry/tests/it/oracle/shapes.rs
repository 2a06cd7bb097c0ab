//! Shapes of queries and the values that fill them, taken from the corpus; deterministic.
//!
//! `{code:Observation.code}` stands for a code, `{full:…}` for system|code, `{ref:…}` for a reference,
//! `{id:…}` for its id, `{day:…}`, `{month:…}`, `{year:…}` for a date cut to that length, `{num:…}` for a
//! number, `{text:…}`, `{pre:…}`, `{mid:…}` for a text, its start, its middle.

use super::naive::Stored;
use super::value::{Value, all, values};

/// Shapes that any corpus answers.
pub(crate) const SHAPES: &[&str] = &[
    "Patient?",
    "Patient?name={pre:Patient.name}",
    "Patient?name={text:Patient.name}",
    "Patient?family={pre:Patient.family}&gender=male",
    "Patient?family:exact={text:Patient.family}",
    "Patient?family:contains={mid:Patient.family}",
    "Patient?given={pre:Patient.given},{pre:Patient.given}",
    "Patient?family=%25",
    "Patient?family=_",
    "Patient?family:contains=_",
    "Patient?gender=female&_sort=family,-birthdate",
    "Patient?_sort=birthdate",
    "Patient?_sort=-birthdate,_id",
    "Patient?_sort=-_lastUpdated",
    "Patient?_sort=name",
    "Patient?_sort=-_id",
    "Patient?gender:not=male",
    "Patient?gender:missing=true",
    "Patient?gender:missing=false&birthdate=lt1960",
    "Patient?birthdate={day:Patient.birthDate}",
    "Patient?birthdate=ge{month:Patient.birthDate}",
    "Patient?birthdate=gt{year:Patient.birthDate}&birthdate=lt{year:Patient.birthDate}",
    "Patient?birthdate=ne{month:Patient.birthDate}",
    "Patient?birthdate=sa{year:Patient.birthDate}",
    "Patient?birthdate=eb{year:Patient.birthDate},{year:Patient.birthDate}",
    "Patient?identifier={code:Patient.identifier}",
    "Patient?identifier={full:Patient.identifier}",
    "Patient?identifier=urn:mrn|",
    "Patient?_tag=seven",
    "Patient?_tag=urn:tag|seven&gender:not=male",
    "Patient?_profile=http://example.org/profile/a",
    "Patient?_profile:below=http://example.org/profile",
    "Patient?_id={id:Observation.subject},{id:Observation.subject},nobody",
    "Patient?address-city=boston",
    "Patient?address-city:exact=Boston",
    "Patient?_has:Observation:patient:code={code:Observation.code}",
    "Patient?_has:Observation:subject:code={full:Observation.code}&gender=male",
    "Patient?_has:Condition:patient:code={code:Condition.code}",
    "Patient?_has:Encounter:patient:date=ge{year:Encounter.period.start}",
    "Organization?name=clinic",
    "Organization?_tag=seven",
    "Practitioner?name={pre:Practitioner.name}",
    "Practitioner?_has:Encounter:participant:status=finished",
    "Observation?",
    "Observation?code={code:Observation.code}",
    "Observation?code={full:Observation.code}",
    "Observation?code=http://loinc.org|",
    "Observation?code=|bare",
    "Observation?code={code:Observation.code},{full:Observation.code},nothing",
    "Observation?code:not={code:Observation.code}&status=final",
    "Observation?combo-code={code:Observation.component.code}",
    "Observation?status=amended&category={code:Observation.category}",
    "Observation?category={code:Observation.category}&_sort=-date",
    "Observation?category={code:Observation.category}&_sort=date",
    "Observation?subject={ref:Observation.subject}",
    "Observation?patient={id:Observation.subject}&code={code:Observation.code}",
    "Observation?patient={ref:Observation.subject}&code={full:Observation.code}",
    "Observation?subject:Patient={id:Observation.subject}&_sort=date",
    "Observation?subject=http://example.org/fhir/{ref:Observation.subject}",
    "Observation?subject={ref:Observation.subject},{ref:Observation.subject}",
    "Observation?subject:missing=true",
    "Observation?date={day:Observation.effectiveDateTime}",
    "Observation?date=ge{day:Observation.effectiveDateTime}",
    "Observation?date=lt{month:Observation.effectiveDateTime}&_sort=-date",
    "Observation?date=ge{year:Observation.effectiveDateTime}&date=lt{year:Observation.effectiveDateTime}",
    "Observation?date=gt{year:Observation.effectiveDateTime}&code={code:Observation.code}",
    "Observation?date=le{day:Observation.effectiveDateTime}&subject={ref:Observation.subject}",
    "Observation?date=ne{year:Observation.effectiveDateTime}&status=amended",
    "Observation?date=sa{day:Observation.effectiveDateTime}&category={code:Observation.category}",
    "Observation?date=eb{month:Observation.effectiveDateTime},{day:Observation.effectiveDateTime}",
    "Observation?date:missing=true",
    "Observation?date:missing=false&code={code:Observation.code}",
    "Observation?value-quantity={num:Observation.valueQuantity.value}",
    "Observation?value-quantity=gt{num:Observation.valueQuantity.value}||cm",
    "Observation?value-quantity=le{num:Observation.valueQuantity.value}|http://unitsofmeasure.org|cm",
    "Observation?value-quantity=gt{num:Observation.valueQuantity.value}||centimetre&status=final",
    "Observation?code={code:Observation.code}&value-quantity=ge{num:Observation.valueQuantity.value}",
    "Observation?code={full:Observation.code}&value-quantity=lt{num:Observation.valueQuantity.value}",
    "Observation?code-value-quantity={code:Observation.code}$gt{num:Observation.valueQuantity.value}",
    "Observation?code-value-quantity={full:Observation.code}$lt{num:Observation.valueQuantity.value}&status=final",
    "Observation?component-code-value-quantity={code:Observation.component.code}$ge{num:Observation.component.valueQuantity.value}",
    "Observation?combo-code-value-quantity={code:Observation.component.code}$lt{num:Observation.component.valueQuantity.value}&category={code:Observation.category}",
    "Observation?value-quantity:missing=true",
    "Observation?value-quantity=ne{num:Observation.valueQuantity.value}&code={code:Observation.code}",
    "Observation?subject:Patient.name={pre:Patient.name}",
    "Observation?subject:Patient.gender=female&code={code:Observation.code}",
    "Observation?patient.identifier={code:Patient.identifier}",
    "Observation?patient.birthdate=lt{year:Patient.birthDate}&status=amended",
    "Observation?_lastUpdated=ge2026-01-01&status=amended",
    "Observation?_lastUpdated=lt2026-01-01",
    "Observation?_sort=value-quantity",
    "Observation?_sort=-value-quantity,date&code={code:Observation.code}",
    "Observation?_sort=-_lastUpdated&category={code:Observation.category}",
    "Encounter?date=ge{day:Encounter.period.start}",
    "Encounter?date=le{year:Encounter.period.start}&class={code:Encounter.class}",
    "Encounter?date={year:Encounter.period.start}",
    "Encounter?class:not={code:Encounter.class}&_sort=date",
    "Encounter?service-provider={ref:Encounter.serviceProvider}",
    "Encounter?participant={id:Encounter.participant.individual}&status=finished",
    "Encounter?service-provider.name={pre:Organization.name}",
    "Encounter?subject:Patient.family={pre:Patient.family}&_sort=-date",
    "Condition?_sort=onset-date",
    "Condition?_sort=-onset-date",
    "Condition?_sort=-recorded-date",
    "Condition?onset-date:missing=true&_sort=onset-date,_id",
    "Condition?code={code:Condition.code}&_sort=-onset-date",
    "Condition?encounter.class={code:Encounter.class}",
    "Condition?clinical-status=active&recorded-date=ge{year:Condition.recordedDate}",
    "Procedure?subject={ref:Observation.subject}&date=ge{year:Observation.effectiveDateTime}",
];

/// Fills the shapes with values of the corpus.
pub(crate) struct Filler<'a> {
    corpus: &'a [Stored],
    state: u64,
}

impl<'a> Filler<'a> {
    pub(crate) fn new(corpus: &'a [Stored], seed: u64) -> Self {
        Self { corpus, state: seed }
    }

    /// The shape with a value for each place; `None` where the corpus has none.
    pub(crate) fn fill(&mut self, shape: &str) -> Option<String> {
        let mut out = String::new();
        let mut rest = shape;
        while let Some((before, tail)) = rest.split_once('{') {
            let (place, after) = tail.split_once('}')?;
            out.push_str(before);
            out.push_str(&encode(&self.value(place)?));
            rest = after;
        }
        out.push_str(rest);
        Some(out)
    }

    fn value(&mut self, place: &str) -> Option<String> {
        let (form, path) = place.split_once(':')?;
        let (of, path) = path.split_once('.')?;
        let texts: Vec<String> = self
            .corpus
            .iter()
            .filter(|stored| stored.json["resourceType"] == of)
            .flat_map(|stored| candidates(stored, form, path))
            .collect();
        if texts.is_empty() {
            return None;
        }
        let at = usize::try_from(self.next()).ok()? % texts.len();
        texts.into_iter().nth(at)
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
        self.state >> 33
    }
}

fn candidates(stored: &Stored, form: &str, path: &str) -> Vec<String> {
    let cut = |text: &str, len: usize| text.chars().take(len).collect::<String>();
    if ["day", "month", "year", "num"].contains(&form) {
        let len = match form {
            "day" => 10,
            "month" => 7,
            "year" => 4,
            _ => usize::MAX,
        };
        let text = |node: &serde_json::Value| node.to_string().trim_matches('"').to_owned();
        return all(&stored.json, path).into_iter().map(|node| cut(&text(node), len)).collect();
    }
    let values = match path {
        "component.code" => values(&stored.json, "component-code"),
        "serviceProvider" => values(&stored.json, "service-provider"),
        "participant.individual" => values(&stored.json, "participant"),
        other => values(&stored.json, other),
    };
    let one = |value: Value| match (form, value) {
        ("code", Value::Token { code, .. }) => code,
        ("full", Value::Token { system: Some(system), code: Some(code) }) => {
            Some(format!("{system}|{code}"))
        }
        ("ref", Value::Reference(text)) => Some(text),
        ("id", Value::Reference(text)) => text.split('/').nth(1).map(str::to_owned),
        ("text", Value::Text(text)) => Some(text),
        ("pre", Value::Text(text)) => Some(cut(&text, 3)),
        ("mid", Value::Text(text)) => Some(text.chars().skip(1).take(3).collect()),
        _ => None,
    };
    let kept = values.unwrap_or_default().into_iter().filter_map(one);
    kept.filter(|text| !text.contains(',') && !text.trim().is_empty()).collect()
}

fn encode(text: &str) -> String {
    text.replace('%', "%25").replace('&', "%26").replace('+', "%2B").replace(' ', "%20")
}
