//! What changed, to be written to redb with the flush or publication that asks for it. Called
//! by `flush` and `publication`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use redb::{TableDefinition, WriteTransaction};

use super::NEVER;
use super::shard::{Key, relist};
use super::space::Keyspace;
use super::value::{self, Value};
use crate::online::tables::{Bin, PLAIN, Redb, WAKING};

/// Keys and what they hold, on their way to redb.
pub(in crate::online) struct Collected {
    keys: Vec<Stored>,
    /// How often all keys had been cleared when this was collected.
    clears: u64,
    /// Whether the tables are to be emptied first.
    empties: bool,
}

struct Stored {
    key: Key,
    /// None removes it.
    value: Option<Vec<u8>>,
    /// Under which instants it was listed for waking, and is now.
    wake: (i64, i64),
}

impl Keyspace {
    /// Takes what changed, shard by shard, while others go on. One at a time, and each is
    /// followed by `settled`.
    pub(in crate::online) fn collect(&self) -> Collected {
        let clears = self.clears.load(Ordering::Acquire);
        let mut collected = Collected {
            keys: Vec::new(),
            clears,
            empties: clears != self.clears_stored.load(Ordering::Acquire),
        };
        for shard in self.shards() {
            let shard = &mut *shard.lock();
            let dirty = std::mem::take(&mut shard.dirty);
            for key in &dirty {
                let Some(entry) = shard.entries.get_mut(key) else {
                    continue;
                };
                entry.is_dirty = false;
                entry.is_flushing = true;
                if let Some(Value::Hash(fields)) = &mut entry.value {
                    fields.settle();
                    relist(&mut shard.waking, key, entry);
                }
                let wake = (entry.stored_wake, entry.wake());
                entry.stored_wake = wake.1;
                let value = entry.value.as_ref().map(|held| {
                    let mut bytes = Vec::with_capacity(held.size() + 16);
                    value::encode(held, entry.expires, &mut bytes);
                    bytes
                });
                let bytes = entry.bytes as isize;
                self.weigh_dirty(-bytes);
                collected.keys.push(Stored {
                    key: Arc::clone(key),
                    value,
                    wake,
                });
            }
            shard.flushing = dirty;
        }
        collected.keys.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        collected
    }

    /// After readers have what was collected, or after it could not be written.
    pub(in crate::online) fn settled(&self, collected: &Collected, is_written: bool) {
        if is_written {
            self.clears_stored
                .store(collected.clears, Ordering::Release);
        }
        for stored in &collected.keys {
            let mut shard = self.shard(&stored.key);
            shard.flushing.remove(&stored.key);
            let Some(entry) = shard.entries.get_mut(&stored.key) else {
                continue;
            };
            if !std::mem::take(&mut entry.is_flushing) {
                continue; // cleared meanwhile, and set again
            }
            if is_written {
                shard.forget_removed(&stored.key);
            } else {
                entry.stored_wake = stored.wake.0;
                if !std::mem::replace(&mut entry.is_dirty, true) {
                    let bytes = entry.bytes as isize;
                    shard.dirty.insert(Arc::clone(&stored.key));
                    self.weigh_dirty(bytes);
                }
            }
        }
    }
}

impl Collected {
    /// Whether there is nothing to write.
    pub(in crate::online) fn is_empty(&self) -> bool {
        self.keys.is_empty() && !self.empties
    }
}

/// Writes what was collected.
pub(in crate::online) fn write_collected(
    transaction: &WriteTransaction,
    collected: &Collected,
) -> Redb<()> {
    if collected.empties {
        transaction.delete_table(PLAIN)?;
        transaction.delete_table(WAKING)?;
    }
    let mut plain = transaction.open_table(PLAIN)?;
    for stored in &collected.keys {
        match &stored.value {
            Some(value) => plain.insert(&*stored.key, value.as_slice())?,
            None => plain.remove(&*stored.key)?,
        };
    }
    write_waking(transaction, WAKING, collected)
}

fn write_waking(
    transaction: &WriteTransaction,
    table: TableDefinition<'_, Bin, ()>,
    collected: &Collected,
) -> Redb<()> {
    let mut waking = transaction.open_table(table)?;
    let moved = collected.keys.iter().filter(|it| it.wake.0 != it.wake.1);
    let mut changes: Vec<(Vec<u8>, bool)> = Vec::new();
    for Stored { key, wake, .. } in moved {
        let (before, now) = *wake;
        if before != NEVER && !collected.empties {
            changes.push((waking_key(before, key), false));
        }
        if now != NEVER {
            changes.push((waking_key(now, key), true));
        }
    }
    changes.sort_unstable();
    for (key, is_listed) in changes {
        if is_listed {
            waking.insert(key.as_slice(), ())?;
        } else {
            waking.remove(key.as_slice())?;
        }
    }
    Ok(())
}

/// Big-endian, and instants of keys are never negative, so that byte order is time order.
pub(super) fn waking_key(wake: i64, key: &[u8]) -> Vec<u8> {
    [&wake.max(0).to_be_bytes()[..], key].concat()
}
