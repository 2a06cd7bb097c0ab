//! A40: merge of two patient records. Reversible: both records stay, linked to each other.
//!
//! The surviving record (PID) gets `link.type = replaces` and the prior identifier (`use = old`); the prior record
//! (MRG-1) becomes inactive with `link.type = replaced-by`. References to the prior record stay as they are;
//! what is said of it later goes to the survivor (`redirect`).

use super::patient;
use crate::{
    error::{ConvertError, Reason},
    hl7v2::{
        message::SegmentView,
        work::{Building, Work},
    },
    json::{Json, Object},
    place::Place,
};

/// Converts one merge message; every PID with its MRG is one merge.
pub(crate) fn convert(work: &mut Work<'_>) -> Result<(), ConvertError> {
    let message = work.message;
    let mut pid: Option<SegmentView<'_>> = None;
    let mut between: Vec<SegmentView<'_>> = Vec::new();
    let mut merges = 0;
    for segment in message.segments() {
        match segment.name() {
            "PID" => {
                pid = Some(segment);
                between.clear();
            }
            "MRG" => {
                let pid = pid.ok_or_else(|| {
                    let place = Place::segment("PID");
                    ConvertError::at(place, Reason::SegmentMissing, "no PID before MRG")
                })?;
                merge(work, pid, &between, segment)?;
                merges += 1;
                if merges > MERGES_MAX {
                    return Err(ConvertError::new(
                        Reason::TooLarge,
                        "too many merges in one message",
                    ));
                }
            }
            _ if pid.is_some() => between.push(segment),
            _ => {}
        }
    }
    if merges == 0 {
        let place = Place::segment("MRG");
        return Err(ConvertError::at(place, Reason::SegmentMissing, "a merge without MRG segment"));
    }
    Ok(())
}

fn merge<'m>(
    work: &mut Work<'m>,
    pid: SegmentView<'m>,
    others: &[SegmentView<'m>],
    mrg: SegmentView<'m>,
) -> Result<(), ConvertError> {
    let place = Place { field: 1, ..mrg.place() };
    let prior = patient::best_key(work, mrg.field(1)).ok_or_else(|| {
        ConvertError::at(place, Reason::MergeIdentifierMissing, "MRG-1 holds no patient identifier")
    })?;
    let mut survivor = patient::draft(work, pid, others)?;
    let prior_id = prior.id();
    let is_loser = |id: &str| {
        work.drafts.iter().any(|d| {
            d.kind == "Patient"
                && d.id == id
                && d.body.has("link")
                && matches!(d.body.get("active"), Some(Json::Literal(t)) if t == "false")
        })
    };
    if survivor.id == prior_id || is_loser(&survivor.id) {
        return Err(ConvertError::at(
            place,
            Reason::MergeCycle,
            "a patient cannot be merged with itself or in a cycle",
        ));
    }
    survivor.body.set("active", Json::boolean(true));
    survivor.body.push("link", link(&prior_id, "replaces"));
    let old = Object::new()
        .with("use", Json::text("old"))
        .with("system", Json::Text(prior.system.clone()))
        .with("value", Json::Text(prior.value.clone()));
    survivor.body.push("identifier", Json::Object(old));
    let mut loser = Building::new("Patient", prior_id);
    loser.body.set("active", Json::boolean(false));
    let identifier = Object::new()
        .with("system", Json::Text(prior.system))
        .with("value", Json::Text(prior.value));
    loser.body.push("identifier", Json::Object(identifier));
    loser.body.push("link", link(&survivor.id, "replaced-by"));
    keep(work, survivor);
    keep(work, loser);
    Ok(())
}

/// A record named twice in one message (a chain) gathers its links.
fn keep<'m>(work: &mut Work<'m>, draft: Building<'m>) {
    let Some(at) = work.find(&draft.id) else {
        work.push(draft);
        return;
    };
    for key in ["link", "identifier"] {
        if let Some(Json::List(items)) = draft.body.get(key) {
            for item in items {
                work.drafts[at].body.push(key, item.clone());
            }
        }
    }
    if let Some(active) = draft.body.get("active") {
        work.drafts[at].body.set("active", active.clone());
    }
}

fn link<'m>(id: &str, kind: &'static str) -> Json<'m> {
    let link =
        Object::new().with("other", Json::reference("Patient", id)).with("type", Json::text(kind));
    Json::Object(link)
}

/// Merges of one message; a real one has one to three.
const MERGES_MAX: usize = 100;
