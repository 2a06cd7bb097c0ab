//! A conversion joined with what is stored, committed as one transaction.

use fhir::{ResourceKey, ResourceType, Tree, VersionId};
use mediator::{Conversion, Draft, Merged, is_stale, merge};
use policy::{AccessRequest, Principal, decide};

use super::{Message, base, idempotency, survivor};
use crate::app::App;
use crate::error::{Answered, Fault, FaultKind};
use crate::http::call::refusal;
use crate::ingest;
use crate::posted::PostedBundle;
use crate::submission::Submission;

/// What became of a conversion.
pub(super) enum Applied {
    /// Committed now, with this answer.
    Now(Vec<u8>),
    /// Committed before: the answer that was given then.
    Before(Vec<u8>),
    /// A merge would close a circle of patients; nothing was written.
    Cycle,
}

/// Commits what the message asserts, with the answer that `answer` makes of whether something of it is older than what
/// is stored.
///
/// # Errors
/// Any [`Fault`]; then nothing was written.
pub(super) async fn apply(
    app: &App,
    message: &Message<'_>,
    conversion: &mut Conversion,
    answer: &(dyn Fn(bool) -> Vec<u8> + Sync),
    principal: &Principal,
) -> Answered<Applied> {
    for attempt in 0..ATTEMPTS_MAX {
        // A merge may have been committed meanwhile.
        if attempt > 0 && !survivor::follow(app, conversion, principal).await? {
            return Ok(Applied::Cycle);
        }
        let Some(joined) = join(app, conversion, principal).await? else {
            return Ok(Applied::Cycle);
        };
        let base = base(app);
        let answer = answer(joined.is_stale);
        let posted = PostedBundle::read(joined.bundle(), &base, false).await?;
        let submission = Submission::transaction(posted, &base, &message.request_id())?
            .idempotent(idempotency(message, &answer));
        match ingest::submit(app, submission, principal).await {
            Ok(outcome) => {
                if joined.is_stale && outcome.repeated.is_none() {
                    log_stale(message, conversion);
                }
                return Ok(outcome.repeated.map_or(Applied::Now(answer), Applied::Before));
            }
            // Somebody wrote one of the resources meanwhile: join with the newer version.
            Err(fault) if fault.kind == FaultKind::PreconditionFailed => {}
            Err(fault) => return Err(fault),
        }
    }
    Err(Fault::new(FaultKind::Busy, "the patient's resources change too fast; try again"))
}

fn log_stale(message: &Message<'_>, conversion: &Conversion) {
    tracing::warn!(
        message.id = message.request_id(),
        message.kind = message.kind(),
        message.place = conversion.event_time.map(|(_, place)| tracing::field::display(place)),
        "a message is older than what is stored; what it says otherwise was left out"
    );
}

/// What a conversion becomes beside what is stored.
#[derive(Default)]
struct Joined {
    entries: Vec<Entry>,
    /// Something was left out because what is stored is of a later event.
    is_stale: bool,
    /// Resources of which nothing was written for that reason.
    untouched: Vec<String>,
}

/// One resource to write, on exactly the version it was joined with.
struct Entry {
    key: ResourceKey,
    version: Option<VersionId>,
    body: Vec<u8>,
}

impl Joined {
    /// A transaction of all entries.
    fn bundle(&self) -> Vec<u8> {
        if self.entries.is_empty() {
            return br#"{"resourceType":"Bundle","type":"transaction"}"#.to_vec();
        }
        let mut out = br#"{"resourceType":"Bundle","type":"transaction","entry":["#.to_vec();
        for (n, Entry { key, version, body }) in self.entries.iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            out.extend_from_slice(br#"{"resource":"#);
            out.extend_from_slice(body);
            let condition = match version {
                Some(version) => format!(r#""ifMatch":"W/\"{}\"""#, version.number()),
                None => r#""ifNoneMatch":"*""#.to_owned(),
            };
            let request = format!(r#","request":{{"method":"PUT","url":"{key}",{condition}}}}}"#);
            out.extend_from_slice(request.as_bytes());
        }
        out.extend_from_slice(b"]}");
        out
    }
}

/// Joins every draft with what is stored; `None` for a circle of merges.
async fn join(
    app: &App,
    conversion: &Conversion,
    principal: &Principal,
) -> Answered<Option<Joined>> {
    let mut joined = Joined::default();
    for draft in &conversion.drafts {
        // The Provenance comes last: it is of what the message had a say in.
        let Some(draft) = draft.without_targets(&joined.untouched) else { continue };
        let draft = draft.as_ref();
        let key = key(draft)?;
        // Two records of one message that were merged: the second joins what the first gives.
        if let Some(entry) = joined.entries.iter_mut().find(|entry| entry.key == key) {
            let tree = Tree::parse(entry.body.clone()).map_err(|_| unreadable())?;
            if let Merged::Write(body) = merge(Some(&tree), draft) {
                entry.body = body;
            }
            continue;
        }
        let stored = stored(app, &key, principal).await?;
        let (version, tree) = match &stored {
            Some((version, tree)) => (Some(*version), Some(tree)),
            None => (None, None),
        };
        joined.is_stale |= tree.is_some_and(|tree| is_stale(tree, draft));
        match merge(tree, draft) {
            Merged::Write(body) => joined.entries.push(Entry { key, version, body }),
            Merged::Unchanged => {}
            Merged::Stale => joined.untouched.push(key.to_string()),
            Merged::Cycle => return Ok(None),
        }
    }
    Ok(Some(joined))
}

fn key(draft: &Draft) -> Answered<ResourceKey> {
    let text = format!("{}/{}", draft.resource_type, draft.id);
    let is_stored = ResourceType::parse_stored(draft.resource_type).is_ok();
    let known = ResourceKey::parse(&text).ok().filter(|_| is_stored);
    known.ok_or_else(|| Fault::new(FaultKind::Internal, "a rule drafts no resource of R4"))
}

/// The stored version that a draft is joined with; a tombstone counts as nothing.
///
/// # Errors
/// Any [`Fault`].
pub(super) async fn stored(
    app: &App,
    key: &ResourceKey,
    principal: &Principal,
) -> Answered<Option<(VersionId, Tree)>> {
    let request = AccessRequest::Read(key.clone());
    let permit = decide(principal, &request).map_err(|deny| refusal(principal, &request, &deny))?;
    let Some(stored) = app.store.read(&permit, key).await? else { return Ok(None) };
    if stored.is_tombstone() {
        return Ok(None);
    }
    let bytes = app.payloads.open(&stored).await?;
    let tree = Tree::parse(bytes.to_vec()).map_err(|_| unreadable())?;
    Ok(Some((stored.version, tree)))
}

fn unreadable() -> Fault {
    Fault::new(FaultKind::Internal, "a stored version is not JSON")
}

/// How often a message is joined again when others write the same resources.
const ATTEMPTS_MAX: usize = 16;
