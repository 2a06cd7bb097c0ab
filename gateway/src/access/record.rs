//! The access record's own form: JSON with short names, sealed before it is written.
//!
//! The bytes are what the ledger entry commits to, so a field is only ever added, with a default.
//! Not here: the envelope round it (`super`), its form as an AuditEvent (`audit`).

use fhir::{ResourceId, ResourceKey, ResourceType};
use serde::{Deserialize, Serialize};

use crate::telemetry::metrics::Interaction;

/// One access.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Record {
    /// When, in microseconds since 1970 UTC.
    #[serde(rename = "t")]
    pub(crate) at_us: i64,
    /// What was done.
    #[serde(rename = "i")]
    pub(crate) interaction: String,
    /// `sub` of the caller.
    #[serde(rename = "s")]
    pub(crate) subject: String,
    /// `iss` of the caller.
    #[serde(rename = "iss", skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<String>,
    /// The application.
    #[serde(rename = "c", skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<String>,
    /// `jti` of the token.
    #[serde(rename = "j", skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
    /// Role of the caller.
    #[serde(rename = "r")]
    pub(crate) role: String,
    /// Purpose of use.
    #[serde(rename = "p", skip_serializing_if = "Option::is_none")]
    pub(crate) purpose: Option<String>,
    /// Request id.
    #[serde(rename = "x")]
    pub(crate) request_id: String,
    /// Type that was asked for.
    #[serde(rename = "y", skip_serializing_if = "Option::is_none")]
    pub(crate) resource_type: Option<String>,
    /// Resources or versions, as references.
    #[serde(rename = "k", skip_serializing_if = "Vec::is_empty")]
    pub(crate) resources: Vec<String>,
    /// Ids of the patients concerned.
    #[serde(rename = "pt", skip_serializing_if = "Vec::is_empty")]
    pub(crate) patients: Vec<String>,
    /// Raw query.
    #[serde(rename = "q", skip_serializing_if = "Option::is_none")]
    pub(crate) query: Option<String>,
    /// Versions that were sent or made.
    #[serde(rename = "n")]
    pub(crate) count: u64,
    /// HTTP status of a refusal; 0 when it succeeded.
    #[serde(rename = "e", skip_serializing_if = "is_zero")]
    pub(crate) status: u16,
}

impl Record {
    /// The bytes to seal.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers always serialise")
    }

    /// Reads sealed bytes back.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// The record as a resource: `AuditEvent/` and its id in hexadecimal.
pub(crate) fn key(id: &[u8; 16]) -> ResourceKey {
    let id = ResourceId::parse(&hex::encode(id)).expect("hexadecimal digits make an id");
    ResourceKey { resource_type: ResourceType::AUDIT_EVENT, id }
}

/// Word for an interaction, the one of FHIR's `restful-interaction` where there is one.
pub(crate) fn code(interaction: Interaction) -> String {
    match interaction {
        Interaction::Read => "read",
        Interaction::Vread => "vread",
        Interaction::Create => "create",
        Interaction::Update => "update",
        Interaction::Patch => "patch",
        Interaction::Delete => "delete",
        Interaction::History => "history",
        Interaction::Search => "search",
        Interaction::Bundle => "transaction",
        Interaction::Message => "message",
        Interaction::Operation => "operation",
        Interaction::Capabilities => "capabilities",
        Interaction::Other => "denied",
    }
    .to_owned()
}

fn is_zero(status: &u16) -> bool {
    *status == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of docs/formats.md, "Access record".
    const EXAMPLE: &str = r#"{"t":1792000000000000,"i":"read","s":"dev-clinician","iss":"urn:sealway:dev-issuer","c":"sealway-dev","j":"q1","r":"clinician","x":"0a","k":["Patient/ada/_history/1"],"pt":["ada"],"n":1}"#;

    #[test]
    fn the_documented_example_is_what_is_written() {
        let record = Record::parse(EXAMPLE.as_bytes()).unwrap();

        assert_eq!(String::from_utf8(record.to_bytes()).unwrap(), EXAMPLE);
        assert_eq!(record.patients, ["ada"]);
    }
}
