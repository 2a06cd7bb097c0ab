//! What a check of the whole registry reads: every row of every table that answers depend on, in order, in pages.
//!
//! Rows come as they are stored, unjudged: numbers that no enum knows, versions without a resource. A page is
//! one short read, so a check of any length holds no snapshot and no memory.
//! Not here: what the rows should be (`gateway::fsck`).

use bytes::Bytes;
use fhir::ResourceId;
use futures::future::BoxFuture;

use crate::error::ReadError;
use crate::index::IndexRows;
use crate::index::rows::{
    DateRow, NumberRow, QuantityRow, ReferenceRow, StringRow, TokenRow, UriRow,
};
use crate::index::words::Words;
use crate::outbox::AccessRow;
use crate::write_set::WrappedKey;

pub use crate::place::Place;

/// Reads for a check; not permitted to requests. [`ReadError::Damaged`] where rows cannot be read as what they are.
pub trait Checks: Send + Sync {
    /// Rows of `resource` above a `rid`, ascending.
    fn resources(&self, after: i64, limit: usize) -> Answer<'_, Vec<ResourceRow>>;

    /// Rows of `resource_version` above (`rid`, `version`), ascending.
    fn versions(&self, after: (i64, i64), limit: usize) -> Answer<'_, Vec<VersionRow>>;

    /// `rid` of each of these patients; unknown ones are left out.
    fn patients<'a>(&'a self, ids: &'a [ResourceId]) -> Answer<'a, Vec<(ResourceId, i64)>>;

    /// Rows of `ledger_entry` from a log index on, ascending, with the entries of their versions.
    fn log(&self, from: u64, limit: usize) -> Answer<'_, Vec<LogRow>>;

    /// Access records of commits that wait for the journal, above an id, ascending.
    fn accesses(&self, after: u64, limit: usize) -> Answer<'_, Vec<AccessRow>>;

    /// Rows of `data_key` above an id, ascending.
    fn keys(&self, after: i64, limit: usize) -> Answer<'_, Vec<WrappedKey>>;

    /// Rows of an index table after a row, in the order of its key.
    fn index(
        &self,
        table: IndexTable,
        after: Option<IndexRow>,
        limit: usize,
    ) -> Answer<'_, Vec<IndexRow>>;

    /// Which of these resources have a row of `search_text` with other words.
    fn other_words(&self, words: Vec<(i64, Words)>) -> Answer<'_, Vec<i64>>;
}

/// What a read answers later.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, ReadError>>;

/// Row of `resource`, with its list of terms.
#[derive(Clone, Debug)]
pub struct ResourceRow {
    /// Its number.
    pub rid: i64,
    /// `fhir::ResourceType::code`.
    pub type_code: i64,
    /// Logical id.
    pub id: String,
    /// Hash of type and id.
    pub khash: i64,
    /// Current version; 0 for a placeholder.
    pub version: i64,
    /// Its change number.
    pub change: i64,
    /// Its time.
    pub updated_us: i64,
    /// Place in the default order.
    pub nsort: i64,
    /// `rid` of the one patient in whose compartment it is, 0 for none, -1 for several.
    pub patient: i64,
    /// 1 for a tombstone.
    pub deleted: i64,
    /// Of its row of `resource_terms`.
    pub terms: Option<Vec<u8>>,
    /// From there too: the parameters that it has something for, as a text and as the number of the set.
    pub present: (String, i64),
}

/// Row of `resource_version`, with its place in the log.
#[derive(Clone, Debug)]
pub struct VersionRow {
    /// Resource.
    pub rid: i64,
    /// Number.
    pub version: i64,
    /// Change number.
    pub change: i64,
    /// `fhir::ResourceType::code`.
    pub type_code: i64,
    /// Time.
    pub updated_us: i64,
    /// 1 create, 2 update, 3 delete.
    pub action: i64,
    /// As in [`ResourceRow`].
    pub patient: i64,
    /// Ledger entry without its sequence number.
    pub entry: [u8; 36],
    /// Id that the commitment's salt is derived from.
    pub salt_id: [u8; 16],
    /// Envelope.
    pub payload: Bytes,
    /// Place in the log, once recorded.
    pub log_index: Option<u64>,
}

/// Row of `ledger_entry`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LogRow {
    /// Place in the log.
    pub log_index: u64,
    /// Change number of the version; `None` for other entries.
    pub change: Option<u64>,
    /// Entry of that version, or of the erasure that has its salt id; `None` when there is no such version or erasure.
    pub entry: Option<[u8; 36]>,
}

/// A table that is derived from payloads.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum IndexTable {
    /// `search_token`.
    Token,
    /// `search_reference`.
    Reference,
    /// `search_date`.
    Date,
    /// `search_number`.
    Number,
    /// `search_quantity`.
    Quantity,
    /// `search_string`.
    String,
    /// `search_uri`.
    Uri,
    /// `compartment`.
    Compartment,
    /// `version_compartment`.
    VersionCompartment,
    /// `resource_terms`, by `rid` alone.
    Terms,
    /// `search_text`, by `rid` alone; the list of terms has the sum of the words.
    Text,
}

/// A row of an [`IndexTable`].
#[derive(Clone, Debug, PartialEq)]
pub struct IndexRow {
    /// Whose it is; what the table lacks is 0.
    pub place: Place,
    /// What it says.
    pub value: IndexValue,
}

/// What a row of an [`IndexTable`] says.
#[derive(Clone, Debug, PartialEq)]
pub enum IndexValue {
    /// Of `search_token`.
    Token(TokenRow),
    /// Of `search_reference`.
    Reference(ReferenceRow),
    /// Of `search_date`.
    Date(DateRow),
    /// Of `search_number`.
    Number(NumberRow),
    /// Of `search_quantity`.
    Quantity(QuantityRow),
    /// Of `search_string`.
    String(StringRow),
    /// Of `search_uri`.
    Uri(UriRow),
    /// Of `compartment`: type. Its patient is in the place.
    Compartment(i64),
    /// Of `version_compartment`: change number. Its patient and the version's resource are in the place.
    VersionCompartment(i64),
    /// Of `resource_terms`.
    Terms,
    /// Of `search_text`.
    Text,
}

impl IndexTable {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Token,
        Self::Reference,
        Self::Date,
        Self::Number,
        Self::Quantity,
        Self::String,
        Self::Uri,
        Self::Compartment,
        Self::VersionCompartment,
        Self::Terms,
        Self::Text,
    ];

    /// Name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "search_token",
            Self::Reference => "search_reference",
            Self::Date => "search_date",
            Self::Number => "search_number",
            Self::Quantity => "search_quantity",
            Self::String => "search_string",
            Self::Uri => "search_uri",
            Self::Compartment => "compartment",
            Self::VersionCompartment => "version_compartment",
            Self::Terms => "resource_terms",
            Self::Text => "search_text",
        }
    }

    /// Columns of its key, in order.
    pub(crate) fn key(self) -> &'static [&'static str] {
        match self {
            Self::Token => &["param", "code_hash", "nsort", "rid", "sys_hash"],
            Self::Reference => &["param", "target_hash", "code_hash", "nsort", "rid"],
            Self::Date | Self::Number => &["param", "lo", "hi", "nsort", "rid"],
            Self::Quantity => {
                &["param", "code_hash", "lo", "hi", "nsort", "rid", "unit_hash", "sys_hash"]
            }
            Self::String => &["param", "norm", "nsort", "rid", "exact"],
            Self::Uri => &["param", "uri", "nsort", "rid"],
            Self::Compartment => &["patient", "type", "nsort", "rid"],
            Self::VersionCompartment => &["change", "patient"],
            Self::Terms | Self::Text => &["rid"],
        }
    }

    /// What is read beside the key.
    fn rest(self) -> &'static [&'static str] {
        match self {
            Self::Compartment | Self::Terms | Self::Text => &[],
            Self::VersionCompartment => {
                &["(select v.rid from resource_version v where v.change = t.change)"]
            }
            _ => &["patient"],
        }
    }

    /// Statement that reads rows in the order of the key: the columns of the key, then the rest. With `after`
    /// its parameters are the key's columns and the limit, else the limit alone; `mark` is `?` or `$`.
    pub(crate) fn select(self, after: bool, mark: char) -> String {
        // Rows of FTS5 have no other number.
        let key = if (self, mark) == (Self::Text, '?') { &["rowid"][..] } else { self.key() };
        let columns = [key, self.rest()].concat().join(", ");
        let order = key.join(", ");
        let marks: Vec<_> = (1..=key.len()).map(|at| format!("{mark}{at}")).collect();
        let (beyond, limit) = match after {
            true => (format!("where ({order}) > ({})", marks.join(", ")), key.len() + 1),
            false => (String::new(), 1),
        };
        format!(
            "select {columns} from {} t {beyond} order by {order} limit {mark}{limit}",
            self.name()
        )
    }
}

/// One column of a row's key.
pub(crate) enum Column<'a> {
    Param(u16),
    Int(i64),
    Real(f64),
    Text(&'a str),
}

impl IndexRow {
    /// Table that it belongs to.
    pub fn table(&self) -> IndexTable {
        match &self.value {
            IndexValue::Token(_) => IndexTable::Token,
            IndexValue::Reference(_) => IndexTable::Reference,
            IndexValue::Date(_) => IndexTable::Date,
            IndexValue::Number(_) => IndexTable::Number,
            IndexValue::Quantity(_) => IndexTable::Quantity,
            IndexValue::String(_) => IndexTable::String,
            IndexValue::Uri(_) => IndexTable::Uri,
            IndexValue::Compartment(_) => IndexTable::Compartment,
            IndexValue::VersionCompartment(_) => IndexTable::VersionCompartment,
            IndexValue::Terms => IndexTable::Terms,
            IndexValue::Text => IndexTable::Text,
        }
    }

    /// All rows of a resource at its place.
    pub fn all(rows: IndexRows, place: Place) -> Vec<Self> {
        let mut all = Vec::with_capacity(rows.count());
        let text = (!rows.words.is_empty()).then_some(Self {
            place: Place { nsort: 0, rid: place.rid, patient: 0 },
            value: IndexValue::Text,
        });
        all.extend(rows.tokens.into_iter().map(IndexValue::Token));
        all.extend(rows.references.into_iter().map(IndexValue::Reference));
        all.extend(rows.dates.into_iter().map(IndexValue::Date));
        all.extend(rows.numbers.into_iter().map(IndexValue::Number));
        all.extend(rows.quantities.into_iter().map(IndexValue::Quantity));
        all.extend(rows.strings.into_iter().map(IndexValue::String));
        all.extend(rows.uris.into_iter().map(IndexValue::Uri));
        all.into_iter().map(|value| Self { place, value }).chain(text).collect()
    }

    /// Number of its search parameter; 0 where the table has none.
    pub fn param(&self) -> u16 {
        match &self.value {
            IndexValue::Token(row) => row.param,
            IndexValue::Reference(row) => row.param,
            IndexValue::Date(row) => row.param,
            IndexValue::Number(row) => row.param,
            IndexValue::Quantity(row) => row.param,
            IndexValue::String(row) => row.param,
            IndexValue::Uri(row) => row.param,
            IndexValue::Compartment(_)
            | IndexValue::VersionCompartment(_)
            | IndexValue::Terms
            | IndexValue::Text => 0,
        }
    }

    /// The columns of [`IndexTable::key`].
    pub(crate) fn key(&self) -> Vec<Column<'_>> {
        use Column::{Int, Param, Real, Text};
        let Place { nsort, rid, patient } = self.place;
        match &self.value {
            IndexValue::Token(row) => {
                vec![Param(row.param), Int(row.code_hash), Int(nsort), Int(rid), Int(row.sys_hash)]
            }
            IndexValue::Reference(row) => vec![
                Param(row.param),
                Int(row.target_hash),
                Int(row.code_hash),
                Int(nsort),
                Int(rid),
            ],
            IndexValue::Date(row) => {
                vec![Param(row.param), Int(row.lo), Int(row.hi), Int(nsort), Int(rid)]
            }
            IndexValue::Number(row) => {
                vec![Param(row.param), Real(row.lo), Real(row.hi), Int(nsort), Int(rid)]
            }
            IndexValue::Quantity(row) => vec![
                Param(row.param),
                Int(row.code_hash),
                Real(row.lo),
                Real(row.hi),
                Int(nsort),
                Int(rid),
                Int(row.unit_hash),
                Int(row.sys_hash),
            ],
            IndexValue::String(row) => {
                vec![Param(row.param), Text(&row.norm), Int(nsort), Int(rid), Text(&row.exact)]
            }
            IndexValue::Uri(row) => {
                vec![Param(row.param), Text(&row.uri), Int(nsort), Int(rid)]
            }
            IndexValue::Compartment(of) => vec![Int(patient), Int(*of), Int(nsort), Int(rid)],
            IndexValue::VersionCompartment(change) => vec![Int(*change), Int(patient)],
            IndexValue::Terms | IndexValue::Text => vec![Int(rid)],
        }
    }

    /// Everything it says as bytes, equal for equal rows and for no others of its table.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(80);
        for column in self.key() {
            match column {
                Column::Param(number) => bytes.extend_from_slice(&number.to_le_bytes()),
                Column::Int(number) => bytes.extend_from_slice(&number.to_le_bytes()),
                // SQLite keeps no sign of zero.
                Column::Real(number) => bytes.extend_from_slice(&(number + 0.0).to_le_bytes()),
                Column::Text(text) => {
                    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
                    bytes.extend_from_slice(text.as_bytes());
                }
            }
        }
        bytes.extend_from_slice(&self.place.rid.to_le_bytes());
        bytes.extend_from_slice(&self.place.patient.to_le_bytes());
        bytes
    }
}
