//! Tests of `fhir` that read files from outside the repository, and skip loudly without them.

mod search_examples;
