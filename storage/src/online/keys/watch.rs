//! Who wants to know of a change: `WATCH`. Called by `shard`, which tells of each change, and
//! by `turn`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One client's watch over some keys.
#[derive(Clone, Debug, Default)]
pub struct Watcher {
    touched: Arc<AtomicBool>,
}

impl Watcher {
    /// Whether a watched key was changed.
    pub fn is_touched(&self) -> bool {
        self.touched.load(Ordering::Acquire)
    }

    /// Counts as a change.
    pub(super) fn touch(&self) {
        self.touched.store(true, Ordering::Release);
    }

    fn is(&self, other: &Watcher) -> bool {
        Arc::ptr_eq(&self.touched, &other.touched)
    }
}

/// The watched keys of a shard.
#[derive(Debug, Default)]
pub(super) struct Watched {
    keys: HashMap<Box<[u8]>, Vec<Watcher>>,
}

impl Watched {
    /// Watches a key; whether it was watched by this watcher already.
    pub(super) fn add(&mut self, key: &[u8], watcher: &Watcher) {
        let watchers = self.keys.entry(key.into()).or_default();
        if !watchers.iter().any(|other| other.is(watcher)) {
            watchers.push(watcher.clone());
        }
    }

    /// Ends a watch.
    pub(super) fn remove(&mut self, key: &[u8], watcher: &Watcher) {
        if let Some(watchers) = self.keys.get_mut(key) {
            watchers.retain(|other| !other.is(watcher));
            if watchers.is_empty() {
                self.keys.remove(key);
            }
        }
    }

    /// Tells of a change.
    pub(super) fn tell(&self, key: &[u8]) {
        if self.keys.is_empty() {
            return;
        }
        for watcher in self.keys.get(key).into_iter().flatten() {
            watcher.touch();
        }
    }

    /// Tells of a change of every key.
    pub(super) fn tell_all(&self) {
        for watcher in self.keys.values().flatten() {
            watcher.touch();
        }
    }
}
