//! Index rows as arrays: into the search tables and out of them.
//!
//! Both directions list the same columns; the tail (`nsort`, `rid`, `patient`) comes from the place.

use super::batch::Batch;
use crate::index::IndexRows;
use crate::index::rows::{
    DateRow, NumberRow, QuantityRow, ReferenceRow, StringRow, TokenRow, UriRow,
};
use crate::index::words::Words;
use crate::place::Place;

/// Index rows with the places they stand at.
#[derive(Default)]
pub(super) struct PlacedRows {
    tokens: Vec<(TokenRow, Place)>,
    references: Vec<(ReferenceRow, Place)>,
    dates: Vec<(DateRow, Place)>,
    numbers: Vec<(NumberRow, Place)>,
    quantities: Vec<(QuantityRow, Place)>,
    strings: Vec<(StringRow, Place)>,
    uris: Vec<(UriRow, Place)>,
    words: Vec<(Words, Place)>,
}

/// What a part does with the rows.
#[derive(Clone, Copy)]
pub(super) enum Direction {
    Insert,
    Delete,
}

impl PlacedRows {
    /// Adds the rows of a resource at its place.
    pub(super) fn add(&mut self, rows: IndexRows, place: Place) {
        fn queue<T>(to: &mut Vec<(T, Place)>, from: Vec<T>, place: Place) {
            to.extend(from.into_iter().map(|row| (row, place)));
        }
        queue(&mut self.tokens, rows.tokens, place);
        queue(&mut self.references, rows.references, place);
        queue(&mut self.dates, rows.dates, place);
        queue(&mut self.numbers, rows.numbers, place);
        queue(&mut self.quantities, rows.quantities, place);
        queue(&mut self.strings, rows.strings, place);
        queue(&mut self.uris, rows.uris, place);
        if !rows.words.is_empty() {
            self.words.push((rows.words, place));
        }
    }

    /// Writes a part for each table that has rows, in the order of its key.
    pub(super) fn put(mut self, way: Direction, batch: &mut Batch) -> Result<(), sqlx::Error> {
        self.sort();
        self.put_exact(way, batch)?;
        self.put_ranges(way, batch)?;
        self.put_texts(way, batch)?;
        self.put_words(way, batch)
    }

    fn sort(&mut self) {
        self.tokens.sort_unstable_by_key(|(row, at)| (row.param, row.code_hash, at.nsort));
        self.references.sort_unstable_by_key(|(row, at)| {
            (row.param, row.target_hash, row.code_hash, at.nsort)
        });
        self.dates.sort_unstable_by_key(|(row, _)| *row);
        self.numbers.sort_unstable_by(|(a, _), (b, _)| a.order(b));
        self.quantities.sort_unstable_by(|(a, _), (b, _)| a.order(b));
        self.strings.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        self.uris.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    }

    fn put_exact(&self, way: Direction, batch: &mut Batch) -> Result<(), sqlx::Error> {
        table(
            way,
            batch,
            "search_token",
            "param, code_hash, sys_hash",
            &self.tokens,
            |b, rows| {
                b.bind(column(rows, |row| row.param.cast_signed()))?;
                b.bind(column(rows, |row| row.code_hash))?;
                b.bind(column(rows, |row| row.sys_hash))
            },
        )?;
        let columns = "param, target_hash, code_hash";
        table(way, batch, "search_reference", columns, &self.references, |b, rows| {
            b.bind(column(rows, |row| row.param.cast_signed()))?;
            b.bind(column(rows, |row| row.target_hash))?;
            b.bind(column(rows, |row| row.code_hash))
        })
    }

    fn put_ranges(&self, way: Direction, batch: &mut Batch) -> Result<(), sqlx::Error> {
        table(way, batch, "search_date", "param, lo, hi", &self.dates, |b, rows| {
            b.bind(column(rows, |row| row.param.cast_signed()))?;
            b.bind(column(rows, |row| row.lo))?;
            b.bind(column(rows, |row| row.hi))
        })?;
        table(way, batch, "search_number", "param, lo, hi", &self.numbers, |b, rows| {
            b.bind(column(rows, |row| row.param.cast_signed()))?;
            b.bind(column(rows, |row| row.lo))?;
            b.bind(column(rows, |row| row.hi))
        })?;
        let columns = "param, code_hash, lo, hi, unit_hash, sys_hash";
        table(way, batch, "search_quantity", columns, &self.quantities, |b, rows| {
            b.bind(column(rows, |row| row.param.cast_signed()))?;
            b.bind(column(rows, |row| row.code_hash))?;
            b.bind(column(rows, |row| row.lo))?;
            b.bind(column(rows, |row| row.hi))?;
            b.bind(column(rows, |row| row.unit_hash))?;
            b.bind(column(rows, |row| row.sys_hash))
        })
    }

    fn put_texts(&self, way: Direction, batch: &mut Batch) -> Result<(), sqlx::Error> {
        table(way, batch, "search_string", "param, norm, exact", &self.strings, |b, rows| {
            b.bind(column(rows, |row| row.param.cast_signed()))?;
            b.bind(rows.iter().map(|(row, _)| &*row.norm).collect::<Vec<_>>())?;
            b.bind(rows.iter().map(|(row, _)| &*row.exact).collect::<Vec<_>>())
        })?;
        table(way, batch, "search_uri", "param, uri", &self.uris, |b, rows| {
            b.bind(column(rows, |row| row.param.cast_signed()))?;
            b.bind(rows.iter().map(|(row, _)| &*row.uri).collect::<Vec<_>>())
        })
    }
}

impl PlacedRows {
    /// Words stand at no place: one row a resource.
    fn put_words(&self, way: Direction, batch: &mut Batch) -> Result<(), sqlx::Error> {
        if self.words.is_empty() {
            return Ok(());
        }
        let rids: Vec<_> = self.words.iter().map(|(_, at)| at.rid).collect();
        match way {
            Direction::Insert => {
                let words: Vec<_> = self.words.iter().map(|(words, _)| words.tsvector()).collect();
                batch.part().push("insert into search_text (rid, words) ");
                batch.push("select u.rid, u.words::tsvector from unnest(");
                batch.bind(rids)?.bind(words)?.push(") u (rid, words)");
            }
            Direction::Delete => {
                batch.part().push("delete from search_text where rid = any(");
                batch.bind(rids)?.push(")");
            }
        }
        Ok(())
    }
}

fn column<T, V>(rows: &[(T, Place)], value: impl Fn(&T) -> V) -> Vec<V> {
    rows.iter().map(|(row, _)| value(row)).collect()
}

fn table<T>(
    way: Direction,
    batch: &mut Batch,
    name: &str,
    columns: &str,
    rows: &[(T, Place)],
    bind: impl for<'b> FnOnce(&'b mut Batch, &[(T, Place)]) -> Result<&'b mut Batch, sqlx::Error>,
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let all = format!("{columns}, nsort, rid, patient");
    batch.part().push(&match way {
        Direction::Insert => format!("insert into {name} ({all}) select * from unnest("),
        // A lookup for each row, whatever the statistics say of the table.
        Direction::Delete => {
            format!("delete from {name} where ctid = any(array(select d.ctid from unnest(")
        }
    });
    bind(batch, rows)?;
    batch.bind(rows.iter().map(|(_, at)| at.nsort).collect::<Vec<_>>())?;
    batch.bind(rows.iter().map(|(_, at)| at.rid).collect::<Vec<_>>())?;
    batch.bind(rows.iter().map(|(_, at)| at.patient).collect::<Vec<_>>())?;
    match way {
        Direction::Insert => batch.push(")"),
        Direction::Delete => {
            let keys = columns.split(", ").chain(["nsort", "rid"]);
            let same: Vec<_> = keys.map(|key| format!("t.{key} = u.{key}")).collect();
            batch.push(&format!(
                ") u ({all}) cross join lateral (select t.ctid from {name} t where {} limit 1) d))",
                same.join(" and ")
            ))
        }
    };
    Ok(())
}
