//! A disk that fails for a while: whatever could not be written is told, what was staged is read
//! all the time, and once the disk works again everything reaches it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use granary_registry::EventTime;
use proptest::prelude::*;
use redb::StorageBackend;

use super::crash_tests::CrashBackend;
use super::*;
use crate::Result;
use crate::log::Offset;

const OPTIONS: OnlineOptions = OnlineOptions {
    cache_bytes: 1 << 20,
    rows_bytes: 16 << 10,
    keys_bytes: 1 << 20,
};

/// Bytes in memory whose changes fail from one operation to another.
#[derive(Clone, Debug)]
struct FailingBackend {
    bytes: CrashBackend,
    operations: Arc<AtomicU64>,
    fails: Arc<(AtomicU64, AtomicU64)>,
    failed: Arc<AtomicU64>,
}

impl FailingBackend {
    fn new() -> FailingBackend {
        FailingBackend {
            bytes: CrashBackend::default(),
            operations: Arc::default(),
            fails: Arc::default(),
            failed: Arc::default(),
        }
    }

    /// Lets so many operations fail, after so many that do not.
    fn fail(&self, after: u64, count: u64) {
        let from = self.operations.load(Ordering::Relaxed) + after;
        self.fails.0.store(from, Ordering::Relaxed);
        self.fails.1.store(from + count, Ordering::Relaxed);
    }

    fn is_failing(&self) -> bool {
        self.operations.load(Ordering::Relaxed) < self.fails.1.load(Ordering::Relaxed)
    }

    /// Whether an operation has ever failed.
    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed) > 0
    }

    fn operate(&self) -> io::Result<()> {
        let now = self.operations.fetch_add(1, Ordering::Relaxed);
        let (from, to) = (&self.fails.0, &self.fails.1);
        if (from.load(Ordering::Relaxed)..to.load(Ordering::Relaxed)).contains(&now) {
            self.failed.fetch_add(1, Ordering::Relaxed);
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl StorageBackend for FailingBackend {
    fn len(&self) -> io::Result<u64> {
        self.bytes.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.bytes.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.operate()?;
        self.bytes.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.operate()?;
        self.bytes.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.operate()?;
        self.bytes.write(offset, data)
    }
}

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn key(number: u8) -> Vec<u8> {
    format!("user-{number:03}").into_bytes()
}

/// The rows that a reader finds; an error while the disk fails, never another row.
fn found(store: &OnlineStore) -> Result<Rows> {
    let view = store.view();
    let keys = view.keys(None, usize::MAX)?;
    let row = |key: Vec<u8>| {
        let row = view.row(&key)?.map(|row| row.to_vec());
        Ok((key, row.unwrap_or_default()))
    };
    keys.into_iter().map(row).collect()
}

/// Loads a generation of these rows.
fn publish(store: &OnlineStore, rows: &Rows, offset: u64) -> Result<()> {
    let mut loader = store.begin_generation()?;
    let rows = rows.iter().map(|(key, row)| (&key[..], &row[..], None));
    loader.insert_sorted(rows)?;
    loader.publish(Offset(offset), EventTime(0), b"meta", || Ok(()))?;
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Stage(u8, u8),
    Flush,
    Publish,
    Fail(u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..40u8, any::<u8>()).prop_map(|(key, value)| Step::Stage(key, value)),
        3 => Just(Step::Flush),
        1 => Just(Step::Publish),
        2 => (0..25u64, 1..25u64).prop_map(|(after, count)| Step::Fail(after, count)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_disk_that_fails_for_a_while_loses_and_tears_nothing(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let backend = FailingBackend::new();
        let store = OnlineStore::open_with_backend(backend.clone(), OPTIONS).unwrap();
        let mut rows: Rows = (0..20).map(|number| (key(number), vec![number; 300])).collect();
        publish(&store, &rows, 1).unwrap();
        let mut offset = 1;
        for step in steps {
            offset += 1;
            match step {
                Step::Stage(number, value) => {
                    let generation = store.view().generation();
                    match store.stage(generation, &key(number), &[value; 300], None) {
                        Ok(()) => {
                            rows.insert(key(number), vec![value; 300]);
                        }
                        Err(error) => prop_assert!(backend.has_failed(), "{}", error),
                    }
                }
                Step::Flush => {
                    let works = !backend.is_failing();
                    let flushed = store.flush(Offset(offset), EventTime(0));
                    prop_assert!(flushed.is_ok() || backend.has_failed());
                    // What could not be opened again while the disk failed is by now.
                    prop_assert!(!works || found(&store).is_ok());
                }
                Step::Publish => {
                    let _ = publish(&store, &rows, offset);
                }
                Step::Fail(after, count) => backend.fail(after, count),
            }
            match found(&store) {
                Ok(found) => prop_assert_eq!(&found, &rows),
                Err(error) => prop_assert!(backend.has_failed(), "{}", error),
            }
        }
        // The disk works again: what waits gets there within a few attempts.
        let mut attempts = 0;
        while backend.is_failing() || store.flush(Offset(offset + 1), EventTime(0)).is_err() {
            backend.operations.fetch_add(1, Ordering::Relaxed);
            attempts += 1;
            prop_assert!(attempts < 200, "the store does not come back");
        }
        prop_assert_eq!(&found(&store).unwrap(), &rows);
        drop(store);
        let store = OnlineStore::open_with_backend(backend, OPTIONS).unwrap();
        prop_assert_eq!(found(&store).unwrap(), rows);
        prop_assert_eq!(store.view().log_offset(), Offset(offset + 1));
    }
}
