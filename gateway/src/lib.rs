//! gateway

pub mod auth;
