//! ORU: DiagnosticReport, Observation, ServiceRequest, Specimen from ORC, OBR, OBX, SPM, NTE.
//!
//! Keys hang below the patient, so that two patients can never share a result. Report: filler number (else placer
//! number, else time) and OBR-4. Observation: OBX-21, else report, OBX-3 and OBX-4. ServiceRequest: placer number (else filler) and OBR-4. Specimen:
//! SPM-2, else report and position. A corrected result has the same keys and replaces the earlier one.

use std::borrow::Cow;

use super::{
    admission::{Subject, concept_key, encounter, finish_encounter, unknown_concept},
    observation::{Order, notes, number, observations},
    patient,
};
use crate::{
    error::{ConvertError, Reason},
    hl7v2::{grammar::Group, message::SegmentView, work::Work},
    json::{Json, Object},
    place::Place,
    rules::program::apply,
};

/// Converts one ORU message.
pub(crate) fn convert(work: &mut Work<'_>, root: &Group) -> Result<(), ConvertError> {
    let mut results = Vec::new();
    root.find("PATIENT_RESULT", &mut results);
    if results.is_empty() {
        let place = Place::segment("OBR");
        return Err(ConvertError::at(place, Reason::SegmentMissing, "no PID and no OBR segment"));
    }
    for result in results {
        let subject = subject(work, result)?;
        let mut orders = Vec::new();
        result.find("ORDER_OBSERVATION", &mut orders);
        for order in orders {
            report(work, order, &subject);
        }
    }
    Ok(())
}

fn subject<'m>(work: &mut Work<'m>, result: &Group) -> Result<Subject<'m>, ConvertError> {
    let message = work.message;
    let missing = || {
        ConvertError::at(
            Place::segment("PID"),
            Reason::SegmentMissing,
            "results without a PID segment",
        )
    };
    let group = result.child("PATIENT").ok_or_else(missing)?;
    let segments: Vec<_> = group.segments.iter().map(|i| message.segment(*i)).collect();
    let pid = *segments.iter().find(|s| s.name() == "PID").ok_or_else(missing)?;
    let others: Vec<_> = segments.iter().copied().filter(|s| s.name() != "PID").collect();
    let patient = patient::draft(work, pid, &others)?;
    let (patient_id, reference) = (patient.id.clone(), patient.reference());
    if work.find(&patient_id).is_none() {
        work.push(patient);
    }
    let mut encounter_id = None;
    if let Some(visit) = group.child("VISIT") {
        let segments: Vec<_> = visit.segments.iter().map(|i| message.segment(*i)).collect();
        if let Some(pv1) = segments.iter().find(|s| s.name() == "PV1")
            && let Some(mut draft) = encounter(work, *pv1, Some(pid), &patient_id)
        {
            for segment in segments.iter().filter(|s| s.name() != "PV1") {
                apply(work, *segment, &mut draft);
            }
            encounter_id = Some(draft.id.clone());
            finish_encounter(work, draft, reference.clone());
        }
    }
    Ok(Subject { reference, patient_id, encounter_id })
}

fn report<'m>(work: &mut Work<'m>, group: &Group, subject: &Subject<'m>) {
    let message = work.message;
    let own: Vec<_> = group.segments.iter().map(|i| message.segment(*i)).collect();
    let orc = own.iter().copied().find(|s| s.name() == "ORC");
    let Some(obr) = own.iter().copied().find(|s| s.name() == "OBR") else {
        if let Some(orc) = orc {
            work.message.warn("order-without-report", orc.place());
        }
        return;
    };
    let code = concept_key(obr, 4).unwrap_or_default();
    let numbers =
        |first: u16| number(work, obr.field(first)).or_else(|| number(work, orc?.field(first)));
    let (placer, filler) = (numbers(2), numbers(3));
    let key = filler.clone().or_else(|| placer.clone()).unwrap_or_else(|| {
        work.message.warn("report-key-from-time", obr.place());
        let time = obr.field(7).component(1).peek().unwrap_or_default();
        ["time".to_owned(), time.into_owned()]
    });
    let parts = [&subject.patient_id, &key[0], &key[1], &code].map(String::as_str);
    let mut report = work.start("DiagnosticReport", &parts, obr.place());
    let request = request(
        work,
        &own,
        obr,
        subject,
        [placer.or(filler).unwrap_or(key), [code, String::new()]],
    );
    apply(work, obr, &mut report);
    let status = obr.field(25).peek();
    let mapped = status.and_then(|s| work.rules.code("report-status", &s)).map(|m| m.code.as_str());
    report.body.set("status", Json::text(mapped.unwrap_or("unknown")));
    if !report.body.has("code") {
        report.body.set("code", unknown_concept());
    }
    report.body.set("subject", subject.reference.clone());
    if let Some(id) = &subject.encounter_id {
        report.body.set("encounter", Json::reference("Encounter", id));
    }
    report.body.push("basedOn", request);
    let effective = ["effectiveDateTime", "effectivePeriod"]
        .into_iter()
        .find_map(|key| Some((key, report.body.get(key)?.clone())));
    let mut order = Order {
        report_id: report.id.clone(),
        status: obr.field(25).peek().map(|s| match s {
            Cow::Borrowed(text) => text,
            Cow::Owned(_) => "",
        }),
        effective,
        specimens: Vec::new(),
        category: category(work, obr),
    };
    specimens(work, group, subject, &mut order);
    for specimen in &order.specimens {
        report.body.push("specimen", specimen.clone());
    }
    observations(work, group, subject, &order, &mut report);
    work.finish(report);
}

/// What kind of observations an order has, where its section (OBR-24) says so (`codes/observation-category.csv`).
fn category<'m>(work: &Work<'m>, obr: SegmentView<'m>) -> Option<Json<'m>> {
    let section = obr.field(24).component(1).peek()?;
    let mapped = work.rules.code("observation-category", &section)?;
    let coding = Object::new()
        .with("system", Json::text(&*mapped.system))
        .with("code", Json::text(&*mapped.code))
        .with("display", Json::text(&*mapped.display));
    Some(Json::Object(Object::new().with("coding", Json::List(vec![Json::Object(coding)]))))
}

fn request<'m>(
    work: &mut Work<'m>,
    own: &[SegmentView<'m>],
    obr: SegmentView<'m>,
    subject: &Subject<'m>,
    [key, code]: [[String; 2]; 2],
) -> Json<'m> {
    let parts = [&subject.patient_id, &key[0], &key[1], &code[0]].map(String::as_str);
    let mut draft = work.start("ServiceRequest", &parts, obr.place());
    let status = obr.field(25).peek();
    let mapped =
        status.and_then(|s| work.rules.code("request-status", &s)).map(|m| m.code.as_str());
    draft.body.set("status", Json::text(mapped.unwrap_or("unknown")));
    draft.body.set("intent", Json::text("order"));
    for segment in own {
        if segment.name() != "NTE" {
            apply(work, *segment, &mut draft);
        }
    }
    draft.body.set("subject", subject.reference.clone());
    if let Some(id) = &subject.encounter_id {
        draft.body.set("encounter", Json::reference("Encounter", id));
    }
    notes(work, own, &mut draft);
    let reference = draft.reference();
    work.finish(draft);
    reference
}

fn specimens<'m>(work: &mut Work<'m>, group: &Group, subject: &Subject<'m>, order: &mut Order<'m>) {
    let message = work.message;
    let found: Vec<&Group> = group.children.iter().filter(|c| &*c.name == "SPECIMEN").collect();
    for (n, specimen) in found.into_iter().enumerate() {
        let segments: Vec<_> = specimen.segments.iter().map(|i| message.segment(*i)).collect();
        let Some(spm) = segments.iter().copied().find(|s| s.name() == "SPM") else { continue };
        let own = [2u16, 1].into_iter().find_map(|n| {
            let id = spm.field(2).component(n);
            Some((id.sub(1).peek()?, id.sub(2).peek().unwrap_or_default()))
        });
        let position = format!("specimen {n}");
        let mut draft = match &own {
            Some((value, namespace)) => {
                let scope = if namespace.is_empty() {
                    work.local_system.clone()
                } else {
                    namespace.to_string()
                };
                work.start("Specimen", &[&subject.patient_id, &scope, value], spm.place())
            }
            None => work.start("Specimen", &[&order.report_id, &position], spm.place()),
        };
        apply(work, spm, &mut draft);
        draft.body.set("subject", subject.reference.clone());
        notes(work, &segments, &mut draft);
        order.specimens.push(draft.reference());
        work.finish(draft);
    }
}
