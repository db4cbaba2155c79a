//! Plain keys for the store's tests: texts, set and read through a log of their own.

use super::{NEVER, OnlineStore, Value};
use crate::log::{Log, LogOptions};

/// A log for the plain keys of a store.
#[derive(Debug)]
pub(super) struct PlainKeys {
    log: Log,
    _home: tempfile::TempDir,
}

impl PlainKeys {
    pub(super) fn new() -> PlainKeys {
        let home = tempfile::tempdir().unwrap();
        PlainKeys {
            log: Log::open(home.path(), LogOptions::default()).unwrap(),
            _home: home,
        }
    }

    pub(super) fn set(&self, store: &OnlineStore, key: &[u8], value: Option<&[u8]>) {
        let mut turn = store.turn(&self.log, 0);
        let change = turn.change(key, |change| match value {
            Some(text) => change.set_text(text, NEVER),
            None => drop(change.remove()),
        });
        change.unwrap();
    }

    pub(super) fn get(&self, store: &OnlineStore, key: &[u8]) -> Option<Vec<u8>> {
        let text = |found: Option<(&Value, i64)>| match found?.0 {
            Value::Text(text) => Some(text.clone()),
            Value::Hash(_) => None,
        };
        store.turn(&self.log, 0).read(key, text).unwrap()
    }

    /// The first `limit` keys after one, with their values.
    pub(super) fn all(
        &self,
        store: &OnlineStore,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        let keys = store.turn(&self.log, 0).keys(after, limit).unwrap();
        let pair = |key: Vec<u8>| Some((key.clone(), self.get(store, &key)?));
        keys.into_iter().filter_map(pair).collect()
    }

    pub(super) fn len(&self, store: &OnlineStore) -> u64 {
        store.turn(&self.log, 0).len()
    }
}
