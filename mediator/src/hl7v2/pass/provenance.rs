//! One Provenance per message: which resources came from which stored source, by which rules.

use crate::{
    hl7v2::work::{Building, Work},
    json::{Json, Object},
    stable_id::stable_id,
};

/// What the caller knows about the message.
pub(crate) struct Source<'a> {
    /// Reference to the stored raw message, such as `Binary/…`.
    pub(crate) raw: &'a str,
    /// When the gateway received it, a FHIR instant.
    pub(crate) recorded: &'a str,
    /// Reference to the gateway's Device.
    pub(crate) device: &'a str,
}

/// The Provenance of everything drafted so far.
pub(crate) fn draft<'m>(
    work: &Work<'m>,
    source: &Source<'m>,
    occurred: Option<Json<'m>>,
    message_type: &str,
) -> Building<'m> {
    let mut draft = Building::new("Provenance", stable_id("Provenance", &[source.raw]));
    let rules = Object::new()
        .with("url", Json::text(RULE_SET))
        .with("valueString", Json::text(work.rules.hash().to_string()));
    draft.body.push("extension", Json::Object(rules));
    for target in &work.drafts {
        draft.body.append("target", target.reference());
    }
    if let Some(occurred) = occurred {
        draft.body.set("occurredDateTime", occurred);
    }
    draft.body.set("recorded", Json::text(source.recorded));
    let (_, event) = message_type.split_once('^').unwrap_or((message_type, ""));
    let coding = Object::new()
        .with("system", Json::text("http://terminology.hl7.org/CodeSystem/v2-0003"))
        .with("code", Json::text(event.to_owned()));
    let activity = Object::new()
        .with("coding", Json::List(vec![Json::Object(coding)]))
        .with("text", Json::text(message_type.to_owned()));
    draft.body.set("activity", Json::Object(activity));
    let assembler = super::admission::coding(
        "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
        "assembler",
    );
    let device = Object::new().with("reference", Json::text(source.device));
    let agent = Object::new().with("type", assembler).with("who", Json::Object(device));
    draft.body.push("agent", Json::Object(agent));
    let what = Object::new().with("reference", Json::text(source.raw));
    let entity = Object::new().with("role", Json::text("source")).with("what", Json::Object(what));
    draft.body.push("entity", Json::Object(entity));
    draft
}

/// Extension that names the rule set which made the targets.
pub(crate) const RULE_SET: &str = "https://sealway.org/fhir/StructureDefinition/rule-set";
