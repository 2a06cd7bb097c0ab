//! Disks that lose power: what was not synced is dropped, kept or torn, at random.

pub(crate) mod disk;
pub(crate) mod files;
pub(crate) mod vfs;
