//! Tests of `fhir` beside random bytes, and beside files from outside the repository: these skip loudly without them.

mod documents;
mod mutations;
mod search_examples;
mod xml_examples;
mod xml_places;
