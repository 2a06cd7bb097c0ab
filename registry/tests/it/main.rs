//! Behaviour of the registry, the same on each engine.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod checkpoints;
mod cluster;
mod commit;
mod compartments;
mod costs;
mod crash;
mod cuts;
mod engines;
mod erasure;
mod faults;
mod fence;
mod formats;
mod history;
mod journal;
mod kinds;
mod large;
mod lossy;
mod migrating;
mod opened;
mod opening;
mod oracle;
mod outbox;
mod params;
mod postgres;
mod queries;
mod query_fuzz;
mod races;
mod ranges;
mod reading;
mod reads;
mod remembered;
mod searches;
mod sets;
mod structure;
mod upkeep;
