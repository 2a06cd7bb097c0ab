//! mediator
