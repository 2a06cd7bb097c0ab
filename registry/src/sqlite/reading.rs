//! Reads of a transaction on a connection: a reader's snapshot, or the writer's own transaction.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::{history, read, reader, search};
use crate::error::ReadError;
use crate::hash::IndexKey;
use crate::reading::{Asked, NoReply, Reading, Reply, Unread, out_of_time};

/// Answers all reads, or says which has no answer.
pub(super) fn reply_all(
    conn: &Connection,
    index_key: &IndexKey,
    asked: &[Asked],
) -> Result<Vec<Reply>, Unread> {
    let replies = asked.iter().enumerate();
    replies
        .map(|(at, asked)| reply(conn, index_key, asked).map_err(|cause| Unread { at, cause }))
        .collect()
}

/// The same within a time, for who holds others up meanwhile.
pub(super) fn reply_within(
    time: Duration,
    conn: &Connection,
    index_key: &IndexKey,
    asked: &[Asked],
) -> Result<Vec<Reply>, Unread> {
    let deadline = Instant::now() + time;
    reader::until(deadline, || {
        let mut replies = Vec::with_capacity(asked.len());
        for (at, one) in asked.iter().enumerate() {
            let late = || Instant::now() > deadline;
            let reply = match late() {
                true => Err(out_of_time()),
                false => reply(conn, index_key, one).map_err(|cause| match cause {
                    NoReply::Failed(ReadError::TooCostly(_)) if late() => out_of_time(),
                    other => other,
                }),
            };
            replies.push(reply.map_err(|cause| Unread { at, cause })?);
        }
        Ok(replies)
    })
}

fn reply(conn: &Connection, index_key: &IndexKey, asked: &Asked) -> Result<Reply, NoReply> {
    let permit = &asked.permit;
    match &asked.reading {
        Reading::Current(key) => Reply::version(read::read(conn, index_key, permit, key)?),
        Reading::Version(key) => Reply::version(read::vread(conn, index_key, permit, key)?),
        Reading::History(query) => {
            Reply::history(history::history(conn, index_key, permit, query)?)
        }
        Reading::Search(query) => {
            Ok(Reply::Search(search::search(conn, index_key, permit, query)?))
        }
    }
}
