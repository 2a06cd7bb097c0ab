//! A closed-loop load generator for FHIR servers on this machine: every client waits for its answer before it asks again.
//!
//! Workloads after the published benchmarks of Blaze, HealthSamurai and mock.health (`bench/README.md`).
//! It parses nothing of an answer but status, length and three headers, so that the client takes little of the CPU.
//! Not here: starting servers (`bench/compare.sh`), judging answers (`tests`).

pub mod compare;
pub mod drive;
pub mod http;
pub mod machine;
pub mod options;
pub mod report;
pub mod sample;
pub mod synthea;
pub mod workload;
