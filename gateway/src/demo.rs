//! The demo's synthetic hospital: a clinic's FHIR bundle and thirty HL7 v2 messages, through the same paths as real ones.
//!
//! Fifteen patients, ten of them with laboratory results, one merge, two messages that end in quarantine.
//! Not here: starting and stopping (`cli::demo`).

use fhir::ResourceId;
use mediator::hl7v2::batch;
use policy::{Principal, Role};

use crate::app::App;
use crate::error::{Answered, Fault, FaultKind};
use crate::ingest;
use crate::message::{Desk, State, receive};
use crate::posted::PostedBundle;
use crate::submission::Submission;

/// What seeding did, for the banner.
#[derive(Clone, Debug)]
pub struct Seeded {
    /// Patient of the patient's token.
    pub patient: ResourceId,
    /// Messages that were applied.
    pub applied: usize,
    /// Messages that wait for an operator.
    pub quarantined: usize,
}

/// Fills an empty gateway; a folder that was seeded before is left alone.
///
/// # Errors
/// Any [`Fault`]: the samples are part of the program, so it is one of ours.
pub async fn seed(app: &App, desk: &Desk) -> Answered<Seeded> {
    if let Some(patient) = app.store.setting(SEEDED).await? {
        let patient = String::from_utf8(patient).unwrap_or_default();
        let patient = ResourceId::parse(&patient)
            .map_err(|_| Fault::new(FaultKind::Internal, "the demo's mark is unreadable"))?;
        return Ok(Seeded { patient, applied: 0, quarantined: 0 });
    }
    let principal = Principal::builder("demo").role(Role::System).scopes("system/*.cruds").build();
    let base = app.hosts.bases("localhost");
    let posted = PostedBundle::read(CLINIC.to_vec(), &base, false).await?;
    let submission = Submission::transaction(posted, &base, "demo")?;
    let outcome = ingest::submit(app, submission, &principal).await?;
    let patient = outcome
        .entries
        .iter()
        .filter_map(|entry| entry.key.as_ref())
        .find(|key| key.resource_type == fhir::ResourceType::PATIENT)
        .map(|key| key.id.clone())
        .ok_or_else(|| Fault::new(FaultKind::Internal, "the demo's bundle makes a patient"))?;
    let (mut applied, mut quarantined) = (0, 0);
    for range in batch::split(FEED).messages {
        match receive(app, desk, &FEED[range], &principal).await.state {
            State::Applied => applied += 1,
            State::Quarantined => quarantined += 1,
            state => {
                let text = format!("a message of the demo ended {state:?}");
                return Err(Fault::new(FaultKind::Internal, text));
            }
        }
    }
    app.store.set_setting(SEEDED, patient.as_str().as_bytes()).await?;
    Ok(Seeded { patient, applied, quarantined })
}

/// A message that comes after those of the feed, to be sent by hand.
pub fn sample_message() -> &'static [u8] {
    include_bytes!("../demo/message.hl7")
}

const SEEDED: &str = "demo_patient";
const CLINIC: &[u8] = include_bytes!("../demo/riverside.json");
const FEED: &[u8] = include_bytes!("../demo/feed.hl7");
