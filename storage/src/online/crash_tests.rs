//! Stopped at any sync, with any part of what was not synced on disk, the store comes back
//! in a state that some commit left, no older than the last one that returned.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use granary_registry::EventTime;
use redb::StorageBackend;

use super::testing::PlainKeys;
use super::*;
use crate::log::Offset;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

const OPTIONS: OnlineOptions = OnlineOptions {
    cache_bytes: 1 << 20,
    rows_bytes: 16 << 10,
    keys_bytes: 1 << 20,
};

/// A file in memory that knows what a crash would leave of it.
#[derive(Clone, Debug, Default)]
pub(super) struct CrashBackend {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    live: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
    syncs: u64,
    crash_at: Option<(u64, u64)>, // the sync that never returns, and which writes made it
    image: Option<Vec<u8>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes, {} syncs", self.live.len(), self.syncs)
    }
}

impl CrashBackend {
    fn from_image(image: Vec<u8>) -> CrashBackend {
        let state = State {
            live: image.clone(),
            durable: image,
            ..State::default()
        };
        CrashBackend {
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn crash_at(&self, sync: u64, lottery: u64) {
        self.state.lock().unwrap().crash_at = Some((sync, lottery));
    }

    fn syncs(&self) -> u64 {
        self.state.lock().unwrap().syncs
    }

    fn image(&self) -> Option<Vec<u8>> {
        self.state.lock().unwrap().image.clone()
    }
}

impl StorageBackend for CrashBackend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().unwrap().live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state.lock().unwrap();
        let bytes = state.live.get(offset as usize..offset as usize + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.state.lock().unwrap().live.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.syncs += 1;
        match state.crash_at {
            Some((sync, lottery)) if sync == state.syncs => {
                let mut image = state.durable.clone();
                for (index, (offset, data)) in state.unsynced.iter().enumerate() {
                    let drawn = (lottery.rotate_left(index as u32 * 7) ^ index as u64) & 1 == 1;
                    if drawn && offset + data.len() <= image.len() {
                        image[*offset..offset + data.len()].copy_from_slice(data);
                    }
                }
                state.image = Some(image);
            }
            _ => {
                state.durable = state.live.clone();
                state.unsynced.clear();
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        let end = offset as usize + data.len();
        if end > state.live.len() {
            state.live.resize(end, 0);
        }
        state.live[offset as usize..end].copy_from_slice(data);
        state.unsynced.push((offset as usize, data.to_vec()));
        Ok(())
    }
}

/// Everything a commit leaves.
#[derive(Clone, Debug, Default, PartialEq)]
struct Contents {
    generation: u64,
    log_offset: u64,
    rows: Map,
    vectors: Map,
    plain: Map,
}

fn contents(plain: &PlainKeys, store: &OnlineStore) -> Contents {
    let view = store.view();
    let copy = |found: Vec<(Vec<u8>, Bytes)>| -> Map {
        found
            .into_iter()
            .map(|(key, value)| (key, value.to_vec()))
            .collect()
    };
    let keys = view.keys(None, usize::MAX).unwrap().into_iter();
    let row = |key: Vec<u8>| Some((key.clone(), view.row(&key).unwrap()?));
    let rows = copy(keys.filter_map(row).collect());
    assert_eq!(rows.len() as u64, view.len());
    let vectors = rows
        .keys()
        .filter_map(|key| Some((key.clone(), view.vectors(key).unwrap()?.to_vec())))
        .collect();
    Contents {
        generation: view.generation(),
        log_offset: view.log_offset().0,
        rows,
        vectors,
        plain: plain.all(store, None, usize::MAX).into_iter().collect(),
    }
}

fn key(number: u64) -> Vec<u8> {
    format!("user-{:03}", number % 200).into_bytes()
}

/// Loads, flushes and publishes; returns what every commit left, and how many had returned
/// when the crash came.
fn run(backend: &CrashBackend) -> (Vec<Contents>, usize) {
    let store = OnlineStore::open_with_backend(backend.clone(), OPTIONS).unwrap();
    let plain = PlainKeys::new();
    let mut left = vec![Contents::default(), contents(&plain, &store)];
    let mut returned = usize::from(backend.image().is_none());
    let mut offset = 0;
    for round in 0..3_u64 {
        let filler = vec![round as u8; 700];
        let mut loader = store.begin_generation().unwrap();
        let keys: Vec<Vec<u8>> = (0..150).map(key).collect();
        for half in keys.chunks(75) {
            loader
                .insert_sorted(
                    half.iter()
                        .map(|key| (key.as_slice(), filler.as_slice(), Some(key.as_slice()))),
                )
                .unwrap();
            // The old generation lives on between two chunks.
            offset += 1;
            plain.set(&store, &key(offset), Some(b"plain"));
            if round > 0 {
                store
                    .stage(round, &key(offset * 7), &offset.to_le_bytes(), None)
                    .unwrap();
            }
            store.flush(Offset(offset), EventTime(0)).unwrap();
            left.push(contents(&plain, &store));
            returned += usize::from(backend.image().is_none());
        }
        loader
            .upsert(&key(160 + round), b"late", Some(b"vector"))
            .unwrap();
        loader.remove(&key(round)).unwrap();
        offset += 1;
        plain.set(&store, &key(offset), Some(b"published along"));
        if round == 1 {
            loader.settle().unwrap();
        }
        loader
            .publish(Offset(offset), EventTime(0), b"meta", || Ok(()))
            .unwrap();
        left.push(contents(&plain, &store));
        returned += usize::from(backend.image().is_none());
        for change in 0..3 {
            offset += 1;
            store
                .stage(
                    round + 1,
                    &key(offset * 3),
                    &offset.to_le_bytes(),
                    Some(b"v"),
                )
                .unwrap();
            store.stage_removal(round + 1, &key(offset * 5)).unwrap();
            plain.set(&store, &key(change), None);
            store.flush(Offset(offset), EventTime(0)).unwrap();
            left.push(contents(&plain, &store));
            returned += usize::from(backend.image().is_none());
        }
    }
    (left, returned)
}

#[test]
fn after_a_crash_at_any_sync_the_store_holds_what_some_commit_left() {
    // A file whose creation was cut short never gets its name, so crashes begin after it.
    let created = CrashBackend::default();
    redb::Database::builder()
        .create_with_backend(created.clone())
        .unwrap();
    let probe = CrashBackend::default();
    run(&probe);
    assert!(
        probe.syncs() > created.syncs() + 20,
        "the workload reaches the disk"
    );
    for sync in created.syncs() + 1..=probe.syncs() {
        for lottery in [0, u64::MAX, 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(sync)] {
            let backend = CrashBackend::default();
            backend.crash_at(sync, lottery);
            let (left, returned) = run(&backend);
            let Some(image) = backend.image() else {
                continue;
            };
            let store =
                OnlineStore::open_with_backend(CrashBackend::from_image(image), OPTIONS).unwrap();
            let plain = PlainKeys::new();
            let found = contents(&plain, &store);
            let at = left.iter().rposition(|state| *state == found);
            assert!(
                at.is_some_and(|at| at >= returned),
                "sync {sync}, lottery {lottery}: {at:?} of {returned}"
            );
            // And it works on: an aborted load's tables are gone, another load goes through.
            let mut loader = store.begin_generation().unwrap();
            loader
                .insert_sorted([(&b"a"[..], &b"row"[..], None)])
                .unwrap();
            let published = loader.publish(Offset(999), EventTime(1), b"", || Ok(()));
            let info = published.unwrap();
            assert_eq!((info.number, info.rows), (found.generation + 1, 1));
            assert_eq!(contents(&plain, &store).plain, found.plain);
        }
    }
}
