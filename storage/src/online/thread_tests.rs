//! Writers, a flusher, a pusher and a reader at once. A row holds its generation and a count;
//! the reader must see at least the count that was acknowledged before it took its view, and
//! nothing of another generation than its own. A plain key holds a count alone.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

use granary_registry::EventTime;

use super::testing::PlainKeys;
use super::*;
use crate::log::Offset;

const OPTIONS: OnlineOptions = OnlineOptions {
    cache_bytes: 1 << 20,
    rows_bytes: 16 << 10,
    keys_bytes: 1 << 20,
};
const KEYS: usize = 40;
const ENOUGH: u64 = 20; // flushes, publications and reads, and rounds of every writer

struct World {
    store: OnlineStore,
    plain_keys: PlainKeys,
    keys: Vec<Vec<u8>>,
    counts: Vec<AtomicU64>, // acknowledged, by key
    plain: AtomicU64,       // acknowledged
    log_end: Mutex<u64>,    // held from logging an event to staging its row
    flushes: AtomicU64,
    publications: AtomicU64,
    reads: AtomicU64,
    failed: AtomicBool, // some thread panicked, and will not do its share
}

/// Counts what waits.
#[derive(Debug)]
struct Count;

impl Merge for Count {
    fn merge(
        &self,
        row: &[u8],
        _: &dyn Fn() -> crate::Result<Option<Bytes>>,
        waiting: &[u8],
    ) -> Result<Merged, MergeError> {
        let count = number(&row[8..]) + waiting.len() as u64;
        Ok(Merged {
            row: encode(number(&row[..8]), count),
            vectors: None,
        })
    }
}

impl World {
    /// Every thread goes on until all have done their share, so that all of them overlap.
    fn goes_on(&self) -> bool {
        let shares = [&self.flushes, &self.publications, &self.reads, &self.plain];
        let missing = |share: &AtomicU64| share.load(SeqCst) < ENOUGH;
        !self.failed.load(SeqCst) && shares.into_iter().chain(&self.counts).any(missing)
    }

    fn work(&self, work: impl FnOnce(&World)) {
        struct Alarm<'a>(&'a World);
        impl Drop for Alarm<'_> {
            fn drop(&mut self) {
                self.0.failed.fetch_or(thread::panicking(), SeqCst);
            }
        }
        let _alarm = Alarm(self);
        work(self);
    }

    fn ingest(&self, first: usize) {
        let merge: Arc<dyn Merge> = Arc::new(Count);
        while self.goes_on() {
            for key in (first..KEYS).step_by(2) {
                let mut log_end = self.log_end.lock().unwrap();
                let generation = self.store.view().generation();
                let count = self.counts[key].load(SeqCst) + 1;
                let key_of = &self.keys[key];
                let staged = if first == 0 {
                    let take = |_: &[u8], waiting: &mut Vec<u8>| waiting.push(1);
                    self.store.stage_change(generation, key_of, &merge, take)
                } else {
                    let row = encode(generation, count);
                    self.store.stage(generation, key_of, &row, None)
                };
                staged.unwrap();
                self.counts[key].store(count, SeqCst);
                *log_end += 1;
                drop(log_end);
                thread::yield_now();
            }
        }
    }

    /// Plain keys are staged without regard to generations.
    fn set_plain(&self) {
        while self.goes_on() {
            let count = self.plain.load(SeqCst) + 1;
            self.plain_keys
                .set(&self.store, b"plain", Some(&count.to_le_bytes()));
            self.plain.store(count, SeqCst);
        }
    }

    fn flush(&self) {
        while self.goes_on() {
            let log_end = self.log_end.lock().unwrap();
            let flush = self.store.begin_flush(Offset(*log_end), EventTime(0));
            drop(log_end);
            flush.commit(|| Ok(())).unwrap();
            self.flushes.fetch_add(1, SeqCst);
        }
    }

    fn publish(&self) {
        let mut loader = self.store.begin_generation().unwrap();
        let number = loader.number();
        for half in self.keys.chunks(KEYS / 2) {
            let row = encode(number, 0);
            loader
                .insert_sorted(half.iter().map(|key| (&key[..], &row[..], None)))
                .unwrap();
        }
        let log_end = self.log_end.lock().unwrap();
        for (key, count) in self.keys.iter().zip(&self.counts) {
            loader
                .upsert(key, &encode(number, count.load(SeqCst)), None)
                .unwrap();
        }
        let published = loader.publish(Offset(*log_end), EventTime(0), b"", || Ok(()));
        published.unwrap();
        self.publications.fetch_add(1, SeqCst);
    }

    fn read(&self) {
        while self.goes_on() {
            let before: Vec<u64> = self.counts.iter().map(|count| count.load(SeqCst)).collect();
            let before_plain = self.plain.load(SeqCst);
            let view = self.store.view();
            let plain = self.plain_keys.get(&self.store, b"plain");
            let plain = plain.map_or(0, |value| number(&value));
            assert!(plain >= before_plain, "{plain} < {before_plain}");
            assert_eq!(view.len(), KEYS as u64);
            for (key, before) in self.keys.iter().zip(&before) {
                let row = view.row(key).unwrap().expect("every row is there");
                assert_eq!(number(&row[..8]), view.generation());
                assert!(number(&row[8..]) >= *before);
            }
            assert_eq!(view.keys(None, usize::MAX).unwrap(), self.keys);
            self.reads.fetch_add(1, SeqCst);
        }
    }
}

#[test]
fn readers_never_miss_a_row_nor_see_two_generations() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("online.redb");
    let world = World {
        store: OnlineStore::open(&path, OPTIONS).unwrap(),
        plain_keys: PlainKeys::new(),
        keys: (0..KEYS)
            .map(|key| format!("{key:04}").into_bytes())
            .collect(),
        counts: (0..KEYS).map(|_| AtomicU64::new(0)).collect(),
        plain: AtomicU64::new(0),
        log_end: Mutex::new(0),
        flushes: AtomicU64::new(0),
        publications: AtomicU64::new(0),
        reads: AtomicU64::new(0),
        failed: AtomicBool::new(false),
    };
    world.publish();
    thread::scope(|scope| {
        scope.spawn(|| world.work(|world| world.ingest(0)));
        scope.spawn(|| world.work(|world| world.ingest(1)));
        scope.spawn(|| world.work(World::set_plain));
        scope.spawn(|| world.work(World::flush));
        scope.spawn(|| world.work(World::read));
        scope.spawn(|| {
            world.work(|world| {
                while world.goes_on() {
                    world.publish();
                }
            });
        });
    });

    // And all of it is on disk after a last flush.
    world
        .store
        .flush(Offset(*world.log_end.lock().unwrap()), EventTime(0))
        .unwrap();
    let generation = world.store.view().generation();
    drop(world.store);
    let store = OnlineStore::open(&path, OPTIONS).unwrap();
    let view = store.view();
    assert_eq!(
        number(&world.plain_keys.get(&store, b"plain").unwrap()),
        world.plain.load(SeqCst)
    );
    for (key, count) in world.keys.iter().zip(&world.counts) {
        let expected = encode(generation, count.load(SeqCst));
        assert_eq!(&*view.row(key).unwrap().unwrap(), &expected[..]);
    }
}

fn encode(generation: u64, count: u64) -> Vec<u8> {
    [generation.to_le_bytes(), count.to_le_bytes()].concat()
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap())
}
