//! HL7 v2 messages to resources: raw bytes durable first, outcome second, acknowledgement last.
//!
//! receive → convert (pure) → raw `Binary` committed, as the patient's when he is known → merge with what is stored → one transaction through
//! [`ingest::submit`](crate::ingest::submit) with Provenance and the message's identity → acknowledgement. A message that
//! cannot be applied ends as a `Task` (quarantined or rejected) that names reason and place and points at the raw bytes.
//! The same (sender, control id, bytes) gets the first acknowledgement again and changes nothing.
//! Not here: framing and sockets (`mllp`), mapping (`mediator`).

mod answer;
mod apply;
mod record;
mod survivor;

use mediator::hl7v2::ack::{AckCode, AckError, Severity, Verdict, acknowledge};
use mediator::hl7v2::batch;
use mediator::hl7v2::header::Header;
use mediator::{
    Context, Conversion, ConvertError, Disposition, Reason, RuleSet, Site, Source, convert,
};
use policy::Principal;
use registry::write_set::Idempotency;
use sha2::{Digest, Sha256};

use self::answer::{answer, log, lost, older, repeat, reply, stamp, warned};
use self::apply::Applied;
pub(crate) use self::record::STATE as TASK_STATE;
use crate::app::App;
use crate::clock;
use crate::error::{Answered, Fault, FaultKind};

/// What every message needs beside the application: rules and the sending site's settings.
pub struct Desk {
    rules: RuleSet,
    site: Site,
    device: tokio::sync::OnceCell<()>,
}

impl Desk {
    /// The settings for one message: the zone is that of its sender.
    fn site_of(&self, app: &App, message: &Message<'_>) -> Site {
        let known = message.header.and_then(|header| {
            let (application, facility) = header.sender();
            let first = |field: &[u8]| {
                let separator = header.delimiters().component;
                let name = field.split(|byte| *byte == separator).next().unwrap_or_default();
                String::from_utf8_lossy(name).into_owned()
            };
            app.config.hl7v2.zone_of(&first(application), &first(facility))
        });
        Site { zone: known.or(self.site.zone.as_ref()).cloned(), ..self.site.clone() }
    }

    /// The base rules and a site's settings.
    pub fn new(rules: RuleSet, site: Site) -> Self {
        Self { rules, site, device: tokio::sync::OnceCell::new() }
    }
}

impl Default for Desk {
    fn default() -> Self {
        Self::new(RuleSet::base(), Site::default())
    }
}

/// What goes back to the sender.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reply {
    /// On the same connection; `None` when the sender wants no acknowledgement.
    pub first: Option<Vec<u8>>,
    /// A message of its own after it (enhanced mode).
    pub second: Option<Vec<u8>>,
    /// How it ended, for the HTTP status and the counters.
    pub state: State,
}

/// How a message ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum State {
    /// Its resources are committed.
    Applied,
    /// Answered positively, nothing to do by rule.
    Filtered,
    /// The first answer was repeated.
    Duplicate,
    /// Kept for an operator.
    Quarantined,
    /// Would fail again unchanged.
    Rejected,
    /// Not decided: the gateway cannot store now, the sender must try again.
    #[default]
    Deferred,
}

/// Receives one message, or every message of a batch, for the sender behind `principal`.
///
/// Never fails: what goes wrong is in the reply. A positive acknowledgement is made only after the commit.
pub async fn receive(app: &App, desk: &Desk, bytes: &[u8], principal: &Principal) -> Reply {
    app.metrics.messages_received.add(1);
    let reply = receive_all(app, desk, bytes, principal).await;
    if !matches!(reply.state, State::Applied | State::Filtered | State::Duplicate) {
        app.metrics.messages_errors.add(1);
    }
    reply
}

async fn receive_all(app: &App, desk: &Desk, bytes: &[u8], principal: &Principal) -> Reply {
    let batch = batch::split(bytes);
    if !batch.is_enveloped && batch.messages.len() <= 1 {
        return one(app, desk, bytes, principal).await;
    }
    let mut answers = Vec::with_capacity(batch.messages.len());
    let mut state = State::Applied;
    for range in &batch.messages {
        let reply = one(app, desk, &bytes[range.clone()], principal).await;
        if matches!(reply.state, State::Deferred | State::Quarantined | State::Rejected) {
            state = reply.state;
        }
        answers.extend(reply.first);
    }
    let (id, time) = stamp();
    Reply { first: Some(batch::acknowledge(&batch, &answers, &id, &time)), second: None, state }
}

async fn one(app: &App, desk: &Desk, bytes: &[u8], principal: &Principal) -> Reply {
    let header = Header::read(bytes);
    let message = Message::of(bytes, header.as_ref());
    match process(app, desk, &message, principal).await {
        Ok(reply) => reply,
        Err(fault) => {
            tracing::warn!(
                message.state = "deferred",
                fault.status = fault.status(),
                "a message could not be stored; the sender is asked to try again"
            );
            let error = AckError {
                place: None,
                code: APPLICATION_ERROR.to_owned(),
                severity: Severity::Error,
                text: fault.to_string(),
            };
            let code = match fault.kind.answer().msa1 {
                "AR" => AckCode::ApplicationReject,
                _ => AckCode::ApplicationError,
            };
            let (id, time) = stamp();
            let first = acknowledge(message.header, code, &[error], &id, &time);
            Reply { first: Some(first), second: None, state: State::Deferred }
        }
    }
}

/// One message with its identity.
pub(crate) struct Message<'m> {
    pub(crate) bytes: &'m [u8],
    pub(crate) header: Option<&'m Header>,
    /// Sending application and facility.
    pub(crate) sender: String,
    /// MSH-10, as far as it is printable: what an operator finds the message by.
    pub(crate) control_id: String,
    /// MSH-10 and a part of the bytes' hash: another message under a used control id is another message.
    pub(crate) identity: String,
}

impl<'m> Message<'m> {
    fn of(bytes: &'m [u8], header: Option<&'m Header>) -> Self {
        let digest = hex::encode(Sha256::digest(bytes));
        let text = |field: &[u8]| {
            String::from_utf8_lossy(field).chars().take(NAME_CHARS_MAX).collect::<String>()
        };
        let sender = header.map_or_else(String::new, |h| {
            let (application, facility) = h.sender();
            format!("hl7v2:{}|{}", text(application), text(facility))
        });
        let control_id = header.map_or_else(String::new, |h| text(h.control_id()));
        let identity = format!("{control_id}#{digest}");
        let control_id = control_id.replace(|c: char| c.is_control(), " ").trim().to_owned();
        Self { bytes, header, sender, control_id, identity }
    }

    /// A field of MSH as an operator reads it: printable, of limited length.
    pub(crate) fn field(&self, number: usize) -> String {
        let field = self.header.map_or(b"".as_slice(), |header| header.field(number));
        let text = String::from_utf8_lossy(field).replace(char::is_control, " ");
        text.trim().chars().take(NAME_CHARS_MAX).collect()
    }

    /// Type, event and structure of MSH-9 for the log, without anything else that a sender might write there.
    pub(crate) fn kind(&self) -> String {
        let is_plain = |c: &char| c.is_ascii_uppercase() || c.is_ascii_digit() || "^_".contains(*c);
        self.field(9).chars().filter(is_plain).collect()
    }

    /// Id of the request in outcomes and access records: free of what the sender wrote.
    pub(crate) fn request_id(&self) -> String {
        let digest = self.identity.rsplit('#').next().unwrap_or_default();
        format!("hl7v2-{}", &digest[..digest.len().min(16)])
    }
}

async fn process(
    app: &App,
    desk: &Desk,
    message: &Message<'_>,
    principal: &Principal,
) -> Answered<Reply> {
    if let Some(answer) = app.store.first_answer(&message.sender, &message.identity).await? {
        return Ok(repeat(answer));
    }
    desk.device.get_or_try_init(|| record::store_device(app, principal)).await?;
    let raw = record::raw_reference(message);
    let recorded = clock::now().to_string();
    let device = record::DEVICE;
    let source = Source { raw: &raw, recorded: &recorded, device };
    let site = desk.site_of(app, message);
    let context = Context { site: &site, source: Some(source) };
    let converted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        convert(message.bytes, &context, &desk.rules)
    }));
    let mut converted = converted;
    let follows = match &mut converted {
        Ok(Ok(conversion)) => survivor::follow(app, conversion, principal).await?,
        _ => true,
    };
    let patient = converted.as_ref().ok().and_then(|converted| patient(converted.as_ref().ok()?));
    record::store_raw(app, message, &raw, patient, principal).await?;
    let Ok(converted) = converted else {
        tracing::error!(message.state = "quarantined", "a conversion panicked");
        let trouble = Trouble {
            state: State::Quarantined,
            slug: "conversion-failed",
            place: None,
            code: APPLICATION_ERROR.to_owned(),
            text: "the conversion failed; an operator has the message".to_owned(),
        };
        return refuse(app, message, &raw, trouble, principal).await;
    };
    match converted {
        Ok(_) if !follows => not_converted(app, message, &raw, &cycle(), principal).await,
        Ok(conversion) => applied(app, message, &raw, conversion, principal).await,
        Err(error) => not_converted(app, message, &raw, &error, principal).await,
    }
}

async fn applied(
    app: &App,
    message: &Message<'_>,
    raw: &str,
    mut conversion: Conversion,
    principal: &Principal,
) -> Answered<Reply> {
    app.metrics.messages_left_over.add(conversion.account.totals().left_over as u64);
    let lost = lost(&conversion);
    let warnings = warned(message, &lost);
    let older = older(message, &conversion);
    let make = |is_stale: bool| {
        let older = older.iter().filter(|_| is_stale);
        let all: Vec<AckError> = older.chain(&warnings).cloned().collect();
        answer(message, Verdict::Accepted, &all)
    };
    match apply::apply(app, message, &mut conversion, &make, principal).await {
        Ok(Applied::Now(answer)) => {
            log(message, raw, &lost);
            Ok(reply(answer, State::Applied))
        }
        Ok(Applied::Before(first)) => Ok(repeat(first)),
        Ok(Applied::Cycle) => not_converted(app, message, raw, &cycle(), principal).await,
        Err(fault) if is_content(&fault) => {
            let trouble = Trouble {
                state: State::Quarantined,
                slug: "not-storable",
                place: None,
                code: APPLICATION_ERROR.to_owned(),
                text: fault.to_string(),
            };
            refuse(app, message, raw, trouble, principal).await
        }
        Err(fault) => Err(fault),
    }
}

fn cycle() -> ConvertError {
    ConvertError::new(Reason::MergeCycle, "the merge would close a circle of patients")
}

/// The patient that a message is about.
fn patient(conversion: &Conversion) -> Option<&str> {
    let drafts = conversion.drafts.iter();
    let mut patients = drafts.filter(|draft| draft.resource_type == "Patient");
    patients.next().map(|draft| draft.id.as_str())
}

/// Why a message was not applied, in the form of its Task and acknowledgement.
pub(crate) struct Trouble {
    pub(crate) state: State,
    pub(crate) slug: &'static str,
    pub(crate) place: Option<mediator::Place>,
    pub(crate) code: String,
    pub(crate) text: String,
}

async fn not_converted(
    app: &App,
    message: &Message<'_>,
    raw: &str,
    error: &ConvertError,
    principal: &Principal,
) -> Answered<Reply> {
    let state = match error.disposition() {
        Disposition::Filtered => {
            // Answering an acknowledgement would make two systems talk for ever.
            let answer = match error.reason {
                Reason::AcknowledgementReceived => Vec::new(),
                _ => answer(message, Verdict::Accepted, &[]),
            };
            record::remember(app, message, &answer, principal).await?;
            return Ok(reply(answer, State::Filtered));
        }
        Disposition::Quarantined => State::Quarantined,
        Disposition::Rejected => State::Rejected,
    };
    let trouble = Trouble {
        state,
        slug: error.reason.slug(),
        place: error.place,
        code: error.reason.table_0357().to_owned(),
        text: error.text.clone(),
    };
    refuse(app, message, raw, trouble, principal).await
}

/// Commits the Task and the message's identity, then answers negatively.
async fn refuse(
    app: &App,
    message: &Message<'_>,
    raw: &str,
    trouble: Trouble,
    principal: &Principal,
) -> Answered<Reply> {
    let verdict = match trouble.state {
        State::Rejected => Verdict::Reject,
        _ => Verdict::Error,
    };
    let error = AckError {
        place: trouble.place,
        code: trouble.code.clone(),
        severity: Severity::Error,
        text: trouble.text.clone(),
    };
    let answer = answer(message, verdict, &[error]);
    if let Some(first) = record::store_task(app, message, raw, &trouble, &answer, principal).await?
    {
        return Ok(repeat(first));
    }
    tracing::warn!(
        message.id = message.request_id(),
        message.kind = message.kind(),
        message.reason = trouble.slug,
        message.place = trouble.place.map(tracing::field::display),
        "an HL7 v2 message was not applied; see {}",
        record::task_reference(raw)
    );
    Ok(reply(answer, trouble.state))
}

/// Base URL of the submissions that messages become; their references are relative.
pub(crate) fn base(app: &App) -> String {
    app.hosts.bases("localhost")
}

pub(crate) fn idempotency(message: &Message<'_>, answer: &[u8]) -> Idempotency {
    Idempotency {
        sender: message.sender.clone(),
        control_id: message.identity.clone(),
        answer: answer.to_vec(),
    }
}

/// A fault of the content: trying again unchanged would fail again.
fn is_content(fault: &Fault) -> bool {
    matches!(
        fault.kind,
        FaultKind::Invalid | FaultKind::Unprocessable | FaultKind::Conflict | FaultKind::TooLarge
    )
}

/// HL7 table 0357: application internal error.
const APPLICATION_ERROR: &str = "207";
/// Characters of a name or control id that are kept in an identity.
const NAME_CHARS_MAX: usize = 60;
