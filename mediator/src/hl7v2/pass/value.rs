//! OBX-5 by OBX-2: which `Observation.value[x]` it becomes.
//!
//! A value that its declared type cannot hold is never dropped: it stays as `valueString` with a warning. Repetitions of
//! NM, SN and coded values become components; those of text are lines. ED goes to the caller as an attachment.

use crate::{
    hl7v2::{
        message::{SegmentView, Slice},
        primitive::{attachment::Content, concept, dtm, number},
        work::{Building, Work},
    },
    json::{Json, Object},
};

/// Writes the value of an OBX into its Observation (or gives the attachment that it is).
pub(crate) fn write<'m>(
    work: &mut Work<'m>,
    obx: SegmentView<'m>,
    draft: &mut Building<'m>,
) -> Option<Content<'m>> {
    let field = obx.field(5);
    let before = work.message.set_rule(work.rules.mark_of(*b"OBX", 5));
    let kind = kind_of(obx);
    let mut attachment = None;
    if kind == "ED" {
        attachment = field.repetitions().next().and_then(Content::read);
    } else if field.is_valued() {
        let unit = number::Unit::read(work, obx.field(6));
        if is_text(&kind) {
            if let Some(text) = lines(field) {
                draft.body.set("valueString", Json::text(text));
            }
        } else {
            let values: Vec<_> =
                field.repetitions().filter_map(|r| one(work, &kind, r, &unit)).collect();
            put(draft, values);
        }
    }
    work.message.set_rule(before);
    attachment
}

/// OBX-2; an absent one is text.
pub(crate) fn kind_of(obx: SegmentView<'_>) -> String {
    obx.field(2).component(1).peek().map_or_else(|| "ST".to_owned(), |k| k.to_ascii_uppercase())
}

/// Types whose repetitions are lines of one text.
pub(crate) fn is_text(kind: &str) -> bool {
    matches!(kind, "ST" | "TX" | "FT")
}

/// All repetitions as lines.
pub(crate) fn lines(field: Slice<'_>) -> Option<String> {
    let lines: Vec<_> = field.repetitions().filter_map(Slice::whole).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn put<'m>(draft: &mut Building<'m>, mut values: Vec<(&'static str, Json<'m>)>) {
    if values.len() <= 1 {
        if let Some((key, value)) = values.pop() {
            draft.body.set(key, value);
        }
        return;
    }
    let code = draft.body.get("code").cloned().unwrap_or_else(super::admission::unknown_concept);
    for (key, value) in values {
        let component = Object::new().with("code", code.clone()).with(key, value);
        draft.body.append("component", Json::Object(component));
    }
}

fn one<'m>(
    work: &mut Work<'m>,
    kind: &str,
    slice: Slice<'m>,
    unit: &number::Unit<'m>,
) -> Option<(&'static str, Json<'m>)> {
    if slice.is_null() {
        return None;
    }
    let found = match kind {
        "NM" | "SI" => slice.peek().and_then(|text| {
            let quantity = number::quantity(&text, unit)?;
            if number::decimal(&text).is_none() {
                work.message.warn("number-with-comparator", slice.place());
            }
            slice.mark_all();
            Some(("valueQuantity", Json::Object(quantity)))
        }),
        "SN" => number::structured(slice, unit).map(|(suffix, value)| {
            let key = match suffix {
                "Range" => "valueRange",
                "Ratio" => "valueRatio",
                _ => "valueQuantity",
            };
            (key, value)
        }),
        "CE" | "CWE" | "CNE" | "CF" | "IS" | "ID" => {
            concept::codeable_concept(work, slice, "").map(|c| ("valueCodeableConcept", c))
        }
        "DT" | "TS" | "DTM" => work.date_time(slice).map(|t| ("valueDateTime", t)),
        "TM" => slice.text().and_then(|t| dtm::time(&t)).map(|t| ("valueTime", Json::text(t))),
        "DR" => period(work, slice).map(|p| ("valuePeriod", p)),
        _ => return slice.whole().map(|text| ("valueString", Json::Text(text))),
    };
    if found.is_none() {
        work.message.warn("value-kept-as-text", slice.place());
        return slice.whole().map(|text| ("valueString", Json::Text(text)));
    }
    found
}

fn period<'m>(work: &Work<'m>, slice: Slice<'m>) -> Option<Json<'m>> {
    let mut period = Object::new();
    for (key, n) in [("start", 1), ("end", 2)] {
        if !slice.component(n).is_empty() {
            period.set(key, work.date_time(slice.component(n))?);
        }
    }
    (!period.is_empty()).then_some(Json::Object(period))
}
