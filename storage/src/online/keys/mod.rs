//! The plain keyspace: strings and hashes with expiry, as Redis has them. Called by the RESP
//! door through the service.
//!
//! A key that is used lies in memory, in one of the shards; there it is the truth. What changed
//! since the last flush is listed, and goes to redb together with a log offset. Anything else
//! may be forgotten, and is read from redb again. So memory is bounded, and a key that is in
//! use costs no read of the disk's pages.
//!
//! Every change is an effect in the log: what a key holds now, not how it came to. Effects may
//! be applied again, on top of later ones too, as long as all later ones follow. So a flush
//! goes from shard to shard while others write: replaying the log from the offset before it
//! gives the same keys.

mod change; // one key, open to be changed
mod collect; // what changed, to be written
mod effect; // a change as bytes of the log, and back
mod entry; // a key in memory
mod fields; // what a hash holds
mod packed; // a small hash in one piece of memory
mod scan; // keys in order, over memory and redb
mod shard; // a part of the keys, behind its lock
mod space; // all shards, and who may enter
mod turn; // one client's turn: commands that are logged together
mod value; // what a key holds, and its bytes on disk
mod watch; // who wants to know of a change

#[cfg(test)]
mod tests; // the keyspace against a map, over flushes, crashes and evictions

pub use change::Change;
pub use fields::{Field, Fields};
pub use turn::{Replayed, Turn};
pub use value::{KeyKind, Value};
pub use watch::Watcher;

pub(super) use collect::{Collected, write_collected};
pub(super) use space::Keyspace;
pub(super) use value::decode;

/// Milliseconds since 1970, for expiry; this one never comes.
pub const NEVER: i64 = i64::MAX;
