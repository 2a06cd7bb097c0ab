//! General FHIRPath over resources: the one user of the FHIRPath engine.
//!
//! Serves invariants, FHIRPath Patch and expressions that the search programs do not cover. Never in the hot path.
//! Spec: FHIRPath N1 (hl7.org/fhirpath/N1), FHIR R4 fhirpath.html.
//! Not here: search programs (`fhir::search`).
