//! AuditEvents of the gateway's own making, in the form of IHE BALP.
//!
//! Spec: FHIR R4 AuditEvent; IHE Basic Audit Log Patterns 1.1 (read, query, create, update, delete).
//! Not here: where access records are kept (`registry::access`).

use fhirbolt::model::r4::Resource;
use fhirbolt::model::r4::resources::{
    AuditEvent as Typed, AuditEventAgent, AuditEventAgentNetwork, AuditEventEntity,
    AuditEventSource,
};
use fhirbolt::model::r4::types::{
    Base64Binary, Boolean, Code, CodeableConcept, Coding, Id, Instant, Reference, String as Text,
    Uri,
};

use crate::check::TypedError;

/// What was done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AuditInteraction {
    /// Read of the current version.
    Read,
    /// Read of one version.
    VersionRead,
    /// History at any level.
    History,
    /// Search.
    Search,
    /// Create.
    Create,
    /// Update.
    Update,
    /// Patch.
    Patch,
    /// Delete.
    Delete,
    /// A batch, transaction or message.
    Transaction,
    /// Anything else.
    Operation,
}

/// How it ended (AuditEvent.outcome).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AuditOutcome {
    /// 0
    Success,
    /// 4: refused.
    MinorFailure,
    /// 8: failed.
    SeriousFailure,
}

/// One access, as far as an AuditEvent tells it.
#[derive(Clone, Debug)]
pub struct AuditEvent {
    /// Logical id of the event.
    pub id: std::string::String,
    /// RFC 3339 instant.
    pub recorded: std::string::String,
    /// What was done.
    pub interaction: AuditInteraction,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// Who asked: subject of the token.
    pub user: std::string::String,
    /// The user's role, as a code.
    pub role: std::string::String,
    /// The client application.
    pub client: std::string::String,
    /// Network address of the client; empty when unknown.
    pub address: std::string::String,
    /// Name of this gateway.
    pub observer: std::string::String,
    /// Id of the request (`X-Request-Id`).
    pub request_id: std::string::String,
    /// Resources touched, as `Type/id` or `Type/id/_history/n`.
    pub resources: Vec<std::string::String>,
    /// Patients whose data was touched, as `Patient/id`.
    pub patients: Vec<std::string::String>,
    /// The raw query of a search.
    pub query: Option<std::string::String>,
}

/// JSON of the event, without insignificant space.
///
/// # Errors
/// [`TypedError`] when the model cannot be serialised: a broken invariant of this function.
pub fn audit_event_json(event: &AuditEvent) -> Result<Vec<u8>, TypedError> {
    let pattern = Pattern::of(event.interaction);
    let typed = Typed {
        r#id: Some(Id { value: Some(event.id.clone()), ..Id::default() }),
        r#type: Box::new(coding(AUDIT_TYPE, "rest", "RESTful Operation")),
        r#subtype: vec![coding(RESTFUL, pattern.subtype, pattern.subtype)],
        r#action: Some(code(pattern.action)),
        r#recorded: Instant { value: Some(event.recorded.clone()), ..Instant::default() },
        r#outcome: Some(code(outcome_code(event.outcome))),
        r#agent: agents(event, &pattern),
        r#source: AuditEventSource {
            r#observer: Box::new(display(&event.observer)),
            r#type: vec![coding(SOURCE_TYPE, "4", "Application Server")],
            ..AuditEventSource::default()
        },
        r#entity: entities(event),
        ..Typed::default()
    };
    let resource = Resource::AuditEvent(Box::new(typed));
    fhirbolt::json::to_vec(&resource, None).map_err(|e| TypedError::from_serialiser(&e))
}

/// BALP's codes for one interaction.
struct Pattern {
    subtype: &'static str,
    action: &'static str,
    client_type: (&'static str, &'static str),
    server_type: (&'static str, &'static str),
}

impl Pattern {
    fn of(interaction: AuditInteraction) -> Self {
        let source = ("110153", "Source Role ID");
        let destination = ("110152", "Destination Role ID");
        let (subtype, action, client_type, server_type) = match interaction {
            AuditInteraction::Read => ("read", "R", destination, source),
            AuditInteraction::VersionRead => ("vread", "R", destination, source),
            AuditInteraction::History => ("history", "R", destination, source),
            AuditInteraction::Search => ("search", "E", source, destination),
            AuditInteraction::Create => ("create", "C", source, destination),
            AuditInteraction::Update => ("update", "U", source, destination),
            AuditInteraction::Patch => ("patch", "U", source, destination),
            AuditInteraction::Delete => ("delete", "D", ("110150", "Application"), destination),
            AuditInteraction::Transaction => ("transaction", "E", source, destination),
            AuditInteraction::Operation => ("operation", "E", source, destination),
        };
        Self { subtype, action, client_type, server_type }
    }
}

fn agents(event: &AuditEvent, pattern: &Pattern) -> Vec<AuditEventAgent> {
    let network = (!event.address.is_empty()).then(|| AuditEventAgentNetwork {
        r#address: Some(text(&event.address)),
        r#type: Some(code("2")),
        ..AuditEventAgentNetwork::default()
    });
    let server = AuditEventAgentNetwork {
        r#address: Some(text(&event.observer)),
        r#type: Some(code("1")),
        ..AuditEventAgentNetwork::default()
    };
    vec![
        AuditEventAgent {
            r#type: Some(concept(DICOM, pattern.client_type.0, pattern.client_type.1)),
            r#who: Some(Box::new(display(&event.client))),
            r#requestor: boolean(false),
            network,
            ..AuditEventAgent::default()
        },
        AuditEventAgent {
            r#type: Some(concept(DICOM, pattern.server_type.0, pattern.server_type.1)),
            r#who: Some(Box::new(display(&event.observer))),
            r#requestor: boolean(false),
            r#network: Some(server),
            ..AuditEventAgent::default()
        },
        AuditEventAgent {
            r#type: Some(concept(PARTICIPATION, "IRCP", "information recipient")),
            r#role: vec![*concept(ROLE, &event.role, &event.role)],
            r#who: Some(Box::new(display(&event.user))),
            r#requestor: boolean(true),
            ..AuditEventAgent::default()
        },
    ]
}

fn entities(event: &AuditEvent) -> Vec<AuditEventEntity> {
    let mut entities = vec![AuditEventEntity {
        r#what: Some(Box::new(identified(&event.request_id))),
        r#type: Some(Box::new(coding(BALP_ENTITY, "XrequestId", "X-Request-Id"))),
        ..AuditEventEntity::default()
    }];
    entities.extend(event.resources.iter().map(|reference| AuditEventEntity {
        r#what: Some(Box::new(literal(reference))),
        r#type: Some(Box::new(coding(OBJECT_TYPE, "2", "System Object"))),
        r#role: Some(Box::new(coding(OBJECT_ROLE, "4", "Domain Resource"))),
        ..AuditEventEntity::default()
    }));
    entities.extend(event.patients.iter().map(|reference| AuditEventEntity {
        r#what: Some(Box::new(literal(reference))),
        r#type: Some(Box::new(coding(OBJECT_TYPE, "1", "Person"))),
        r#role: Some(Box::new(coding(OBJECT_ROLE, "1", "Patient"))),
        ..AuditEventEntity::default()
    }));
    if let Some(query) = &event.query {
        entities.push(AuditEventEntity {
            r#type: Some(Box::new(coding(OBJECT_TYPE, "2", "System Object"))),
            r#role: Some(Box::new(coding(OBJECT_ROLE, "24", "Query"))),
            r#query: Some(Base64Binary {
                value: Some(base64(query.as_bytes())),
                ..Base64Binary::default()
            }),
            ..AuditEventEntity::default()
        });
    }
    entities
}

fn outcome_code(outcome: AuditOutcome) -> &'static str {
    match outcome {
        AuditOutcome::Success => "0",
        AuditOutcome::MinorFailure => "4",
        AuditOutcome::SeriousFailure => "8",
    }
}

fn text(value: &str) -> Text {
    Text { value: Some(value.to_owned()), ..Text::default() }
}

fn code(value: &str) -> Code {
    Code { value: Some(value.to_owned()), ..Code::default() }
}

fn boolean(value: bool) -> Boolean {
    Boolean { value: Some(value), ..Boolean::default() }
}

fn coding(system: &str, value: &str, name: &str) -> Coding {
    Coding {
        r#system: Some(Uri { value: Some(system.to_owned()), ..Uri::default() }),
        r#code: Some(code(value)),
        r#display: Some(text(name)),
        ..Coding::default()
    }
}

fn concept(system: &str, value: &str, name: &str) -> Box<CodeableConcept> {
    Box::new(CodeableConcept {
        r#coding: vec![coding(system, value, name)],
        ..CodeableConcept::default()
    })
}

fn display(name: &str) -> Reference {
    Reference { r#display: Some(text(name)), ..Reference::default() }
}

fn literal(reference: &str) -> Reference {
    Reference { r#reference: Some(text(reference)), ..Reference::default() }
}

fn identified(value: &str) -> Reference {
    let identifier = fhirbolt::model::r4::types::Identifier {
        r#value: Some(text(value)),
        ..fhirbolt::model::r4::types::Identifier::default()
    };
    Reference { r#identifier: Some(Box::new(identifier)), ..Reference::default() }
}

/// RFC 4648 section 4, with padding.
fn base64(bytes: &[u8]) -> std::string::String {
    let mut out = std::string::String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| (word << 8) | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let sextet = (word >> (18 - 6 * place)) & 63;
            let sign = if place > chunk.len() { '=' } else { ALPHABET[sextet as usize] as char };
            out.push(sign);
        }
    }
    out
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const AUDIT_TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-event-type";
const RESTFUL: &str = "http://hl7.org/fhir/restful-interaction";
const SOURCE_TYPE: &str = "http://terminology.hl7.org/CodeSystem/security-source-type";
const OBJECT_TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
const OBJECT_ROLE: &str = "http://terminology.hl7.org/CodeSystem/object-role";
const BALP_ENTITY: &str = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType";
const DICOM: &str = "http://dicom.nema.org/resources/ontology/DCM";
const PARTICIPATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
const ROLE: &str = "urn:sealway:role";

#[cfg(test)]
mod tests {
    use super::*;

    fn search_event() -> AuditEvent {
        AuditEvent {
            id: "e1".into(),
            recorded: "2026-11-21T10:00:00.000000Z".into(),
            interaction: AuditInteraction::Search,
            outcome: AuditOutcome::Success,
            user: "dr-kim".into(),
            role: "clinician".into(),
            client: "viewer".into(),
            address: "127.0.0.1".into(),
            observer: "gateway-a".into(),
            request_id: "r1".into(),
            resources: vec!["Observation/o1".into()],
            patients: vec!["Patient/p1".into()],
            query: Some("code=8302-2".into()),
        }
    }

    #[test]
    fn a_search_is_told_with_its_query_its_patient_and_its_agents() {
        let json = audit_event_json(&search_event()).expect("serialises");

        let text = std::string::String::from_utf8(json.clone()).expect("utf-8");
        crate::check_json(&json).expect("the model reads what it wrote");
        assert!(text.contains(r#""action":"E""#), "{text}");
        assert!(text.contains(r#""query":"Y29kZT04MzAyLTI=""#), "{text}");
        assert!(text.contains(r#""reference":"Patient/p1""#), "{text}");
        assert_eq!(text.matches(r#""requestor":true"#).count(), 1);
    }

    #[test]
    fn base64_follows_the_vectors_of_rfc_4648() {
        let vectors =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")];
        for (plain, coded) in vectors {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
