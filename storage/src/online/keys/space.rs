//! All shards of the keyspace, and who may enter. Called by `turn`, `scan`, `collect` and the
//! online store.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicI64, AtomicIsize, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use foldhash::fast::RandomState;

use super::shard::{Shard, Weighed};

const SHARDS: usize = 64;

/// The plain keys.
#[derive(Debug)]
pub(in crate::online) struct Keyspace {
    shards: Vec<Locked>,
    hasher: RandomState,
    /// Whoever works on one key at a time shares it; whoever needs several to stand still holds
    /// it alone.
    pub(super) gate: RwLock<()>,
    count: AtomicI64,
    /// Of how many of them something expires.
    expiring: AtomicI64,
    dirty_bytes: AtomicIsize,
    /// How often all keys were cleared, and how many of these redb knows of. While they differ,
    /// nothing in redb counts.
    pub(super) clears: AtomicU64,
    pub(super) clears_stored: AtomicU64,
    /// Memory for the keys of a shard that could be read again.
    most_shard_bytes: usize,
}

/// A shard behind its lock.
#[derive(Debug, Default)]
pub(super) struct Locked(Mutex<Shard>);

impl Locked {
    /// A lock whose holder panicked still guards whole entries: commands change them in steps
    /// that each hold.
    pub(super) fn lock(&self) -> MutexGuard<'_, Shard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keyspace {
    /// Of the keys that redb has, of which so many bytes may be kept in memory.
    pub(in crate::online) fn new(stored: u64, waking: u64, most_bytes: usize) -> Keyspace {
        Keyspace {
            shards: (0..SHARDS).map(|_| Locked::default()).collect(),
            hasher: RandomState::default(),
            gate: RwLock::new(()),
            count: AtomicI64::new(stored as i64),
            expiring: AtomicI64::new(waking as i64),
            dirty_bytes: AtomicIsize::new(0),
            clears: AtomicU64::new(0),
            clears_stored: AtomicU64::new(0),
            most_shard_bytes: most_bytes / SHARDS,
        }
    }

    /// How many keys there are, those counted in that have expired and are not yet removed.
    pub(in crate::online) fn len(&self) -> u64 {
        self.count.load(Ordering::Relaxed).max(0) as u64
    }

    /// Of how many of them something expires.
    pub(in crate::online) fn expiring(&self) -> u64 {
        self.expiring.load(Ordering::Relaxed).max(0) as u64
    }

    /// What waits for a flush takes so many bytes.
    pub(in crate::online) fn dirty_bytes(&self) -> usize {
        self.dirty_bytes.load(Ordering::Relaxed).max(0) as usize
    }

    /// Whether a flush has nothing to write.
    pub(in crate::online) fn is_clean(&self) -> bool {
        let is_clean = |shard: &Locked| shard.lock().dirty.is_empty();
        self.stored_counts() && self.shards.iter().all(is_clean)
    }

    /// Whether what redb has is not cleared.
    pub(in crate::online) fn stored_counts(&self) -> bool {
        self.clears.load(Ordering::Acquire) == self.clears_stored.load(Ordering::Acquire)
    }

    pub(super) fn shards(&self) -> &[Locked] {
        &self.shards
    }

    /// The shard of a key.
    pub(super) fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(key) as usize;
        self.shards[hash % SHARDS].lock()
    }

    pub(super) fn weigh(&self, weighed: Weighed) {
        if weighed.keys != 0 {
            self.count.fetch_add(weighed.keys, Ordering::Relaxed);
        }
        if weighed.expiring != 0 {
            self.expiring.fetch_add(weighed.expiring, Ordering::Relaxed);
        }
        self.weigh_dirty(weighed.dirty_bytes);
    }

    pub(super) fn weigh_dirty(&self, bytes: isize) {
        if bytes != 0 {
            self.dirty_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Forgets keys of a shard if they take too much.
    pub(super) fn shrink(&self, shard: &mut Shard) {
        shard.shrink(self.most_shard_bytes);
    }

    /// Leaves no key. The caller holds the gate alone.
    pub(super) fn clear(&self) {
        self.clears.fetch_add(1, Ordering::AcqRel);
        for shard in &self.shards {
            let dirty_bytes = shard.lock().clear();
            self.weigh_dirty(-(dirty_bytes as isize));
        }
        self.count.store(0, Ordering::Relaxed);
        self.expiring.store(0, Ordering::Relaxed);
    }
}
