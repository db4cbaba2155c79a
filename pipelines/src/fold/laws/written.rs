//! Written values: batch = stream = point in time = merged parts = the naive oracle, and no
//! aggregation sees them.

use std::sync::Arc;

use granary_registry::{DType, EventTime, Feature, FeatureKind, Value, ValueColumns};
use proptest::prelude::*;

use super::group::group;
use super::{Bench, DAY, HOUR, Live, NOW, Raw, events, logged};
use crate::event::{self, Event};
use crate::expression::value_at;
use crate::fold::{Columns, waiting};
use crate::history::History;
use crate::intake::Hindsight;
use crate::oracle::latest;
use crate::piece::Piece;
use crate::point_in_time::{self, Spine};
use crate::value_write::ValueWrite;

/// Features that are values, two of them of one column; the last one's writes are vectors.
const VALUES: [(&str, &str, DType); 4] = [
    ("amount_now", "amount", DType::Int),
    ("amount_again", "amount", DType::Int),
    ("kind_now", "kind", DType::Categorical),
    ("vector_now", "vector", DType::Vector),
];

/// The group of all functions, with values.
fn bench() -> Bench {
    let (mut group, source, entity) = group();
    group
        .features
        .extend(VALUES.map(|(name, column, dtype)| Feature {
            name: name.into(),
            dtype,
            kind: FeatureKind::Value {
                columns: ValueColumns::One(vec![column.to_owned()]),
            },
            description: String::new(),
            imputation: None,
            expectations: Vec::new(),
        }));
    Bench::over((group, source, entity))
}

/// What is written of one value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Nothing,
    Null,
    Number(u8),
}

/// A write: which values, and which number they are made of.
#[derive(Clone, Debug)]
struct Written {
    time: i64,
    known: i64,
    values: [Part; 4],
}

impl Written {
    fn value(&self, at: usize) -> Option<Value> {
        let number = match self.values[at] {
            Part::Nothing => return None,
            Part::Null => return Some(Value::Null),
            Part::Number(number) => number,
        };
        Some(match VALUES[at].2 {
            DType::Int => Value::Int(number.into()),
            DType::Vector => Value::Vector([f32::from(number), 0.5].into()),
            _ => Value::Text(number.to_string().into()),
        })
    }

    fn write(&self) -> ValueWrite {
        let named = VALUES.iter().enumerate();
        let values = named.filter_map(|(at, (name, ..))| Some((Arc::from(*name), self.value(at)?)));
        ValueWrite {
            entity: "user".into(),
            key: Value::Text("u".into()),
            time: EventTime(self.time),
            known: EventTime(self.known),
            values: values.collect(),
        }
    }
}

fn written() -> impl Strategy<Value = Vec<(Option<prop::sample::Index>, Written)>> {
    let value = || {
        prop_oneof![
            4 => Just(Part::Nothing),
            1 => Just(Part::Null),
            4 => any::<u8>().prop_map(Part::Number),
        ]
    };
    let values = [value(), value(), value(), value()];
    let delay = prop_oneof![Just(0i64), -HOUR..2 * DAY];
    let write = (-2 * DAY..45 * DAY, delay, values).prop_map(|(back, delay, values)| Written {
        time: NOW - back,
        known: NOW - back + delay,
        values,
    });
    // Some at the very instant of an event.
    let at_event = prop::option::weighted(0.3, any::<prop::sample::Index>());
    prop::collection::vec((at_event, write), 1..12).prop_map(|writes| {
        let is_some = |write: &Written| write.values.iter().any(|part| *part != Part::Nothing);
        writes
            .into_iter()
            .filter(|(_, write)| is_some(write))
            .collect()
    })
}

/// Events and writes in the order of the log.
struct Log {
    events: Vec<(u64, Raw)>,
    writes: Vec<(u64, Written)>,
}

impl Log {
    /// The writes stand where `places` say, the events in the order in which they are given.
    fn of(
        raws: Vec<Raw>,
        writes: Vec<(Option<prop::sample::Index>, Written)>,
        places: &[u64],
    ) -> Log {
        let at = |(index, mut write): (Option<prop::sample::Index>, Written)| {
            if let Some(index) = index.filter(|_| !raws.is_empty()) {
                let time = index.get(&raws).time;
                write.known += time - write.time;
                write.time = time;
            }
            write
        };
        let writes: Vec<Written> = writes.into_iter().map(at).collect();
        // Even positions are events', odd ones writes', each its own.
        let place = |(at, write)| ((places[at] % 64) * 64 + at as u64 * 2 + 1, write);
        Log {
            writes: writes.into_iter().enumerate().map(place).collect(),
            events: (1..).map(|at| at * 128).zip(raws).collect(),
        }
    }

    fn columns(&self, bench: &Bench, hindsight: Hindsight) -> (Columns, Columns) {
        let intake = match hindsight {
            Hindsight::Kept => &bench.intake,
            Hindsight::Cut => &bench.intake_then,
        };
        let (positions, raws): (Vec<u64>, Vec<Event>) = self
            .events
            .iter()
            .map(|(at, raw)| (*at, logged(raw)))
            .unzip();
        let batch = event::batch(&raws, intake.wanted()).unwrap();
        let mut events = intake.take(&batch).unwrap();
        events.positions = positions;
        let (positions, writes): (Vec<u64>, Vec<ValueWrite>) = self
            .writes
            .iter()
            .map(|(at, write)| (*at, write.write()))
            .unzip();
        let (source, entity) = (&group().1, &group().2);
        let bare: Vec<Event> = writes
            .iter()
            .map(|write| write.bare(source, entity))
            .collect();
        let batch = event::batch(&bare, intake.wanted()).unwrap();
        let writes: Vec<&ValueWrite> = writes.iter().collect();
        let mut written = intake.take_writes(&batch, &writes).unwrap();
        written.positions = positions;
        (events, written)
    }

    fn history(&self, bench: &Bench, hindsight: Hindsight) -> History {
        let (events, written) = self.columns(bench, hindsight);
        History::gather(vec![Piece::of_one(events), Piece::of_one(written)], 1)
    }

    /// What each value must be.
    fn values(&self, as_of: i64, hindsight: Hindsight) -> Vec<Value> {
        let knew = |known: i64, time: i64| hindsight == Hindsight::Kept || known.max(time) < as_of;
        let of = |(at, (_, column, _)): (usize, &(&str, &str, DType))| {
            let events = self
                .events
                .iter()
                .filter(|(_, raw)| knew(raw.created.unwrap_or(raw.time), raw.time));
            let events = events.map(|(position, raw)| {
                let event = logged(raw);
                (raw.time, *position, event.field(column).clone())
            });
            let writes = self
                .writes
                .iter()
                .filter(|(_, write)| knew(write.known, write.time));
            let writes = writes
                .filter_map(|(position, write)| Some((write.time, *position, write.value(at)?)));
            let rows: Vec<(i64, u64, Value)> = events.chain(writes).collect();
            latest(&rows, None, EventTime(as_of))
        };
        VALUES.iter().enumerate().map(of).collect()
    }

    fn raws(&self) -> Vec<Raw> {
        self.events.iter().map(|(_, raw)| raw.clone()).collect()
    }

    fn newest(&self) -> i64 {
        let times = self.events.iter().map(|(_, raw)| raw.time);
        times
            .chain(self.writes.iter().map(|(_, write)| write.time))
            .max()
            .unwrap()
    }

    /// Holds all features against the oracle.
    fn agree(
        &self,
        bench: &Bench,
        found: &[Value],
        as_of: i64,
        hindsight: Hindsight,
    ) -> Result<(), TestCaseError> {
        let (aggregates, values) = found.split_at(found.len() - VALUES.len());
        bench.agree_with(aggregates, &self.raws(), as_of, hindsight)?;
        prop_assert_eq!(values, &self.values(as_of, hindsight)[..]);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn written_values_are_the_oracle(
        raws in events(),
        writes in written(),
        places in prop::collection::vec(any::<u64>(), 12),
        parts in prop::collection::vec(0..3usize, 80),
        back in prop::collection::vec(-3 * DAY..45 * DAY, 1..8),
        later in 1..30 * DAY,
    ) {
        prop_assume!(!writes.is_empty());
        let bench = bench();
        let log = Log::of(raws, writes, &places);
        let as_of = log.newest() + later;

        // Whole, and in parts whose states are stored and merged.
        let history = log.history(&bench, Hindsight::Kept);
        let mut merged = bench.fold.new_state();
        history.map(|| (), |(), _, rows| {
            let whole = bench.fold.closed(rows);
            log.agree(&bench, &bench.values(&whole, as_of), as_of, Hindsight::Kept).unwrap();
            Ok(())
        }).unwrap();
        let (events, written) = log.columns(&bench, Hindsight::Kept);
        for part in 0..3 {
            let some = |columns: &Columns| {
                let rows = (0..columns.rows() as u32).filter(|&row| parts[row as usize] == part);
                Piece::of_one(columns.take(&rows.collect::<Vec<u32>>()))
            };
            let pieces = vec![some(&events), some(&written)];
            let states = History::gather(pieces, 1).map(|| bench.fold.new_state(), |state, _, rows| {
                bench.fold.fold(state, rows);
                Ok(())
            }).unwrap();
            for state in states {
                bench.fold.merge(&mut merged, &bench.reread(&state));
            }
        }
        bench.fold.compact(&mut merged);
        log.agree(&bench, &bench.values(&bench.reread(&merged), as_of), as_of, Hindsight::Kept)?;

        // At instants in the past, ties included.
        let mut instants: Vec<i64> = back.iter().map(|back| NOW - back).collect();
        for (_, write) in log.writes.iter().take(3) {
            instants.extend([write.time, write.time + 1, write.known, write.known + 1]);
        }
        let spine = Spine::of_one("u", instants.iter().copied().map(EventTime).collect());
        let slots: Vec<usize> = (0..bench.fold.slots.len()).collect();
        for hindsight in [Hindsight::Kept, Hindsight::Cut] {
            let history = log.history(&bench, hindsight);
            let columns = point_in_time::sweep(&bench.fold, history, &spine, &slots).unwrap();
            for (row, as_of) in instants.iter().enumerate() {
                let found: Vec<Value> = columns.iter().map(|column| value_at(column, row)).collect();
                log.agree(&bench, &found, *as_of, hindsight)?;
            }
        }
    }

    /// One after another in any order of the log: a write is never late, and makes no event late.
    #[test]
    fn a_stream_of_writes_is_the_batch(
        raws in events(),
        writes in written(),
        places in prop::collection::vec(any::<u64>(), 12),
        settles in prop::collection::vec(any::<bool>(), 80),
        later in 1..30 * DAY,
    ) {
        prop_assume!(!writes.is_empty());
        let bench = bench();
        let mut raws = raws;
        raws.sort_by_key(|raw| raw.time);
        let log = Log::of(raws, writes, &places);
        let (events, written) = log.columns(&bench, Hindsight::Kept);
        let mut order: Vec<(u64, bool, usize)> = Vec::new();
        order.extend(events.positions.iter().enumerate().map(|(row, at)| (*at, false, row)));
        order.extend(written.positions.iter().enumerate().map(|(row, at)| (*at, true, row)));
        order.sort_unstable();
        let records = waiting::Records::of(0, &written, bench.fold.bits());
        let mut live = Live::default();
        for ((_, is_write, row), settles) in order.into_iter().zip(settles) {
            if is_write {
                live.waiting.extend_from_slice(records.get(row));
            } else {
                prop_assert_eq!(live.take(&bench, &events, row), crate::fold::Applied::Folded);
            }
            if settles {
                live.settle(&bench);
            }
        }
        live.settle(&bench);
        let state = bench.fold.decode(&live.state.row, Some(&live.state.vectors)).unwrap();
        let as_of = log.newest() + later;
        log.agree(&bench, &bench.values(&state, as_of), as_of, Hindsight::Kept)?;
        prop_assert_eq!(crate::fold::GroupFold::newest_of(&live.state.row).unwrap(), log.newest());
    }
}
