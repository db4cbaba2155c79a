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
    hasher: FixedState,
    /// The newest key: logs are often sorted by entity.
    newest: Option<i32>,
}

impl DictionaryBuilder {
    pub(super) fn new() -> DictionaryBuilder {
        DictionaryBuilder {
            keys: Vec::new(),
            nulls: NullBufferBuilder::new(0),
            ids: HashTable::new(),
            offsets: vec![0],
            text: Vec::new(),
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
        if let Some(key) = self.newest
            && value(&self.offsets, &self.text, key) == text
        {
            return Some(key);
        }
        let hash = self.hasher.hash_one(text);
        let same = |key: &i32| value(&self.offsets, &self.text, *key) == text;
        if let Some(key) = self.ids.find(hash, same) {
            return Some(*key);
        }
        std::str::from_utf8(text).ok()?;
        let key = self.offsets.len() as i32 - 1;
        self.text.extend_from_slice(text);
        self.offsets.push(self.text.len() as i32);
        let (offsets, bytes, hasher) = (&self.offsets, &self.text, &self.hasher);
        let rehash = |key: &i32| hasher.hash_one(value(offsets, bytes, *key));
        self.ids.insert_unique(hash, key, rehash);
        Some(key)
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
        self.newest = None;
        Ok(Arc::new(DictionaryArray::try_new(keys, Arc::new(values))?))
    }
}

fn value<'a>(offsets: &[i32], text: &'a [u8], key: i32) -> &'a [u8] {
    let key = key as usize;
    &text[offsets[key] as usize..offsets[key + 1] as usize]
}
