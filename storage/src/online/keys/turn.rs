//! One client's turn: the commands that arrived together, logged together. Called by the RESP
//! door through the service, by the thread that removes what has expired, and by the replay.

use std::sync::{Arc, PoisonError, RwLockReadGuard, RwLockWriteGuard};

use super::change::Change;
use super::effect::{Effect, LAST, PART};
use super::shard::Key;
use super::value::Value;
use super::watch::Watcher;
use crate::log::{Kind, Log, MAX_PAYLOAD};
use crate::online::store::OnlineStore;
use crate::online::tables::{Redb, redb_error};
use crate::{Error, Result};

/// The bytes of a group that do not fit a record are cut into parts.
const PART_BYTES: usize = MAX_PAYLOAD - 1;

/// A client's turn at the plain keys. Readers see each command's changes at once; they are in
/// the log's memory by then, and [`Turn::end`] hands them to the operating system.
pub struct Turn<'a> {
    store: &'a OnlineStore,
    log: &'a Log,
    now: i64,
    gate: Gate<'a>,
    /// What the current command, or the whole transaction, changed.
    effects: Vec<u8>,
    is_transaction: bool,
    has_logged: bool,
}

/// How the gate of the keyspace is held. The guards are held, not looked at.
enum Gate<'a> {
    Shared(#[expect(dead_code, reason = "held for its drop")] RwLockReadGuard<'a, ()>),
    Alone(#[expect(dead_code, reason = "held for its drop")] RwLockWriteGuard<'a, ()>),
    Between,
}

impl OnlineStore {
    /// Begins a turn at an instant in milliseconds since 1970.
    pub fn turn<'a>(&'a self, log: &'a Log, now: i64) -> Turn<'a> {
        let mut turn = Turn {
            store: self,
            log,
            now,
            gate: Gate::Between,
            effects: vec![LAST],
            is_transaction: false,
            has_logged: false,
        };
        turn.share();
        turn
    }
}

impl Turn<'_> {
    /// The instant by which keys expire.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// Shows what a key holds, if it is there, and when it expires.
    pub fn read<T>(
        &mut self,
        key: &[u8],
        take: impl FnOnce(Option<(&Value, i64)>) -> T,
    ) -> Result<T> {
        let space = &self.store.space;
        let fetch = || self.store.stored_value(key);
        let mut shard = space.shard(key);
        let taken = shard.read(key, self.now, &fetch, take)?;
        space.shrink(&mut shard);
        Ok(taken)
    }

    /// Opens a key to be changed. An error if the log takes nothing; then nothing is changed.
    pub fn change<T>(&mut self, key: &[u8], make: impl FnOnce(&mut Change<'_>) -> T) -> Result<T> {
        self.log.ready()?;
        let space = &self.store.space;
        let fetch = || self.store.stored_value(key);
        let mut shard = space.shard(key);
        let (made, weighed) = shard.change(key, self.now, &fetch, &mut self.effects, make)?;
        space.weigh(weighed);
        space.shrink(&mut shard);
        if self.is_transaction {
            return Ok(made);
        }
        // Under the lock of the shard, so that the log has the changes of a key in their order.
        let logged = log_effects(self.log, &mut self.effects, &mut self.has_logged);
        drop(shard);
        logged.map(|()| made)
    }

    /// Does several commands as one: nobody comes between, and the log has all or none of
    /// their changes.
    pub fn alone<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> Result<T> {
        if self.is_transaction {
            return Ok(work(self));
        }
        self.gate = Gate::Between;
        let gate = self.store.space.gate.write();
        self.gate = Gate::Alone(gate.unwrap_or_else(PoisonError::into_inner));
        self.is_transaction = true;
        let made = work(self);
        self.is_transaction = false;
        let logged = log_effects(self.log, &mut self.effects, &mut self.has_logged);
        self.share();
        logged.map(|()| made)
    }

    /// Removes every key.
    pub fn clear(&mut self) -> Result<()> {
        self.log.ready()?;
        self.alone(|turn| {
            turn.store.space.clear();
            Effect::Clear.encode(&mut turn.effects);
        })
    }

    /// Hands what was logged to the operating system; true if there was anything. The client
    /// may be answered then, unless it is to wait for a sync.
    pub fn end(self) -> Result<bool> {
        if self.has_logged {
            self.log.write()?;
        }
        Ok(self.has_logged)
    }

    /// How many keys there are.
    pub fn len(&self) -> u64 {
        self.store.space.len()
    }

    /// Of how many of them something expires.
    pub fn expiring(&self) -> u64 {
        self.store.space.expiring()
    }

    /// For how many seconds a key was not used; since the start, if that is not known.
    pub fn idle_seconds(&self, key: &[u8]) -> Option<i64> {
        let shard = self.store.space.shard(key);
        let used = shard.entries.get(key).map_or(0, |entry| entry.used_second);
        (used > 0).then(|| (self.now / 1_000 - i64::from(used)).max(0))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `limit` keys after one, in order; some may have expired.
    pub fn keys(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<Vec<u8>>> {
        let snapshot = || Arc::clone(&self.store.stack().snapshot);
        self.store.space.keys_after(snapshot, after, limit)
    }

    /// A key drawn by a number, preferably one in memory; none if there is none.
    pub fn drawn_key(&mut self, draw: u64) -> Result<Option<Vec<u8>>> {
        if let Some(key) = self.store.space.drawn(draw, self.now) {
            return Ok(Some(key));
        }
        for key in self.keys(None, 16)? {
            if self.read(&key, |found| found.is_some())? {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    /// Has a watcher told of changes of a key; whether the key is there.
    pub fn watch(&mut self, key: &[u8], watcher: &Watcher) -> Result<bool> {
        self.store.space.shard(key).watched.add(key, watcher);
        self.read(key, |found| found.is_some())
    }

    /// Ends that.
    pub fn unwatch(&self, key: &[u8], watcher: &Watcher) {
        self.store.space.shard(key).watched.remove(key, watcher);
    }

    /// Removes what has expired, at most about so many keys; how many were looked at.
    pub fn expire(&mut self, limit: usize) -> Result<usize> {
        let mut due: Vec<Key> = Vec::new();
        for shard in self.store.space.shards() {
            due.extend(shard.lock().due(self.now, limit).cloned());
        }
        due.truncate(limit);
        due.extend(self.stored_due(limit - due.len())?);
        for key in &due {
            self.change(key, |_| ())?;
        }
        Ok(due.len())
    }

    /// Applies a record's effects again.
    pub fn replay(&mut self, replayed: &mut Replayed, payload: &[u8]) -> Result<()> {
        let damaged = || Error::PlainRecord {
            reason: "it is no change of plain keys, or of a newer version",
        };
        let (&form, effects) = payload.split_first().ok_or_else(damaged)?;
        replayed.group.extend_from_slice(effects);
        match form {
            LAST => {}
            PART => return Ok(()),
            _ => return Err(damaged()),
        }
        let group = std::mem::take(&mut replayed.group);
        let mut rest = group.as_slice();
        while !rest.is_empty() {
            let effect = Effect::decode(&mut rest).ok_or_else(damaged)?;
            self.apply(&effect)?;
        }
        Ok(())
    }

    fn apply(&mut self, effect: &Effect<'_>) -> Result<()> {
        let space = &self.store.space;
        let Some(key) = effect.key() else {
            space.clear();
            return Ok(());
        };
        let fetch = || self.store.stored_value(key);
        let mut shard = space.shard(key);
        // By no clock: what had expired then was removed then.
        let ((), weighed) = shard.change(key, i64::MIN, &fetch, &mut self.effects, |change| {
            change.again(effect);
        })?;
        self.effects.truncate(1);
        space.weigh(weighed);
        space.shrink(&mut shard);
        Ok(())
    }

    /// Keys that redb lists and memory does not know.
    fn stored_due(&self, limit: usize) -> Result<Vec<Key>> {
        let space = &self.store.space;
        let snapshot = Arc::clone(&self.store.stack().snapshot);
        if limit == 0 || !space.stored_counts() {
            return Ok(Vec::new());
        }
        let until = super::collect::waking_key(self.now.saturating_add(1), &[]);
        let due = || -> Redb<Vec<Key>> {
            let mut due = Vec::new();
            for row in snapshot.waking.range_owned::<&[u8]>(..until.as_slice())? {
                let (row, _) = row?;
                let Some(key) = row.value().get(8..) else {
                    continue;
                };
                if space.shard(key).entries.contains_key(key) {
                    continue; // memory knows better, and the next flush puts the list right
                }
                due.push(Key::from(key));
                if due.len() == limit {
                    break;
                }
            }
            Ok(due)
        };
        due().map_err(redb_error("read", &snapshot.path))
    }

    fn share(&mut self) {
        self.gate = Gate::Between;
        let gate = self.store.space.gate.read();
        self.gate = Gate::Shared(gate.unwrap_or_else(PoisonError::into_inner));
    }
}

/// What a replay has read of a group.
#[derive(Debug, Default)]
pub struct Replayed {
    group: Vec<u8>,
}

fn log_effects(log: &Log, effects: &mut Vec<u8>, has_logged: &mut bool) -> Result<()> {
    if effects.len() == 1 {
        return Ok(());
    }
    *has_logged = true;
    let logged = if effects.len() <= MAX_PAYLOAD {
        log.append(Kind::Plain, effects).map(|_| ())
    } else {
        log_parts(log, &effects[1..])
    };
    effects.truncate(1);
    logged
}

fn log_parts(log: &Log, effects: &[u8]) -> Result<()> {
    let parts = effects.chunks(PART_BYTES);
    let last = parts.len() - 1;
    let parts: Vec<Vec<u8>> = parts
        .enumerate()
        .map(|(index, part)| {
            let form = if index == last { LAST } else { PART };
            [&[form], part].concat()
        })
        .collect();
    let records = parts.iter().map(|part| (Kind::Plain, part.as_slice()));
    log.append_all(records).map(|_| ())
}
