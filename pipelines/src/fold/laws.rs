//! The laws of every fold: batch = stream = point in time = the naive oracle, and merging
//! the parts equals folding the whole. Events cluster around the edges of windows and hops.

use std::sync::Arc;

use granary_registry::{
    Aggregation, BinaryOp, Column, DType, Entity, EventTime, Expression, Feature, FeatureGroup,
    FeatureKind, Fingerprint, Function, Source, Span, Value, Window,
};
use proptest::prelude::*;

use crate::event::{self, Event};
use crate::fold::{Applied, Columns, Events, GroupFold, GroupState, Sink};
use crate::history::History;
use crate::intake::Intake;
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
    (near_edges, jitter, 0..3usize, amount, any::<bool>()).prop_map(
        |(back, jitter, kind, amount, aligned)| {
            let end = if aligned {
                NOW.div_euclid(DAY) * DAY
            } else {
                NOW
            };
            Raw {
                time: end - back + jitter,
                id: 0,
                kind,
                amount,
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

fn windows() -> Vec<Option<Window>> {
    let window = |length, hop| {
        Some(Window {
            length: Span(length),
            hop: Span(hop),
        })
    };
    vec![
        None,
        window(HOUR, 5 * MINUTE),
        window(7 * DAY, HOUR),
        window(30 * DAY, DAY),
        window(14 * DAY, DAY),
        window(3 * HOUR, 1),
    ]
}

fn functions() -> Vec<(Function, Option<&'static str>, DType)> {
    let categories = KINDS.iter().map(|kind| Arc::from(*kind)).collect();
    vec![
        (Function::Count, None, DType::Int),
        (Function::Count, Some("amount"), DType::Int),
        (Function::Sum, Some("amount"), DType::Int),
        (Function::Mean, Some("amount"), DType::Float),
        (Function::Min, Some("amount"), DType::Int),
        (Function::Max, Some("amount"), DType::Int),
        (Function::Variance, Some("amount"), DType::Float),
        (Function::Stddev, Some("amount"), DType::Float),
        (Function::First, Some("amount"), DType::Int),
        (Function::Last, Some("amount"), DType::Int),
        (
            Function::CountBy { categories },
            Some("kind"),
            DType::Vector,
        ),
        (Function::Sessions, None, DType::Int),
        (Function::SessionLength, None, DType::Float),
        (Function::DaysSinceLast, None, DType::Int),
    ]
}

fn column(name: &str, dtype: DType) -> Expression {
    Expression::Column {
        name: name.to_owned(),
        dtype,
    }
}

fn is_purchase() -> Expression {
    Expression::Binary {
        op: BinaryOp::Equal,
        left: Box::new(column("kind", DType::Categorical)),
        right: Box::new(Expression::Literal(Value::Text("purchase".into()))),
    }
}

/// Every function over every window, with and without a `where`.
fn group() -> (FeatureGroup, Source, Entity) {
    let mut features = Vec::new();
    for (function, input, dtype) in functions() {
        for window in windows() {
            for filter in [None, Some(is_purchase())] {
                let input = input.map(|name| match name {
                    "kind" => column(name, DType::Categorical),
                    _ => column(name, DType::Int),
                });
                features.push(Feature {
                    name: format!("f{}", features.len()).into(),
                    dtype,
                    kind: FeatureKind::Aggregate(Aggregation {
                        function: function.clone(),
                        input,
                        filter,
                        window,
                    }),
                    description: String::new(),
                    imputation: None,
                    expectations: Vec::new(),
                });
            }
        }
    }
    let source = Source {
        name: "events".into(),
        paths: Vec::new(),
        entity: "user".into(),
        event_time: Some("at".into()),
        id: Some("id".into()),
        allowed_lateness: Span(LATENESS),
        columns: [
            ("user_id", DType::Text),
            ("at", DType::Timestamp),
            ("id", DType::Text),
            ("kind", DType::Categorical),
            ("amount", DType::Int),
        ]
        .map(|(name, dtype)| Column {
            name: name.into(),
            dtype,
        })
        .into(),
        derived: Vec::new(),
    };
    let entity = Entity {
        name: "user".into(),
        key: "user_id".into(),
        dtype: DType::Text,
        prefix: "user:".into(),
    };
    let group = FeatureGroup {
        name: "all".into(),
        entity: "user".into(),
        source: "events".into(),
        description: String::new(),
        owner: String::new(),
        tags: Vec::new(),
        freshness: None,
        max_age: None,
        session_gap: Span(GAP),
        features,
        fingerprint: Fingerprint(1),
    };
    (group, source, entity)
}

pub(crate) struct Bench {
    group: FeatureGroup,
    pub(crate) fold: GroupFold,
    intake: Intake,
}

fn logged(raw: &Raw) -> Event {
    let mut fields = vec![
        ("user_id".to_owned(), Value::Text("u".into())),
        ("at".to_owned(), Value::Timestamp(EventTime(raw.time))),
        ("id".to_owned(), Value::Text(raw.id.to_string().into())),
        ("kind".to_owned(), Value::Text(KINDS[raw.kind].into())),
    ];
    if let Some(amount) = raw.amount {
        fields.push(("amount".to_owned(), Value::Int(i64::from(amount))));
    }
    Event {
        source: "events".into(),
        fields,
    }
}

impl Bench {
    pub(crate) fn new() -> Bench {
        let (group, source, entity) = group();
        let embedder: Arc<dyn Embedder> = Arc::new(HashedNgrams);
        let fold = GroupFold::compile(&group, &source, &embedder).unwrap();
        let present: Vec<String> = source
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect();
        let intake = Intake::new(&fold, &source, &entity, &present, &embedder).unwrap();
        Bench {
            group,
            fold,
            intake,
        }
    }

    fn history(&self, raws: &[Raw]) -> History {
        let events: Vec<Event> = raws.iter().map(logged).collect();
        let batch = event::batch(&events, self.intake.wanted()).unwrap();
        let piece = Piece::of_one(self.intake.take(&batch).unwrap());
        History::gather(vec![piece], 1)
    }

    pub(crate) fn columns(&self, raws: &[Raw]) -> Columns {
        let events: Vec<Event> = raws.iter().map(logged).collect();
        let batch = event::batch(&events, self.intake.wanted()).unwrap();
        self.intake.take(&batch).unwrap()
    }

    fn folded(&self, raws: &[Raw]) -> GroupState {
        let mut states = self
            .history(raws)
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

    pub(crate) fn oracle(&self, raws: &[Raw], as_of: i64) -> Vec<Value> {
        self.group
            .features
            .iter()
            .map(|feature| naive(feature, raws, as_of))
            .collect()
    }

    pub(crate) fn agree(&self, found: &[Value], wanted: &[Value]) -> Result<(), TestCaseError> {
        for ((feature, found), wanted) in self.group.features.iter().zip(found).zip(wanted) {
            prop_assert!(
                near(found, wanted),
                "{:?}: found {found:?}, the oracle says {wanted:?}",
                feature.kind
            );
        }
        Ok(())
    }
}

/// The oracle: the feature again, from raw events, without any of the code under test.
fn naive(feature: &Feature, raws: &[Raw], as_of: i64) -> Value {
    let FeatureKind::Aggregate(aggregation) = &feature.kind else {
        return Value::Null;
    };
    let start = aggregation.window.map_or(i64::MIN, |window| {
        (as_of - window.length.0).div_euclid(window.hop.0) * window.hop.0
    });
    let mut inside: Vec<&Raw> = raws
        .iter()
        .filter(|raw| raw.time >= start && raw.time < as_of)
        .filter(|raw| aggregation.filter.is_none() || raw.kind == 0)
        .collect();
    inside.sort_by_key(|raw| raw.time);
    let amounts: Vec<f64> = inside
        .iter()
        .filter_map(|raw| raw.amount.map(f64::from))
        .collect();
    let (count, sum) = (amounts.len() as f64, amounts.iter().sum::<f64>());
    let mean = sum / count;
    let sessions = inside.chunk_by(|a, b| b.time - a.time <= GAP);
    let lengths: Vec<i64> = sessions
        .map(|session| session[session.len() - 1].time - session[0].time)
        .collect();
    let int = |number: Option<f64>| number.map_or(Value::Null, |number| Value::Int(number as i64));
    let variance = amounts.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
    match &aggregation.function {
        Function::Count if aggregation.input.is_some() => Value::Int(amounts.len() as i64),
        Function::Count => Value::Int(inside.len() as i64),
        Function::Sum => Value::Int(sum as i64),
        Function::Mean => Value::float(mean),
        Function::Min => int(amounts.iter().copied().reduce(f64::min)),
        Function::Max => int(amounts.iter().copied().reduce(f64::max)),
        Function::Variance | Function::Stddev if count < 2.0 => Value::Null,
        Function::Variance => Value::float(variance),
        Function::Stddev => Value::float(variance.sqrt()),
        Function::First => int(amounts.first().copied()),
        Function::Last => int(amounts.last().copied()),
        Function::CountBy { .. } => {
            let of = |kind| inside.iter().filter(|raw| raw.kind == kind).count() as f32;
            Value::Vector((0..KINDS.len()).map(of).collect())
        }
        Function::Sessions => Value::Int(lengths.len() as i64),
        Function::SessionLength if lengths.is_empty() => Value::Null,
        Function::SessionLength => {
            let total = lengths.iter().sum::<i64>() as f64 / MINUTE as f64;
            Value::float(total / lengths.len() as f64)
        }
        Function::DaysSinceLast => {
            let newest = inside.last();
            newest.map_or(Value::Null, |raw| Value::Int((as_of - raw.time) / DAY))
        }
    }
}

fn near(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Float(a), Value::Float(b)) => (a - b).abs() <= 1e-12 + 1e-9 * a.abs().max(b.abs()),
        (a, b) => a == b,
    }
}

/// Events of equal time leave `first` and `last` to the hash of their ids, which the oracle
/// does not know.
pub(crate) fn distinct_times(raws: &mut Vec<Raw>) {
    raws.sort_by_key(|raw| raw.time);
    raws.dedup_by_key(|raw| raw.time);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn batch_is_the_oracle(mut raws in events(), later in 0..50 * DAY, copies in prop::collection::vec(any::<prop::sample::Index>(), 0..5)) {
        distinct_times(&mut raws);
        prop_assume!(!raws.is_empty());
        let bench = Bench::new();
        let newest = raws.iter().map(|raw| raw.time).max().unwrap();
        let mut with_copies = raws.clone();
        with_copies.extend(copies.iter().map(|copy| copy.get(&raws).clone()));
        let mut state = bench.folded(&with_copies);
        for as_of in [newest + 1, newest + later + 1, (newest / DAY + 1) * DAY, (newest / HOUR + 1) * HOUR] {
            bench.agree(&bench.values(&state, as_of), &bench.oracle(&raws, as_of))?;
        }
        bench.fold.compact(&mut state);
        let state = bench.reread(&state);
        bench.agree(&bench.values(&state, newest + later + 1), &bench.oracle(&raws, newest + later + 1))?;
    }

    #[test]
    fn point_in_time_is_the_oracle(mut raws in events(), back in prop::collection::vec(-DAY..45 * DAY, 1..12)) {
        distinct_times(&mut raws);
        let bench = Bench::new();
        let mut instants: Vec<i64> = back.iter().map(|back| NOW - back).collect();
        // The edges themselves: at an event, at its window's end, one microsecond past either.
        for raw in raws.iter().take(4) {
            instants.extend([raw.time, raw.time + 1, raw.time + HOUR, raw.time + 7 * DAY]);
        }
        let spine = Spine {
            keys: instants.iter().map(|_| Arc::from("u")).collect(),
            instants: instants.iter().copied().map(EventTime).collect(),
        };
        let slots: Vec<usize> = (0..bench.fold.slots.len()).collect();
        let columns = point_in_time::sweep(&bench.fold, &["u".into()], &bench.history(&raws), &spine, &slots).unwrap();
        for (row, as_of) in instants.iter().enumerate() {
            let found: Vec<Value> = columns.iter().map(|column| crate::expression::value_at(column, row)).collect();
            bench.agree(&found, &bench.oracle(&raws, *as_of))?;
        }
    }

    #[test]
    fn merging_parts_is_folding_the_whole(mut raws in events(), parts in prop::collection::vec(0..4usize, 60)) {
        distinct_times(&mut raws);
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
        bench.agree(&bench.values(&merged, as_of), &bench.values(&whole, as_of))?;
    }

    #[test]
    fn a_stream_within_the_lateness_is_the_batch(mut raws in events(), keys in prop::collection::vec(0..1000i64, 60), twice in prop::collection::vec(any::<prop::sample::Index>(), 0..4)) {
        distinct_times(&mut raws);
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
        let mut state = bench.fold.new_state();
        for row in 0..stream.len() {
            state = bench.reread(&state);
            prop_assert_eq!(bench.fold.apply(&mut state, &Events::new(&columns, row..row + 1)), Applied::Folded);
        }
        // Copies are known while they are within the lateness, and late beyond it.
        for copy in &twice {
            let row = copy.index(stream.len());
            let outcome = bench.fold.apply(&mut state, &Events::new(&columns, row..row + 1));
            prop_assert!(outcome != Applied::Folded);
        }
        let newest = raws.iter().map(|raw| raw.time).max().unwrap();
        for as_of in [newest + 1, newest + HOUR, newest + 20 * DAY] {
            bench.agree(&bench.values(&state, as_of), &bench.oracle(&raws, as_of))?;
        }
        let mut batch = bench.folded(&raws);
        bench.fold.compact(&mut batch);
        bench.agree(&bench.values(&state, newest + 1), &bench.values(&batch, newest + 1))?;
    }

    #[test]
    fn garbage_is_no_state_and_no_panic(garbage in prop::collection::vec(any::<u8>(), 0..400)) {
        let bench = Bench::new();
        let mut bytes = garbage;
        bytes.insert(0, 1);
        if let Ok(state) = bench.fold.decode(&bytes, Some(&bytes)) {
            bench.values(&state, NOW);
        }
    }
}
