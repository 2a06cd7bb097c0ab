//! Which Subscriptions are stored: those that expect no notification.
//!
//! Spec: FHIR R4 subscription.html, "Creating a Subscription": a client asks with `requested`, and a server that will notify
//! makes it `active`. Nothing here notifies, so what would stand for ever as if it did is refused.
//! Not here: what a Subscription must hold (`fhir`, `profile`).

use fhir::{IssueType, Node};

use crate::error::{Answered, Fault, FaultKind};

/// Refuses a Subscription that is, or asks to be, active.
///
/// # Errors
/// 422 `business-rule` at its status.
pub(crate) fn expect_silent(resource: Node<'_>) -> Answered<()> {
    let status = resource.get("status").and_then(Node::as_str);
    if !status.is_some_and(|status| matches!(&*status, "requested" | "active")) {
        return Ok(());
    }
    let mut fault = Fault::new(FaultKind::Unprocessable, SENDS_NOTHING);
    fault.issues.iter_mut().for_each(|issue| issue.code = IssueType::BusinessRule);
    Err(fault.placed("Subscription.status"))
}

/// What clients are told, here and in the CapabilityStatement.
pub(crate) const SENDS_NOTHING: &str = "no notifications are sent here: a Subscription is taken with status off or error, not requested or active";
