//! One key, open to be changed. Made by `turn` for every command that writes.

use super::effect::Effect;
use super::entry::Entry;
use super::fields::Fields;
use super::value::{self, KeyKind, Value};

/// One key, open to be changed. Each change is an effect in the log.
pub struct Change<'a> {
    key: &'a [u8],
    entry: &'a mut Entry,
    effects: &'a mut Vec<u8>,
    changed: bool,
}

impl<'a> Change<'a> {
    /// Opens a key; what has expired of it is gone from here on.
    pub(super) fn open(
        key: &'a [u8],
        now: i64,
        entry: &'a mut Entry,
        effects: &'a mut Vec<u8>,
    ) -> Change<'a> {
        let is_there = entry.look(now);
        let mut change = Change {
            // Fields have expired that redb still lists.
            changed: !entry.is_dirty && entry.wake() != entry.stored_wake,
            key,
            entry,
            effects,
        };
        if !is_there && change.entry.value.is_some() {
            change.remove();
        }
        change
    }

    /// Whether anything was changed.
    pub(super) fn is_changed(&self) -> bool {
        self.changed
    }

    /// What it holds; none if it is not there.
    pub fn value(&self) -> Option<&Value> {
        self.entry.value.as_ref()
    }

    /// Which kind of value it holds, if it is there.
    pub fn kind(&self) -> Option<KeyKind> {
        self.value().map(Value::kind)
    }

    /// Whether it is there.
    pub fn exists(&self) -> bool {
        self.entry.value.is_some()
    }

    /// When it expires; [`NEVER`](super::NEVER) if it does not.
    pub fn expires(&self) -> i64 {
        self.entry.expires
    }

    /// Its text; none if it is not there, or holds a hash.
    pub fn text(&self) -> Option<&[u8]> {
        match self.value() {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Its fields; none if it is not there, or holds a text.
    pub fn fields(&self) -> Option<&Fields> {
        match self.value() {
            Some(Value::Hash(fields)) => Some(fields),
            _ => None,
        }
    }

    /// Makes it a text, whatever it was.
    pub fn set_text(&mut self, text: &[u8], expires: i64) {
        let key = self.key;
        self.make(Effect::Text { key, expires, text });
    }

    /// Puts bytes into its text, which has the given length from then on.
    pub fn splice(&mut self, at: usize, bytes: &[u8], length: usize) {
        let key = self.key;
        self.make(Effect::Splice {
            key,
            at,
            length,
            bytes,
        });
    }

    /// Makes it hold this, whatever it was.
    pub fn set_whole(&mut self, whole: &Value, expires: i64) {
        let mut stored = Vec::with_capacity(whole.size() + 16);
        value::encode(whole, expires, &mut stored);
        let key = self.key;
        self.make(Effect::Whole {
            key,
            stored: &stored,
        });
    }

    /// Removes it; whether it was there.
    pub fn remove(&mut self) -> bool {
        let key = self.key;
        self.exists() && self.make(Effect::Remove { key })
    }

    /// Sets when it expires, if it is there.
    pub fn expire(&mut self, expires: i64) {
        if self.exists() && self.entry.expires != expires {
            let key = self.key;
            self.make(Effect::Expire { key, expires });
        }
    }

    /// Sets a field of its hash; whether the field is new.
    pub fn set_field(&mut self, name: &[u8], value: &[u8], expires: i64) -> bool {
        let key = self.key;
        self.make(Effect::Field {
            key,
            name,
            expires,
            value,
        })
    }

    /// Removes a field of its hash; whether it was there. A hash without fields is gone.
    pub fn remove_field(&mut self, name: &[u8]) -> bool {
        let Some(fields) = self.fields() else {
            return false;
        };
        if fields.get(name).is_none() {
            return false;
        }
        if fields.len() == 1 {
            return self.remove();
        }
        let key = self.key;
        self.make(Effect::RemoveField { key, name })
    }

    /// Sets when a field expires; whether it is there.
    pub fn expire_field(&mut self, name: &[u8], expires: i64) -> bool {
        let there = self.fields().and_then(|fields| fields.expires(name));
        let key = self.key;
        match there {
            None => false,
            Some(before) if before == expires => true,
            Some(_) => self.make(Effect::ExpireField { key, name, expires }),
        }
    }

    /// Applies an effect of the log again.
    pub(super) fn again(&mut self, effect: &Effect<'_>) {
        self.make(*effect);
    }

    fn make(&mut self, effect: Effect<'_>) -> bool {
        effect.encode(self.effects);
        self.changed = true;
        effect.apply(&mut self.entry.value, &mut self.entry.expires)
    }
}
