//! The laws of every fold: batch = stream = point in time = the naive oracle, and merging
//! the parts equals folding the whole. Events cluster around the edges of windows and hops.

mod group; // every function over every window
mod oracle; // the naive recomputation of these events
mod reading; // rows read where they lie
mod written; // values beside events

use std::sync::Arc;

use granary_registry::{Entity, EventTime, FeatureGroup, Source, Span, Value};
use proptest::prelude::*;

use self::group::group;
use crate::event::{self, Event};
use crate::fold::{Applied, Columns, GroupFold, GroupState, Sink, waiting};
use crate::history::History;
use crate::intake::{Hindsight, Intake};
use crate::oracle::{Wanted, compare};
use crate::piece::Piece;
use crate::point_in_time::{self, Spine};
use crate::text::{Embedder, HashedNgrams};

const DAY: i64 = Span::DAY.0;
const HOUR: i64 = Span::HOUR.0;
const MINUTE: i64 = Span::MINUTE.0;
const GAP: i64 = 30 * MINUTE;
const LATENESS: i64 = 2 * DAY;
/// An arbitrary instant that is no multiple of any hop.
const NOW: i64 = 1_767_225_600_123_457;

/// An event as the oracle sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Raw {
    pub(crate) time: i64,
    id: u32,
    kind: usize,
    amount: Option<i32>,
    /// When it became known, if that is said.
    created: Option<i64>,
}

impl Raw {
    fn vector(&self) -> Option<Value> {
        let elements = [self.amount? as f32, self.kind as f32];
        Some(Value::Vector(elements.into()))
    }
}

const KINDS: [&str; 3] = ["purchase", "ticket", "view"];

fn raw() -> impl Strategy<Value = Raw> {
    let near_edges = prop_oneof![
        (0..40i64).prop_map(|n| n * DAY),
        (0..200i64).prop_map(|n| n * HOUR),
        (0..300i64).prop_map(|n| n * 5 * MINUTE),
        0..40 * DAY,
        Just(GAP),
    ];
    let jitter = prop_oneof![Just(0i64), Just(1), Just(-1), -GAP..GAP];
    let amount = prop::option::weighted(0.8, -1000..1000i32);
    let delay = prop::option::weighted(0.5, prop_oneof![-HOUR..2i64, 0..2 * HOUR, 0..20 * DAY]);
    (near_edges, jitter, 0..3usize, amount, any::<bool>(), delay).prop_map(
        |(back, jitter, kind, amount, aligned, delay)| {
            let end = if aligned {
                NOW.div_euclid(DAY) * DAY
            } else {
                NOW
            };
            let time = end - back + jitter;
            Raw {
                time,
                id: 0,
                kind,
                amount,
                created: delay.map(|delay| time + delay),
            }
        },
    )
}

/// Histories with ids, some of whose events come twice.
pub(crate) fn events() -> impl Strategy<Value = Vec<Raw>> {
    prop::collection::vec(raw(), 0..60).prop_map(|mut events| {
        for (id, event) in events.iter_mut().enumerate() {
            event.id = id as u32;
        }
        events
    })
}

pub(crate) struct Bench {
    group: FeatureGroup,
    pub(crate) fold: GroupFold,
    intake: Intake,
    /// The same with what the events say of when they became known.
    intake_then: Intake,
}

fn logged(raw: &Raw) -> Event {
    let mut fields = vec![
        ("user_id".into(), Value::Text("u".into())),
        ("at".into(), Value::Timestamp(EventTime(raw.time))),
        ("id".into(), Value::Text(raw.id.to_string().into())),
        ("kind".into(), Value::Text(KINDS[raw.kind].into())),
    ];
    if let Some(created) = raw.created {
        fields.push(("seen_at".into(), Value::Timestamp(EventTime(created))));
    }
    if let (Some(amount), Some(vector)) = (raw.amount, raw.vector()) {
        fields.push(("amount".into(), Value::Int(i64::from(amount))));
        fields.push(("vector".into(), vector));
    }
    Event {
        source: "events".into(),
        fields,
    }
}

fn columns(intake: &Intake, raws: &[Raw]) -> Columns {
    let events: Vec<Event> = raws.iter().map(logged).collect();
    let batch = event::batch(&events, intake.wanted()).unwrap();
    intake.take(&batch).unwrap()
}

/// A stored state, and the live events that wait for it.
#[derive(Default)]
struct Live {
    state: Sink,
    waiting: Vec<u8>,
}

impl Live {
    fn take(&mut self, bench: &Bench, columns: &Columns, row: usize) -> Applied {
        let state = (!self.state.row.is_empty()).then_some(&self.state.row[..]);
        let others = waiting::waiting(&self.waiting)
            .filter(|other| other.as_ref().is_ok_and(|other| !other.is_written))
            .map(|other| other.map(|other| (other.time, other.id)));
        let judged = bench
            .fold
            .judge(state, others, (columns.times[row], columns.ids[row]))
            .unwrap();
        if judged == Applied::Folded {
            let records = waiting::Records::of(0, columns, bench.fold.bits());
            self.waiting.extend_from_slice(records.get(row));
        }
        judged
    }

    fn settle(&mut self, bench: &Bench) {
        let events = waiting::waiting(&self.waiting)
            .collect::<Result<_, _>>()
            .unwrap();
        let columns = waiting::columns(&bench.fold, events).unwrap();
        let mut state = match self.state.row.is_empty() {
            true => bench.fold.new_state(),
            false => bench
                .fold
                .decode(&self.state.row, Some(&self.state.vectors))
                .unwrap(),
        };
        bench.fold.fold_live(&mut state, &columns);
        self.state.clear();
        bench.fold.encode(&state, &mut self.state);
        self.waiting.clear();
    }
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench::over(group())
    }

    /// Over a source whose copies cannot be told.
    pub(crate) fn without_ids() -> Bench {
        let (group, mut source, entity) = group();
        source.id = None;
        Bench::over((group, source, entity))
    }

    fn over((group, source, entity): (FeatureGroup, Source, Entity)) -> Bench {
        let embedder: Arc<dyn Embedder> = Arc::new(HashedNgrams);
        let fold = GroupFold::compile(&group, &source, &embedder).unwrap();
        let present: Vec<String> = source
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect();
        let intake = |hindsight| {
            let columns = (&fold.inputs[..], &fold.filters[..]);
            Intake::plan(columns, &source, &entity, &present, &embedder, hindsight).unwrap()
        };
        Bench {
            intake: intake(Hindsight::Kept),
            intake_then: intake(Hindsight::Cut),
            group,
            fold,
        }
    }

    fn history(&self, raws: &[Raw], hindsight: Hindsight) -> History {
        let intake = match hindsight {
            Hindsight::Kept => &self.intake,
            Hindsight::Cut => &self.intake_then,
        };
        History::gather(vec![Piece::of_one(columns(intake, raws))], 1)
    }

    pub(crate) fn columns(&self, raws: &[Raw]) -> Columns {
        columns(&self.intake, raws)
    }

    fn folded(&self, raws: &[Raw]) -> GroupState {
        let mut states = self
            .history(raws, Hindsight::Kept)
            .map(
                || self.fold.new_state(),
                |state, _, events| {
                    self.fold.fold(state, events);
                    Ok(())
                },
            )
            .unwrap();
        states.pop().unwrap()
    }

    fn folded_or_new(&self, raws: &[Raw]) -> GroupState {
        match raws {
            [] => self.fold.new_state(),
            raws => self.folded(raws),
        }
    }

    fn reread(&self, state: &GroupState) -> GroupState {
        let mut bytes = Sink::default();
        self.fold.encode(state, &mut bytes);
        self.fold.decode(&bytes.row, Some(&bytes.vectors)).unwrap()
    }

    pub(crate) fn values(&self, state: &GroupState, as_of: i64) -> Vec<Value> {
        let slots = 0..self.fold.slots.len();
        slots
            .map(|slot| self.fold.value(slot, state, EventTime(as_of)))
            .collect()
    }

    /// Holds values against the oracle.
    pub(crate) fn agree(
        &self,
        found: &[Value],
        raws: &[Raw],
        as_of: i64,
    ) -> Result<(), TestCaseError> {
        self.agree_with(found, raws, as_of, Hindsight::Kept)
    }

    fn agree_with(
        &self,
        found: &[Value],
        raws: &[Raw],
        as_of: i64,
        hindsight: Hindsight,
    ) -> Result<(), TestCaseError> {
        for (feature, found) in self.group.features.iter().zip(found) {
            let wanted = oracle::naive(&self.group, feature, raws, as_of, hindsight);
            prop_assert!(
                near(found, &wanted),
                "{:?}: found {found:?}, the oracle says {:?}",
                feature.kind,
                wanted.value
            );
        }
        Ok(())
    }

    /// Holds values against those of another way to them.
    fn same(&self, found: &[Value], other: &[Value]) -> Result<(), TestCaseError> {
        for ((feature, found), other) in self.group.features.iter().zip(found).zip(other) {
            let wanted = Wanted {
                terms: 1e4,
                ..Wanted::exactly(other.clone())
            };
            prop_assert!(
                near(found, &wanted),
                "{:?}: {found:?} is not {other:?}",
                feature.kind
            );
        }
        Ok(())
    }
}

/// The elements of these vectors are whole numbers, or quotients of them: not a bit differs.
fn near(found: &Value, wanted: &Wanted) -> bool {
    match (found, &wanted.value) {
        (Value::Vector(a), Value::Vector(b)) => {
            let bits = |vector: &[f32]| vector.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
            bits(a) == bits(b)
        }
        _ => compare(found, wanted).equal,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn batch_is_the_oracle(raws in events(), later in 0..50 * DAY, copies in prop::collection::vec(any::<prop::sample::Index>(), 0..5)) {
        prop_assume!(!raws.is_empty());
        let bench = Bench::new();
        let newest = raws.iter().map(|raw| raw.time).max().unwrap();
        let mut with_copies = raws.clone();
        with_copies.extend(copies.iter().map(|copy| copy.get(&raws).clone()));
        let mut state = bench.folded(&with_copies);
        for as_of in [newest + 1, newest + later + 1, (newest / DAY + 1) * DAY, (newest / HOUR + 1) * HOUR] {
            bench.agree(&bench.values(&state, as_of), &raws, as_of)?;
        }
        bench.fold.compact(&mut state);
        let state = bench.reread(&state);
        bench.agree(&bench.values(&state, newest + later + 1), &raws, newest + later + 1)?;
    }

    /// With all that is known now, or without what became known later: of an event that comes
    /// more than once, what counts is the first time.
    #[test]
    fn point_in_time_is_the_oracle(
        raws in events(),
        back in prop::collection::vec(-DAY..45 * DAY, 1..12),
        copies in prop::collection::vec((any::<prop::sample::Index>(), -HOUR..10 * DAY), 0..5),
    ) {
        let bench = Bench::new();
        let mut instants: Vec<i64> = back.iter().map(|back| NOW - back).collect();
        // The edges themselves: at an event, at its window's end, one microsecond past either.
        for raw in raws.iter().take(4) {
            instants.extend([raw.time, raw.time + 1, raw.time + HOUR, raw.time + 7 * DAY]);
            instants.extend(raw.created.iter().flat_map(|created| [*created, created + 1]));
        }
        let mut rows = raws.clone();
        let mut unique = raws;
        for (copy, delay) in copies.iter().filter(|_| !unique.is_empty()).collect::<Vec<_>>() {
            let raw = copy.get_mut(&mut unique);
            let created = Some(raw.time + delay);
            rows.push(Raw { created, ..raw.clone() });
            raw.created = raw.created.map(|held| held.min(raw.time + delay));
        }
        let spine = Spine::of_one("u", instants.iter().copied().map(EventTime).collect());
        let slots: Vec<usize> = (0..bench.fold.slots.len()).collect();
        for hindsight in [Hindsight::Kept, Hindsight::Cut] {
            let history = bench.history(&rows, hindsight);
            let columns = point_in_time::sweep(&bench.fold, history, &spine, &slots).unwrap();
            for (row, as_of) in instants.iter().enumerate() {
                let found: Vec<Value> = columns.iter().map(|column| crate::expression::value_at(column, row)).collect();
                bench.agree_with(&found, &unique, *as_of, hindsight)?;
            }
        }
    }

    #[test]
    fn merging_parts_is_folding_the_whole(raws in events(), parts in prop::collection::vec(0..4usize, 60)) {
        prop_assume!(!raws.is_empty());
        let bench = Bench::new();
        let whole = bench.folded(&raws);
        let mut merged = bench.fold.new_state();
        for part in 0..4 {
            let some: Vec<Raw> = raws.iter().zip(&parts).filter(|(_, held)| **held == part).map(|(raw, _)| raw.clone()).collect();
            if !some.is_empty() {
                bench.fold.merge(&mut merged, &bench.reread(&bench.folded(&some)));
            }
        }
        bench.fold.compact(&mut merged);
        let as_of = whole.newest().0 + 1;
        bench.same(&bench.values(&merged, as_of), &bench.values(&whole, as_of))?;
    }

    #[test]
    fn closing_a_run_is_folding_and_compacting_it(raws in events()) {
        prop_assume!(!raws.is_empty());
        let bench = Bench::new();
        let folded = bench.history(&raws, Hindsight::Kept).map(Vec::new, |states, _, events| {
            let mut state = bench.fold.new_state();
            bench.fold.fold(&mut state, events);
            bench.fold.compact(&mut state);
            states.push((bench.fold.closed(events), state));
            Ok(())
        });
        for (closed, folded) in folded.unwrap().into_iter().flatten() {
            prop_assert_eq!(closed, folded);
        }
    }

    #[test]
    fn a_stream_within_the_lateness_is_the_batch(raws in events(), keys in prop::collection::vec(0..1000i64, 60), twice in prop::collection::vec(any::<prop::sample::Index>(), 0..4), settles in prop::collection::vec(any::<bool>(), 60)) {
        prop_assume!(!raws.is_empty());
        let bench = Bench::new();
        // Any order in which no event comes later than the allowed lateness after the newest.
        let mut order: Vec<(i64, Raw)> = raws
            .iter()
            .zip(&keys)
            .map(|(raw, key)| (raw.time + key * (LATENESS / 1000), raw.clone()))
            .collect();
        order.sort_by_key(|(arrival, raw)| (*arrival, raw.time));
        let stream: Vec<Raw> = order.into_iter().map(|(_, raw)| raw).collect();
        let columns = bench.columns(&stream);
        let mut live = Live::default();
        for (row, settles) in (0..stream.len()).zip(settles) {
            prop_assert_eq!(live.take(&bench, &columns, row), Applied::Folded);
            if settles {
                live.settle(&bench);
            }
        }
        // Copies are known while they are within the lateness, and late beyond it.
        for copy in &twice {
            let row = copy.index(stream.len());
            prop_assert!(live.take(&bench, &columns, row) != Applied::Folded);
        }
        live.settle(&bench);
        let state = bench.fold.decode(&live.state.row, Some(&live.state.vectors)).unwrap();
        let newest = raws.iter().map(|raw| raw.time).max().unwrap();
        for as_of in [newest + 1, newest + HOUR, newest + 20 * DAY] {
            bench.agree(&bench.values(&state, as_of), &raws, as_of)?;
        }
        let mut batch = bench.folded(&raws);
        bench.fold.compact(&mut batch);
        bench.same(&bench.values(&state, newest + 1), &bench.values(&batch, newest + 1))?;
    }

    #[test]
    fn garbage_is_no_state_and_no_panic(garbage in prop::collection::vec(any::<u8>(), 0..400)) {
        let bench = Bench::new();
        let mut bytes = garbage;
        bytes.insert(0, 2);
        if let Ok(state) = bench.fold.decode(&bytes, Some(&bytes)) {
            bench.values(&state, NOW);
        }
    }
}
