//! `POST [base]`: batch and transaction (FHIR R4 http.html#transaction).
//!
//! A transaction is one submission, all or nothing; a batch is one submission an entry, each for itself, several
//! at a time. The reads of a transaction are answered by its commit, after its writes. Responses stand in the order of the entries.
//! Not here: the order of writes and the references between entries (`plan`, `prepare`).

use std::cell::Cell;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::body::MessageBody;
use actix_web::http::header::LOCATION;
use actix_web::web::Payload;
use fhir::{BundleKind, Method, Tree, first_base};
use futures::StreamExt;
use policy::{AccessRequest, Principal};

use super::bundle::Writer;
use super::call::Call;
use super::delete::{self, ATTEMPTS_MAX};
use super::deletions;
use super::entry_read;
use super::line;
use super::operation::invoked;
use super::prefer::Return;
use super::reply::{self, Reply};
use crate::entry::PostedEntry;
use crate::error::{Answered, Fault, FaultKind};
use crate::ingest::Written;
use crate::invocation::Invocation;
use crate::limits::{ANSWER_BYTES_MAX, BATCH_PARALLEL_MAX};
use crate::outcome;
use crate::posted::PostedBundle;
use crate::submission::{Operation, Submission, Verb};
use crate::telemetry::metrics::Interaction;

/// Applies a posted bundle.
///
/// # Errors
/// 400, 401, 403, 412, 413, 415, 422, 429, 503; for a batch only what concerns the bundle as a whole.
pub async fn post(call: Call, payload: Payload) -> Reply {
    let call = call.as_interaction(Interaction::Bundle)?;
    call.expect_no_parameters()?;
    let (principal, _) = call.permit(&AccessRequest::Bundle).await?;
    let body = call.json_body(payload, call.app.config.server.bundle_bytes_max).await?;
    let base = call.bases();
    let posted = PostedBundle::read(body, &base, call.is_lenient()).await?;
    match posted.kind {
        BundleKind::Transaction => transaction(&call, posted, &base, &principal).await,
        BundleKind::Batch => batch(&call, posted, &base, &principal).await,
        _ => Err(Fault::new(
            FaultKind::Invalid,
            "only bundles of type batch or transaction are posted to the base",
        )
        .at("Bundle.type")),
    }
}

async fn transaction(
    call: &Call,
    posted: PostedBundle,
    base: &str,
    principal: &Principal,
) -> Reply {
    let mut entries = Vec::with_capacity(posted.entries.len());
    for entry in posted.entries {
        let (operation, labels) = invoked::in_transaction(call, entry?).await?;
        entries.push((operation, if labels { Shown::Labels } else { Shown::Itself }));
    }
    let looks_up = entries.iter().any(|(operation, _)| deletions::may_spread(call, operation));
    let (document, mut attempt) = (posted.document, 0);
    loop {
        match once(call, &document, &entries, base, principal).await {
            // What was to be deleted has changed meanwhile: what matches now goes.
            Err(fault) if fault.status() == 412 && looks_up && attempt < ATTEMPTS_MAX => {
                attempt += 1;
            }
            done => return done,
        }
    }
}

async fn once(
    call: &Call,
    document: &Arc<Tree>,
    entries: &[(Operation, Shown)],
    base: &str,
    principal: &Principal,
) -> Reply {
    let (mut parts, mut shown) = (Vec::with_capacity(entries.len()), Vec::new());
    for (operation, how) in entries {
        let spread = deletions::spread(call, principal, operation, &mut parts).await;
        spread.map_err(|fault| fault.at(&format!("Bundle.entry[{}]", operation.entry)))?;
        let new = &parts[shown.len()..];
        shown.extend(new.iter().map(|part| part.deletions.map_or(*how, Shown::Deletions)));
    }
    let operations = parts.into_iter().map(|part| part.operation).collect();
    let submission =
        Submission::of_entries(Arc::clone(document), operations, base, &call.request_id);
    let mut reads = Vec::with_capacity(submission.operations().len());
    for (at, operation) in submission.operations().iter().enumerate() {
        reads.push(match &operation.verb {
            Verb::Read(read) => {
                let planned = entry_read::plan(call, read, principal).await;
                Some(planned.map_err(|fault| submission.placed(at, fault))?)
            }
            _ => None,
        });
    }
    let asked = reads.iter().flatten().map(|read| read.asked.clone()).collect();
    let outcome = call.submit(submission.reading(asked), principal).await?;
    let left = Cell::new(ANSWER_BYTES_MAX);
    let mut replies = outcome.replies.into_iter();
    let mut out = Writer::new("transaction-response", None);
    for ((read, written), shown) in reads.into_iter().zip(&outcome.entries).zip(shown) {
        let answer = match (read, left.get()) {
            (None, _) => match shown.of_written(written, base, (call, &left)) {
                Some(answer) => answer,
                None => continue,
            },
            (Some(_), 0) => EntryAnswer::refused(&full(), &call.request_id),
            (Some(read), _) => {
                let answer = match replies.next() {
                    Some(reply) => read.answer(call, reply).await,
                    None => Err(Fault::new(FaultKind::Internal, "the read has no answer")),
                };
                // The writes are durable: an answer that cannot leave must not make them look undone.
                let answer = answer.and_then(|answer| shown.of_read(answer));
                let answer = answer.and_then(|answer| counted(answer, &left));
                answer.unwrap_or_else(|fault| EntryAnswer::refused(&fault, &call.request_id))
            }
        };
        answer.write(&mut out);
    }
    Ok(reply::json(call, 200, out.finish()))
}

/// How an entry of a transaction is answered.
#[derive(Clone, Copy)]
enum Shown {
    /// As the interaction that it is.
    Itself,
    /// By the labels of its resource: an operation `$meta…`.
    Labels,
    /// As this many deletions; not at all when they are told by another.
    Deletions(usize),
}

impl Shown {
    fn of_written(
        self,
        written: &Written,
        base: &str,
        (call, left): (&Call, &Cell<usize>),
    ) -> Option<EntryAnswer> {
        let answer = match self {
            Self::Deletions(0) => return None,
            Self::Deletions(count) => return Some(EntryAnswer::of_deletions(count, call)),
            Self::Itself | Self::Labels => EntryAnswer::of(written, first_base(base), (call, left)),
        };
        if let Self::Itself = self {
            return Some(answer);
        }
        let labels = invoked::labels(&written.body().unwrap_or_default());
        Some(EntryAnswer { full_url: None, resource: labels.ok(), ..answer })
    }

    fn of_read(self, answer: EntryAnswer) -> Answered<EntryAnswer> {
        match (self, &answer.resource) {
            (Self::Labels, Some(resource)) => {
                let resource = Some(invoked::labels(resource)?);
                Ok(EntryAnswer { full_url: None, resource, ..answer })
            }
            _ => Ok(answer),
        }
    }
}

async fn batch(call: &Call, posted: PostedBundle, base: &str, principal: &Principal) -> Reply {
    let PostedBundle { document, entries, .. } = posted;
    let left = Cell::new(ANSWER_BYTES_MAX);
    let answers: Vec<Answered<EntryAnswer>> = futures::stream::iter(entries)
        .map(|entry| one(call, &document, entry, base, principal, &left))
        .buffered(BATCH_PARALLEL_MAX)
        .collect()
        .await;
    let mut out = Writer::new("batch-response", None);
    for answer in line::told_each(&call.http, answers).await {
        let refused = |fault| EntryAnswer::refused(&fault, &call.request_id);
        answer.unwrap_or_else(refused).write(&mut out);
    }
    Ok(reply::json(call, 200, out.finish()))
}

async fn one(
    call: &Call,
    document: &Arc<Tree>,
    entry: Answered<PostedEntry>,
    base: &str,
    principal: &Principal,
    left: &Cell<usize>,
) -> Answered<EntryAnswer> {
    let operation = match entry? {
        PostedEntry::Interaction(operation) => operation,
        PostedEntry::Invocation(invocation) => return invoke(call, *invocation, left).await,
    };
    if let Verb::Read(read) = &operation.verb {
        if left.get() == 0 {
            return Err(full());
        }
        let answer = entry_read::read(call, read, principal).await;
        let place = format!("Bundle.entry[{}]", operation.entry);
        return answer.map_err(|fault| fault.at(&place)).and_then(|answer| counted(answer, left));
    }
    if let Verb::DeleteWhere { resource_type, query, .. } = &operation.verb
        && deletions::is_free(&operation.verb)
    {
        let several = delete::several(call, principal, *resource_type, query).await;
        let place = format!("Bundle.entry[{}]", operation.entry);
        if let Some(count) = several.map_err(|fault| fault.at(&place))? {
            return Ok(EntryAnswer::of_deletions(count, call));
        }
    }
    let submission =
        Submission::batch_entry(Arc::clone(document), operation, base, &call.request_id);
    let outcome = call.submit(submission, principal).await?;
    Ok(EntryAnswer::of(&super::create::only(outcome)?, first_base(base), (call, left)))
}

/// An operation of a batch: its answer is that of a request of its own.
async fn invoke(call: &Call, invocation: Invocation, left: &Cell<usize>) -> Answered<EntryAnswer> {
    if left.get() == 0 {
        return Err(full());
    }
    let (place, head) = (invocation.place(), invocation.method == Method::Head);
    let answered = invoked::answer(call, invocation).await;
    let answer = EntryAnswer::of_response(answered.map_err(|fault| fault.at(&place))?)?;
    let resource = answer.resource.filter(|_| !head);
    counted(EntryAnswer { resource, ..answer }, left)
}

/// An answer, refused once those before it have filled the bundle.
fn counted(answer: EntryAnswer, left: &Cell<usize>) -> Answered<EntryAnswer> {
    let bytes = answer.resource.as_ref().map_or(0, bytes::Bytes::len);
    let fits = left.get().checked_sub(bytes);
    left.set(fits.unwrap_or(0));
    fits.map(|_| answer).ok_or_else(full)
}

fn full() -> Fault {
    Fault::new(FaultKind::Invalid, "the answer is full; read this entry in a request of its own")
}

/// One entry of the response.
pub(super) struct EntryAnswer {
    /// `fullUrl` of its resource.
    pub(super) full_url: Option<String>,
    /// The resource.
    pub(super) resource: Option<bytes::Bytes>,
    /// Its `response` object.
    pub(super) response: Vec<u8>,
}

impl EntryAnswer {
    /// What was written; its content where that is preferred and there is room for it: the write is durable, so a full
    /// answer does not refuse it.
    fn of(written: &Written, base: &str, (call, left): (&Call, &Cell<usize>)) -> Self {
        let status = status_line(written.status);
        let mut response = format!("{{\"status\":\"{status}\"");
        let mut full_url = None;
        if let (Some(key), Some(version), Some(updated)) =
            (&written.key, written.version, written.updated)
        {
            // Types, ids and versions hold no character that JSON escapes; the base is a plain URL.
            response.push_str(&format!(
                ",\"location\":\"{base}/{key}/_history/{version}\",\"etag\":\"W/\\\"{version}\\\"\",\
                 \"lastModified\":\"{updated}\""
            ));
            full_url = Some(format!("{base}/{key}"));
        }
        let wanted = call.returns();
        if let Some(wanted) = wanted {
            call.preferences.returned(wanted);
        }
        let mut resource = None;
        let mut said = (wanted == Some(Return::Outcome)).then_some("done");
        let has_content = written.key.is_some() && written.status != 204;
        if wanted == Some(Return::Representation) && has_content {
            resource = if left.get() > 0 { written.body() } else { None };
            let fits = resource.as_ref().and_then(|body| left.get().checked_sub(body.len()));
            left.set(fits.unwrap_or(0));
            if fits.is_none() {
                resource = None;
                said = Some("done; the answer is full, read this resource in a request of its own");
            }
        }
        if let Some(said) = said {
            let body = outcome::of_success(said, &call.request_id);
            response.push_str(",\"outcome\":");
            response.push_str(&String::from_utf8_lossy(&body));
        }
        response.push('}');
        Self { full_url, resource, response: response.into_bytes() }
    }

    /// Several resources were deleted, as a request of its own is answered.
    fn of_deletions(count: usize, call: &Call) -> Self {
        let mut response =
            format!("{{\"status\":\"{}\",\"outcome\":", status_line(200)).into_bytes();
        response.extend_from_slice(&delete::told(count, call));
        response.push(b'}');
        Self { full_url: None, resource: None, response }
    }

    /// What the handler of an operation answered.
    fn of_response(response: HttpResponse) -> Answered<Self> {
        if let Some(error) = response.error() {
            return Err(match error.as_error::<Fault>() {
                Some(fault) => fault.clone(),
                None => Fault::new(FaultKind::Internal, "the request failed"),
            });
        }
        let mut head =
            format!("{{\"status\":\"{}\"", status_line(response.status().as_u16())).into_bytes();
        if let Some(location) = response.headers().get(LOCATION) {
            head.extend_from_slice(b",\"location\":");
            fhir::write_json_string(location.to_str().unwrap_or_default(), &mut head);
        }
        head.push(b'}');
        let body = response.into_body().try_into_bytes();
        let body = body.map_err(|_| Fault::new(FaultKind::Internal, "the request failed"))?;
        Ok(Self { full_url: None, resource: (!body.is_empty()).then_some(body), response: head })
    }

    /// A refused entry, with its outcome.
    pub(super) fn refused(fault: &Fault, request_id: &str) -> Self {
        let mut response =
            format!("{{\"status\":\"{}\",\"outcome\":", status_line(fault.status())).into_bytes();
        response.extend_from_slice(&outcome::of_fault(fault, request_id));
        response.push(b'}');
        Self { full_url: None, resource: None, response }
    }

    fn write(&self, out: &mut Writer) {
        out.response(self.full_url.as_deref(), self.resource.as_deref(), &self.response);
    }
}

pub(super) fn status_line(status: u16) -> String {
    let reason = actix_web::http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default();
    format!("{status} {reason}")
}
