//! Accesses made durable before data leaves: [`journal`].

pub mod journal;
