//! What an operator sees of `Task`: those that the gateway made of messages it did not apply, and nothing else.
//!
//! They hold the reason, the place in the message and what of its MSH finds it, no clinical content; the message itself (`Task.focus`) stays
//! closed. A search gets one more condition, so that counts and pages are of these Tasks only; it may not reach
//! into other resources.
//! Not here: who is an operator (`policy`), how the Tasks are made (`message::record`).

use fhir::{Node, ResourceType, Tree};
use policy::{AccessRequest, Principal};
use registry::search::pairs;

use crate::error::{Answered, Fault, FaultKind};
use crate::message::TASK_STATE;

/// The request, or [`AccessRequest::MessageTasks`] for a caller to whom only that is allowed.
pub(super) fn narrowed(principal: &Principal, request: AccessRequest) -> AccessRequest {
    let of_tasks = match &request {
        AccessRequest::Read(key) => key.resource_type == ResourceType::TASK,
        AccessRequest::Search(resource_type) => *resource_type == ResourceType::TASK,
        _ => false,
    };
    let allows = |request| policy::decide(principal, request).is_ok();
    let narrower = AccessRequest::MessageTasks;
    if of_tasks && !allows(&request) && allows(&narrower) { narrower } else { request }
}

/// A query that finds the gateway's own Tasks only.
///
/// # Errors
/// 403 for a parameter that looks at other resources, 400 for a malformed query.
pub(super) fn limited(query: &str) -> Answered<String> {
    let own = ("business-status".to_owned(), format!("{TASK_STATE}|"));
    let given = pairs(query)?;
    let reaches = |name: &str| {
        name.contains('.')
            || ["_has", "_include", "_revinclude"].iter().any(|p| name.starts_with(p))
    };
    if let Some((name, _)) = given.iter().find(|(name, _)| reaches(name)) {
        let text = format!("an operator may not search by {name:?}: it looks at other resources");
        return Err(Fault::new(FaultKind::Forbidden, text));
    }
    if given.contains(&own) {
        return Ok(query.to_owned());
    }
    let separator = if query.is_empty() { "" } else { "&" };
    Ok(format!("{query}{separator}{}={}", own.0, own.1.replace('|', "%7C")))
}

/// True for a Task that the gateway made of a message.
pub(super) fn is_one(body: &[u8]) -> bool {
    let Ok(tree) = Tree::parse(body.to_vec()) else { return false };
    let codings = tree.root().get("businessStatus").and_then(|status| status.get("coding"));
    let of_us = |coding: Node<'_>| {
        coding.get("system").and_then(Node::as_str).is_some_and(|system| system == TASK_STATE)
    };
    codings.is_some_and(|codings| codings.children().any(of_us))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_gets_the_condition_once_and_may_not_reach_further() {
        let first = limited("_count=5").unwrap();

        assert_eq!(
            first,
            "_count=5&business-status=https://sealway.org/fhir/CodeSystem/message-state%7C"
        );
        assert_eq!(limited(&first).unwrap(), first);
        for query in
            ["patient.name=x", "_has:Task:part-of:code=x", "_include=*", "a=1&%5Finclude=*"]
        {
            assert_eq!(limited(query).unwrap_err().kind, FaultKind::Forbidden, "{query}");
        }
    }
}
