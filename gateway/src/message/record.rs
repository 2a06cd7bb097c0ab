//! What the gateway keeps of a message: its raw bytes, and a Task when it was not applied.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fhir::{ResourceKey, write_json_string};
use mediator::stable_id;
use policy::Principal;

use super::{Message, State, Trouble, base, idempotency};
use crate::app::App;
use crate::error::{Answered, Fault, FaultKind};
use crate::ingest;
use crate::posted::PostedBundle;
use crate::precondition::Preconditions;
use crate::submission::{Submission, Verb};

/// The gateway's own Device, as Provenance agents name it.
pub(super) const DEVICE: &str = "Device/sealway";

/// Reference of the `Binary` that holds the raw bytes: the same for the same bytes.
pub(super) fn raw_reference(message: &Message<'_>) -> String {
    format!("Binary/{}", stable_id("Binary", &[&message.sender, &message.identity]))
}

/// Makes the raw bytes durable, as the record of the patient that they are about, if that is known: under the
/// patient's key, for those who see the patient. The same bytes are stored once.
///
/// # Errors
/// Any [`Fault`]; then the message was not taken over.
pub(super) async fn store_raw(
    app: &App,
    message: &Message<'_>,
    raw: &str,
    patient: Option<&str>,
    principal: &Principal,
) -> Answered<()> {
    let key = key(raw)?;
    let id = &key.id;
    let context = patient.map_or_else(String::new, |patient| {
        format!(r#","securityContext":{{"reference":"Patient/{patient}"}}"#)
    });
    let data = STANDARD.encode(message.bytes);
    // FHIR has no empty strings: an empty frame is kept without its data.
    let data = if data.is_empty() { String::new() } else { format!(r#","data":"{data}""#) };
    let body = format!(
        r#"{{"resourceType":"Binary","id":"{id}","contentType":"x-application/hl7-v2+er7"{context}{data}}}"#
    );
    let verb = Verb::Update { key, preconditions: Preconditions::absent() };
    let base = base(app);
    let submission =
        Submission::single(verb, Some(body.into_bytes()), &base, &message.request_id()).await?;
    match ingest::submit(app, submission, principal).await {
        Ok(_) => Ok(()),
        Err(fault) if fault.kind == FaultKind::PreconditionFailed => Ok(()),
        Err(fault) => Err(fault),
    }
}

/// Makes sure that the Device which Provenances name exists.
///
/// # Errors
/// Any [`Fault`].
pub(super) async fn store_device(app: &App, principal: &Principal) -> Answered<()> {
    let body = concat!(
        r#"{"resourceType":"Device","id":"sealway","status":"active","#,
        r#""deviceName":[{"name":"Sealway gateway","type":"user-friendly-name"}],"#,
        r#""version":[{"value":""#,
        env!("CARGO_PKG_VERSION"),
        r#""}]}"#
    );
    let verb = Verb::Update { key: key(DEVICE)?, preconditions: Preconditions::absent() };
    let submission =
        Submission::single(verb, Some(body.as_bytes().to_vec()), &base(app), "device").await?;
    match ingest::submit(app, submission, principal).await {
        Ok(_) => Ok(()),
        Err(fault) if fault.kind == FaultKind::PreconditionFailed => Ok(()),
        Err(fault) => Err(fault),
    }
}

/// Reference of the Task of a message that was not applied, by that of its raw bytes.
pub(super) fn task_reference(raw: &str) -> String {
    format!("Task/{}", stable_id("Task", &[raw]))
}

/// Commits the Task of a message that was not applied, with the message's identity.
///
/// # Errors
/// Any [`Fault`]; then the message is not decided.
pub(super) async fn store_task(
    app: &App,
    message: &Message<'_>,
    raw: &str,
    trouble: &Trouble,
    answer: &[u8],
    principal: &Principal,
) -> Answered<Option<Vec<u8>>> {
    let task = task_reference(raw);
    let key = key(&task)?;
    let id = &key.id;
    let (status, state) = match trouble.state {
        State::Rejected => ("rejected", "rejected"),
        _ => ("on-hold", "quarantined"),
    };
    let mut body = format!(
        r#"{{"resourceType":"Task","id":"{id}","status":"{status}","statusReason":{{"coding":[{{"system":"{REASON}","code":"{slug}"}}],"text":"#,
        slug = trouble.slug
    )
    .into_bytes();
    write_json_string(&trouble.text, &mut body);
    body.extend_from_slice(
        format!(
            r#"}},"businessStatus":{{"coding":[{{"system":"{STATE}","code":"{state}"}}]}},"intent":"order","code":{{"text":"apply HL7 v2 message"}},"focus":{{"reference":"{raw}"}},"authoredOn":"{now}""#,
            now = crate::clock::now()
        )
        .as_bytes(),
    );
    write_finds(message, trouble, &mut body);
    body.push(b'}');
    let verb = Verb::Update { key, preconditions: Preconditions::default() };
    let base = base(app);
    let submission = Submission::single(verb, Some(body), &base, &message.request_id())
        .await?
        .idempotent(idempotency(message, answer));
    Ok(ingest::submit(app, submission, principal).await?.repeated)
}

/// What the message is found by in the sender's log, and the place to look at: `Task.identifier` and `Task.input`.
fn write_finds(message: &Message<'_>, trouble: &Trouble, body: &mut Vec<u8>) {
    if !message.control_id.is_empty() {
        let start = format!(r#","identifier":[{{"system":"{CONTROL_ID}","value":"#);
        body.extend_from_slice(start.as_bytes());
        write_json_string(&message.control_id, body);
        body.extend_from_slice(b"}]");
    }
    let place = trouble.place.map(|place| place.to_string()).unwrap_or_default();
    let fields = [
        ("place", place),
        ("MSH-10 control id", message.control_id.clone()),
        ("MSH-3 sending application", message.field(3)),
        ("MSH-4 sending facility", message.field(4)),
        ("MSH-9 message type", message.field(9)),
    ];
    let mut is_first = true;
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        let before = if std::mem::take(&mut is_first) { r#","input":["# } else { "," };
        let start = format!(r#"{before}{{"type":{{"text":"{name}"}},"valueString":"#);
        body.extend_from_slice(start.as_bytes());
        write_json_string(value, body);
        body.push(b'}');
    }
    if !is_first {
        body.push(b']');
    }
}

/// Commits the message's identity alone: nothing to do by rule.
///
/// # Errors
/// Any [`Fault`]; then the message is not decided.
pub(super) async fn remember(
    app: &App,
    message: &Message<'_>,
    answer: &[u8],
    principal: &Principal,
) -> Answered<()> {
    let empty = br#"{"resourceType":"Bundle","type":"transaction"}"#.to_vec();
    let base = base(app);
    let posted = PostedBundle::read(empty, &base, false).await?;
    let submission = Submission::transaction(posted, &base, &message.request_id())?
        .idempotent(idempotency(message, answer));
    ingest::submit(app, submission, principal).await.map(drop)
}

fn key(text: &str) -> Answered<ResourceKey> {
    ResourceKey::parse(text)
        .map_err(|_| Fault::new(FaultKind::Internal, "a stable id is no resource id"))
}

/// States of a message that was not applied; `Task.businessStatus` of every Task that is made here.
pub(crate) const STATE: &str = "https://sealway.org/fhir/CodeSystem/message-state";
/// MSH-10 of a message that was not applied; `Task.identifier`.
const CONTROL_ID: &str = "https://sealway.org/fhir/hl7v2-control-id";
/// Why a message was not applied.
const REASON: &str = "https://sealway.org/fhir/CodeSystem/message-reason";
