//! Runs compiled searches on a connection and loads their hits.

use fhir::{ResourceId, ResourceType};
use policy::Permit;
use rusqlite::Connection;

use crate::error::ReadError;
use crate::hash::IndexKey;
use crate::page::Page;
use crate::search::SearchQuery;

/// One page of a search, on the snapshot of the connection.
pub(super) fn search(
    _conn: &Connection,
    _index_key: &IndexKey,
    _permit: &Permit,
    _query: &SearchQuery,
) -> Result<Page, ReadError> {
    Err(ReadError::Unsupported("search".into()))
}

/// At most two ids of resources that match a conditional query, ascending.
pub(super) fn matches(
    _conn: &Connection,
    _index_key: &IndexKey,
    _permit: &Permit,
    _resource_type: ResourceType,
    _query: &str,
) -> Result<Vec<ResourceId>, ReadError> {
    Err(ReadError::Unsupported("conditional queries".into()))
}
