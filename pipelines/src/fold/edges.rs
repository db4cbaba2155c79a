//! `first`, `last`, `first_k` and `last_k`: the inputs of the earliest or newest events that
//! have one.

use std::cmp::Ordering;
use std::sync::Arc;

use granary_registry::{EventTime, Value};

use super::{Aggregate, Bytes, DecodeError, Events, Filter, Sink};

/// Keeps some events' inputs by order of (event time, dedupe key, input).
#[derive(Clone, Debug)]
pub(crate) struct Edges {
    /// Only these events.
    pub filter: Option<Filter>,
    /// The column of inputs.
    pub input: usize,
    /// The column of dedupe keys, if the source has one.
    pub id: Option<usize>,
    /// The newest instead of the earliest.
    pub last: bool,
    /// How many are kept.
    pub k: usize,
    /// What they come to.
    pub answer: EdgesAnswer,
}

/// What the kept inputs come to; null without any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EdgesAnswer {
    /// The one at the edge.
    One,
    /// A vector of `k` numbers, NaN where there are fewer.
    Numbers,
    /// A JSON array of texts.
    Texts,
}

/// One of the kept events.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EdgeEvent {
    time: i64,
    id: Value,
    input: Value,
}

impl Edges {
    /// Less is nearer to the edge.
    fn order(&self, a: &EdgeEvent, b: &EdgeEvent) -> Ordering {
        let ascending = (a.time.cmp(&b.time))
            .then_with(|| order(&a.id, &b.id))
            .then_with(|| order(&a.input, &b.input));
        if self.last {
            ascending.reverse()
        } else {
            ascending
        }
    }

    /// Whether no event of this time can be among the nearest any more.
    fn is_too_far(&self, held: &[EdgeEvent], time: i64) -> bool {
        let farthest = held.get(self.k - 1).map(|event| event.time);
        farthest.is_some_and(|held| if self.last { time < held } else { time > held })
    }

    fn insert(&self, held: &mut Vec<EdgeEvent>, event: EdgeEvent) {
        let place = held.partition_point(|other| self.order(other, &event).is_lt());
        if place < self.k {
            held.truncate(self.k - 1);
            held.insert(place, event);
        }
    }

    /// Takes rows in that stand nearest to the edge first.
    fn take(
        &self,
        held: &mut Vec<EdgeEvent>,
        events: &Events<'_>,
        rows: impl Iterator<Item = usize>,
    ) {
        for row in rows {
            let time = events.columns.times[row];
            if self.is_too_far(held, time) {
                return;
            }
            let input = events.value(self.input, row);
            if !input.is_null() {
                let id = self.id.map_or(Value::Null, |id| events.value(id, row));
                self.insert(held, EdgeEvent { time, id, input });
            }
        }
    }
}

/// The order of two values of one column; null comes first.
fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        (Value::Vector(a), Value::Vector(b)) => {
            let elements = a.iter().zip(b.iter()).map(|(a, b)| a.total_cmp(b));
            elements.fold(a.len().cmp(&b.len()), Ordering::then)
        }
        (a, b) => b.is_null().cmp(&a.is_null()),
    }
}

impl Aggregate for Edges {
    /// The nearest to the edge first.
    type State = Vec<EdgeEvent>;

    fn update(&self, state: &mut Vec<EdgeEvent>, events: &Events<'_>) {
        let rows = events.selected(self.filter);
        if self.last {
            self.take(state, events, rows.rev());
        } else {
            self.take(state, events, rows);
        }
    }

    fn merge(&self, into: &mut Vec<EdgeEvent>, from: &Vec<EdgeEvent>) {
        for event in from {
            self.insert(into, event.clone());
        }
    }

    fn finalize(&self, state: &Vec<EdgeEvent>, _: EventTime) -> Value {
        let Some(first) = state.first() else {
            return Value::Null;
        };
        let inputs = state.iter().map(|event| &event.input);
        match self.answer {
            EdgesAnswer::One => first.input.clone(),
            EdgesAnswer::Numbers => {
                let numbers = inputs.map(|input| input.as_f64().map_or(f32::NAN, |x| x as f32));
                let missing = std::iter::repeat(f32::NAN);
                Value::Vector(numbers.chain(missing).take(self.k).collect())
            }
            EdgesAnswer::Texts => {
                let texts = inputs.filter_map(|input| match input {
                    Value::Text(text) => Some(&**text),
                    _ => None,
                });
                let texts: serde_json::Value = texts.collect();
                Value::Text(Arc::from(texts.to_string()))
            }
        }
    }

    fn encode(&self, state: &Vec<EdgeEvent>, base: i64, out: &mut Sink) {
        out.unsigned(state.len() as u64);
        for event in state {
            out.time_before(event.time, base);
            out.value(&event.id);
            out.value(&event.input);
        }
    }

    fn decode(&self, base: i64, bytes: &mut Bytes<'_>) -> Result<Vec<EdgeEvent>, DecodeError> {
        let count = bytes.length()?;
        let event = |_| {
            Ok(EdgeEvent {
                time: bytes.time_before(base)?,
                id: bytes.value()?,
                input: bytes.value()?,
            })
        };
        (0..count).map(event).collect()
    }

    fn filter(&self) -> Option<Filter> {
        self.filter
    }
}
