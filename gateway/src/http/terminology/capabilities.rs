//! `GET metadata?mode=terminology` (FHIR R4 terminologycapabilities.html): what the operations know and take.

use fhir::Instant;
use serde_json::{Value, json};
use terminology::builtin_code_systems;

use super::expand;

/// The TerminologyCapabilities. Code systems that are stored here come on top of those listed; who may see them is
/// decided by login, which this page does not need.
pub(in crate::http) fn statement(base: &str, date: Instant) -> Value {
    let mut systems: Vec<&str> = builtin_code_systems().collect();
    systems.sort_unstable();
    let systems: Vec<Value> = systems.into_iter().map(|uri| json!({"uri": uri})).collect();
    let parameters = expand::PARAMETERS.iter().filter(|parameter| parameter.is_done());
    let parameters: Vec<Value> = parameters.map(|one| json!({"name": one.name})).collect();
    json!({
        "resourceType": "TerminologyCapabilities",
        "status": "active",
        "date": date.to_string(),
        "publisher": "Sealway",
        "description": "R4's own code systems are listed; code systems, value sets and concept maps that are stored here are used at once.",
        "kind": "instance",
        "software": {"name": "Sealway", "version": env!("CARGO_PKG_VERSION")},
        "implementation": {"description": "Sealway FHIR gateway", "url": base},
        "lockedDate": false,
        "codeSystem": systems,
        "expansion": {
            "hierarchical": true,
            "paging": true,
            "incomplete": false,
            "parameter": parameters,
            "textFilter": "every word occurs in the display, a designation or the code, without case and diacritics",
        },
        "codeSearch": "all",
        "validateCode": {"translations": true},
        "translation": {"needsMap": true},
        "closure": {"translation": false},
    })
}
