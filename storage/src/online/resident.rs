//! Rows of the snapshot that are kept in memory, because finding one in redb costs more than
//! reading it. Called by the stack of layers, by flushes and publications.
//!
//! Readers of an older snapshot than these rows are of pass them by: every flush and every
//! publication begins an epoch before it changes a row here.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::changes::{Layer, Row, read};

const SHARDS: usize = 64;
const ENTRY_BYTES: usize = 64; // roughly what an entry costs beside its key and row
const LOOKS: usize = 16; // how many rows are looked at to find one that can be forgotten

/// The rows kept, as a snapshot sees them.
#[derive(Clone, Debug)]
pub(super) struct Resident {
    rows: Arc<Rows>,
    epoch: u64,
}

#[derive(Debug)]
struct Rows {
    shards: [RwLock<Shard>; SHARDS],
    epoch: AtomicU64,
    hasher: RandomState,
    most_shard_bytes: usize,
}

#[derive(Debug, Default)]
struct Shard {
    table: HashTable<Entry>,
    bytes: usize,
    /// Where somebody last looked for a row to forget.
    hand: usize,
}

/// A row, behind its key in one piece of memory.
#[derive(Debug)]
struct Entry {
    bytes: Arc<[u8]>,
    key_length: u32,
    /// Whether it was read since somebody last looked for one to forget.
    is_used: AtomicBool,
}

impl Resident {
    /// None yet, and room for so many bytes.
    pub(super) fn new(most_bytes: usize) -> Resident {
        Resident {
            rows: Arc::new(Rows {
                shards: std::array::from_fn(|_| RwLock::default()),
                epoch: AtomicU64::new(0),
                hasher: RandomState::default(),
                most_shard_bytes: most_bytes / SHARDS,
            }),
            epoch: 0,
        }
    }

    /// A row, and where it begins in the bytes, if it is kept.
    pub(super) fn get(&self, key: &[u8]) -> Option<(Arc<[u8]>, usize)> {
        let (hash, shard) = self.rows.place(key);
        let shard = read(shard);
        if !self.is_current() {
            return None;
        }
        let entry = shard.table.find(hash, |entry| entry.key() == key)?;
        // Written once, not by every reader: the line stays shared between cores.
        if !entry.is_used.load(Ordering::Relaxed) {
            entry.is_used.store(true, Ordering::Relaxed);
        }
        Some((Arc::clone(&entry.bytes), entry.key_length as usize))
    }

    /// Keeps a row that was found in the snapshot.
    pub(super) fn keep(&self, key: &[u8], row: &[u8]) {
        let (hash, shard) = self.rows.place(key);
        let mut shard = write(shard);
        if !self.is_current() || shard.table.find(hash, |entry| entry.key() == key).is_some() {
            return;
        }
        let rows = &self.rows;
        let entry = Entry::of(key, row);
        shard.bytes += entry.size();
        let rehash = |entry: &Entry| rows.hasher.hash_one(entry.key());
        shard.table.insert_unique(hash, entry, rehash);
        shard.shrink(rows.most_shard_bytes);
    }

    /// What the snapshot sees that has these layers in it, oldest first. Called by one thread
    /// at a time, before any reader has that snapshot.
    pub(super) fn with(&self, layers: &[Layer]) -> Resident {
        let next = self.next_epoch();
        for layer in layers {
            let replace = |key: &[u8], row: Option<&Row>| {
                self.rows.replace(key, row.map(|row| &*row.bytes));
            };
            layer.rows.after(None, usize::MAX, replace);
        }
        next
    }

    /// What another generation's snapshot sees: nothing yet.
    pub(super) fn renewed(&self) -> Resident {
        let next = self.next_epoch();
        for shard in &self.rows.shards {
            *write(shard) = Shard::default();
        }
        next
    }

    /// From here on the rows are no longer this snapshot's.
    fn next_epoch(&self) -> Resident {
        Resident {
            rows: Arc::clone(&self.rows),
            epoch: self.rows.epoch.fetch_add(1, Ordering::AcqRel) + 1,
        }
    }

    /// Whether the rows are of this snapshot. Asked under the lock of a shard: whoever changes
    /// its rows has begun the next epoch before it took the lock.
    fn is_current(&self) -> bool {
        self.rows.epoch.load(Ordering::Acquire) == self.epoch
    }
}

impl Rows {
    fn place(&self, key: &[u8]) -> (u64, &RwLock<Shard>) {
        let hash = self.hasher.hash_one(key);
        // The table looks at the other end of the hash.
        (hash, &self.shards[(hash >> 32) as usize % SHARDS])
    }

    /// Puts another row in the place of one that is kept.
    fn replace(&self, key: &[u8], row: Option<&[u8]>) {
        let (hash, shard) = self.place(key);
        let mut shard = write(shard);
        let found = shard.table.find_entry(hash, |entry| entry.key() == key);
        let Ok(mut held) = found else { return };
        let before = held.get().size();
        let after = if let Some(row) = row {
            *held.get_mut() = Entry::of(key, row);
            held.get().size()
        } else {
            held.remove();
            0
        };
        shard.bytes = shard.bytes + after - before;
    }
}

impl Shard {
    /// Forgets rows that nobody read lately while there are more bytes than this.
    fn shrink(&mut self, most_bytes: usize) {
        let mut looks = LOOKS;
        while self.bytes > most_bytes && looks > 0 && !self.table.is_empty() {
            self.hand = (self.hand + 1) % self.table.num_buckets();
            let Ok(held) = self.table.get_bucket_entry(self.hand) else {
                continue;
            };
            looks -= 1;
            // The last look takes what it finds, so that a table of used rows stays bounded.
            if std::mem::take(held.into_mut().is_used.get_mut()) && looks > 0 {
                continue;
            }
            if let Ok(held) = self.table.get_bucket_entry(self.hand) {
                self.bytes -= held.remove().0.size();
            }
        }
    }
}

impl Entry {
    fn of(key: &[u8], row: &[u8]) -> Entry {
        Entry {
            bytes: key.iter().chain(row).copied().collect(),
            key_length: key.len() as u32,
            is_used: AtomicBool::new(true),
        }
    }

    fn key(&self) -> &[u8] {
        &self.bytes[..self.key_length as usize]
    }

    fn size(&self) -> usize {
        ENTRY_BYTES + self.bytes.len()
    }
}

fn write(shard: &RwLock<Shard>) -> RwLockWriteGuard<'_, Shard> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}
