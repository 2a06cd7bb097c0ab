//! A second opinion on a resource's shape, from an independent model.
//!
//! Confirms known elements, required elements and one choice each; says nothing on codes, dates,
//! ids, maxima and invariants.

use fhirbolt::model::r4::Resource;
use fhirbolt::serde::{DeserializationConfig, DeserializationMode};

/// The typed model refuses the resource; the text names no value of it.
#[derive(Debug, thiserror::Error)]
#[error("typed model: {0}")]
pub struct TypedError(String);

impl TypedError {
    pub(crate) fn from_serialiser(error: &dyn std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Reads `json` strictly into the typed model and drops it.
///
/// `json` must have passed the strict reader: an empty array would panic inside the model.
///
/// # Errors
/// [`TypedError`] when an element is unknown, missing, or given twice.
pub fn check_json(json: &[u8]) -> Result<(), TypedError> {
    let strict = DeserializationConfig { mode: DeserializationMode::Strict };
    fhirbolt::json::from_slice::<Resource>(json, Some(strict))
        .map(drop)
        .map_err(|e| TypedError(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patient_with_known_elements_is_accepted() {
        let json = br#"{"resourceType":"Patient","name":[{"family":"Lovelace"}]}"#;

        check_json(json).expect("known elements only");
    }

    #[test]
    fn an_unknown_element_is_refused() {
        let json = br#"{"resourceType":"Patient","nickname":"Ada"}"#;

        assert!(check_json(json).is_err());
    }
}
