//! The access journal: append-only segments of access records, fsynced in groups.
