//! The online store: redb behind the memory of changed rows. Called by ingest, which stages
//! and flushes, by every read of a feature or a plain key, and by push.
//!
//! What readers see is layered: the newest staged rows, the layers that are being flushed,
//! and a snapshot of redb. The layers change together, behind one lock, and a [`View`] pins
//! one such stack. So a view can never miss a row that moved from memory to disk, nor mix
//! two generations.
//!
//! Rows belong to a generation: one push's states and what was folded into them since. Plain
//! keys outlive generations. Both are written together with the log offset they include.

mod bytes; // bytes found in memory or in redb
mod changes; // the memory of changed rows
mod copy; // the store again, in a file of its own
mod flush; // changed rows to redb, in one transaction with their log offset
mod keys; // the plain keyspace: strings and hashes with expiry
mod generation; // loads a generation beside the one that is served
mod publication; // switches readers to a loaded generation
mod revival; // redb opened again after a failure of the disk
mod resident; // rows of the snapshot that are kept in memory
mod scan; // keys in order, over memory and redb
mod stack; // the layers that readers see
mod store; // opening and staging
mod tables; // the tables of redb and the record of the store's state
mod view; // one consistent reader
mod waiting; // changes that are folded into their row when it is read or flushed

#[cfg(test)]
mod testing; // plain keys for the tests

#[cfg(test)]
mod failure_tests; // a disk that fails for a while
#[cfg(test)]
mod crash_tests; // stopped at any sync, every generation is whole
#[cfg(test)]
mod tests; // the store against a map
#[cfg(test)]
mod thread_tests; // writers, a flusher, a pusher and readers at once

pub use bytes::Bytes;
pub use flush::Flush;
pub use generation::GenerationLoader;
pub use keys::{Change, Field, Fields, KeyKind, NEVER, Replayed, Turn, Value, Watcher};
pub use store::{OnlineOptions, OnlineStore};
pub use tables::GenerationInfo;
pub use view::{FullRow, View};
pub use waiting::{Merge, MergeError, Merged};
