//! The search index: the rows that the current contents give, and those that are stored, are the same.
//!
//! First sums: each row is hashed under a random key, and added on one side and subtracted on the other, in one of
//! [`GROUPS`] sums for each table, chosen by resource. Equal rows leave zeros. Where a sum is left, the rows of that
//! group are derived and read once more and compared one by one. So the cost is one reading of each table, in the
//! order of its key, and memory does not grow with the store.
//!
//! A reference that begins with this server's base URL is local, and the base URL is the one that the client used.
//! It is not recorded, but the list of terms (`resource_terms`) shows which of the possible ones was meant.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use fhir::{Node, ResourceKey, SearchParams};
use registry::check::{IndexRow, IndexTable, IndexValue, Place};
use registry::hash::IndexKey;
use registry::index::param::{WIDE, index_param};
use registry::index::{IndexRows, index_rows_with, terms};

use super::report::About;
use super::words::Worded;
use super::{Check, PAGE};
use crate::app::OpenError;
use crate::search_params::Loaded;

/// A resource as the index should know it.
pub(super) struct Indexed<'a> {
    pub(super) key: &'a ResourceKey,
    pub(super) place: Place,
    /// `None` for a tombstone.
    pub(super) content: Option<Node<'a>>,
    /// Its stored list of terms.
    pub(super) terms: Option<&'a [u8]>,
    /// The parameters that it has something for, as stored: their text and the number of their set.
    pub(super) present: &'a (String, i64),
    /// `rid`s of its patients.
    pub(super) members: &'a [i64],
}

/// What should be stored, compared with what is.
pub(super) enum Index {
    /// Not compared.
    Off,
    /// As sums.
    Sums(Sums),
    /// Row by row, of a few groups.
    Rows(Rows),
}

pub(super) struct Sums {
    key: RandomState,
    /// By group and table.
    left: Vec<[u64; TABLES]>,
    /// Groups of which nothing can be said: a content did not open, which is reported.
    skipped: HashSet<usize>,
    /// Words that are still to be compared.
    words: Vec<Worded>,
}

#[derive(Default)]
pub(super) struct Rows {
    groups: HashSet<usize>,
    names: HashMap<i64, ResourceKey>,
    expected: HashMap<(IndexTable, i64), Vec<IndexRow>>,
    skipped: HashSet<i64>,
}

impl Index {
    /// Compares nothing.
    pub(super) fn off() -> Self {
        Self::Off
    }

    /// Compares everything.
    pub(super) fn sums() -> Self {
        let left = vec![[0; TABLES]; GROUPS];
        let (skipped, words) = (HashSet::new(), Vec::new());
        Self::Sums(Sums { key: RandomState::new(), left, skipped, words })
    }

    /// Nothing can be compared.
    pub(super) fn give_up(&mut self) {
        *self = Self::Off;
    }

    /// True if rows of this resource are compared.
    pub(super) fn wants(&self, rid: i64) -> bool {
        match self {
            Self::Off => false,
            Self::Sums(_) => true,
            Self::Rows(rows) => rows.groups.contains(&group(rid)),
        }
    }

    /// The words that were told of since the last call.
    pub(super) fn take_words(&mut self) -> Vec<Worded> {
        match self {
            Self::Sums(sums) => std::mem::take(&mut sums.words),
            Self::Off | Self::Rows(_) => Vec::new(),
        }
    }

    /// Nothing can be said of this resource.
    pub(super) fn skip(&mut self, rid: i64) {
        match self {
            Self::Off => {}
            Self::Sums(sums) => {
                sums.skipped.insert(group(rid));
            }
            Self::Rows(rows) => {
                rows.skipped.insert(rid);
            }
        }
    }

    /// A version stands in these compartments.
    pub(super) fn join(&mut self, rid: i64, change: i64, members: &[i64]) {
        for patient in several(members) {
            let place = Place { nsort: 0, rid, patient: *patient };
            self.add(IndexRow { place, value: IndexValue::VersionCompartment(change) });
        }
    }

    /// Takes all rows of a resource. False when its stored list of terms is another.
    pub(super) fn expect(
        &mut self,
        resource: &Indexed<'_>,
        key: &IndexKey,
        params: &Loaded,
    ) -> bool {
        let Place { nsort, rid, .. } = resource.place;
        if !self.wants(rid) {
            return true;
        }
        // Rows that are being made or removed are neither missing nor too many.
        if params.table.jobs.iter().any(|job| job.of == resource.key.resource_type) {
            self.skip(rid);
            return true;
        }
        let (rows, is_listed) = rows_of(resource, key, &params.set);
        if let Self::Sums(sums) = self
            && !rows.words.is_empty()
        {
            let (key, words) = (resource.key.clone(), rows.words.clone());
            sums.words.push(Worded { key, rid, words });
        }
        for row in IndexRow::all(rows, resource.place) {
            self.add(row);
        }
        let of = i64::from(resource.key.resource_type.code());
        for patient in several(resource.members) {
            let place = Place { nsort, rid, patient: *patient };
            self.add(IndexRow { place, value: IndexValue::Compartment(of) });
        }
        let place = Place { nsort: 0, rid, patient: 0 };
        self.add(IndexRow { place, value: IndexValue::Terms });
        if let Self::Rows(rows) = self {
            rows.names.insert(rid, resource.key.clone());
        }
        is_listed
    }

    fn add(&mut self, row: IndexRow) {
        match self {
            Self::Off => {}
            Self::Sums(sums) => {
                let hash = sums.hash(&row);
                let left = sums.at(&row);
                *left = left.wrapping_add(hash);
            }
            Self::Rows(rows) => {
                let of = (row.table(), row.place.rid);
                rows.expected.entry(of).or_default().push(row);
            }
        }
    }
}

impl Sums {
    fn hash(&self, row: &IndexRow) -> u64 {
        self.key.hash_one(row.to_bytes())
    }

    fn at(&mut self, row: &IndexRow) -> &mut u64 {
        &mut self.left[group(row.place.rid)][row.table() as usize]
    }
}

impl Check<'_> {
    /// Reads the stored rows and reports those that differ.
    pub(super) async fn index(&mut self, index: Index) -> Result<(), OpenError> {
        let Index::Sums(mut sums) = index else { return Ok(()) };
        let mut unread = HashSet::new();
        let mut count = 0;
        for table in IndexTable::ALL {
            let mut after = None;
            while let Some(page) = self.index_page(table, after.take()).await? {
                let Ok(page) = page else {
                    unread.insert(table);
                    break;
                };
                count += page.len() as u64;
                for row in &page {
                    let hash = sums.hash(row);
                    let left = sums.at(row);
                    *left = left.wrapping_sub(hash);
                }
                after = page.into_iter().last();
                self.progress.tick(count, "index rows");
            }
        }
        self.findings.index_rows = Some(count);
        let mut tables = HashSet::new();
        let mut groups = HashSet::new();
        let mut more = 0_u64;
        for (at, left) in sums.left.iter().enumerate() {
            let wrong = IndexTable::ALL.into_iter().filter(|table| left[*table as usize] != 0);
            let wrong: Vec<_> = wrong.filter(|table| !unread.contains(table)).collect();
            if wrong.is_empty() || sums.skipped.contains(&at) {
                continue;
            }
            if groups.len() < GROUPS_TOLD_MAX {
                groups.insert(at);
                tables.extend(wrong);
            } else {
                more += 1;
            }
        }
        if more > 0 {
            let what = format!("rows differ in {more} more groups of resources than are told");
            self.report.add(About::Index, "search index", what);
        }
        if groups.is_empty() { Ok(()) } else { self.differences(groups, tables).await }
    }

    /// Derives and reads the rows of some groups once more and tells which differ.
    async fn differences(
        &mut self,
        groups: HashSet<usize>,
        tables: HashSet<IndexTable>,
    ) -> Result<(), OpenError> {
        let mut index = Index::Rows(Rows { groups, ..Rows::default() });
        self.report.is_muted = true;
        let walked = self.versions(&mut super::log::Waiting::default(), &mut index).await;
        self.report.is_muted = false;
        walked?;
        let Index::Rows(mut rows) = index else { return Ok(()) };
        for table in IndexTable::ALL.into_iter().filter(|table| tables.contains(table)) {
            let mut stored: HashMap<i64, Vec<IndexRow>> = HashMap::new();
            let mut after = None;
            while let Some(Ok(page)) = self.index_page(table, after.take()).await? {
                after = page.last().cloned();
                for row in
                    page.into_iter().filter(|row| rows.groups.contains(&group(row.place.rid)))
                {
                    stored.entry(row.place.rid).or_default().push(row);
                }
            }
            let expected: Vec<i64> =
                rows.expected.keys().filter(|(of, _)| *of == table).map(|(_, rid)| *rid).collect();
            let mut rids: Vec<i64> = stored.keys().copied().chain(expected).collect();
            rids.sort_unstable();
            rids.dedup();
            for rid in rids.into_iter().filter(|rid| !rows.skipped.contains(rid)) {
                let wanted = rows.expected.remove(&(table, rid)).unwrap_or_default();
                let found = stored.remove(&rid).unwrap_or_default();
                self.differ(table, rid, rows.names.get(&rid), &wanted, &found);
            }
        }
        Ok(())
    }

    fn differ(
        &mut self,
        table: IndexTable,
        rid: i64,
        key: Option<&ResourceKey>,
        wanted: &[IndexRow],
        found: &[IndexRow],
    ) {
        let name = key.map_or_else(|| format!("resource number {rid}"), ToString::to_string);
        let bytes = |rows: &[IndexRow]| rows.iter().map(IndexRow::to_bytes).collect::<HashSet<_>>();
        let sides =
            [(wanted, bytes(found), "lacks a row"), (found, bytes(wanted), "has a row too many")];
        for (rows, other, what) in sides {
            for row in rows.iter().filter(|row| !other.contains(&row.to_bytes())) {
                let of = key.and_then(|key| code_of(key, row.param()));
                let of = of.map_or_else(String::new, |code| format!(" for `{code}`"));
                self.report.add(About::Index, &name, format!("{} {what}{of}", table.name()));
            }
        }
    }

    /// The page of rows after a row; `None` after the last. Damage is reported.
    async fn index_page(
        &mut self,
        table: IndexTable,
        after: Option<IndexRow>,
    ) -> Result<Option<Result<Vec<IndexRow>, ()>>, OpenError> {
        let read = self.checks.index(table, after, PAGE).await;
        let is_read = read.is_ok();
        let page = self.rows(table.name(), read)?;
        Ok(match is_read {
            true if page.is_empty() => None,
            true => Some(Ok(page)),
            false => Some(Err(())),
        })
    }
}

/// The rows that a content gives, and whether its stored list of terms is theirs.
fn rows_of(resource: &Indexed<'_>, key: &IndexKey, params: &SearchParams) -> (IndexRows, bool) {
    let of = resource.key.resource_type;
    let rows = resource
        .content
        .map_or_else(IndexRows::default, |node| index_rows_with(node, of, "", key, params));
    let is_listed = |rows: &IndexRows| {
        let (text, set) = resource.present;
        // What is deleted has nothing present, which older rows leave unsaid.
        let is_present =
            resource.content.is_none() || *text == rows.present_text() && *set == rows.present_set;
        resource.terms == Some(&terms::encode(rows)[..]) && is_present
    };
    if is_listed(&rows) {
        return (rows, true);
    }
    let Some(node) = resource.content else { return (rows, false) };
    let mut bases = HashSet::new();
    bases_in(node, &mut bases);
    let all: Vec<String> = bases.into_iter().collect();
    let tried = all.iter().cloned().chain(servers_bases(&all));
    for base in tried {
        let others = index_rows_with(node, of, &base, key, params);
        if is_listed(&others) {
            return (others, true);
        }
    }
    (rows, false)
}

/// Bases that may have been ours when a content was written, which is not recorded: those of each set of servers.
fn servers_bases(bases: &[String]) -> Vec<String> {
    let server = |base: &str| base.split('/').take(3).collect::<Vec<_>>().join("/");
    let mut servers: Vec<String> = bases.iter().map(|base| server(base)).collect();
    servers.sort();
    servers.dedup();
    servers.truncate(SERVERS_MAX);
    let of_set = |set: usize| {
        let is_in = |base: &&String| {
            let at = servers.binary_search(&server(base));
            at.is_ok_and(|at| set & (1 << at) != 0)
        };
        bases.iter().filter(is_in).map(String::as_str).collect::<Vec<_>>().join(" ")
    };
    (1..1_usize << servers.len()).map(of_set).collect()
}

/// Base URLs of a FHIR gateway's that texts begin with: those that end in `/fhir` or `/fhir/R4`.
pub(crate) fn bases_in(node: Node<'_>, bases: &mut HashSet<String>) {
    if bases.len() >= BASES_MAX {
        return;
    }
    if let Some(text) = node.as_str().filter(|text| text.starts_with("http")) {
        for end in ["/fhir/R4/", "/fhir/"] {
            for (at, _) in text.match_indices(end) {
                bases.insert(text[..at + end.len() - 1].to_owned());
            }
        }
    }
    for child in node.children() {
        bases_in(child, bases);
    }
}

/// Code of a search parameter by the number of its rows.
fn code_of(key: &ResourceKey, number: u16) -> Option<&'static str> {
    let of = key.resource_type;
    let found =
        fhir::search_params(of).iter().find(|param| index_param(of, param) == number & !WIDE);
    found.map(|param| param.code)
}

/// Compartments have rows of their own only where there are several.
fn several(members: &[i64]) -> &[i64] {
    if members.len() > 1 { members } else { &[] }
}

fn group(rid: i64) -> usize {
    usize::try_from(rid.unsigned_abs() % GROUPS as u64).unwrap_or(0)
}

const TABLES: usize = IndexTable::ALL.len();
/// Groups of resources that have sums of their own.
const GROUPS: usize = 1 << 14;
/// Groups whose differences are told row by row.
const GROUPS_TOLD_MAX: usize = 32;
/// Servers whose sets are tried.
const SERVERS_MAX: usize = 5;
/// Base URLs that one content is tried with.
const BASES_MAX: usize = 16;
