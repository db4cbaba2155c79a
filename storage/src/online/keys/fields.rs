//! What a hash holds: packed while it is small and no field expires, a map else. Called by
//! `value` and `change`.

use foldhash::fast::FixedState;
use indexmap::IndexMap;

use super::NEVER;
use super::packed::{MOST_BYTES, MOST_PAIRS, Packed, Pairs};

/// What an entry of the map costs beside its bytes, roughly.
const ENTRY_BYTES: usize = 80;

/// The fields of a hash, in the order in which they came, except that a removal may bring the
/// last one forward.
#[derive(Clone, Debug)]
pub struct Fields {
    form: Form,
    /// When the first of them expires.
    next_expiry: i64,
    /// What a map's entries take.
    map_bytes: usize,
}

#[derive(Clone, Debug)]
enum Form {
    Packed(Packed),
    Map(Map),
}

type Map = IndexMap<Box<[u8]>, Held, FixedState>;

#[derive(Clone, Debug)]
struct Held {
    value: Box<[u8]>,
    expires: i64,
}

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
    /// When it expires; [`NEVER`] if it does not.
    pub expires: i64,
}

impl Default for Fields {
    fn default() -> Fields {
        Fields::packed(Packed::default())
    }
}

impl Fields {
    pub(super) fn packed(packed: Packed) -> Fields {
        Fields {
            form: Form::Packed(packed),
            next_expiry: NEVER,
            map_bytes: 0,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Packed(packed) => packed.len(),
            Form::Map(map) => map.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether they lie in one piece, as Redis's `listpack` does.
    pub fn is_packed(&self) -> bool {
        matches!(self.form, Form::Packed(_))
    }

    /// The value of a field.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        match &self.form {
            Form::Packed(packed) => packed.get(name),
            Form::Map(map) => map.get(name).map(|held| &*held.value),
        }
    }

    /// When a field expires, if it is there; [`NEVER`] if it does not.
    pub fn expires(&self, name: &[u8]) -> Option<i64> {
        match &self.form {
            Form::Packed(packed) => packed.get(name).map(|_| NEVER),
            Form::Map(map) => map.get(name).map(|held| held.expires),
        }
    }

    /// Every field.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        let (packed, map) = match &self.form {
            Form::Packed(packed) => (Some(packed.pairs()), None),
            Form::Map(map) => (None, Some(map.iter())),
        };
        let packed = packed.into_iter().flatten().map(|(name, value)| Field {
            name,
            value,
            expires: NEVER,
        });
        let map = map.into_iter().flatten().map(|(name, held)| Field {
            name,
            value: &held.value,
            expires: held.expires,
        });
        packed.chain(map)
    }

    /// The field at a position.
    pub fn at(&self, index: usize) -> Option<Field<'_>> {
        match &self.form {
            Form::Packed(_) => self.iter().nth(index),
            Form::Map(map) => map.get_index(index).map(|(name, held)| Field {
                name,
                value: &held.value,
                expires: held.expires,
            }),
        }
    }

    /// When the first of them expires; [`NEVER`] if none does.
    pub(super) fn next_expiry(&self) -> i64 {
        self.next_expiry
    }

    /// The bytes of the packed form, if it is one.
    pub(super) fn packed_bytes(&self) -> Option<&[u8]> {
        match &self.form {
            Form::Packed(packed) => Some(packed.bytes()),
            Form::Map(_) => None,
        }
    }

    /// What this takes in memory, roughly.
    pub(super) fn size(&self) -> usize {
        match &self.form {
            Form::Packed(packed) => packed.capacity(),
            Form::Map(_) => self.map_bytes,
        }
    }

    /// Sets a field; whether it is new.
    pub(super) fn set(&mut self, name: &[u8], value: &[u8], expires: i64) -> bool {
        if let Form::Packed(packed) = &mut self.form {
            let bytes = packed.bytes().len() + name.len() + value.len();
            let fits = packed.len() < MOST_PAIRS && bytes < MOST_BYTES && expires == NEVER;
            if fits {
                return packed.set(name, value);
            }
        }
        self.next_expiry = self.next_expiry.min(expires);
        let map = self.map();
        let held = Held {
            value: value.into(),
            expires,
        };
        if let Some(there) = map.get_mut(name) {
            let before = there.value.len();
            *there = held;
            self.map_bytes = (self.map_bytes + value.len()).saturating_sub(before);
            return false;
        }
        map.insert(name.into(), held);
        self.map_bytes += name.len() + value.len() + ENTRY_BYTES;
        true
    }

    /// Removes a field; whether it was there.
    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        match &mut self.form {
            Form::Packed(packed) => packed.remove(name),
            Form::Map(map) => {
                let Some((name, held)) = map.swap_remove_entry(name) else {
                    return false;
                };
                let bytes = name.len() + held.value.len() + ENTRY_BYTES;
                self.map_bytes = self.map_bytes.saturating_sub(bytes);
                true
            }
        }
    }

    /// Sets when a field expires; whether it is there.
    pub(super) fn expire(&mut self, name: &[u8], expires: i64) -> bool {
        if self.get(name).is_none() {
            return false;
        }
        if expires == NEVER && self.is_packed() {
            return true;
        }
        self.next_expiry = self.next_expiry.min(expires);
        match self.map().get_mut(name) {
            Some(held) => {
                held.expires = expires;
                true
            }
            None => false,
        }
    }

    /// Removes what has expired; whether anything had.
    pub(super) fn purge(&mut self, now: i64) -> bool {
        if self.next_expiry > now {
            return false;
        }
        let Form::Map(map) = &mut self.form else {
            return false;
        };
        let before = map.len();
        map.retain(|_, held| held.expires > now);
        let bytes = map.iter().map(|(name, held)| name.len() + held.value.len());
        self.map_bytes = bytes.sum::<usize>() + map.len() * ENTRY_BYTES;
        let is_less = map.len() < before;
        self.settle();
        is_less
    }

    /// Finds out anew when the first expires: a field that expired first may have been set to
    /// expire later, or never.
    pub(super) fn settle(&mut self) {
        if let Form::Map(map) = &self.form
            && self.next_expiry != NEVER
        {
            let expiries = map.values().map(|held| held.expires);
            self.next_expiry = expiries.min().unwrap_or(NEVER);
        }
    }

    fn map(&mut self) -> &mut Map {
        if let Form::Packed(packed) = &self.form {
            let held = |value: &[u8]| Held {
                value: value.into(),
                expires: NEVER,
            };
            let map: Map = Pairs::new(packed.bytes())
                .map(|(name, value)| (name.into(), held(value)))
                .collect();
            self.map_bytes = packed.bytes().len() + map.len() * ENTRY_BYTES;
            self.form = Form::Map(map);
        }
        match &mut self.form {
            Form::Map(map) => map,
            Form::Packed(_) => unreachable!("it was made a map above"),
        }
    }
}

impl PartialEq for Fields {
    /// The same fields, in any order and form.
    fn eq(&self, other: &Fields) -> bool {
        self.len() == other.len()
            && self.iter().all(|field| {
                other.get(field.name) == Some(field.value)
                    && other.expires(field.name) == Some(field.expires)
            })
    }
}
