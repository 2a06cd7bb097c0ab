//! ADT: Patient, Encounter with its status and location history, AllergyIntolerance, Condition, Coverage.
//!
//! Encounter key: PV1-19, else PV1-50, else PID-18, else patient and admission time; without any the visit is left over
//! with a warning. Keys of AL1, DG1 and IN1 hang below the patient, as these segments rarely carry ids of their own.

use std::borrow::Cow;

use super::patient;
use crate::{
    error::{ConvertError, Reason},
    hl7v2::{
        message::SegmentView,
        primitive::{concept, party},
        work::{Building, Work},
    },
    json::{Json, Object},
    place::Place,
    rules::program::apply,
};

/// Converts one ADT message other than a merge.
pub(crate) fn convert(work: &mut Work<'_>) -> Result<(), ConvertError> {
    let message = work.message;
    let pid = message.first("PID").ok_or_else(|| {
        ConvertError::at(Place::segment("PID"), Reason::SegmentMissing, "no PID segment")
    })?;
    let others: Vec<_> = message
        .segments()
        .filter(|s| *s.name() != *"PID" && !matches!(s.name(), "AL1" | "DG1" | "IN1" | "OBX"))
        .collect();
    let patient = patient::draft(work, pid, &others)?;
    let reference = patient.reference();
    let patient_id = patient.id.clone();
    work.push(patient);
    let encounter = match message.first("PV1") {
        Some(pv1) => encounter(work, pv1, Some(pid), &patient_id),
        None => None,
    };
    let encounter_id = encounter.as_ref().map(|e| e.id.clone());
    if let Some(mut encounter) = encounter {
        for segment in &others {
            if segment.name() != "PV1" {
                apply(work, *segment, &mut encounter);
            }
        }
        finish_encounter(work, encounter, reference.clone());
    }
    let subject = Subject { reference, patient_id, encounter_id };
    for segment in message.segments() {
        match segment.name() {
            "AL1" => allergy(work, segment, &subject),
            "DG1" => condition(work, segment, &subject),
            "IN1" => coverage(work, segment, &subject),
            _ => {}
        }
    }
    super::observation::loose_observations(work, &subject);
    Ok(())
}

/// Whom and which visit a statement is about.
#[derive(Clone)]
pub(crate) struct Subject<'m> {
    pub(crate) reference: Json<'m>,
    pub(crate) patient_id: String,
    pub(crate) encounter_id: Option<String>,
}

/// The Encounter of a PV1, not yet finished; `None` (with a warning) when nothing names it.
pub(crate) fn encounter<'m>(
    work: &mut Work<'m>,
    pv1: SegmentView<'m>,
    pid: Option<SegmentView<'m>>,
    patient_id: &str,
) -> Option<Building<'m>> {
    let account = pid.map(|p| p.field(18));
    let fields = [Some(pv1.field(19)), Some(pv1.field(50)), account];
    let named = fields.into_iter().flatten().find(|f| f.component(1).peek().is_some());
    let mut parts: Vec<String> = Vec::new();
    if let Some(field) = named {
        let value = field.component(1).peek()?;
        let before = work.message.set_rule(0);
        parts.push(work.system_of_hd(field.component(4)).into_owned());
        work.message.set_rule(before);
        parts.push(value.into_owned());
    } else if let Some(admitted) = pv1.field(44).component(1).peek() {
        parts.extend(["admission".to_owned(), patient_id.to_owned(), admitted.into_owned()]);
    } else {
        let place = Place { field: 19, ..pv1.place() };
        work.message.warn("encounter-key-missing", place);
        return None;
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let mut encounter = work.start("Encounter", &parts, pv1.place());
    apply(work, pv1, &mut encounter);
    if let Some(pid) = pid {
        apply(work, pid, &mut encounter);
    }
    Some(encounter)
}

/// Adds what R4 requires and the event decides, and hands the Encounter over.
pub(crate) fn finish_encounter<'m>(
    work: &mut Work<'m>,
    mut encounter: Building<'m>,
    subject: Json<'m>,
) {
    let rules = work.rules;
    let code = work.message.first("MSH").and_then(|m| m.field(9).component(1).peek());
    let event = rules.event(code.as_deref().unwrap_or_default(), work.event);
    let status = event.map(|e| e.encounter.as_str()).filter(|s| !s.is_empty()).unwrap_or("unknown");
    let ended = matches!(encounter.body.get("period"), Some(Json::Object(p)) if p.has("end"));
    let status = match status {
        "in-progress" if ended && work.event != "A13" => "finished",
        status => status,
    };
    if work.event == "A13" {
        encounter.deletes.push("period.end".to_owned());
        encounter.deletes.push("hospitalization.dischargeDisposition".to_owned());
        encounter.deletes.push("hospitalization.destination".to_owned());
    }
    encounter.body.set("status", Json::text(status));
    if !encounter.body.has("class") {
        let absent = Object::new()
            .with("url", Json::text(DATA_ABSENT_REASON))
            .with("valueCode", Json::text("unknown"));
        let class = Object::new().with("extension", Json::List(vec![Json::Object(absent)]));
        encounter.body.set("class", Json::Object(class));
    }
    encounter.body.set("subject", subject);
    work.finish(encounter);
}

fn allergy<'m>(work: &mut Work<'m>, al1: SegmentView<'m>, subject: &Subject<'m>) {
    let Some(key) = concept_key(al1, 3) else {
        work.message.warn("allergy-code-missing", al1.place());
        return;
    };
    let mut draft = work.start("AllergyIntolerance", &[&subject.patient_id, &key], al1.place());
    let active =
        coding("http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "active");
    draft.body.set("clinicalStatus", active);
    apply(work, al1, &mut draft);
    draft.body.set("patient", subject.reference.clone());
    work.finish(draft);
}

fn condition<'m>(work: &mut Work<'m>, dg1: SegmentView<'m>, subject: &Subject<'m>) {
    let own = dg1.field(20).component(1).peek();
    let scope = subject.encounter_id.as_deref().unwrap_or(&subject.patient_id);
    let key = match own {
        Some(own) => vec!["DG1-20".to_owned(), own.into_owned()],
        None => match concept_key(dg1, 3).or_else(|| dg1.field(4).peek().map(Cow::into_owned)) {
            Some(key) => {
                let kind = dg1.field(6).component(1).peek().unwrap_or_default();
                vec![scope.to_owned(), key, kind.into_owned()]
            }
            None => {
                work.message.warn("diagnosis-code-missing", dg1.place());
                return;
            }
        },
    };
    let parts: Vec<&str> = std::iter::once(subject.patient_id.as_str())
        .chain(key.iter().map(String::as_str))
        .collect();
    let mut draft = work.start("Condition", &parts, dg1.place());
    if dg1.field(21).peek().as_deref() == Some("D") {
        let system = "http://terminology.hl7.org/CodeSystem/condition-ver-status";
        draft.body.set("verificationStatus", coding(system, "entered-in-error"));
    }
    apply(work, dg1, &mut draft);
    let category = "http://terminology.hl7.org/CodeSystem/condition-category";
    draft.body.push("category", coding(category, "encounter-diagnosis"));
    draft.body.set("subject", subject.reference.clone());
    if let Some(id) = &subject.encounter_id {
        draft.body.set("encounter", Json::reference("Encounter", id));
    }
    work.finish(draft);
}

fn coverage<'m>(work: &mut Work<'m>, in1: SegmentView<'m>, subject: &Subject<'m>) {
    let plan = in1.field(2).component(1).peek().unwrap_or_default();
    let company = in1.field(3).component(1).peek().unwrap_or_default();
    let policy = in1.field(36).peek().or_else(|| in1.field(49).component(1).peek());
    let policy = policy.unwrap_or_default();
    if plan.is_empty() && company.is_empty() && policy.is_empty() {
        work.message.warn("coverage-key-missing", in1.place());
        return;
    }
    let parts = [subject.patient_id.as_str(), &plan, &company, &policy];
    let mut draft = work.start("Coverage", &parts, in1.place());
    draft.body.set("status", Json::text("active"));
    apply(work, in1, &mut draft);
    draft.body.set("beneficiary", subject.reference.clone());
    let before = work.message.set_rule(work.rules.mark_of(*b"IN1", 3));
    let name = in1.field(4).component(1).text();
    let id = in1.field(3).component(1).text();
    let payor = match (id, &name) {
        (Some(id), _) => {
            let system = work.system_of_hd(in1.field(3).component(4));
            Some(party::organization(work, id, system, name))
        }
        (None, Some(name)) => {
            Some(Json::Object(Object::new().with("display", Json::Text(name.clone()))))
        }
        (None, None) => None,
    };
    work.message.set_rule(before);
    let unknown = || Json::Object(Object::new().with("display", Json::text("unknown")));
    draft.body.set("payor", Json::List(vec![payor.unwrap_or_else(unknown)]));
    work.finish(draft);
}

/// Code and system (or text) of a concept, for keys; does not count as mapping.
pub(crate) fn concept_key(segment: SegmentView<'_>, field: u16) -> Option<String> {
    let concept = segment.field(field);
    for (code, system) in [(1, 3), (4, 6)] {
        if let Some(code) = concept.component(code).peek() {
            let system = concept.component(system).peek().unwrap_or_default();
            return Some(format!("{code}|{system}"));
        }
    }
    let text = concept.component(2).peek().or_else(|| concept.component(9).peek());
    text.map(|t| format!("|{t}"))
}

/// A CodeableConcept of one code.
pub(crate) fn coding<'m>(system: &'static str, code: &'static str) -> Json<'m> {
    let coding = Object::new().with("system", Json::text(system)).with("code", Json::text(code));
    Json::Object(Object::new().with("coding", Json::List(vec![Json::Object(coding)])))
}

/// A concept that R4 requires and the message does not give.
pub(crate) fn unknown_concept<'m>() -> Json<'m> {
    Json::Object(Object::new().with("text", Json::text("unknown")))
}

/// A concept of a field, or the stand-in for a missing one.
pub(crate) fn required_concept<'m>(
    work: &mut Work<'m>,
    segment: SegmentView<'m>,
    field: u16,
) -> Json<'m> {
    concept::codeable_concept(work, segment.field(field), "").unwrap_or_else(unknown_concept)
}

/// Extension that says why a required value is absent.
pub(crate) const DATA_ABSENT_REASON: &str =
    "http://hl7.org/fhir/StructureDefinition/data-absent-reason";
