//! The online store against a map.

use std::collections::BTreeMap;
use std::sync::Arc;

use granary_registry::EventTime;
use proptest::prelude::*;

use super::crash_tests::CrashBackend;
use super::testing::PlainKeys;
use super::*;
use crate::Error;
use crate::log::Offset;

const OPTIONS: OnlineOptions = OnlineOptions {
    cache_bytes: 1 << 20,
    rows_bytes: 16 << 10,
    keys_bytes: 1 << 20,
};

type Row = (Vec<u8>, Option<Vec<u8>>);

/// The ten-line truth.
#[derive(Clone, Debug, Default)]
struct Model {
    generation: u64,
    log_offset: u64,
    rows: BTreeMap<Vec<u8>, Row>,
    plain: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What is changed of a generation that is being loaded.
#[derive(Clone, Debug)]
enum Late {
    Put(Row),
    Remove,
    Note(Vec<u8>),
}

#[derive(Clone, Debug)]
enum Step {
    Stage(u8, Row),
    Note(u8, Vec<u8>),
    Remove(u8),
    Plain(u8, Option<Vec<u8>>),
    Flush,
    /// Begins a flush, does these, then commits it, or not.
    SlowFlush(Vec<Step>, bool),
    /// Loads these rows, does the steps, puts the late ones, then publishes, or not.
    Load(BTreeMap<u8, Row>, Vec<Step>, Vec<(u8, Late)>, bool),
    Reopen,
    HoldView,
}

/// Appends what waits to the row, and what is large of it to the vectors too.
#[derive(Debug)]
struct Append;

const LARGE: u8 = 128;

impl Merge for Append {
    fn merge(
        &self,
        row: &[u8],
        vectors: &dyn Fn() -> crate::Result<Option<Bytes>>,
        waiting: &[u8],
    ) -> Result<Merged, MergeError> {
        let large: Vec<u8> = waiting.iter().copied().filter(|x| *x >= LARGE).collect();
        let vectors = (!large.is_empty()).then(vectors).transpose()?;
        Ok(Merged {
            row: [row, waiting].concat(),
            vectors: vectors.map(|held| [held.as_deref().unwrap_or_default(), &large].concat()),
        })
    }
}

fn merge() -> Arc<dyn Merge> {
    Arc::new(Append)
}

impl Model {
    fn note(&mut self, key: &[u8], note: &[u8]) {
        if note.is_empty() {
            return;
        }
        let (row, vectors) = self.rows.entry(key.to_vec()).or_default();
        row.extend_from_slice(note);
        for large in note.iter().filter(|x| **x >= LARGE) {
            vectors.get_or_insert_default().push(*large);
        }
    }

    fn stage(&mut self, key: &[u8], (row, vectors): &Row) {
        let kept = self.rows.get(key).and_then(|(_, vectors)| vectors.clone());
        self.rows
            .insert(key.to_vec(), (row.clone(), vectors.clone().or(kept)));
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Stage(key, row) if self.generation > 0 => self.stage(&key_of(*key), row),
            Step::Note(key, note) if self.generation > 0 => self.note(&key_of(*key), note),
            Step::Remove(key) => drop(self.rows.remove(&key_of(*key))),
            Step::Plain(key, Some(value)) => drop(self.plain.insert(key_of(*key), value.clone())),
            Step::Plain(key, None) => drop(self.plain.remove(&key_of(*key))),
            _ => {}
        }
    }

    fn check(&self, view: &View) {
        assert_eq!(
            (view.generation(), view.len()),
            (self.generation, self.rows.len() as u64)
        );
        for key in (0..=24).map(key_of) {
            let row = self.rows.get(&key);
            assert_eq!(
                view.row(&key).unwrap().map(|row| row.to_vec()),
                row.map(|row| row.0.clone())
            );
            assert_eq!(
                view.vectors(&key).unwrap().map(|row| row.to_vec()),
                row.and_then(|row| row.1.clone())
            );
            let full = view.full_row(&key).unwrap();
            assert_eq!(
                full.map(|full| (full.row.to_vec(), full.vectors.map(|v| v.to_vec()))),
                row.cloned()
            );
            assert_eq!(view.contains(&key).unwrap(), row.is_some());
        }
        for (after, limit) in [
            (None, usize::MAX),
            (None, 3),
            (Some(key_of(7)), 5),
            (Some(key_of(20)), 100),
            (None, 0),
        ] {
            let from = |key: &Vec<u8>| after.as_ref().is_none_or(|after| key > after);
            let keys = self.rows.keys().filter(|key| from(key)).take(limit);
            let keys: Vec<_> = keys.cloned().collect();
            assert_eq!(view.keys(after.as_deref(), limit).unwrap(), keys);
        }
    }

    /// Plain keys are no part of a view: everyone sees them as they are.
    fn check_plain(&self, keys: &PlainKeys, store: &OnlineStore) {
        assert_eq!(keys.len(store), self.plain.len() as u64);
        for key in (0..=24).map(key_of) {
            assert_eq!(keys.get(store, &key), self.plain.get(&key).cloned());
        }
        for (after, limit) in [(None, usize::MAX), (Some(key_of(7)), 5), (None, 0)] {
            let from = |key: &Vec<u8>| after.as_ref().is_none_or(|after| key > after);
            let plain = self.plain.iter().filter(|(key, _)| from(key)).take(limit);
            let plain: Vec<_> = plain
                .map(|(key, text)| (key.clone(), text.clone()))
                .collect();
            assert_eq!(keys.all(store, after.as_deref(), limit), plain);
        }
    }
}

/// A store, what it should hold, what it should hold after a crash, and a view of old.
struct World {
    backend: CrashBackend,
    keys: PlainKeys,
    store: Option<OnlineStore>,
    model: Model,
    durable: Model,
    held: Option<(View, Model, bool)>, // the last: whether it still sees what is staged
    looks: bool,                       // a look makes changes that wait part of their rows
}

impl World {
    fn new() -> World {
        let backend = CrashBackend::default();
        let store = OnlineStore::open_with_backend(backend.clone(), OPTIONS).unwrap();
        World {
            backend,
            keys: PlainKeys::new(),
            store: Some(store),
            model: Model::default(),
            durable: Model::default(),
            held: None,
            looks: true,
        }
    }

    fn store(&self) -> &OnlineStore {
        self.store.as_ref().unwrap()
    }

    /// Each step with whether all is looked at during and after it.
    fn run(&mut self, steps: &[(Step, bool)]) {
        for (step, looks) in steps {
            self.looks = *looks;
            self.step(step);
            if self.looks {
                self.look();
            }
        }
        self.look();
    }

    fn look(&self) {
        self.model.check(&self.store().view());
        self.model.check_plain(&self.keys, self.store());
        if let Some((view, model, _)) = &self.held {
            model.check(view);
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Stage(..) | Step::Note(..) | Step::Remove(..) | Step::Plain(..) => {
                self.stage(step);
            }
            Step::Flush => {
                self.freeze();
                self.store()
                    .flush(Offset(self.model.log_offset), EventTime(7))
                    .unwrap();
                self.durable = self.model.clone();
            }
            Step::SlowFlush(meanwhile, commit) => self.slow_flush(meanwhile, *commit),
            Step::Load(rows, meanwhile, late, publish) => {
                self.load(rows, meanwhile, late, *publish);
            }
            Step::Reopen => {
                self.held = None;
                self.store = None;
                self.store =
                    Some(OnlineStore::open_with_backend(self.backend.clone(), OPTIONS).unwrap());
                self.model = self.durable.clone();
                let info = self.store().generation();
                let expected = (self.durable.generation > 0).then_some((
                    self.durable.generation,
                    self.durable.log_offset,
                    self.durable.rows.len() as u64,
                ));
                assert_eq!(
                    info.map(|info| (info.number, info.log_offset.0, info.rows)),
                    expected
                );
            }
            Step::HoldView => self.held = Some((self.store().view(), self.model.clone(), true)),
        }
    }

    fn stage(&mut self, step: &Step) {
        let (store, generation) = (self.store(), self.model.generation);
        let staged = match step {
            Step::Stage(key, (row, vectors)) => {
                store.stage(generation, &key_of(*key), row, vectors.as_deref())
            }
            Step::Note(key, note) => {
                store.stage_change(generation, &key_of(*key), &merge(), |_, waiting| {
                    waiting.extend_from_slice(note);
                })
            }
            Step::Remove(key) => store.stage_removal(generation, &key_of(*key)),
            Step::Plain(key, value) => {
                self.keys.set(store, &key_of(*key), value.as_deref());
                Ok(())
            }
            _ => Ok(()),
        };
        assert_eq!(
            staged.is_ok(),
            generation > 0 || matches!(step, Step::Plain(..))
        );
        self.model.apply(step);
        self.model.log_offset += 1;
        if let Some((_, model, true)) = &mut self.held {
            model.apply(step);
        }
    }

    fn slow_flush(&mut self, meanwhile: &[Step], commit: bool) {
        self.freeze();
        let frozen = self.model.clone();
        let store = self.store.take().unwrap();
        let flush = store.begin_flush(Offset(frozen.log_offset), EventTime(7));
        for step in meanwhile {
            self.store_step(&store, step);
        }
        if commit {
            flush.commit(|| Ok(())).unwrap();
            self.durable = Model {
                plain: self.model.plain.clone(), // those go along as they are by now
                ..frozen
            };
        }
        self.store = Some(store);
    }

    fn load(
        &mut self,
        rows: &BTreeMap<u8, Row>,
        meanwhile: &[Step],
        late: &[(u8, Late)],
        publish: bool,
    ) {
        let store = self.store.take().unwrap();
        let mut loader = store.begin_generation().unwrap();
        assert!(matches!(
            store.begin_generation(),
            Err(Error::LoadRunning { .. })
        ));
        let mut loaded = Model {
            generation: loader.number(),
            ..Model::default()
        };
        let sorted: Vec<(Vec<u8>, &Row)> =
            rows.iter().map(|(key, row)| (key_of(*key), row)).collect();
        for part in sorted.chunks(5) {
            loader
                .insert_sorted(
                    part.iter()
                        .map(|(key, row)| (&key[..], &row.0[..], row.1.as_deref())),
                )
                .unwrap();
        }
        for (key, row) in &sorted {
            loaded.stage(key, row);
        }
        for step in meanwhile {
            self.store_step(&store, step);
        }
        for (key, row) in late {
            let key = key_of(*key);
            match row {
                Late::Put(row) => {
                    loader.upsert(&key, &row.0, row.1.as_deref()).unwrap();
                    loaded.stage(&key, row);
                }
                Late::Note(note) => {
                    let take = |_: &[u8], waiting: &mut Vec<u8>| waiting.extend_from_slice(note);
                    loader.change_row(&key, &merge(), take).unwrap();
                    loaded.note(&key, note);
                }
                Late::Remove => {
                    loader.remove(&key).unwrap();
                    loaded.rows.remove(&key);
                }
            }
        }
        for key in (0..=24).map(key_of).filter(|_| self.looks) {
            let expected = loaded.rows.get(&key);
            assert_eq!(
                loader.row(&key).unwrap().map(|row| row.to_vec()),
                expected.map(|row| row.0.clone())
            );
            assert_eq!(
                loader.vectors(&key).unwrap().map(|v| v.to_vec()),
                expected.and_then(|row| row.1.clone())
            );
        }
        if late.len().is_multiple_of(2) {
            loader.settle().unwrap();
        }
        if publish {
            self.freeze();
            let log_offset = self.model.log_offset + 1;
            let info = loader
                .publish(Offset(log_offset), EventTime(9), b"meta", || Ok(()))
                .unwrap();
            assert_eq!(
                (info.rows, &info.meta[..], info.clock),
                (loaded.rows.len() as u64, &b"meta"[..], EventTime(9))
            );
            self.model = Model {
                log_offset,
                plain: self.model.plain.clone(),
                ..loaded
            };
            self.durable = self.model.clone();
        } else {
            drop(loader);
        }
        self.store = Some(store);
    }

    /// A staging step while the store is borrowed.
    fn store_step(&mut self, store: &OnlineStore, step: &Step) {
        let generation = self.model.generation;
        match step {
            Step::Stage(key, (row, vectors)) if generation > 0 => {
                store
                    .stage(generation, &key_of(*key), row, vectors.as_deref())
                    .unwrap();
            }
            Step::Note(key, note) if generation > 0 => {
                let take = |_: &[u8], waiting: &mut Vec<u8>| waiting.extend_from_slice(note);
                store
                    .stage_change(generation, &key_of(*key), &merge(), take)
                    .unwrap();
            }
            Step::Remove(key) if generation > 0 => {
                store.stage_removal(generation, &key_of(*key)).unwrap();
            }
            Step::Plain(key, value) => self.keys.set(store, &key_of(*key), value.as_deref()),
            Step::Flush => {
                self.freeze();
                store
                    .flush(Offset(self.model.log_offset), EventTime(7))
                    .unwrap();
                self.durable = self.model.clone();
            }
            _ => return,
        }
        self.model.apply(step);
        self.model.log_offset += 1;
        if let Some((_, model, true)) = &mut self.held {
            model.apply(step);
        }
        if self.looks {
            self.model.check(&store.view());
            self.model.check_plain(&self.keys, store);
        }
    }

    /// From here on a held view no longer sees what is staged.
    fn freeze(&mut self) {
        if let Some((_, _, live)) = &mut self.held {
            *live = false;
        }
    }
}

fn key_of(key: u8) -> Vec<u8> {
    format!("user-{key:02}").into_bytes()
}

fn row() -> impl Strategy<Value = Row> {
    (bytes(), prop::option::of(bytes()))
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..8)
}

fn late() -> impl Strategy<Value = Late> {
    prop_oneof![
        3 => row().prop_map(Late::Put),
        3 => bytes().prop_map(Late::Note),
        1 => Just(Late::Remove),
    ]
}

fn staging() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..24_u8, bytes()).prop_map(|(key, note)| Step::Note(key, note)),
        4 => (0..24_u8, row()).prop_map(|(key, row)| Step::Stage(key, row)),
        1 => (0..24_u8).prop_map(Step::Remove),
        2 => (0..24_u8, prop::option::of(bytes()))
            .prop_map(|(key, value)| Step::Plain(key, value)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let meanwhile = prop::collection::vec(staging(), 0..6);
    let while_loading =
        prop::collection::vec(prop_oneof![3 => staging(), 1 => Just(Step::Flush)], 0..6);
    let late = prop::collection::vec((0..24_u8, late()), 0..6);
    prop_oneof![
        12 => staging(),
        2 => Just(Step::Flush),
        2 => (meanwhile, any::<bool>()).prop_map(|(steps, commit)| Step::SlowFlush(steps, commit)),
        3 => (prop::collection::btree_map(0..24_u8, row(), 0..20), while_loading, late, any::<bool>())
            .prop_map(|(rows, steps, late, publish)| Step::Load(rows, steps, late, publish)),
        1 => Just(Step::Reopen),
        2 => Just(Step::HoldView),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_sequence_of_steps_reads_like_a_map(steps in prop::collection::vec((step(), any::<bool>()), 1..40)) {
        World::new().run(&steps);
    }
}

fn load(store: &OnlineStore, rows: &[(&[u8], &[u8])]) {
    let mut loader = store.begin_generation().unwrap();
    loader
        .insert_sorted(rows.iter().map(|(key, row)| (*key, *row, None)))
        .unwrap();
    loader
        .publish(Offset(0), EventTime(0), b"", || Ok(()))
        .unwrap();
}

#[test]
fn a_row_of_another_generation_is_refused() {
    let store = OnlineStore::open_with_backend(CrashBackend::default(), OPTIONS).unwrap();
    assert!(matches!(
        store.stage(0, b"a", b"", None),
        Err(Error::GenerationChanged { serving: 0, .. })
    ));
    load(&store, &[(b"a", b"1")]);
    store.stage(1, b"a", b"2", None).unwrap();
    load(&store, &[(b"a", b"3")]);
    let error = store.stage(1, b"a", b"4", None).unwrap_err();
    assert!(matches!(
        error,
        Error::GenerationChanged {
            staged: 1,
            serving: 2
        }
    ));
    assert_eq!(&*store.view().row(b"a").unwrap().unwrap(), b"3");
}

#[test]
fn a_load_refuses_keys_out_of_order_over_calls() {
    let store = OnlineStore::open_with_backend(CrashBackend::default(), OPTIONS).unwrap();
    let mut loader = store.begin_generation().unwrap();
    assert_eq!(
        loader.insert_sorted([(&b"b"[..], &b""[..], None)]).unwrap(),
        1
    );
    let error = loader
        .insert_sorted([(&b"b"[..], &b""[..], None)])
        .unwrap_err();
    assert!(matches!(error, Error::KeyOrder { .. }), "{error}");
}

#[test]
fn staged_bytes_grow_with_staging_and_end_with_the_flush() {
    let store = OnlineStore::open_with_backend(CrashBackend::default(), OPTIONS).unwrap();
    load(&store, &[]);
    assert_eq!(store.staged_bytes(), 0);
    store.stage(1, b"a", &[0; 1000], None).unwrap();
    let once = store.staged_bytes();
    assert!(once >= 1000);
    store.stage(1, b"a", &[1; 1000], None).unwrap();
    assert_eq!(
        store.staged_bytes(),
        once,
        "a row staged again replaces itself"
    );
    let flush = store.begin_flush(Offset(1), EventTime(0));
    assert_eq!(store.staged_bytes(), once);
    flush.commit(|| Ok(())).unwrap();
    assert_eq!(store.staged_bytes(), 0);
}

#[test]
fn a_second_opening_of_the_file_is_told_so_and_other_files_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("online.redb");
    let store = OnlineStore::open(&path, OPTIONS).unwrap();
    let second = OnlineStore::open(&path, OPTIONS).unwrap_err();
    assert!(matches!(second, Error::OnlineInUse { .. }), "{second}");
    drop(store);
    OnlineStore::open(&path, OPTIONS).unwrap();
    std::fs::write(&path, b"something else entirely").unwrap();
    assert!(matches!(
        OnlineStore::open(&path, OPTIONS),
        Err(Error::Online { .. })
    ));
}

#[test]
fn nothing_of_a_removed_row_is_in_a_rewritten_file_and_readers_go_on() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("online.redb");
    let store = OnlineStore::open(&path, OPTIONS).unwrap();
    let plain = PlainKeys::new();
    let mut loader = store.begin_generation().unwrap();
    let secret = b"the row of somebody who leaves";
    let gone = (&b"a"[..], &secret[..], None);
    let rows = [gone, (&b"b"[..], &b"stays"[..], Some(&b"v"[..]))];
    loader.insert_sorted(rows).unwrap();
    loader
        .publish(Offset(1), EventTime(5), b"meta", || Ok(()))
        .unwrap();
    plain.set(&store, b"k", Some(b"plain"));
    let has_secret = || {
        let bytes = std::fs::read(&path).unwrap();
        bytes.windows(secret.len()).any(|window| window == secret)
    };
    let before = store.view();
    store.stage_removal(1, b"a").unwrap();
    store
        .begin_flush(Offset(2), EventTime(5))
        .commit(|| Ok(()))
        .unwrap();
    assert!(has_secret(), "redb keeps freed pages, or this test is none");
    store.rewrite().unwrap();
    assert!(!has_secret());
    let held = before.full_row(b"b").unwrap().unwrap();
    assert_eq!(
        (&*held.row, &*held.vectors.unwrap()),
        (&b"stays"[..], &b"v"[..])
    );
    store.stage(1, b"c", b"new", None).unwrap();
    store
        .begin_flush(Offset(3), EventTime(6))
        .commit(|| Ok(()))
        .unwrap();
    let check = |store: &OnlineStore| {
        let view = store.view();
        assert!(view.row(b"a").unwrap().is_none());
        let row = view.full_row(b"b").unwrap().unwrap();
        assert_eq!(
            (&*row.row, &*row.vectors.unwrap()),
            (&b"stays"[..], &b"v"[..])
        );
        assert_eq!(&*view.row(b"c").unwrap().unwrap(), b"new");
        assert_eq!((view.len(), view.log_offset()), (2, Offset(3)));
        assert_eq!(plain.get(store, b"k").as_deref(), Some(&b"plain"[..]));
    };
    check(&store);
    drop((before, store));
    check(&OnlineStore::open(&path, OPTIONS).unwrap());
}
