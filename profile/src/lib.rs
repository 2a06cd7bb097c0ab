//! Validation of resources against StructureDefinitions.
//!
//! Pure: profiles in, issues with places out. Spec: FHIR R4 profiling.html, validation.html.
//! Not here: the shape of R4 itself (`fhir::read`), code systems (`terminology`), requests (`gateway`).
