//! Reading a row where it lies is decoding it: every function, values of every type, features
//! of features, with memory that read other rows before.

use granary_registry::{
    BinaryOp, DType, EventTime, Expression, Feature, FeatureKind, Span, Value, ValueColumns,
};
use proptest::prelude::*;

use super::group::group;
use super::{Bench, DAY, NOW, events};
use crate::fold::{Bytes, Reading, Sink};

/// The group of all functions, with values and a feature made of others.
fn bench() -> Bench {
    let (mut group, source, entity) = group();
    let columns = [
        ("kind", DType::Categorical),
        ("amount", DType::Int),
        ("amount", DType::Float),
        ("at", DType::Timestamp),
        ("id", DType::Text),
        ("vector", DType::Vector),
    ];
    let value = |(name, dtype): (&str, DType)| {
        let columns = ValueColumns::One(vec![name.to_owned()]);
        (dtype, FeatureKind::Value { columns })
    };
    let needs = [("f0", DType::Int), ("f1", DType::Int)].map(|(name, dtype)| {
        let name = name.to_owned();
        Box::new(Expression::Column { name, dtype })
    });
    let [left, right] = needs;
    let op = BinaryOp::Add;
    let derived = FeatureKind::Derived(Expression::Binary { op, left, right });
    let kinds = columns.map(value).into_iter();
    for (dtype, kind) in kinds.chain([(DType::Int, derived)]) {
        group.features.push(Feature {
            name: format!("g{}", group.features.len()).into(),
            dtype,
            kind,
            description: String::new(),
            imputation: None,
            expectations: Vec::new(),
        });
    }
    group.max_age = Some(Span(10 * DAY));
    Bench::over((group, source, entity))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn reading_is_decoding(
        histories in prop::collection::vec(events(), 1..4),
        later in prop_oneof![1..DAY, 1..40 * DAY],
        slots in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
        with_vectors: bool,
    ) {
        let bench = bench();
        let fold = &bench.fold;
        let mut reading = Reading::default();
        let mut floats = Vec::new();
        for raws in histories.iter().filter(|raws| !raws.is_empty()) {
            let mut bytes = Sink::default();
            fold.encode(&bench.folded(raws), &mut bytes);
            let vectors = with_vectors.then_some(&bytes.vectors[..]);
            let state = fold.decode(&bytes.row, vectors).unwrap();
            let as_of = EventTime(state.newest().0 + later);
            let slots = slots.iter().map(|slot| slot.index(fold.slots.len()));
            let slots: Vec<usize> = slots.chain([fold.slots.len() - 1]).collect();
            let depth = slots.iter().map(|&slot| fold.depth(slot)).max().unwrap();
            let encoded = Bytes::new(&bytes.row, vectors);
            fold.read(encoded, depth, &mut reading).unwrap();
            for slot in slots {
                let mut shown = Value::Null;
                let take = |value: granary_registry::ValueRef<'_>| shown = value.to_value();
                fold.show(slot, encoded, &reading, as_of, &mut floats, take).unwrap();
                // As text, in which NaN is itself and every other number has digits of its own.
                let decoded = fold.value(slot, &state, as_of);
                prop_assert_eq!(format!("{shown:?}"), format!("{decoded:?}"));
            }
        }
    }

    #[test]
    fn garbage_is_read_without_a_panic(
        garbage in prop::collection::vec(any::<u8>(), 0..400), raws in events()
    ) {
        let bench = bench();
        let mut bytes = Sink::default();
        bench.fold.encode(&bench.folded_or_new(&raws), &mut bytes);
        // A state that was cut short and goes on otherwise.
        let mut state = bytes.row;
        state.truncate(garbage.first().map_or(0, |x| usize::from(*x)));
        state.extend_from_slice(&garbage);
        let encoded = Bytes::new(&state, Some(&bytes.vectors));
        let mut reading = Reading::default();
        let slots = bench.fold.slots.len();
        let depth = (0..slots).map(|slot| bench.fold.depth(slot)).max().unwrap();
        if bench.fold.read(encoded, depth, &mut reading).is_ok() {
            for slot in 0..slots {
                let _ = bench.fold.show(slot, encoded, &reading, EventTime(NOW), &mut Vec::new(), |_| ());
            }
        }
    }
}
