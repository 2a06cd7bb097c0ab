//! Who a resource is about: its compartments, by the parameters that make it a member.
//!
//! Spec: FHIR R4 compartmentdefinition.html and the five `CompartmentDefinition`s of 4.0.1, kept
//! in `fhir-profiles/r4/compartments.txt`. Access is decided on this, so only literal references to
//! this server count; logical and foreign ones make nobody a member. A Binary is in no compartment by
//! definition; it is protected as the patient that its `securityContext` names (binary.html#security).

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::OnceLock;

use crate::{Node, ParsedReference, ResourceId, ResourceKey, ResourceType};

use super::build::compile;
use super::context::Context;
use super::param::{SearchParam, search_param};
use super::program::Program;
use super::run::RESOURCE;
use super::value::{Target, Value};

/// The parameters by which a resource of this type is in a compartment of that type, such as
/// `subject` and `performer` for an Observation and a Patient; none if it never is.
#[must_use]
pub fn compartment_params(
    compartment: ResourceType,
    member: ResourceType,
) -> &'static [&'static SearchParam] {
    let at = usize::from(compartment.code()) << 8 | usize::from(member.code());
    let lines = lines();
    lines.binary_search_by_key(&at, |line| line.0).map_or(&[], |found| &lines[found].1)
}

/// The types that may be in a compartment of that type, itself among them; none if there is no such compartment.
pub fn compartment_members(compartment: ResourceType) -> impl Iterator<Item = ResourceType> {
    let is_member = move |of: &ResourceType| {
        !compartment_params(compartment, *of).is_empty()
            || *of == compartment && is_in_own_compartment(*of)
    };
    ResourceType::all().filter(is_member)
}

/// Whether resources of the type have compartments; each is in its own.
#[must_use]
pub fn is_in_own_compartment(of: ResourceType) -> bool {
    ResourceType::all().any(|member| !compartment_params(of, member).is_empty())
}

/// Ids of the patients in whose compartments the resource is, each once, in document order.
///
/// `key` is what the resource has or will have: a Patient is in its own compartment.
/// `bases` are this server's own (see [`below_base`](crate::below_base)): a patient is the same one below each.
#[must_use]
pub fn patient_compartment(node: Node<'_>, key: &ResourceKey, bases: &str) -> Vec<ResourceId> {
    let mut patients = Vec::new();
    if key.resource_type == ResourceType::PATIENT {
        patients.push(key.id.clone());
    }
    if key.resource_type == ResourceType::BINARY {
        patients.extend(security_context(node, bases));
        return patients;
    }
    if compartment_params(ResourceType::PATIENT, key.resource_type).is_empty() {
        return patients;
    }
    // A Group may have many members.
    let mut seen: HashSet<Cow<'_, str>> =
        patients.iter().map(|own| own.as_str().to_owned().into()).collect();
    let mut found = Vec::new();
    program(key.resource_type).run(RESOURCE, node, &Context::new(node, bases), &mut found);
    for one in found {
        let Value::Reference(Target::Local { resource_type, id, .. }) = one.value else { continue };
        if resource_type == ResourceType::PATIENT
            && let Ok(patient) = ResourceId::parse(&id)
            && seen.insert(id)
        {
            patients.push(patient);
        }
    }
    patients
}

/// The patient as whom a Binary is protected.
fn security_context(node: Node<'_>, bases: &str) -> Option<ResourceId> {
    let text = node.get("securityContext")?.get("reference")?.as_str()?;
    match ParsedReference::parse(&text, bases) {
        ParsedReference::Local { key, .. } if key.resource_type == ResourceType::PATIENT => {
            Some(key.id)
        }
        _ => None,
    }
}

fn program(of: ResourceType) -> &'static Program {
    static PROGRAMS: [OnceLock<Program>; 256] = [const { OnceLock::new() }; 256];
    PROGRAMS[usize::from(of.code())].get_or_init(|| {
        let params = compartment_params(ResourceType::PATIENT, of);
        compile(of, params.iter().copied()).expect("a test compiles every expression of the table")
    })
}

type Line = (usize, Vec<&'static SearchParam>);

fn lines() -> &'static [Line] {
    static LINES: OnceLock<Vec<Line>> = OnceLock::new();
    LINES.get_or_init(|| {
        let lines = COMPARTMENTS.lines().filter(|line| !line.starts_with('#'));
        let mut lines: Vec<Line> = lines
            .map(|line| read_line(line).expect("the committed table is well-formed"))
            .collect();
        lines.sort_by_key(|line| line.0);
        lines
    })
}

fn read_line(line: &str) -> Option<Line> {
    let mut fields = line.split('\t');
    let compartment = ResourceType::parse(fields.next()?)?;
    let member = ResourceType::parse(fields.next()?)?;
    let codes = fields.next()?.split(',').filter(|code| *code != OWNER);
    let params = codes.map(|code| search_param(member, code)).collect::<Option<_>>()?;
    Some((usize::from(compartment.code()) << 8 | usize::from(member.code()), params))
}

/// Stands for the resource whose compartment it is.
const OWNER: &str = "{def}";

pub(super) const COMPARTMENTS: &str = include_str!("../../../fhir-profiles/r4/compartments.txt");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tree;

    fn patients(resource: &str) -> Vec<String> {
        let tree = Tree::parse(resource.as_bytes().to_vec()).unwrap();
        let name = tree.root().get("resourceType").and_then(|name| name.as_str()).unwrap();
        let key = ResourceKey::parse(&format!("{name}/own")).unwrap();
        let found = patient_compartment(tree.root(), &key, "https://here.example/fhir");
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_patient_below_another_base_of_ours_is_the_same_patient() {
        let text = r#"{"resourceType":"Observation","subject":{"reference":"https://here.example/fhir/R4/Patient/1"},
            "performer":[{"reference":"http://10.0.0.5:8080/fhir/Patient/2"},
            {"reference":"https://here.example/fhir/foo/Patient/3"}]}"#;
        let tree = Tree::parse(text.into()).unwrap();
        let key = ResourceKey::parse("Observation/o").unwrap();
        let of = |bases: &str| {
            let found = patient_compartment(tree.root(), &key, bases);
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };

        let bases =
            "https://here.example/fhir https://here.example/fhir/R4 http://10.0.0.5:8080/fhir";
        assert_eq!(of(bases), ["1", "2"]);
        assert_eq!(of("https://here.example/fhir"), [""; 0]);
    }

    fn observation(members: &str) -> Vec<String> {
        patients(&format!(r#"{{"resourceType":"Observation",{members}}}"#))
    }

    #[test]
    fn members_are_found_by_every_parameter_of_the_definition() {
        assert_eq!(observation(r#""subject":{"reference":"Patient/1"}"#), ["1"]);
        assert_eq!(
            observation(
                r#""performer":[{"reference":"Practitioner/9"},{"reference":"Patient/2"},
                {"reference":"Patient/1"}],"subject":{"reference":"Patient/1/_history/4"}"#
            ),
            ["2", "1"]
        );
        assert_eq!(observation(r#""subject":{"reference":"Group/1"}"#), [""; 0]);
        let appointment = r#"{"resourceType":"Appointment","participant":[
            {"actor":{"reference":"Patient/1"}},{"actor":{"reference":"Patient/2"}}]}"#;
        assert_eq!(patients(appointment), ["1", "2"]);
        let condition = r#"{"resourceType":"Condition","subject":{"reference":"Patient/1"}}"#;
        assert_eq!(patients(condition), ["1"]);
        let binary = |reference: &str| {
            let context = format!(r#""securityContext":{{"reference":"{reference}"}}"#);
            patients(&format!(
                r#"{{"resourceType":"Binary","contentType":"text/plain",{context}}}"#
            ))
        };
        assert_eq!(binary("Patient/1"), ["1"]);
        assert_eq!(binary("https://here.example/fhir/Patient/1/_history/2"), ["1"]);
        assert_eq!(binary("https://elsewhere.example/fhir/Patient/1"), [""; 0]);
        assert_eq!(binary("DocumentReference/1"), [""; 0]);
        let event =
            r#"{"resourceType":"AuditEvent","entity":[{"what":{"reference":"Patient/7"}}]}"#;
        assert_eq!(patients(event), ["7"]);
    }

    #[test]
    fn a_group_of_very_many_patients_is_read_in_no_time() {
        let member = |at: usize| format!(r#"{{"entity":{{"reference":"Patient/{}"}}}}"#, at / 2);
        let members: Vec<String> = (0..100_000).map(member).collect();
        let group = format!(r#"{{"resourceType":"Group","member":[{}]}}"#, members.join(","));
        assert_eq!(patients(&group).len(), 50_000);
    }

    #[test]
    fn the_focus_of_an_observation_is_not_whose_it_is() {
        let members = r#""focus":[{"reference":"Patient/2"}],"subject":{"reference":"Patient/1"}"#;
        assert_eq!(observation(members), ["1"]);
    }

    #[test]
    fn only_literal_references_to_this_server_count() {
        let ours = r#""subject":{"reference":"https://here.example/fhir/Patient/1"}"#;
        assert_eq!(observation(ours), ["1"]);
        for other in [
            r#""subject":{"reference":"https://there.example/fhir/Patient/1"}"#,
            r#""subject":{"reference":"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"}"#,
            r##""subject":{"reference":"#p"},"contained":[{"resourceType":"Patient","id":"p"}]"##,
            r#""subject":{"type":"Patient","identifier":{"value":"1"}}"#,
            r#""subject":{"reference":"Patient?identifier=1"}"#,
            r#""subject":{"reference":"Patient/"}"#,
        ] {
            assert_eq!(observation(other), [""; 0], "{other}");
        }
    }

    #[test]
    fn a_patient_is_in_its_own_compartment_and_those_it_is_linked_to() {
        assert_eq!(patients(r#"{"resourceType":"Patient"}"#), ["own"]);
        let linked = r#"{"resourceType":"Patient","link":[{"other":{"reference":"Patient/2"}}]}"#;
        assert_eq!(patients(linked), ["own", "2"]);
        assert_eq!(patients(r#"{"resourceType":"Practitioner"}"#), [""; 0]);
    }

    #[test]
    fn every_member_type_compiles_and_every_compartment_is_there() {
        let members = ResourceType::all().filter(|each| {
            !compartment_params(ResourceType::PATIENT, *each).is_empty() && {
                !program(*each).places.is_empty()
            }
        });
        // The Patient compartment of R4 has 66 member types.
        assert_eq!(members.count(), 66);
        for name in ["Device", "Encounter", "Practitioner", "RelatedPerson"] {
            let compartment = ResourceType::parse(name).unwrap();
            assert!(!compartment_params(compartment, ResourceType::OBSERVATION).is_empty());
        }
        assert!(compartment_params(ResourceType::OBSERVATION, ResourceType::PATIENT).is_empty());
        let compartments: Vec<_> =
            ResourceType::all().filter(|of| is_in_own_compartment(*of)).collect();
        let names: Vec<_> = compartments.iter().map(|of| of.name()).collect();
        assert_eq!(names, ["Device", "Encounter", "Patient", "Practitioner", "RelatedPerson"]);
        assert_eq!(compartment_members(ResourceType::PATIENT).count(), 66);
        assert!(compartment_members(ResourceType::ENCOUNTER).any(|of| of.name() == "Encounter"));
        assert_eq!(compartment_members(ResourceType::OBSERVATION).count(), 0);
    }
}
