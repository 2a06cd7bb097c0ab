//! The published decisions, checked from outside.

mod decision_table;
mod invariants;
mod word;
