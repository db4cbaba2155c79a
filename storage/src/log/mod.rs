//! The log: append-only checksummed segments. What is acknowledged is here first; the states
//! in `online` are its fold up to an offset. Called by ingest, which writes, and by
//! everything that folds the log again.

mod compact; // leaves out of closed segments what nobody needs
mod format; // the bytes of a segment
mod reader; // reads records, beside a living writer or without one
mod segments; // the files of a log
mod writer; // appends, syncs, closes and drops

#[cfg(test)]
mod tests; // the laws: what was synced comes back, damage is never silent

use std::fmt;

pub use format::MAX_PAYLOAD;
pub use reader::{LogReader, Record, Records};
pub(crate) use segments::segment_base;
pub use writer::{Log, LogOptions, TornTail};

/// A position in the log: the bytes of all records before it, over all segments.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Offset(pub u64);

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a record is about; the payload itself is opaque here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An event of an event source.
    Event = 1,
    /// A written value of an entity.
    Value = 2,
    /// The effect of a command on plain keys.
    Plain = 3,
}
