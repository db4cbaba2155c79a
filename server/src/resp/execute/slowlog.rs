//! Tells what took long. Called by `server`.

use crate::resp::Reply;
use crate::resp::slowlog::{Entry, SlowLog};

/// The newest commands that took long, as Redis lists them.
pub(super) fn get(log: &SlowLog, count: Option<usize>) -> Reply {
    const USUAL: usize = 10;
    let entries = log.newest(count.unwrap_or(USUAL));
    Reply::Array(entries.into_iter().map(entry).collect())
}

fn entry(entry: Entry) -> Reply {
    let arguments = entry.arguments.into_iter().map(Reply::Bulk);
    Reply::Array(vec![
        Reply::Integer(entry.id),
        Reply::Integer(entry.at),
        Reply::Integer(entry.micros),
        Reply::Array(arguments.collect()),
        Reply::Text(entry.peer),
        Reply::Text(entry.name),
    ])
}
