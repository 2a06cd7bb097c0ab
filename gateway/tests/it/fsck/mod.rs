//! `ledger fsck` finds whatever is not what was written.

mod damage;
mod flips;
mod folder;
mod postgres;
mod rows;
