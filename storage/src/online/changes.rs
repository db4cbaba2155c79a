//! The memory of changed rows: ordered maps, sharded so that writers and readers of different
//! keys do not meet. Called by the store, its views and its flushes.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::ops::Bound;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use foldhash::fast::FixedState;

use super::tables::Redb;
use super::waiting::Waiting;
use crate::Result;

const SHARDS: usize = 64;
const ENTRY_BYTES: usize = 96; // roughly what a map entry costs beside its key and value

/// What can be staged: an entity's row, or the value of a plain key.
pub(super) trait Staged: Clone {
    /// How many bytes it holds.
    fn size(&self) -> usize;
    /// What stands after this was staged on top of `older`, which is none after a removal.
    fn over(self, older: Option<&Self>) -> Self;
}

/// A changed row of an entity.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) bytes: Arc<[u8]>,
    pub(super) vectors: Vectors,
    /// Changes that are not yet in the row.
    pub(super) waiting: Option<Box<Waiting>>,
}

/// The vectors of a changed row.
#[derive(Clone, Debug)]
pub(super) enum Vectors {
    /// Unchanged: those of the layer below.
    Below,
    /// None, whatever lies below.
    None,
    /// These.
    Some(Arc<[u8]>),
}

/// A change of one key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change<V> {
    /// It has this value now.
    Put(V),
    /// It is gone.
    Removed,
}

pub(super) type Shard<V> = BTreeMap<Box<[u8]>, Option<V>>; // none for removals
pub(super) type ShardGuard<'a, V> = RwLockWriteGuard<'a, Shard<V>>;

/// The changes of many keys.
#[derive(Debug)]
pub(super) struct Changes<V> {
    shards: [RwLock<Shard<V>>; SHARDS],
    count: AtomicUsize,
    added: AtomicI64,
    bytes: AtomicUsize,
}

/// One layer: the changes of rows, which belong to a generation.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    pub(super) rows: Arc<Changes<Row>>,
}

impl Staged for Row {
    fn size(&self) -> usize {
        let vectors = match &self.vectors {
            Vectors::Some(vectors) => vectors.len(),
            Vectors::Below | Vectors::None => 0,
        };
        self.bytes.len() + vectors + self.waiting_bytes()
    }

    fn over(mut self, older: Option<&Row>) -> Row {
        if let Vectors::Below = self.vectors {
            self.vectors = older.map_or(Vectors::None, |older| older.vectors.clone());
        }
        self
    }
}

impl<V> Default for Changes<V> {
    fn default() -> Changes<V> {
        Changes {
            shards: std::array::from_fn(|_| RwLock::default()),
            count: AtomicUsize::new(0),
            added: AtomicI64::new(0),
            bytes: AtomicUsize::new(0),
        }
    }
}

impl<V: Staged> Changes<V> {
    /// Stages a value, or a removal. `below` says whether the layers below have the key; it is
    /// asked once per key.
    pub(super) fn put(
        &self,
        key: &[u8],
        value: Option<V>,
        below: impl FnOnce() -> Result<bool>,
    ) -> Result<()> {
        let mut shard = self
            .shard(key)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(change) = shard.get_mut(key) {
            let value = value.map(|value| value.over(change.as_ref()));
            self.replace(change, value);
        } else {
            let is_below = below()?;
            self.insert(&mut shard, key, value, is_below);
        }
        Ok(())
    }

    /// Puts another value in the place of one, and counts.
    pub(super) fn replace(&self, change: &mut Option<V>, value: Option<V>) {
        let now = i64::from(value.is_some());
        self.added
            .fetch_add(now - i64::from(change.is_some()), Ordering::Relaxed);
        self.resize(size(change.as_ref()), size(value.as_ref()));
        *change = value;
    }

    /// Puts the first change of a key into its shard, and counts.
    pub(super) fn insert(
        &self,
        shard: &mut Shard<V>,
        key: &[u8],
        value: Option<V>,
        is_below: bool,
    ) {
        let now = i64::from(value.is_some());
        self.added
            .fetch_add(now - i64::from(is_below), Ordering::Relaxed);
        self.resize(0, ENTRY_BYTES + key.len() + size(value.as_ref()));
        shard.insert(key.into(), value);
        // Behind the insertion: whoever reads a count of 0 may skip the layer.
        self.count.fetch_add(1, Ordering::Release);
    }

    /// Counts bytes that became more or fewer.
    pub(super) fn resize(&self, old: usize, new: usize) {
        self.bytes.fetch_add(new, Ordering::Relaxed);
        self.bytes.fetch_sub(old, Ordering::Relaxed);
    }

    /// The change of a key, if it changed.
    pub(super) fn get(&self, key: &[u8]) -> Option<Change<V>> {
        self.look(key, |change| match change {
            Some(value) => Change::Put(value.clone()),
            None => Change::Removed,
        })
    }

    /// Looks at the change of a key, if it changed; none is a removal.
    pub(super) fn look<T>(&self, key: &[u8], look: impl FnOnce(Option<&V>) -> T) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let shard = read(self.shard(key));
        shard.get(key).map(|change| look(change.as_ref()))
    }

    /// Whether nothing changed.
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// How many keys there are more than below.
    pub(super) fn added(&self) -> i64 {
        self.added.load(Ordering::Relaxed)
    }

    /// How much memory this takes, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// At least the first `limit` changes after a key, unordered.
    pub(super) fn after(
        &self,
        after: Option<&[u8]>,
        limit: usize,
        mut take: impl FnMut(&[u8], Option<&V>),
    ) {
        if self.is_empty() {
            return;
        }
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        for shard in &self.shards {
            for (key, change) in read(shard)
                .range::<[u8], _>((from, Bound::Unbounded))
                .take(limit)
            {
                take(key, change.as_ref());
            }
        }
    }

    /// All changes by ascending key. The layer must not change any more.
    pub(super) fn in_order(&self, mut take: impl FnMut(&[u8], Option<&V>) -> Redb<()>) -> Redb<()> {
        let shards: Vec<_> = self.shards.iter().map(read).collect();
        let mut changes: Vec<(&[u8], &Option<V>)> = shards
            .iter()
            .flat_map(|shard| shard.iter())
            .map(|(key, change)| (&**key, change))
            .collect();
        // Ascending runs, which the stable sort merges.
        changes.sort_by_key(|(key, _)| *key);
        changes
            .into_iter()
            .try_for_each(|(key, change)| take(key, change.as_ref()))
    }

    pub(super) fn shards(&self) -> &[RwLock<Shard<V>>] {
        &self.shards
    }

    pub(super) fn shard(&self, key: &[u8]) -> &RwLock<Shard<V>> {
        &self.shards[FixedState::default().hash_one(key) as usize % SHARDS]
    }
}

impl Layer {
    pub(super) fn bytes(&self) -> usize {
        self.rows.bytes()
    }

    /// Whether this is the very same layer.
    pub(super) fn is(&self, other: &Layer) -> bool {
        Arc::ptr_eq(&self.rows, &other.rows)
    }
}

fn size<V: Staged>(value: Option<&V>) -> usize {
    value.map_or(0, Staged::size)
}

pub(super) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}
