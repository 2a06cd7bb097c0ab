//! When a resource happened: the date by which lists of its type are sorted.
//!
//! It is the lower bound of one date parameter, so that `_sort` by that parameter is the order in
//! which the index keeps the resources anyway. Not here: what takes its place where it is absent.

use std::sync::OnceLock;

use crate::{Node, ResourceType};

use super::build::compile;
use super::context::Context;
use super::param::{ParamId, ParamKind, SearchParam, search_param};
use super::program::Program;
use super::run::RESOURCE;
use super::value::Value;

/// The date parameter by which resources of the type are sorted; `None` for types without a date
/// of their own, such as Patient.
#[must_use]
pub fn sort_param(of: ResourceType) -> Option<ParamId> {
    param(of).map(|param| param.id)
}

/// Lower bound of the resource's sort parameter in microseconds since 1970 UTC, the earliest if it
/// has several values; of a period without a start its end.
#[must_use]
pub fn sort_time(node: Node<'_>, of: ResourceType) -> Option<i64> {
    static PROGRAMS: [OnceLock<Option<Program>>; 256] = [const { OnceLock::new() }; 256];
    let program = PROGRAMS[usize::from(of.code())].get_or_init(|| {
        let param = param(of)?;
        Some(compile(of, [param]).expect("a test compiles every expression of the table"))
    });
    let mut found = Vec::new();
    program.as_ref()?.run(RESOURCE, node, &Context::new(node, ""), &mut found);
    let times = found.iter().filter_map(|one| match one.value {
        Value::Date(range) if range.lo_us == i64::MIN => Some(range.hi_us),
        Value::Date(range) => Some(range.lo_us),
        _ => None,
    });
    times.min()
}

fn param(of: ResourceType) -> Option<&'static SearchParam> {
    let chosen = CODES.iter().find(|(name, _)| *name == of.name());
    let code = chosen.map_or("date", |(_, code)| code);
    search_param(of, code).filter(|param| param.kind == ParamKind::Date)
}

/// Types whose date is not called `date`, or where `date` is another one.
const CODES: [(&str, &str); 35] = [
    ("Account", "period"),
    ("Basic", "created"),
    ("Bundle", "timestamp"),
    ("ChargeItem", "occurrence"),
    ("Claim", "created"),
    ("ClaimResponse", "created"),
    ("Communication", "sent"),
    ("CommunicationRequest", "authored"),
    ("Condition", "recorded-date"),
    ("Contract", "issued"),
    ("CoverageEligibilityRequest", "created"),
    ("CoverageEligibilityResponse", "created"),
    ("DetectedIssue", "identified"),
    ("DeviceRequest", "authored-on"),
    ("DocumentManifest", "created"),
    ("ExplanationOfBenefit", "created"),
    ("Goal", "start-date"),
    ("ImagingStudy", "started"),
    ("Media", "created"),
    ("MedicationAdministration", "effective-time"),
    ("MedicationDispense", "whenhandedover"),
    ("MedicationRequest", "authoredon"),
    ("MedicationStatement", "effective"),
    ("NutritionOrder", "datetime"),
    ("PaymentNotice", "created"),
    ("PaymentReconciliation", "created"),
    ("Provenance", "recorded"),
    ("QuestionnaireResponse", "authored"),
    ("RequestGroup", "authored"),
    ("ServiceRequest", "authored"),
    ("Slot", "start"),
    ("Specimen", "collected"),
    ("Task", "authored-on"),
    ("TestReport", "issued"),
    ("VisionPrescription", "datewritten"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TimeRange, Tree};

    fn time(resource: &str) -> Option<i64> {
        let tree = Tree::parse(resource.as_bytes().to_vec()).unwrap();
        let name = tree.root().get("resourceType").and_then(|name| name.as_str()).unwrap();
        sort_time(tree.root(), ResourceType::parse(&name).unwrap())
    }

    fn start_of(text: &str) -> Option<i64> {
        TimeRange::parse(text).map(|range| range.lo_us)
    }

    #[test]
    fn every_type_named_here_has_that_date_parameter() {
        for (name, code) in CODES {
            let of = ResourceType::parse(name).unwrap();
            assert_eq!(sort_param(of), search_param(of, code).map(|param| param.id), "{name}");
            assert!(sort_param(of).is_some(), "{name}");
        }
        assert_eq!(sort_param(ResourceType::PATIENT), None);
    }

    #[test]
    fn the_time_is_the_lower_bound_of_the_clinical_date() {
        for (resource, expected) in [
            (r#"{"resourceType":"Observation","effectiveDateTime":"2020-05"}"#, "2020-05"),
            (
                r#"{"resourceType":"Encounter","period":{"start":"2020-05-06","end":"2021"}}"#,
                "2020-05-06",
            ),
            (r#"{"resourceType":"Encounter","period":{"end":"2020-12"}}"#, "2021"),
            (
                r#"{"resourceType":"Condition","onsetDateTime":"2019","recordedDate":"2020-01-02"}"#,
                "2020-01-02",
            ),
            (
                r#"{"resourceType":"MedicationRequest","authoredOn":"2020-03-04T00:00:00+02:00"}"#,
                "2020-03-03T22:00:00Z",
            ),
            (r#"{"resourceType":"Procedure","performedPeriod":{"start":"2018-01-01"}}"#, "2018"),
        ] {
            assert_eq!(time(resource), start_of(expected), "{resource}");
        }
        assert_eq!(time(r#"{"resourceType":"Observation","status":"final"}"#), None);
        assert_eq!(time(r#"{"resourceType":"Patient","birthDate":"2000"}"#), None);
    }
}
