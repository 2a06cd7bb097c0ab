//! Numbers, dates and quantities: prefixes, precision, units.

use serde_json::{Value as Json, json};

use super::{Cases, check, observation, quantity};

/// § 3.1.1.4.6: a number stands for the range of its significant digits; the other prefixes compare
/// with the number itself.
#[test]
fn numbers_compare_by_their_significant_digits() {
    let risk = |id: &str, prediction: Json| {
        let subject = json!({"reference": "Patient/1"});
        json!({"resourceType": "RiskAssessment", "id": id, "status": "final", "subject": subject,
            "prediction": prediction})
    };
    let decimal = |value: f64| json!([{"probabilityDecimal": value}]);
    let resources = vec![
        risk("a", decimal(0.095)),
        risk("b", decimal(0.1)),
        risk("c", decimal(0.1499)),
        risk("d", decimal(0.15)),
        risk(
            "range",
            json!([{"probabilityRange": {"low": {"value": 0.05}, "high": {"value": 0.12}}}]),
        ),
        risk("two", json!([{"probabilityDecimal": 0.1}, {"probabilityDecimal": 0.9}])),
        risk("none", json!([{"outcome": {"text": "x"}}])),
    ];
    check(resources, NUMBERS);
}

/// § 3.1.1.4.5 and 3.1.1.4.7.
#[test]
fn dates_compare_as_ranges_of_their_precision() {
    let at = |id: &str, time: &str| observation(id, json!({"effectiveDateTime": time}));
    let period = |id: &str, period: Json| observation(id, json!({"effectivePeriod": period}));
    let timing = json!({"event": ["2013-01-10", "2013-01-20"]});
    let bounds = json!({"repeat": {"boundsPeriod": {"start": "2013-01-31", "end": "2013-03-24"},
        "frequency": 1, "period": 2, "periodUnit": "d"}});
    let resources = vec![
        at("year", "2013"),
        at("month", "2013-01"),
        at("day", "2013-01-14"),
        at("time", "2013-01-14T10:00:00Z"),
        at("zone", "2013-01-15T01:00:00+02:00"),
        at("next", "2013-01-15"),
        period("both", json!({"start": "2013-01-13", "end": "2013-01-15"})),
        period("open", json!({"start": "2013-01-14T12:00:00Z"})),
        period("ended", json!({"end": "2013-01-13"})),
        observation("events", json!({"effectiveTiming": timing})),
        observation("bounds", json!({"effectiveTiming": bounds})),
        observation("none", json!({})),
    ];
    check(resources, DATES);
}

/// § 3.1.1.4.11, with the units of UCUM converted.
#[test]
fn quantities_compare_across_units() {
    let value = |id: &str, value: Json| observation(id, json!({"valueQuantity": value}));
    let mut about = quantity(5.0, "mg");
    about["comparator"] = ">".into();
    let resources = vec![
        value("mg", quantity(5.4, "mg")),
        value("g", quantity(0.0054, "g")),
        value("ug", quantity(5449.0, "ug")),
        value("edge", quantity(5.45, "mg")),
        value("low", quantity(5.35, "mg")),
        value("kg", quantity(1.0, "kg")),
        value("mL", quantity(5.4, "mL")),
        value("bare", json!({"value": 5.4})),
        value("words", json!({"value": 5.4, "unit": "mg"})),
        value("other", json!({"value": 5.4, "system": "urn:other", "code": "mg"})),
        value("more", about),
        value("cel", quantity(37.0, "Cel")),
        value("degF", quantity(98.6, "[degF]")),
        value("ph", quantity(7.4, "[pH]")),
        value("beats", quantity(72.0, "{beats}/min")),
        observation(
            "sampled",
            json!({"valueSampledData": {"origin": quantity(0.0, "mV"), "period": 10, "factor": 0.5,
                "dimensions": 1, "data": "1 2 3"}}),
        ),
    ];
    let encoded = |text: &str| {
        let ucum = "http://unitsofmeasure.org";
        text.replace("UCUM", ucum).replace('%', "%25").replace('[', "%5B")
    };
    let query = |text: &str| format!("Observation?value-quantity={}", encoded(text));
    let cases: Vec<_> = QUANTITIES.iter().map(|(text, ids)| (query(text), *ids)).collect();
    let cases: Vec<_> = cases.iter().map(|(query, ids)| (query.as_str(), *ids)).collect();
    check(resources, &cases);
}

#[test]
fn money_compares_in_its_currency() {
    let invoice = |id: &str, value: f64, currency: &str| {
        json!({"resourceType": "Invoice", "id": id, "status": "issued",
            "totalGross": {"value": value, "currency": currency}})
    };
    check(
        vec![invoice("e", 10.5, "EUR"), invoice("u", 10.5, "USD"), invoice("m", 99.0, "EUR")],
        MONEY,
    );
}

const NUMBERS: Cases = &[
    // 0.1 is [0.05, 0.15): the upper bound is not in it.
    ("RiskAssessment?probability=0.1", &["a", "b", "c", "range", "two"]),
    ("RiskAssessment?probability=0.10", &["a", "b", "two"]),
    ("RiskAssessment?probability=0.100", &["b", "two"]),
    ("RiskAssessment?probability=1e-1", &["a", "b", "two"]),
    ("RiskAssessment?probability=eq0.100", &["b", "two"]),
    // Any value that differs is enough.
    ("RiskAssessment?probability=ne0.100", &["a", "c", "d", "range", "two"]),
    ("RiskAssessment?probability=gt0.1", &["c", "d", "range", "two"]),
    ("RiskAssessment?probability=ge0.1", &["b", "c", "d", "range", "two"]),
    ("RiskAssessment?probability=lt0.1", &["a", "range"]),
    ("RiskAssessment?probability=le0.1", &["a", "b", "range", "two"]),
    // All of the range must be beyond.
    ("RiskAssessment?probability=sa0.1", &["c", "d", "two"]),
    ("RiskAssessment?probability=eb0.1", &["a"]),
    ("RiskAssessment?probability=eb0.13", &["a", "b", "range", "two"]),
    // A tenth at either side: [0.09, 0.11], but not less than the digits leave open.
    ("RiskAssessment?probability=ap0.100", &["a", "b", "range", "two"]),
    ("RiskAssessment?probability=0.095,0.15", &["a", "c", "d"]),
    // Each may be passed by another value.
    ("RiskAssessment?probability=gt0.1&probability=lt0.15", &["c", "range", "two"]),
    ("RiskAssessment?probability:missing=true", &["none"]),
    ("RiskAssessment?probability:missing=false", &["a", "b", "c", "d", "range", "two"]),
];

const DATES: Cases = &[
    ("Observation?date=2013-01-14", &["day", "time", "zone"]),
    ("Observation?date=2013-01-14T10:00Z", &["time"]),
    ("Observation?date=2013-01-14T12:00:00%2B02:00", &["time"]),
    // A plus that was not encoded.
    ("Observation?date=2013-01-14T12:00:00+02:00", &["time"]),
    ("Observation?date=2013-01", &["both", "day", "events", "month", "next", "time", "zone"]),
    ("Observation?date=ne2013-01", &["bounds", "ended", "open", "year"]),
    (
        "Observation?date=gt2013-01-14",
        &["both", "bounds", "events", "month", "next", "open", "year"],
    ),
    (
        "Observation?date=ge2013-01-14",
        &["both", "bounds", "day", "events", "month", "next", "open", "time", "year", "zone"],
    ),
    ("Observation?date=lt2013-01-14", &["both", "ended", "events", "month", "year"]),
    (
        "Observation?date=le2013-01-14",
        &["both", "day", "ended", "events", "month", "time", "year", "zone"],
    ),
    ("Observation?date=sa2013-01-14", &["bounds", "next"]),
    ("Observation?date=eb2013-01-14", &["ended"]),
    ("Observation?date=sa2013-01-13", &["bounds", "day", "next", "open", "time", "zone"]),
    ("Observation?date=2013-02-01", &[]),
    // Only the outer limits of a timing count: 1 February is within, though no second day.
    ("Observation?date=le2013-02-01&date=ge2013-02-01", &["bounds", "open", "year"]),
    ("Observation?date=lt2013-02&date=gt2013-02", &["bounds", "open", "year"]),
    // From 2013-11-02 to 2021-01-01 are 2617 days; a tenth before is 12 February.
    ("Observation?date=ap2013-11-01", &["bounds", "open", "year"]),
    ("Observation?date=2013-01-14,2013-01-15", &["day", "next", "time", "zone"]),
    ("Observation?date:missing=true", &["none"]),
];

/// Values of `value-quantity`; UCUM stands for its system.
const QUANTITIES: Cases = &[
    ("5.4|UCUM|mg", &["g", "low", "mg", "ug"]),
    ("0.0054|UCUM|g", &["g", "low", "mg", "ug"]),
    ("5.40|UCUM|mg", &["g", "mg"]),
    ("5400|UCUM|ug", &["g", "mg"]),
    ("gt5.4|UCUM|mg", &["edge", "kg", "more", "ug"]),
    ("ge5.4|UCUM|mg", &["edge", "g", "kg", "mg", "more", "ug"]),
    ("lt0.0054|UCUM|g", &["low", "more"]),
    ("le5400|UCUM|ug", &["g", "low", "mg", "more"]),
    ("sa5.4|UCUM|mg", &["edge", "kg", "ug"]),
    ("eb5.4|UCUM|mg", &["low"]),
    ("ne5.4|UCUM|mg", &["edge", "kg", "more"]),
    ("ap5.4|UCUM|mg", &["edge", "g", "low", "mg", "more", "ug"]),
    ("1000|UCUM|g", &["kg"]),
    ("37.0|UCUM|Cel", &["cel", "degF"]),
    ("98.6|UCUM|[degF]", &["cel", "degF"]),
    ("gt309|UCUM|K", &["cel", "degF"]),
    // No scale that is a ratio: only the same code.
    ("7.4|UCUM|[pH]", &["ph"]),
    ("72|UCUM|/min", &["beats"]),
    // Without a system the unit is code or text as written.
    ("5.4||mg", &["low", "mg", "other", "words"]),
    ("5.4|urn:other|mg", &["other"]),
    ("5.4", &["bare", "low", "mL", "mg", "other", "words"]),
    ("gt1000", &["more", "ug"]),
    // From 0.5 to 1.5 mV.
    ("gt1|UCUM|mV", &["sampled"]),
    ("lt600|UCUM|uV", &["sampled"]),
    ("sa0.4|UCUM|mV", &["sampled"]),
    ("5.4|UCUM|mg,37|UCUM|Cel", &["cel", "degF", "g", "low", "mg", "ug"]),
];

const MONEY: Cases = &[
    ("Invoice?totalgross=10.5|urn:iso:std:iso:4217|EUR", &["e"]),
    ("Invoice?totalgross=gt10||EUR", &["e", "m"]),
    ("Invoice?totalgross=10.5", &["e", "u"]),
    ("Invoice?totalgross=ne10.5|urn:iso:std:iso:4217|EUR", &["m"]),
];
