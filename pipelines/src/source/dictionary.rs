//! Builds dictionary arrays from strings that repeat, allocating only for new ones.
//! Called by `column`.

use std::hash::BuildHasher;

use arrow::array::{ArrayRef, DictionaryArray, NullBufferBuilder, PrimitiveArray, StringArray};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::Int32Type;
use arrow::error::ArrowError;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::sync::Arc;

/// Grows one dictionary array.
pub(super) struct DictionaryBuilder {
    keys: Vec<i32>,
    nulls: NullBufferBuilder,
    ids: HashTable<i32>,
    offsets: Vec<i32>,
    text: Vec<u8>,
    /// Of each value.
    gists: Vec<Gist>,
    hasher: FixedState,
    /// The newest key: logs are often sorted by entity.
    newest: Option<i32>,
}

/// Length, first and last eight bytes of a text: most texts are told from each other by them,
/// and those of at most 16 bytes are nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Gist {
    length: u64,
    first: u64,
    last: u64,
}

impl Gist {
    #[inline]
    fn of(text: &[u8]) -> Gist {
        let (first, last) = match (text.first_chunk(), text.last_chunk()) {
            (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
            _ => Gist::of_few(text),
        };
        Gist {
            length: text.len() as u64,
            first,
            last,
        }
    }

    /// Of less than eight bytes.
    #[inline]
    fn of_few(text: &[u8]) -> (u64, u64) {
        match (text.first_chunk(), text.last_chunk(), text) {
            (Some(first), Some(last), _) => (
                u64::from(u32::from_le_bytes(*first)),
                u64::from(u32::from_le_bytes(*last)),
            ),
            (_, _, &[first, .., last]) => (
                u64::from(first) | u64::from(text[text.len() / 2]) << 8,
                u64::from(last),
            ),
            (_, _, text) => (text.first().copied().map_or(0, u64::from), 0),
        }
    }

    fn is_all(self) -> bool {
        self.length <= 16
    }
}

impl DictionaryBuilder {
    pub(super) fn new() -> DictionaryBuilder {
        DictionaryBuilder {
            keys: Vec::new(),
            nulls: NullBufferBuilder::new(0),
            ids: HashTable::new(),
            offsets: vec![0],
            text: Vec::new(),
            gists: Vec::new(),
            hasher: FixedState::default(),
            newest: None,
        }
    }

    pub(super) fn append_null(&mut self) {
        self.keys.push(0);
        self.nulls.append_null();
    }

    /// False, and a null, if the bytes are no UTF-8.
    pub(super) fn append(&mut self, text: &[u8]) -> bool {
        let Some(key) = self.key_of(text) else {
            self.append_null();
            return false;
        };
        self.newest = Some(key);
        self.keys.push(key);
        self.nulls.append_non_null();
        true
    }

    fn key_of(&mut self, text: &[u8]) -> Option<i32> {
        let gist = Gist::of(text);
        if let Some(key) = self.newest
            && self.is(key, gist, text)
        {
            return Some(key);
        }
        let hash = hash(&self.hasher, gist, text);
        if let Some(key) = self.ids.find(hash, |key| self.is(*key, gist, text)) {
            return Some(*key);
        }
        std::str::from_utf8(text).ok()?;
        Some(self.add(hash, gist, text))
    }

    #[inline]
    fn is(&self, key: i32, gist: Gist, text: &[u8]) -> bool {
        let same = self.gists[key as usize] == gist;
        same && (gist.is_all() || value(&self.offsets, &self.text, key) == text)
    }

    fn add(&mut self, hashed: u64, gist: Gist, text: &[u8]) -> i32 {
        let key = self.gists.len() as i32;
        self.text.extend_from_slice(text);
        self.offsets.push(self.text.len() as i32);
        self.gists.push(gist);
        let (hasher, all, offsets, bytes) = (&self.hasher, &self.gists, &self.offsets, &self.text);
        let rehash = |key: &i32| hash(hasher, all[*key as usize], value(offsets, bytes, *key));
        self.ids.insert_unique(hashed, key, rehash);
        key
    }

    /// The array so far; the builder is empty again.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        if self.offsets.len() == 1 && !self.keys.is_empty() {
            // A null's key is 0; give a reader that looks it up before the null something there.
            self.offsets.push(0);
        }
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        let text = std::mem::take(&mut self.text);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let values = StringArray::try_new(offsets, text.into(), None)?;
        let keys = std::mem::take(&mut self.keys);
        let keys = PrimitiveArray::<Int32Type>::try_new(keys.into(), self.nulls.finish())?;
        self.ids.clear();
        self.gists.clear();
        self.newest = None;
        Ok(Arc::new(DictionaryArray::try_new(keys, Arc::new(values))?))
    }
}

fn hash(hasher: &FixedState, gist: Gist, text: &[u8]) -> u64 {
    if gist.is_all() {
        hasher.hash_one(gist)
    } else {
        hasher.hash_one(text)
    }
}

fn value<'a>(offsets: &[i32], text: &'a [u8], key: i32) -> &'a [u8] {
    let key = key as usize;
    &text[offsets[key] as usize..offsets[key + 1] as usize]
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Texts that are alike at their ends, shorter and longer than those.
        #[test]
        fn every_text_comes_back_and_is_kept_once(
            texts in prop::collection::vec(prop::option::of("a{0,9}[ab]{0,3}b{0,9}"), 1..60),
        ) {
            let mut builder = DictionaryBuilder::new();
            for text in &texts {
                match text {
                    Some(text) => prop_assert!(builder.append(text.as_bytes())),
                    None => builder.append_null(),
                }
            }
            let array = builder.finish().unwrap();
            let array = array.as_dictionary::<Int32Type>();
            let values = array.values().as_string::<i32>();
            let read = array.keys().iter().map(|key| key.map(|key| values.value(key as usize)));
            let wanted: Vec<Option<&str>> = texts.iter().map(Option::as_deref).collect();
            prop_assert_eq!(read.collect::<Vec<_>>(), wanted);
            let mut kept: Vec<&str> = texts.iter().flatten().map(String::as_str).collect();
            kept.sort_unstable();
            kept.dedup();
            prop_assert_eq!(values.len(), kept.len().max(1));
        }
    }
}
