//! A key in memory. Called by `shard` and `change`.

use super::NEVER;
use super::value::Value;

/// What an entry costs beside its key and value, roughly.
const ENTRY_BYTES: usize = 112;

/// A key in memory: the truth about it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// None if the key is gone and redb may not know yet.
    pub(super) value: Option<Value>,
    /// When the key expires; [`NEVER`] if it does not.
    pub(super) expires: i64,
    /// Under which instant redb lists it for waking.
    pub(super) stored_wake: i64,
    /// Under which instant its shard does.
    pub(super) listed_wake: i64,
    /// Whether redb has an older state of it, or none.
    pub(super) is_dirty: bool,
    /// Whether a state of it is on its way to redb.
    pub(super) is_flushing: bool,
    /// Whether it was used since somebody last looked for one to forget.
    pub(super) is_used: bool,
    /// In which second since 1970; 0 if not since the start.
    pub(super) used_second: u32,
    /// What it was counted as.
    pub(super) bytes: usize,
}

impl Entry {
    /// A key that is not there.
    pub(super) fn absent() -> Entry {
        Entry::stored(None, NEVER)
    }

    /// A key as redb has it.
    pub(super) fn stored(value: Option<Value>, expires: i64) -> Entry {
        let mut entry = Entry {
            value,
            expires,
            stored_wake: NEVER,
            listed_wake: NEVER,
            is_dirty: false,
            is_flushing: false,
            is_used: true,
            used_second: 0,
            bytes: 0,
        };
        entry.stored_wake = entry.wake();
        entry
    }

    /// Notes that it was used.
    pub(super) fn used_at(&mut self, now: i64) {
        self.is_used = true;
        self.used_second = u32::try_from(now / 1_000).unwrap_or(0);
    }

    /// When something of it expires next.
    pub(super) fn wake(&self) -> i64 {
        match &self.value {
            None => NEVER,
            Some(Value::Text(_)) => self.expires,
            Some(Value::Hash(fields)) => self.expires.min(fields.next_expiry()),
        }
    }

    /// Whether it is there; what has expired of it is dropped. `false` for a value that has
    /// expired as a whole, which stays for whoever logs its removal.
    pub(super) fn look(&mut self, now: i64) -> bool {
        if self.expires <= now {
            return false;
        }
        match &mut self.value {
            None => false,
            Some(Value::Text(_)) => true,
            Some(Value::Hash(fields)) => {
                fields.purge(now);
                if fields.is_empty() {
                    self.expires = 0; // with the last field, the key
                }
                self.expires != 0
            }
        }
    }

    /// What it takes in memory with its key.
    pub(super) fn size(&self, key: &[u8]) -> usize {
        let value = self.value.as_ref().map_or(0, Value::size);
        ENTRY_BYTES + key.len() + value
    }
}
