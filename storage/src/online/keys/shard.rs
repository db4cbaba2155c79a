//! A part of the keys, behind its lock. Called by `space`, which knows which part a key is in.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use foldhash::fast::RandomState;
use indexmap::IndexMap;

use super::NEVER;
use super::change::Change;
use super::entry::Entry;
use super::value::Value;
use super::watch::Watched;
use crate::Result;

/// How many keys are looked at to find one that can be forgotten.
const LOOKS: usize = 16;

pub(super) type Key = Arc<[u8]>;

/// A part of the keys.
#[derive(Debug, Default)]
pub(super) struct Shard {
    pub(super) entries: IndexMap<Key, Entry, RandomState>,
    /// What redb does not know yet, by key.
    pub(super) dirty: BTreeSet<Key>,
    /// What is on its way to redb, by key.
    pub(super) flushing: BTreeSet<Key>,
    /// When something of a key in memory expires.
    pub(super) waking: BTreeSet<(i64, Key)>,
    pub(super) watched: Watched,
    /// What the entries take.
    bytes: usize,
    /// Where somebody last looked for a key to forget.
    hand: usize,
}

/// What a key was.
#[derive(Clone, Copy)]
struct Before {
    was_there: bool,
    /// Whether something of it had an expiry.
    expired: bool,
}

impl Before {
    fn of(entry: &Entry) -> Before {
        Before {
            was_there: entry.value.is_some(),
            expired: entry.wake() != NEVER,
        }
    }
}

/// How much a change changed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weighed {
    /// Keys that there are more.
    pub(super) keys: i64,
    /// Keys of which something expires, more.
    pub(super) expiring: i64,
    /// Bytes that wait for a flush, more.
    pub(super) dirty_bytes: isize,
}

/// Fetches what redb has of a key.
pub(super) type Fetch<'a> = dyn Fn() -> Result<Option<(Value, i64)>> + 'a;

impl Shard {
    /// Shows what a key holds, if it is there, and when it expires.
    pub(super) fn read<T>(
        &mut self,
        key: &[u8],
        now: i64,
        fetch: &Fetch<'_>,
        take: impl FnOnce(Option<(&Value, i64)>) -> T,
    ) -> Result<T> {
        let index = match self.entries.get_index_of(key) {
            Some(index) => index,
            None => match fetch()? {
                Some((value, expires)) => {
                    self.load(key.into(), Entry::stored(Some(value), expires))
                }
                None => return Ok(take(None)),
            },
        };
        let entry = &mut self.entries[index];
        entry.used_at(now);
        let is_there = entry.look(now);
        relist(&mut self.waking, key, entry);
        let found = entry.value.as_ref().filter(|_| is_there);
        Ok(take(found.map(|value| (value, entry.expires))))
    }

    /// Opens a key to be changed.
    pub(super) fn change<T>(
        &mut self,
        key: &[u8],
        now: i64,
        fetch: &Fetch<'_>,
        effects: &mut Vec<u8>,
        make: impl FnOnce(&mut Change<'_>) -> T,
    ) -> Result<(T, Weighed)> {
        if let Some((index, name, entry)) = self.entries.get_full_mut(key) {
            let before = Before::of(entry);
            let mut change = Change::open(key, now, entry, effects);
            let made = make(&mut change);
            if !change.is_changed() {
                relist(&mut self.waking, key, entry);
                return Ok((made, Weighed::default()));
            }
            let name = Arc::clone(name);
            return Ok((made, self.changed(index, &name, now, before)));
        }
        let fetched = fetch()?;
        let mut entry = match fetched {
            Some((value, expires)) => Entry::stored(Some(value), expires),
            None => Entry::absent(),
        };
        let before = Before::of(&entry);
        let mut change = Change::open(key, now, &mut entry, effects);
        let made = make(&mut change);
        let is_changed = change.is_changed();
        if !is_changed && !before.was_there {
            return Ok((made, Weighed::default()));
        }
        let name: Key = key.into();
        let index = self.load(Arc::clone(&name), entry);
        if !is_changed {
            return Ok((made, Weighed::default()));
        }
        Ok((made, self.changed(index, &name, now, before)))
    }

    /// Notes that a key was changed.
    fn changed(&mut self, index: usize, key: &Key, now: i64, before: Before) -> Weighed {
        self.watched.tell(key);
        let Some((_, entry)) = self.entries.get_index_mut(index) else {
            return Weighed::default();
        };
        relist(&mut self.waking, key, entry);
        let (entry_before, bytes) = (entry.bytes, entry.size(key));
        entry.bytes = bytes;
        entry.used_at(now);
        let grown = bytes as isize - entry_before as isize;
        self.bytes = self.bytes.saturating_add_signed(grown);
        let dirty_bytes = if entry.is_dirty {
            grown
        } else {
            bytes as isize
        };
        let after = Before::of(entry);
        if !entry.is_dirty {
            entry.is_dirty = true;
            self.dirty.insert(Arc::clone(key));
        }
        Weighed {
            keys: i64::from(after.was_there) - i64::from(before.was_there),
            expiring: i64::from(after.expired) - i64::from(before.expired),
            dirty_bytes,
        }
    }

    /// Takes a key into memory, and tells its position.
    fn load(&mut self, key: Key, mut entry: Entry) -> usize {
        entry.bytes = entry.size(&key);
        self.bytes += entry.bytes;
        entry.listed_wake = entry.wake();
        list(&mut self.waking, NEVER, entry.listed_wake, &key);
        self.entries.insert_full(key, entry).0
    }

    /// Forgets keys that redb has and nobody used lately, while there are more bytes than
    /// this.
    pub(super) fn shrink(&mut self, most_bytes: usize) {
        let mut looks = LOOKS;
        while self.bytes > most_bytes && looks > 0 && !self.entries.is_empty() {
            looks -= 1;
            self.hand = (self.hand + 1) % self.entries.len();
            let Some((_, entry)) = self.entries.get_index_mut(self.hand) else {
                return;
            };
            if entry.is_dirty || entry.is_flushing {
                continue;
            }
            if std::mem::take(&mut entry.is_used) {
                continue;
            }
            self.forget_at(self.hand);
        }
    }

    fn forget_at(&mut self, index: usize) {
        if let Some((key, entry)) = self.entries.swap_remove_index(index) {
            self.bytes = self.bytes.saturating_sub(entry.bytes);
            list(&mut self.waking, entry.listed_wake, NEVER, &key);
        }
    }

    /// Forgets a key that is gone and of which redb knows that.
    pub(super) fn forget_removed(&mut self, key: &[u8]) {
        if let Some(index) = self.entries.get_index_of(key) {
            let entry = &self.entries[index];
            if entry.value.is_none() && !entry.is_dirty && !entry.is_flushing {
                self.forget_at(index);
            }
        }
    }

    /// Leaves no key. Returns how many bytes waited for a flush.
    pub(super) fn clear(&mut self) -> usize {
        self.watched.tell_all();
        let dirty = self.entries.values().filter(|entry| entry.is_dirty);
        let dirty_bytes = dirty.map(|entry| entry.bytes).sum();
        self.entries.clear();
        self.dirty.clear();
        self.flushing.clear();
        self.waking.clear();
        self.bytes = 0;
        dirty_bytes
    }

    /// At least the first `limit` keys after one that redb may not know of, or may still have,
    /// with whether they are there. In no order.
    pub(super) fn staged_after(
        &self,
        after: Option<&[u8]>,
        limit: usize,
        mut take: impl FnMut(&Key, bool),
    ) {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        for keys in [&self.dirty, &self.flushing] {
            let found = keys.range::<[u8], _>((from, Bound::Unbounded));
            for key in found.take(limit) {
                let entry = self.entries.get(key);
                take(key, entry.is_some_and(|entry| entry.value.is_some()));
            }
        }
    }

    /// The first keys of which something has expired.
    pub(super) fn due(&self, now: i64, limit: usize) -> impl Iterator<Item = &Key> {
        let due = self.waking.iter().take_while(move |(wake, _)| *wake <= now);
        due.take(limit).map(|(_, key)| key)
    }
}

/// Lists a key by what it holds now.
pub(super) fn relist(waking: &mut BTreeSet<(i64, Key)>, key: &[u8], entry: &mut Entry) {
    let wake = entry.wake();
    if wake == entry.listed_wake {
        return;
    }
    list(waking, entry.listed_wake, wake, &key.into());
    entry.listed_wake = wake;
}

/// Lists a key under another instant.
fn list(waking: &mut BTreeSet<(i64, Key)>, before: i64, now: i64, key: &Key) {
    if before != NEVER {
        waking.remove(&(before, Arc::clone(key)));
    }
    if now != NEVER {
        waking.insert((now, Arc::clone(key)));
    }
}
