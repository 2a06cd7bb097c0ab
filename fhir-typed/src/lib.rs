//! fhir-typed
