//! Operations invoked by entries of bundles.
//!
//! In a batch an entry is a call of its own, made by the same function as one over HTTP. In a transaction there are the
//! operations whose row of the table says as which interaction they take part; any other is refused before anything is
//! written. Not here: the grammar of entries (`crate::invocation`).

use std::sync::Arc;

use actix_web::web::Payload;
use actix_web::{FromRequest, dev};
use bytes::Bytes;

use super::{Operation, find, meta};
use crate::entry::PostedEntry;
use crate::error::{Answered, Fault, FaultKind};
use crate::http::call::Call;
use crate::http::reply::Reply;
use crate::invocation::Invocation;
use crate::submission;

/// Answers an entry of a batch.
///
/// # Errors
/// As the operation; 501 for one that there is not, 405 for a GET of one that changes something.
pub(in crate::http) async fn answer(call: &Call, invoked: Invocation) -> Reply {
    let operation = expect(&invoked)?;
    let entry = call.of_entry(Arc::new(invoked));
    let body = nothing(&entry).await?;
    (operation.run)(entry, body).await
}

/// The entry of a transaction as an interaction, and whether its answer are the labels of the resource.
///
/// # Errors
/// 501 for an operation that does not go into a transaction; else as the operation before it does anything.
pub(in crate::http) async fn in_transaction(
    call: &Call,
    entry: PostedEntry,
) -> Answered<(submission::Operation, bool)> {
    let PostedEntry::Invocation(invoked) = entry else { return Ok((entry.interaction()?, false)) };
    let place = invoked.place();
    let planned = async {
        let operation = expect(&invoked)?;
        let Some(plan) = operation.in_transaction else {
            return PostedEntry::Invocation(invoked.clone()).interaction();
        };
        let at = invoked.entry;
        let entry = call.of_entry(Arc::from(invoked));
        let body = nothing(&entry).await?;
        let verb = plan(entry, body).await?;
        Ok(submission::Operation { verb, entry: at, full_url: None })
    };
    Ok((planned.await.map_err(|fault: Fault| fault.at(&place))?, true))
}

fn expect(invoked: &Invocation) -> Answered<&'static Operation> {
    let found = find(invoked.of, invoked.id.is_some(), &invoked.code);
    let operation = found.ok_or_else(|| {
        let text = format!("there is no operation {} at this place", invoked.name());
        Fault::new(FaultKind::Unsupported, text).at(&format!("{}.request.url", invoked.place()))
    })?;
    if operation.affects_state && !invoked.is_post() {
        let text = format!("{} changes something, so it is asked by POST", invoked.name());
        return Err(Fault::new(FaultKind::MethodNotAllowed, text)
            .at(&format!("{}.request.method", invoked.place())));
    }
    if !operation.affects_state && invoked.if_match.is_some() {
        let text = format!("ifMatch does not go with {}", invoked.name());
        return Err(Fault::new(FaultKind::Invalid, text)
            .at(&format!("{}.request.ifMatch", invoked.place())));
    }
    Ok(operation)
}

/// The labels of a resource that a transaction has read or written.
///
/// # Errors
/// 500 when it is damaged.
pub(in crate::http) fn labels(resource: &[u8]) -> Answered<Bytes> {
    meta::labels(resource).map(Bytes::from)
}

/// A payload for the handler of an entry, whose body is the entry's resource.
async fn nothing(call: &Call) -> Answered<Payload> {
    let made = Payload::from_request(&call.http, &mut dev::Payload::None).await;
    made.map_err(|_| Fault::new(FaultKind::Internal, "the request failed"))
}
