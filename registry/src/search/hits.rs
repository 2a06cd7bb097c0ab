//! From places to stored versions.
//!
//! Not here: what a page includes beside its matches (`include`).

use std::collections::HashMap;

use bytes::Bytes;
use fhir::{Instant, ResourceId, ResourceKey, ResourceType, VersionId};

use super::ask::{Cell, Connection, Row, int};
use super::memory::Memory;
use super::scope::Scope;
use super::sql::{Bind, Sql};
use crate::error::ReadError;
use crate::page::StoredVersion;
use crate::write_set::Action;

/// Current version of a resource, with what includes need.
#[derive(Clone)]
pub(super) struct Loaded {
    pub(super) rid: i64,
    pub(super) khash: i64,
    pub(super) version: StoredVersion,
}

/// Which resources to load.
enum Wanted {
    /// These rows of one type.
    Rows(ResourceType),
    /// These rows, of whatever type may be included.
    Included,
}

/// Loads matches of one type in the order of `rids`.
pub(super) async fn load<C: Connection>(
    of: ResourceType,
    rids: &[i64],
    scope: &Scope,
    connection: &mut C,
) -> Result<Vec<Loaded>, ReadError> {
    load_rows(&Wanted::Rows(of), rids, scope, connection).await
}

/// Loads visible resources of whatever type may be included.
pub(super) async fn load_included<C: Connection>(
    rids: &[i64],
    scope: &Scope,
    connection: &mut C,
) -> Result<Vec<Loaded>, ReadError> {
    load_rows(&Wanted::Included, rids, scope, connection).await
}

async fn load_rows<C: Connection>(
    wanted: &Wanted,
    rids: &[i64],
    scope: &Scope,
    connection: &mut C,
) -> Result<Vec<Loaded>, ReadError> {
    if rids.is_empty() {
        return Ok(Vec::new());
    }
    let memory = connection.memory();
    let brief = memory.as_ref().is_some_and(|memory| memory.pays());
    let mut sql = Sql::new(C::DIALECT, scope);
    sql.push("select r.rid, ").push(if brief { CURRENT } else { COLUMNS });
    sql.each(Bind::Ints(rids.to_vec())).beside("resource", "r", "r.rid = j.value");
    if !brief {
        sql.beside("resource_version", "v", "v.change = r.change");
    }
    sql.push(" where r.rid = j.value and r.deleted = 0");
    if !brief {
        sql.push(" and v.change = r.change");
    }
    match wanted {
        Wanted::Rows(of) => sql.visible("r", *of),
        Wanted::Included => sql.visible_of_any_type("r"),
    };
    let rows = connection.ask(sql.finish()).await?;
    let found = match memory {
        Some(memory) if brief => {
            let current: Vec<_> = rows.iter().map(|row| Current::of_row(row)).collect();
            remembered(&current, &memory, connection).await?
        }
        memory => loaded(rows, memory.as_deref())?,
    };
    let mut by_rid: HashMap<_, _> = found.into_iter().map(|one| (one.rid, one)).collect();
    Ok(rids.iter().filter_map(|rid| by_rid.remove(rid)).collect())
}

/// Versions from rows of `rid` and [`COLUMNS`]; they are remembered.
pub(super) fn loaded(rows: Vec<Row>, memory: Option<&Memory>) -> Result<Vec<Loaded>, ReadError> {
    let loaded: Option<Vec<_>> = rows.into_iter().map(of_row).collect();
    let loaded = loaded.ok_or_else(|| ReadError::Unavailable(MALFORMED.into()))?;
    if let Some(memory) = memory {
        let is_new = |one: &&Loaded| {
            i64::try_from(one.version.change).is_ok_and(|change| !memory.has_version(change))
        };
        let new: Vec<_> = loaded.iter().filter(is_new).collect();
        if !loaded.is_empty() {
            memory.learn(new.is_empty());
        }
        new.into_iter().for_each(|one| memory.keep(one));
    }
    Ok(loaded)
}

/// Which version of a resource is the current one, as `resource` tells it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Current {
    rid: i64,
    khash: i64,
    version: i64,
    updated_us: i64,
    change: i64,
}

impl Current {
    /// From `rid` and [`CURRENT`].
    pub(super) fn of_row(row: &[Cell]) -> Self {
        let [rid, khash, version, updated_us, change] = [0, 1, 2, 3, 4].map(|at| int(row, at));
        Self { rid, khash, version, updated_us, change }
    }

    /// Whether this is the version. A database that lost commits, as by a failover, gives the numbers of changes and
    /// of rows out again.
    fn is(&self, loaded: &Loaded) -> bool {
        self.rid == loaded.rid
            && self.khash == loaded.khash
            && self.version.unsigned_abs() == loaded.version.version.number()
            && self.updated_us == loaded.version.updated.micros()
    }
}

/// These versions in that order, from memory as far as they are there. A version never changes, so no snapshot is
/// needed.
///
/// # Errors
/// [`ReadError::Unavailable`] for one that is gone, or from the database.
pub(super) async fn remembered<C: Connection>(
    current: &[Current],
    memory: &Memory,
    connection: &mut C,
) -> Result<Vec<Loaded>, ReadError> {
    let known = |one: &Current| memory.version(one.change).filter(|loaded| one.is(loaded));
    let found: Vec<_> = current.iter().map(known).collect();
    let missing = current.iter().zip(&found).filter(|(_, found)| found.is_none());
    let missing: Vec<_> = missing.map(|(one, _)| one.change).collect();
    if !current.is_empty() {
        memory.learn(missing.is_empty());
    }
    let mut fetched: HashMap<i64, Loaded> = HashMap::new();
    if !missing.is_empty() {
        let everything = Scope::everything();
        let mut sql = Sql::new(C::DIALECT, &everything);
        sql.push("select r.rid, ").push(COLUMNS).each(Bind::Ints(missing));
        sql.beside("resource_version", "v", "v.change = j.value");
        sql.beside("resource", "r", "r.rid = v.rid");
        sql.push(" where v.change = j.value and r.rid = v.rid");
        for row in connection.ask(sql.finish()).await? {
            let one = of_row(row).ok_or_else(|| ReadError::Unavailable(MALFORMED.into()))?;
            memory.keep(&one);
            fetched.insert(one.rid, one);
        }
    }
    let complete = |(current, found): (&Current, Option<Loaded>)| {
        let fetch = || fetched.remove(&current.rid).filter(|one| current.is(one));
        found.or_else(fetch).ok_or_else(|| ReadError::Unavailable("a version is gone".into()))
    };
    current.iter().zip(found).map(complete).collect()
}

/// Instead of [`COLUMNS`] where versions are remembered.
pub(super) const CURRENT: &str = "r.khash, r.version, r.updated_us, r.change";

/// What [`of_row`] reads after `rid`, of `resource r` and `resource_version v`.
pub(super) const COLUMNS: &str = "r.khash, r.type, r.id, v.version, v.updated_us, v.action, v.change, v.payload, \
                                  v.entry, v.salt_id";

/// From `rid` and [`COLUMNS`].
pub(super) fn of_row(row: Row) -> Option<Loaded> {
    let [rid, khash, of, id, version, updated, action, change, payload, entry, salt_id] =
        <[Cell; 11]>::try_from(row).ok()?;
    let (Cell::Text(id), Cell::Blob(payload), Cell::Blob(entry), Cell::Blob(salt_id)) =
        (id, payload, entry, salt_id)
    else {
        return None;
    };
    let number = |cell: &Cell| int(std::slice::from_ref(cell), 0);
    let key = ResourceKey {
        resource_type: ResourceType::from_code(u8::try_from(number(&of)).ok()?)?,
        id: ResourceId::parse(&id).ok()?,
    };
    let version = StoredVersion {
        key,
        version: VersionId::new(u64::try_from(number(&version)).ok()?)?,
        updated: Instant::from_micros(number(&updated)),
        action: match number(&action) {
            1 => Action::Create,
            2 => Action::Update,
            _ => Action::Delete,
        },
        change: u64::try_from(number(&change)).ok()?,
        payload: Bytes::from(payload),
        entry: <[u8; 36]>::try_from(entry).ok()?,
        salt_id: <[u8; 16]>::try_from(salt_id).ok()?,
    };
    Some(Loaded { rid: number(&rid), khash: number(&khash), version })
}

const MALFORMED: &str = "malformed resource row";
