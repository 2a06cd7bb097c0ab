//! OBX with its NTE → Observation, or a document when it carries encapsulated data.

use super::{
    admission::{Subject, coding, concept_key, required_concept, unknown_concept},
    value,
};
use crate::{
    hl7v2::{
        grammar::Group,
        message::{SegmentView, Slice},
        primitive::attachment::Content,
        work::{Building, Work},
    },
    json::{Json, Object},
    rules::program::apply,
};

/// What the observations of one order share.
pub(crate) struct Order<'m> {
    pub(crate) report_id: String,
    pub(crate) status: Option<&'m str>,
    pub(crate) effective: Option<(&'static str, Json<'m>)>,
    pub(crate) specimens: Vec<Json<'m>>,
    /// `Observation.category`, where the order says what it is.
    pub(crate) category: Option<Json<'m>>,
}

/// The observations of one order, also those on its specimens.
pub(crate) fn observations<'m>(
    work: &mut Work<'m>,
    group: &Group,
    subject: &Subject<'m>,
    order: &Order<'m>,
    report: &mut Building<'m>,
) {
    let message = work.message;
    let mut groups = Vec::new();
    group.find("OBSERVATION", &mut groups);
    group.find("SPECIMEN_OBSERVATION", &mut groups);
    let segments = |g: &Group| g.segments.iter().map(|i| message.segment(*i)).collect::<Vec<_>>();
    let mut next = 0;
    while let Some(first) = groups.get(next) {
        let mut own = segments(first);
        next += 1;
        // Lines of one text are sent as consecutive OBX of the same code and sub-id.
        while let Some(more) = groups.get(next).map(|g| segments(g))
            && continues(&own, &more)
        {
            own.extend(more);
            next += 1;
        }
        observation(work, &own, subject, order, report);
    }
}

/// True when `more` is a further line of the long text that `own` holds.
fn continues(own: &[SegmentView<'_>], more: &[SegmentView<'_>]) -> bool {
    let (Some(a), Some(b)) = (first_obx(own), first_obx(more)) else { return false };
    let long = |s| matches!(value::kind_of(s).as_str(), "TX" | "FT");
    long(a)
        && long(b)
        && concept_key(a, 3).is_some_and(|key| concept_key(b, 3) == Some(key))
        && a.field(4).peek() == b.field(4).peek()
        && own.last().is_some_and(|s| s.name() == "OBX")
}

fn first_obx<'m>(segments: &[SegmentView<'m>]) -> Option<SegmentView<'m>> {
    segments.iter().copied().find(|s| s.name() == "OBX")
}

fn observation<'m>(
    work: &mut Work<'m>,
    own: &[SegmentView<'m>],
    subject: &Subject<'m>,
    order: &Order<'m>,
    report: &mut Building<'m>,
) {
    let Some(obx) = first_obx(own) else { return };
    if value::kind_of(obx) == "ED" {
        document(work, obx, subject, order, report);
        return;
    }
    let code = concept_key(obx, 3).unwrap_or_default();
    let sub = obx.field(4).peek().unwrap_or_default();
    let instance = number(work, obx.field(21));
    let parts: Vec<&str> = match &instance {
        Some([system, value]) => vec![&subject.patient_id, "OBX-21", system, value],
        None => vec![&order.report_id, &code, &sub],
    };
    let mut draft = work.start("Observation", &parts, obx.place());
    fill(work, own, obx, order.status, &mut draft);
    draft.body.set("subject", subject.reference.clone());
    if let Some(id) = &subject.encounter_id {
        draft.body.set("encounter", Json::reference("Encounter", id));
    }
    if let Some(category) = &order.category {
        draft.body.push("category", category.clone());
    }
    if let (false, Some((key, value))) = (draft.body.has("effectiveDateTime"), &order.effective) {
        draft.body.set(key, value.clone());
    }
    if let Some(specimen) = order.specimens.first() {
        draft.body.set("specimen", specimen.clone());
    }
    report.body.append("result", draft.reference());
    work.finish(draft);
}

/// Status, code, value and notes of an Observation.
fn fill<'m>(
    work: &mut Work<'m>,
    own: &[SegmentView<'m>],
    obx: SegmentView<'m>,
    order_status: Option<&str>,
    draft: &mut Building<'m>,
) {
    let status = obx.field(11).peek();
    let status = status.as_deref().or(order_status).unwrap_or_default();
    let mapped = work.rules.code("observation-status", status).map(|m| m.code.as_str());
    draft.body.set("status", Json::text(mapped.unwrap_or("unknown")));
    apply(work, obx, draft);
    if !draft.body.has("code") {
        draft.body.set("code", unknown_concept());
    }
    value::write(work, obx, draft);
    let lines: Vec<_> = own.iter().skip(1).filter(|s| s.name() == "OBX").copied().collect();
    if !lines.is_empty() {
        let before = work.message.set_rule(work.rules.mark_of(*b"OBX", 5));
        let text: Vec<_> = own
            .iter()
            .filter(|s| s.name() == "OBX")
            .map(|s| value::lines(s.field(5)).unwrap_or_default())
            .collect();
        draft.body.set("valueString", Json::text(text.join("\n").trim().to_owned()));
        for line in lines {
            // The code and status of further lines are those of the first.
            let mut scratch = Building::new("Observation", String::new());
            apply(work, line, &mut scratch);
        }
        work.message.set_rule(before);
    }
    let has_value = VALUES.iter().any(|key| draft.body.has(key));
    if !has_value {
        let system = "http://terminology.hl7.org/CodeSystem/data-absent-reason";
        draft.body.set("dataAbsentReason", coding(system, "unknown"));
    }
    notes(work, own, draft);
}

/// Encapsulated data: Binary, DocumentReference and the report's presented form.
fn document<'m>(
    work: &mut Work<'m>,
    obx: SegmentView<'m>,
    subject: &Subject<'m>,
    order: &Order<'m>,
    report: &mut Building<'m>,
) {
    let mut scratch = Building::new("Observation", String::new());
    let content: Option<Content<'m>> = value::write(work, obx, &mut scratch);
    let Some(content) = content else {
        work.message.warn("attachment-missing", obx.place());
        return;
    };
    apply(work, obx, &mut scratch);
    let code = concept_key(obx, 3).unwrap_or_default();
    let sub = obx.field(4).peek().unwrap_or_default();
    let parts = [order.report_id.as_str(), &code, &sub];
    let mut attachment = content.store(work, &parts, subject.reference.clone(), obx.place());
    let mut draft = work.start("DocumentReference", &parts, obx.place());
    let kind = required_concept(work, obx, 3);
    if let Json::Object(concept) = &kind
        && let Some(Json::Text(title)) = concept.get("text")
    {
        attachment.set("title", Json::Text(title.clone()));
    }
    report.body.push("presentedForm", Json::Object(attachment.clone()));
    draft.body.set("status", Json::text("current"));
    draft.body.set("type", kind);
    draft.body.set("subject", subject.reference.clone());
    let content = Object::new().with("attachment", Json::Object(attachment));
    draft.body.push("content", Json::Object(content));
    let mut context = Object::new();
    if let Some(id) = &subject.encounter_id {
        context.push("encounter", Json::reference("Encounter", id));
    }
    context.push("related", report.reference());
    draft.body.set("context", Json::Object(context));
    work.finish(draft);
}

/// OBX segments of an ADT message: observations without a report.
pub(crate) fn loose_observations<'m>(work: &mut Work<'m>, subject: &Subject<'m>) {
    let message = work.message;
    let mut segments = message.segments().peekable();
    while let Some(obx) = segments.next() {
        if obx.name() != "OBX" || value::kind_of(obx) == "ED" {
            continue;
        }
        let mut own = vec![obx];
        while let Some(note) = segments.next_if(|s| s.name() == "NTE") {
            own.push(note);
        }
        let code = concept_key(obx, 3).unwrap_or_default();
        let sub = obx.field(4).peek().unwrap_or_default();
        let time = obx.field(14).component(1).peek().unwrap_or_default();
        let visit = subject.encounter_id.clone().unwrap_or_default();
        let parts = [&*subject.patient_id, &visit, &code, &sub, &time];
        let mut draft = work.start("Observation", &parts, obx.place());
        fill(work, &own, obx, None, &mut draft);
        draft.body.set("subject", subject.reference.clone());
        if let Some(id) = &subject.encounter_id {
            draft.body.set("encounter", Json::reference("Encounter", id));
        }
        work.finish(draft);
    }
}

/// Consecutive NTE segments are the lines of one note.
pub(crate) fn notes<'m>(
    work: &mut Work<'m>,
    segments: &[SegmentView<'m>],
    draft: &mut Building<'m>,
) {
    let before = work.message.set_rule(work.rules.mark_of(*b"NTE", 3));
    let lines: Vec<_> = segments
        .iter()
        .filter(|s| s.name() == "NTE")
        .filter_map(|s| value::lines(s.field(3)))
        .collect();
    work.message.set_rule(before);
    if !lines.is_empty() {
        let note = Object::new().with("text", Json::text(lines.join("\n")));
        draft.body.push("note", Json::Object(note));
    }
}

/// Assigner and value of a placer or filler number (EI).
pub(crate) fn number(work: &Work<'_>, field: Slice<'_>) -> Option<[String; 2]> {
    let value = field.component(1).peek()?.into_owned();
    let assigner: Vec<_> =
        (2..=3).map(|n| field.component(n).peek().unwrap_or_default().into_owned()).collect();
    let assigner = assigner.join("&");
    Some([if assigner == "&" { work.local_system.clone() } else { assigner }, value])
}

const VALUES: &[&str] = &[
    "valueQuantity",
    "valueRange",
    "valueRatio",
    "valueCodeableConcept",
    "valueDateTime",
    "valueTime",
    "valuePeriod",
    "valueString",
    "component",
];
