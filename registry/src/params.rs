//! Custom search parameters as the registry keeps them, and the making of their rows.
//!
//! `SearchParameter` resources say what is wanted; `plan` turns that into rows of `search_param` with numbers that
//! never change while index rows hold them, and into jobs that derive the rows of whole types again. The table
//! reflects the resources as of one change number: a write prepared for another state is stale (see
//! [`crate::write_set::Match::SearchParams`]), so from the activation on each write makes the rows of the new state,
//! and the jobs bring what was written before to it. A step of a job and its progress are one transaction.
//! Not here: what a definition means (`fhir`), who runs the jobs (`gateway`).

use std::collections::{BTreeMap, BTreeSet};

use fhir::{CUSTOM_FROM, CUSTOM_TO, ResourceKey, ResourceType, VersionId};

use crate::index::IndexRows;
use crate::page::StoredVersion;

/// A custom parameter of one type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParamRow {
    /// Number of its index rows.
    pub number: u16,
    /// The type it searches.
    pub of: ResourceType,
    /// Its name in a query.
    pub code: String,
    /// What it is, opaque here: rows of another definition have another number.
    pub definition: String,
    /// Id of the SearchParameter.
    pub source: String,
    /// How far its rows are.
    pub state: ParamState,
}

/// How far the rows of a parameter are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ParamState {
    /// They are being made: a search would miss some.
    Indexing,
    /// They are whole.
    Ready,
    /// It is no longer in force; its rows are being removed.
    Leaving,
}

/// A type whose index rows are being derived again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReindexJob {
    /// The type.
    pub of: ResourceType,
    /// All resources up to this `rid` are done.
    pub after: i64,
    /// Resources that were looked at.
    pub done: u64,
    /// Resources of the type when the job began.
    pub total: u64,
}

/// All of it, in one snapshot.
#[derive(Clone, Debug, Default)]
pub struct ParamTable {
    /// Newest change of any SearchParameter.
    pub newest: u64,
    /// The change that the rows reflect.
    pub applied: u64,
    /// All parameters, by number.
    pub params: Vec<ParamRow>,
    /// All jobs.
    pub jobs: Vec<ReindexJob>,
}

/// A parameter that is to be in force.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WantedParam {
    /// The type it searches.
    pub of: ResourceType,
    /// Its name in a query.
    pub code: String,
    /// What it is.
    pub definition: String,
    /// Id of the SearchParameter.
    pub source: String,
}

/// Parameters to be in force from now on; refused as stale when there is a newer change.
#[derive(Clone, Debug)]
pub struct Activation {
    /// Change of the SearchParameter resources that it was made from.
    pub change: u64,
    /// All of them.
    pub wanted: Vec<WantedParam>,
}

/// One step of a job: refused as stale when the job or the parameters are others by now.
#[derive(Debug)]
pub struct ReindexStep {
    /// The type.
    pub of: ResourceType,
    /// Where the job stood.
    pub from: i64,
    /// Where it stands now; `None` when there is nothing after it: the job ends.
    pub to: Option<i64>,
    /// The change that the rows were made for.
    pub change: u64,
    /// Resources that were looked at.
    pub seen: u64,
    /// Their rows.
    pub resources: Vec<Reindexed>,
}

/// All rows of one resource, made from this version. Another version by now has its own already.
#[derive(Debug)]
pub struct Reindexed {
    /// Whose.
    pub key: ResourceKey,
    /// The version.
    pub version: VersionId,
    /// Its rows.
    pub rows: IndexRows,
}

/// Current resources of a type in `rid` order.
#[derive(Clone, Debug, Default)]
pub struct ReindexPage {
    /// With their `rid`s; deleted ones are left out.
    pub resources: Vec<(i64, StoredVersion)>,
}

/// What an activation changes.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Changes {
    /// New rows.
    pub(crate) added: Vec<ParamRow>,
    /// Numbers that leave.
    pub(crate) leaving: Vec<u16>,
    /// Types to derive again.
    pub(crate) types: Vec<ResourceType>,
}

/// What has to change so that `wanted` is in force. `None` when no number is free.
pub(crate) fn plan(params: &[ParamRow], wanted: &[WantedParam]) -> Option<Changes> {
    let mut changes = Changes::default();
    let mut types = BTreeSet::new();
    let mut open: BTreeMap<(u8, &str), &WantedParam> = BTreeMap::new();
    for one in wanted {
        open.entry((one.of.code(), &one.code)).or_insert(one);
    }
    for row in params.iter().filter(|row| row.state != ParamState::Leaving) {
        let key = (row.of.code(), row.code.as_str());
        match open.get(&key) {
            Some(one) if one.definition == row.definition => {
                open.remove(&key);
            }
            _ => {
                changes.leaving.push(row.number);
                types.insert(row.of.code());
            }
        }
    }
    let taken: BTreeSet<u16> = params.iter().map(|row| row.number).collect();
    let mut free = (CUSTOM_FROM..CUSTOM_TO).filter(|number| !taken.contains(number));
    for one in open.into_values() {
        types.insert(one.of.code());
        changes.added.push(ParamRow {
            number: free.next()?,
            of: one.of,
            code: one.code.clone(),
            definition: one.definition.clone(),
            source: one.source.clone(),
            state: ParamState::Indexing,
        });
    }
    changes.types = types.into_iter().filter_map(ResourceType::from_code).collect();
    Some(changes)
}

impl ParamState {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Indexing => 1,
            Self::Ready => 2,
            Self::Leaving => 3,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        [Self::Indexing, Self::Ready, Self::Leaving].into_iter().find(|state| state.code() == code)
    }
}

/// The type of the resources that define parameters.
#[must_use]
pub fn search_parameter() -> ResourceType {
    ResourceType::parse("SearchParameter").expect("a type of R4")
}

/// Setting with the change that the table reflects.
pub(crate) const APPLIED: &str = "search_params";

/// Its value as a number.
pub(crate) fn applied(setting: Option<Vec<u8>>) -> u64 {
    setting.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(code: &str, definition: &str) -> WantedParam {
        WantedParam {
            of: ResourceType::PATIENT,
            code: code.into(),
            definition: definition.into(),
            source: "s".into(),
        }
    }

    fn row(number: u16, code: &str, definition: &str, state: ParamState) -> ParamRow {
        let WantedParam { of, code, definition, source } = wanted(code, definition);
        ParamRow { number, of, code, definition, source, state }
    }

    #[test]
    fn what_is_there_keeps_its_number_and_what_is_new_gets_a_free_one() {
        let params = [
            row(CUSTOM_FROM, "a", "1", ParamState::Ready),
            row(CUSTOM_FROM + 1, "b", "1", ParamState::Leaving),
        ];

        let same = plan(&params, &[wanted("a", "1")]).unwrap();
        let more = plan(&params, &[wanted("a", "1"), wanted("b", "1")]).unwrap();

        assert_eq!(same, Changes::default());
        assert_eq!(more.added, [row(CUSTOM_FROM + 2, "b", "1", ParamState::Indexing)]);
        assert_eq!((more.leaving, more.types), (vec![], vec![ResourceType::PATIENT]));
    }

    #[test]
    fn another_definition_is_another_parameter() {
        let params = [row(CUSTOM_FROM, "a", "1", ParamState::Ready)];

        let changed = plan(&params, &[wanted("a", "2")]).unwrap();
        let gone = plan(&params, &[]).unwrap();

        assert_eq!(changed.leaving, [CUSTOM_FROM]);
        assert_eq!(changed.added, [row(CUSTOM_FROM + 1, "a", "2", ParamState::Indexing)]);
        assert_eq!((gone.leaving, gone.added.len()), (vec![CUSTOM_FROM], 0));
    }
}
