//! A conversion joined with what is stored, committed as one transaction.

use fhir::{ResourceKey, ResourceType, Tree, VersionId};
use mediator::{Conversion, Draft, Merged, merge};
use policy::{AccessRequest, Principal, decide};

use super::{Message, base, idempotency};
use crate::app::App;
use crate::error::{Answered, Fault, FaultKind};
use crate::http::call::refusal;
use crate::ingest;
use crate::submission::{PostedBundle, Submission};

/// What became of a conversion.
pub(super) enum Applied {
    /// Committed now.
    Now,
    /// Committed before: the answer that was given then.
    Before(Vec<u8>),
    /// A merge would close a circle of patients; nothing was written.
    Cycle,
}

/// Commits what the message asserts.
///
/// # Errors
/// Any [`Fault`]; then nothing was written.
pub(super) async fn apply(
    app: &App,
    message: &Message<'_>,
    conversion: &Conversion,
    answer: &[u8],
    principal: &Principal,
) -> Answered<Applied> {
    for _ in 0..ATTEMPTS_MAX {
        let Some(bundle) = bundle(app, conversion, principal).await? else {
            return Ok(Applied::Cycle);
        };
        let base = base(app);
        let posted = PostedBundle::read(bundle, &base).await?;
        let submission = Submission::transaction(posted, &base, &message.request_id())?
            .idempotent(idempotency(message, answer));
        match ingest::submit(app, submission, principal).await {
            Ok(outcome) => return Ok(outcome.repeated.map_or(Applied::Now, Applied::Before)),
            // Somebody wrote one of the resources meanwhile: join with the newer version.
            Err(fault) if fault.kind == FaultKind::PreconditionFailed => {}
            Err(fault) => return Err(fault),
        }
    }
    Err(Fault::new(FaultKind::Busy, "the patient's resources change too fast; try again"))
}

/// A transaction that puts each joined resource on exactly the version it was joined with; `None` for a circle of merges.
async fn bundle(
    app: &App,
    conversion: &Conversion,
    principal: &Principal,
) -> Answered<Option<Vec<u8>>> {
    let mut out = br#"{"resourceType":"Bundle","type":"transaction","entry":["#.to_vec();
    let mut first = true;
    for draft in &conversion.drafts {
        let key = key(draft)?;
        let stored = stored(app, &key, principal).await?;
        let (version, tree) = match &stored {
            Some((version, tree)) => (Some(*version), Some(tree)),
            None => (None, None),
        };
        let body = match merge(tree, draft) {
            Merged::Write(body) => body,
            Merged::Unchanged | Merged::Stale => continue,
            Merged::Cycle => return Ok(None),
        };
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        out.extend_from_slice(br#"{"resource":"#);
        out.extend_from_slice(&body);
        let condition = match version {
            Some(version) => format!(r#""ifMatch":"W/\"{}\"""#, version.number()),
            None => r#""ifNoneMatch":"*""#.to_owned(),
        };
        let request = format!(r#","request":{{"method":"PUT","url":"{key}",{condition}}}}}"#);
        out.extend_from_slice(request.as_bytes());
    }
    out.extend_from_slice(b"]}");
    if first {
        return Ok(Some(br#"{"resourceType":"Bundle","type":"transaction"}"#.to_vec()));
    }
    Ok(Some(out))
}

fn key(draft: &Draft) -> Answered<ResourceKey> {
    let text = format!("{}/{}", draft.resource_type, draft.id);
    let known = ResourceType::parse(draft.resource_type).and(ResourceKey::parse(&text).ok());
    known.ok_or_else(|| Fault::new(FaultKind::Internal, "a rule drafts no resource of R4"))
}

/// The stored version that a draft is joined with; a tombstone counts as nothing.
async fn stored(
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
    let tree = Tree::parse(bytes.to_vec())
        .map_err(|_| Fault::new(FaultKind::Internal, "a stored version is not JSON"))?;
    Ok(Some((stored.version, tree)))
}

/// How often a message is joined again when others write the same resources.
const ATTEMPTS_MAX: usize = 16;
