//! Terminology, compared with what was computed independently.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod code_systems;
mod desk;
mod expansions;
mod membership;
mod r4;
mod translations;
