//! Behaviour of the registry, the same on each engine.

mod commit;
mod compartments;
mod crash;
mod engines;
mod history;
mod outbox;
mod races;
mod reads;
mod sets;
