//! Workspace-wide tests: fitness rules for the architecture, and whole-product runs.
//!
//! Not here: behaviour of one crate (its own `tests/`).
