//! Plain keys in order, over memory and redb, and keys at random. Called by `turn`.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::shard::Key;
use super::space::Keyspace;
use crate::Result;
use crate::online::tables::{Redb, Snapshot, redb_error};

/// Keys that only memory knows are fetched at most this many at a time.
const CHUNK: usize = 256;

/// What memory knows of the keys up to a bound, and the bound; none for all keys.
struct Staged {
    keys: BTreeMap<Key, bool>,
    until: Option<Key>,
}

impl Keyspace {
    /// The first `limit` keys after one, in order. A key that is there all the while is never
    /// missed: what memory lists is looked at before what redb has, and a key leaves the lists
    /// only when redb has it.
    pub(super) fn keys_after(
        &self,
        snapshot: impl Fn() -> std::sync::Arc<Snapshot>,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        let mut after = after.map(<[u8]>::to_vec);
        while found.len() < limit {
            let staged = self.staged(after.as_deref(), limit.clamp(1, CHUNK));
            let snapshot = snapshot();
            let merged = if self.stored_counts() {
                merge(&staged, &snapshot, after.as_deref(), limit, &mut found)
            } else {
                let there = staged.keys.iter().filter(|(_, is_there)| **is_there);
                found.extend(there.map(|(key, _)| key.to_vec()).take(limit - found.len()));
                Ok(())
            };
            merged.map_err(redb_error("read", &snapshot.path))?;
            match staged.until {
                Some(until) => after = Some(until.to_vec()),
                None => break,
            }
        }
        Ok(found)
    }

    fn staged(&self, after: Option<&[u8]>, size: usize) -> Staged {
        let mut keys = BTreeMap::new();
        for shard in self.shards() {
            let shard = shard.lock();
            shard.staged_after(after, size, |key, is_there| {
                keys.insert(Key::clone(key), is_there);
            });
        }
        // Every list gave its first ones, so the first of all are among them.
        let until = keys.keys().nth(size.saturating_sub(1)).cloned();
        if let Some(until) = &until {
            let mut beyond = keys.split_off(&**until);
            keys.extend(beyond.pop_first());
        }
        Staged { keys, until }
    }

    /// A key in memory, drawn by a number; none if there is none.
    pub(super) fn drawn(&self, draw: u64, now: i64) -> Option<Vec<u8>> {
        let count = self.shards().len();
        for step in 0..count {
            let mut shard = self.shards()[(draw as usize + step) % count].lock();
            let held = shard.entries.len();
            for look in 0..held.min(16) {
                let index = ((draw >> 8) as usize).wrapping_add(look) % held;
                let (key, entry) = shard.entries.get_index_mut(index)?;
                if entry.look(now) {
                    return Some(key.to_vec());
                }
            }
        }
        None
    }
}

/// Adds the keys of redb and of memory up to the bound, in order.
fn merge(
    staged: &Staged,
    snapshot: &Snapshot,
    after: Option<&[u8]>,
    limit: usize,
    found: &mut Vec<Vec<u8>>,
) -> Redb<()> {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let until = staged.until.as_deref();
    let until = until.map_or(Bound::Unbounded, Bound::Included);
    let mut stored = snapshot.plain.range_owned::<&[u8]>((from, until))?;
    let mut in_memory = staged.keys.iter().peekable();
    let mut next = stored.next().transpose()?;
    while found.len() < limit {
        let stored_first = match (&next, in_memory.peek()) {
            (Some((key, _)), Some((other, _))) => key.value() < &***other,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => break,
        };
        if stored_first {
            if let Some((key, _)) = &next {
                found.push(key.value().to_vec());
            }
            next = stored.next().transpose()?;
            continue;
        }
        let Some((key, is_there)) = in_memory.next() else {
            break;
        };
        if next
            .as_ref()
            .is_some_and(|(stored, _)| stored.value() == &**key)
        {
            next = stored.next().transpose()?;
        }
        if *is_there {
            found.push(key.to_vec());
        }
    }
    Ok(())
}
