//! CodeSystem, ValueSet and ConceptMap as loaded: look-up, subsumption, expansion, translation.
//!
//! Pure: resources in, answers out. Spec: FHIR R4 terminology-service.html.
//! Not here: where the resources are kept (`registry`), requests (`gateway`).
