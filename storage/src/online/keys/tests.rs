//! The keyspace against a map: whatever is flushed, forgotten, expired or crashed, a key holds
//! what the commands made of it.

use std::collections::BTreeMap;

use granary_registry::EventTime;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::log::{Kind, Log, LogOptions, LogReader, Offset};
use crate::online::{OnlineOptions, OnlineStore};
use crate::{Error, Result};

/// What a key should hold, and when it expires.
#[derive(Clone, Debug, PartialEq)]
enum Held {
    Text(Vec<u8>),
    Hash(BTreeMap<Vec<u8>, (Vec<u8>, i64)>),
}

type Model = BTreeMap<Vec<u8>, (Held, i64)>;

#[derive(Clone, Debug)]
enum Op {
    Text(u8, Vec<u8>, Option<u8>),
    Splice(u8, usize, Vec<u8>),
    Remove(u8),
    Expire(u8, Option<u8>),
    Field(u8, u8, Vec<u8>, Option<u8>),
    /// So many fields that the hash becomes a map.
    ManyFields(u8),
    RemoveField(u8, u8),
    ExpireField(u8, u8, Option<u8>),
    Copy(u8, u8),
    Clear,
}

#[derive(Clone, Debug)]
enum Step {
    Do(Op),
    /// As one record.
    Transaction(Vec<Op>),
    /// Time goes on.
    Wait(u8),
    /// What has expired is removed.
    Expire,
    /// A flush during which these happen: before it takes what changed, and after.
    Flush(Vec<Op>, Vec<Op>),
    /// One that fails.
    FailedFlush(Vec<Op>, Vec<Op>),
    Crash,
}

struct World {
    home: TempDir,
    store: Option<OnlineStore>,
    log: Option<Log>,
    keys_bytes: usize,
    now: i64,
    model: Model,
}

impl World {
    fn new(keys_bytes: usize) -> World {
        let mut world = World {
            home: tempfile::tempdir().unwrap(),
            store: None,
            log: None,
            keys_bytes,
            now: 1_000,
            model: Model::new(),
        };
        world.open();
        world
    }

    fn open(&mut self) {
        let options = OnlineOptions {
            rows_bytes: 16 << 10,
            cache_bytes: 1 << 20,
            keys_bytes: self.keys_bytes,
        };
        let store = OnlineStore::open(self.home.path().join("online.redb"), options).unwrap();
        let directory = self.home.path().join("log");
        let log = Log::open(
            &directory,
            LogOptions {
                segment_bytes: 20_000,
            },
        )
        .unwrap();
        let from = store.view().log_offset();
        let mut records = LogReader::open(&directory)
            .read_from(from, Some(log.end()))
            .unwrap();
        let mut replayed = Replayed::default();
        let mut turn = store.turn(&log, 0);
        while let Some(record) = records.next_record().unwrap() {
            assert_eq!(record.kind, Kind::Plain);
            turn.replay(&mut replayed, record.payload).unwrap();
        }
        drop(turn);
        self.store = Some(store);
        self.log = Some(log);
    }

    fn turn(&self) -> Turn<'_> {
        let (store, log) = (self.store.as_ref().unwrap(), self.log.as_ref().unwrap());
        store.turn(log, self.now)
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Do(op) => {
                apply(&mut self.turn(), op).unwrap();
                model(&mut self.model, self.now, op);
            }
            Step::Transaction(ops) => {
                let mut turn = self.turn();
                turn.alone(|turn| ops.iter().for_each(|op| apply(turn, op).unwrap()))
                    .unwrap();
                turn.end().unwrap();
                for op in ops {
                    model(&mut self.model, self.now, op);
                }
            }
            Step::Wait(millis) => self.now += i64::from(*millis),
            Step::Expire => {
                let rounds = (0..1_000).find(|_| self.turn().expire(3).unwrap() == 0);
                assert!(rounds.is_some(), "something is due for ever");
            }
            Step::Flush(before, meanwhile) => self.flush(before, meanwhile, true),
            Step::FailedFlush(before, meanwhile) => self.flush(before, meanwhile, false),
            Step::Crash => {
                self.log.as_ref().unwrap().write().unwrap();
                self.store = None;
                self.log = None;
                self.open();
            }
        }
    }

    fn flush(&mut self, before: &[Op], meanwhile: &[Op], succeeds: bool) {
        let (store, log) = (self.store.as_ref().unwrap(), self.log.as_ref().unwrap());
        let flush = store.begin_flush(log.end(), EventTime(0));
        let work = |ops: &[Op]| {
            let mut turn = store.turn(log, self.now);
            for op in ops {
                apply(&mut turn, op).unwrap();
            }
            turn.end().unwrap();
        };
        work(before);
        let committed = flush.commit(|| {
            work(meanwhile);
            log.sync()?;
            match succeeds {
                true => Ok(()),
                false => Err(Error::PlainRecord { reason: "a test" }),
            }
        });
        assert_eq!(committed.is_ok(), succeeds);
        for op in before.iter().chain(meanwhile) {
            model(&mut self.model, self.now, op);
        }
    }

    fn look(&self) {
        let live = live(&self.model, self.now);
        let mut turn = self.turn();
        for key in (0..8).map(name) {
            let found = turn
                .read(&key, |found| {
                    found.map(|(value, expires)| (held(value), expires))
                })
                .unwrap();
            assert_eq!(found.as_ref(), live.get(&key), "{}", key.escape_ascii());
        }
        for (after, limit) in [(None, 100), (None, 2), (Some(name(3)), 3)] {
            let mut keys = turn.keys(after.as_deref(), limit).unwrap();
            let is_whole = keys.len() < limit;
            keys.retain(|key| live.contains_key(key));
            let wanted = live
                .keys()
                .filter(|key| after.as_ref().is_none_or(|after| *key > after));
            let wanted: Vec<_> = wanted.cloned().collect();
            assert!(wanted.starts_with(&keys), "{wanted:?} {keys:?}");
            assert!(!is_whole || keys.len() == wanted.len());
        }
        assert!(turn.len() >= live.len() as u64);
    }
}

fn name(key: u8) -> Vec<u8> {
    format!("key-{key}").into_bytes()
}

fn held(value: &Value) -> Held {
    match value {
        Value::Text(text) => Held::Text(text.clone()),
        Value::Hash(fields) => Held::Hash(
            fields
                .iter()
                .map(|field| (field.name.to_vec(), (field.value.to_vec(), field.expires)))
                .collect(),
        ),
    }
}

/// What of the model has not expired.
fn live(model: &Model, now: i64) -> Model {
    let mut live = model.clone();
    live.retain(|_, (held, expires)| {
        if let Held::Hash(fields) = held {
            fields.retain(|_, (_, expires)| *expires > now);
            if fields.is_empty() {
                return false;
            }
        }
        *expires > now
    });
    live
}

fn instant(now: i64, ttl: Option<u8>) -> i64 {
    ttl.map_or(NEVER, |ttl| now + 1 + i64::from(ttl))
}

fn apply(turn: &mut Turn<'_>, op: &Op) -> Result<()> {
    let now = turn.now();
    match op {
        Op::Text(key, text, ttl) => turn.change(&name(*key), |change| {
            change.set_text(text, instant(now, *ttl));
        }),
        Op::Splice(key, at, bytes) => turn.change(&name(*key), |change| {
            if change.kind() != Some(KeyKind::Hash) {
                let length = change.text().map_or(0, <[u8]>::len).max(at + bytes.len());
                change.splice(*at, bytes, length);
            }
        }),
        Op::Remove(key) => turn.change(&name(*key), |change| {
            change.remove();
        }),
        Op::Expire(key, ttl) => {
            turn.change(&name(*key), |change| change.expire(instant(now, *ttl)))
        }
        Op::Field(key, field, value, ttl) => turn.change(&name(*key), |change| {
            if change.kind() != Some(KeyKind::Text) {
                change.set_field(&name(*field), value, instant(now, *ttl));
            }
        }),
        Op::ManyFields(key) => turn.change(&name(*key), |change| {
            if change.kind() != Some(KeyKind::Text) {
                for field in 0..200 {
                    change.set_field(&name(field), b"many", NEVER);
                }
            }
        }),
        Op::RemoveField(key, field) => turn.change(&name(*key), |change| {
            change.remove_field(&name(*field));
        }),
        Op::ExpireField(key, field, ttl) => turn.change(&name(*key), |change| {
            change.expire_field(&name(*field), instant(now, *ttl));
        }),
        Op::Copy(from, to) => {
            let copied = turn.read(&name(*from), |found| {
                found.map(|(value, expires)| (value.clone(), expires))
            })?;
            match copied {
                Some((value, expires)) => {
                    turn.change(&name(*to), |change| change.set_whole(&value, expires))
                }
                None => Ok(()),
            }
        }
        Op::Clear => turn.clear(),
    }
}

fn model(model: &mut Model, now: i64, op: &Op) {
    *model = live(model, now);
    let is_text =
        |model: &Model, key: u8| matches!(model.get(&name(key)), Some((Held::Text(_), _)));
    let is_hash =
        |model: &Model, key: u8| matches!(model.get(&name(key)), Some((Held::Hash(_), _)));
    let mut set_field = |key: u8, field: u8, value: &[u8], expires: i64| {
        let absent = || (Held::Hash(BTreeMap::new()), NEVER);
        if let (Held::Hash(fields), _) = model.entry(name(key)).or_insert_with(absent) {
            fields.insert(name(field), (value.to_vec(), expires));
        }
    };
    match op {
        Op::Field(key, field, value, ttl) => set_field(*key, *field, value, instant(now, *ttl)),
        Op::ManyFields(key) => (0..200).for_each(|field| set_field(*key, field, b"many", NEVER)),
        Op::Text(key, text, ttl) => {
            let held = Held::Text(text.clone());
            model.insert(name(*key), (held, instant(now, *ttl)));
        }
        Op::Splice(key, at, bytes) if !is_hash(model, *key) => {
            let absent = || (Held::Text(Vec::new()), NEVER);
            if let (Held::Text(text), _) = model.entry(name(*key)).or_insert_with(absent) {
                text.resize(text.len().max(at + bytes.len()), 0);
                text[*at..at + bytes.len()].copy_from_slice(bytes);
            }
        }
        Op::Remove(key) => drop(model.remove(&name(*key))),
        Op::Expire(key, ttl) => {
            if let Some((_, expires)) = model.get_mut(&name(*key)) {
                *expires = instant(now, *ttl);
            }
        }
        Op::RemoveField(key, field) if !is_text(model, *key) => {
            if let Some((Held::Hash(fields), _)) = model.get_mut(&name(*key)) {
                fields.remove(&name(*field));
            }
        }
        Op::ExpireField(key, field, ttl) if !is_text(model, *key) => {
            if let Some((Held::Hash(fields), _)) = model.get_mut(&name(*key))
                && let Some((_, expires)) = fields.get_mut(&name(*field))
            {
                *expires = instant(now, *ttl);
            }
        }
        Op::Copy(from, to) => {
            if let Some(copied) = model.get(&name(*from)).cloned() {
                model.insert(name(*to), copied);
            }
        }
        Op::Clear => model.clear(),
        Op::Splice(..) | Op::RemoveField(..) | Op::ExpireField(..) => {}
    }
    *model = live(model, now);
}

fn op() -> impl Strategy<Value = Op> {
    let key = || 0_u8..8;
    let ttl = || proptest::option::weighted(0.4, 0_u8..40);
    let bytes = || prop::collection::vec(any::<u8>(), 0..20);
    prop_oneof![
        4 => (key(), bytes(), ttl()).prop_map(|(key, text, ttl)| Op::Text(key, text, ttl)),
        2 => (key(), 0_usize..30, bytes()).prop_map(|(key, at, bytes)| Op::Splice(key, at, bytes)),
        2 => key().prop_map(Op::Remove),
        2 => (key(), ttl()).prop_map(|(key, ttl)| Op::Expire(key, ttl)),
        6 => (key(), key(), bytes(), ttl())
            .prop_map(|(key, field, value, ttl)| Op::Field(key, field, value, ttl)),
        1 => key().prop_map(Op::ManyFields),
        2 => (key(), key()).prop_map(|(key, field)| Op::RemoveField(key, field)),
        2 => (key(), key(), ttl()).prop_map(|(key, field, ttl)| Op::ExpireField(key, field, ttl)),
        2 => (key(), key()).prop_map(|(from, to)| Op::Copy(from, to)),
        1 => Just(Op::Clear),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let ops = || prop::collection::vec(op(), 0..5);
    prop_oneof![
        12 => op().prop_map(Step::Do),
        2 => ops().prop_map(Step::Transaction),
        2 => (0_u8..30).prop_map(Step::Wait),
        1 => Just(Step::Expire),
        3 => (ops(), ops()).prop_map(|(before, meanwhile)| Step::Flush(before, meanwhile)),
        1 => (ops(), ops()).prop_map(|(before, meanwhile)| Step::FailedFlush(before, meanwhile)),
        2 => Just(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_commands_flushes_and_crashes_leave_what_a_map_holds(
        steps in prop::collection::vec(step(), 1..40),
        forgets in any::<bool>(),
    ) {
        let mut world = World::new(if forgets { 0 } else { 1 << 20 });
        for step in &steps {
            world.step(step);
            world.look();
        }
        // Once all that has expired is removed, the count is exact, here and after a start.
        world.step(&Step::Expire);
        let live = live(&world.model, world.now).len() as u64;
        prop_assert_eq!(world.turn().len(), live);
        world.step(&Step::Flush(Vec::new(), Vec::new()));
        prop_assert!(world.store.as_ref().unwrap().is_clean());
        world.step(&Step::Crash);
        prop_assert_eq!(world.turn().len(), live);
        world.look();
        world.now += 1_000;
        world.step(&Step::Expire);
        world.look();
    }

    #[test]
    fn stored_values_come_back_and_garbage_never_panics(
        fields in prop::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>(), proptest::option::of(0_i64..100)), 1..300),
        expires in proptest::option::of(any::<i64>()),
        garbage in any::<Vec<u8>>(),
    ) {
        let mut hash = Fields::default();
        for (name, value, expires) in &fields {
            hash.set(name, value, expires.unwrap_or(NEVER));
        }
        let expires = expires.unwrap_or(NEVER);
        for value in [Value::Text(garbage.clone()), Value::Hash(hash)] {
            let mut bytes = Vec::new();
            super::value::encode(&value, expires, &mut bytes);
            prop_assert_eq!(super::value::decode(&bytes), Some((value, expires)));
        }
        let _ = super::value::decode(&garbage);
        let _ = super::effect::Effect::decode(&mut garbage.as_slice());
    }
}

#[test]
fn a_group_too_long_for_a_record_is_one_all_the_same() {
    let mut world = World::new(1 << 20);
    let long = vec![7; crate::log::MAX_PAYLOAD - 100];
    let mut turn = world.turn();
    let both = turn.alone(|turn| {
        for key in [b"a", b"b"] {
            turn.change(key, |change| change.set_text(&long, NEVER))
                .unwrap();
        }
    });
    both.unwrap();
    turn.end().unwrap();
    world.step(&Step::Crash);
    for key in [b"a", b"b"] {
        let length = |found: Option<(&Value, i64)>| found.map_or(0, |(value, _)| value.size());
        assert!(world.turn().read(key, length).unwrap() >= long.len());
    }
}

#[test]
fn watchers_learn_of_changes_and_of_nothing_else() {
    let world = World::new(1 << 20);
    let mut turn = world.turn();
    let (watcher, other) = (Watcher::default(), Watcher::default());
    assert!(!turn.watch(b"a", &watcher).unwrap());
    turn.watch(b"b", &other).unwrap();
    turn.change(b"a", |_| ()).unwrap();
    turn.change(b"c", |change| change.set_text(b"1", NEVER))
        .unwrap();
    assert!(!watcher.is_touched());
    turn.change(b"a", |change| change.set_text(b"1", NEVER))
        .unwrap();
    assert!(watcher.is_touched() && !other.is_touched());
    turn.unwatch(b"b", &other);
    turn.change(b"b", |change| change.set_text(b"1", NEVER))
        .unwrap();
    assert!(!other.is_touched());
    turn.watch(b"b", &other).unwrap();
    turn.clear().unwrap();
    assert!(other.is_touched());
    let end = world.log.as_ref().unwrap().end();
    assert!(end > Offset(0));
}
