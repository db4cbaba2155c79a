//! The folds of one feature group, compiled once from the registry, and their states for
//! one entity. Called by every job: batch, stream, serving and point in time. How written values
//! go into a state is in `written`.

use std::sync::Arc;

use granary_registry::{
    DType, EventTime, Expression, FeatureGroup, Fingerprint, Source, Span, Value, ValueColumns,
    ValueRef,
};

use super::codec::{Bytes, DecodeError, Sink};
use super::compile::{CompileError, compile};
use super::edges::EdgesAnswer;
use super::window::Windowed;
use super::written::{ValueState, WrittenBits};
use super::{Columns, Events, Fold, NO_HASH, State};
use crate::expression::Program;
use crate::text::Embedder;

/// First byte of every encoded state.
pub const STATE_FORMAT: u8 = 2;

/// First byte of one into which values were written; when, stands behind the newest event.
const WRITTEN_FORMAT: u8 = 3;

/// A feature group as folds: what to read of an event, how to fold it, what to answer.
#[derive(Debug)]
pub struct GroupFold {
    /// Name of the group.
    pub name: String,
    /// Of the definition that these folds were compiled from.
    pub fingerprint: Fingerprint,
    /// Conditions of which `update` reads one mask bit each, in order of their bits.
    pub filters: Vec<Expression>,
    /// Columns that `update` reads.
    pub inputs: Vec<InputSpec>,
    /// The features, in order of the registry.
    pub slots: Vec<Slot>,
    /// One for each distinct state; features that differ only in their ending share one.
    pub(super) states: Vec<Fold>,
    /// Those of them that can be written, in order of their inputs.
    pub(super) values: Vec<ValueState>,
    /// Where a row says which of them it brings.
    pub(super) bits: WrittenBits,
    keeps_ids: bool,
    lateness: Span,
}

/// A column that folds read.
#[derive(Clone, Debug, PartialEq)]
pub struct InputSpec {
    /// Where its values come from.
    pub from: InputFrom,
    /// In which form.
    pub kind: InputKind,
}

/// Where an input comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum InputFrom {
    /// Computed of the source's columns.
    Expression(Expression),
    /// The columns of a value feature, chosen when the file's columns are known. No two features
    /// share them: each can be written alone.
    Value {
        /// Its name.
        feature: Arc<str>,
        /// Where it reads.
        columns: ValueColumns,
        /// The type of its values.
        dtype: DType,
    },
}

/// The form in which folds read an input.
#[derive(Clone, Debug, PartialEq)]
pub enum InputKind {
    /// As 64-bit floats.
    Numbers,
    /// As positions in this list.
    Codes(Vec<Arc<str>>),
    /// As the number of these edges, ascending, that are not above it.
    Buckets(Vec<f64>),
    /// As hashes.
    Hashes,
    /// As they are.
    Values,
    /// As rows of floats.
    Vectors,
}

/// One feature of the group.
#[derive(Debug)]
pub struct Slot {
    /// Its name.
    pub name: Arc<str>,
    /// The type of its values.
    pub dtype: DType,
    pub(super) answer: Answer,
}

#[derive(Debug)]
pub(super) enum Answer {
    /// The ending of a fold over a state.
    Fold { fold: Fold, state: usize },
    /// An expression over other features of the group.
    Derived { program: Program, needs: Vec<usize> },
}

/// The states of one group for one entity.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupState {
    /// The newest event.
    pub(super) newest: i64,
    /// The instant of the newest value that was written.
    pub(super) written: i64,
    /// Instant and hashed id of the events a copy of which may still come, in order.
    recent: Vec<Seen>,
    pub(super) states: Vec<State>,
}

/// What stands first in an encoded state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) newest: i64,
    pub(super) written: i64,
}

/// Instant and hashed id of an event.
pub(crate) type Seen = (i64, u64);

/// What became of a live event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is in the state.
    Folded,
    /// A copy of it was there already.
    Duplicate,
    /// It is older than the allowed lateness and waits for the next build.
    Late,
}

impl Applied {
    /// The better outcome of two groups that take the same event.
    #[must_use]
    pub fn better(self, other: Applied) -> Applied {
        match (self, other) {
            (Applied::Folded, _) | (_, Applied::Folded) => Applied::Folded,
            (Applied::Duplicate, _) | (_, Applied::Duplicate) => Applied::Duplicate,
            _ => Applied::Late,
        }
    }
}

impl GroupFold {
    /// Compiles the folds of a group over its source.
    pub fn compile(
        group: &FeatureGroup,
        source: &Source,
        embedder: &Arc<dyn Embedder>,
    ) -> Result<GroupFold, CompileError> {
        let compiled = compile(group, source, embedder)?;
        Ok(GroupFold {
            name: group.name.clone(),
            fingerprint: group.fingerprint,
            bits: WrittenBits::new(compiled.filters.len(), compiled.values.len()),
            values: compiled.values,
            filters: compiled.filters,
            inputs: compiled.inputs,
            slots: compiled.slots,
            states: compiled.states,
            keeps_ids: source.id.is_some(),
            lateness: source.allowed_lateness,
        })
    }

    /// Whether copies of events are told by their ids.
    pub fn keeps_ids(&self) -> bool {
        self.keeps_ids
    }

    /// The position of a feature.
    pub fn slot(&self, name: &str) -> Option<usize> {
        self.slots.iter().position(|slot| &*slot.name == name)
    }

    /// Whether a feature can be answered without the vectors of its state.
    pub fn needs_vectors(&self, slot: usize) -> bool {
        match &self.slots[slot].answer {
            Answer::Fold { fold, .. } => match fold {
                // Vectors that are made of numbers in the row.
                Fold::CountBy(_) | Fold::WindowedCountBy(_) => false,
                Fold::Edges(edges) | Fold::WindowedEdges(Windowed { inner: edges, .. })
                    if edges.answer == EdgesAnswer::Numbers =>
                {
                    false
                }
                _ => self.slots[slot].dtype == DType::Vector,
            },
            Answer::Derived { needs, .. } => needs.iter().any(|&need| self.needs_vectors(need)),
        }
    }

    /// The state that has seen nothing.
    pub fn new_state(&self) -> GroupState {
        let states = self.states.iter().map(Fold::new_state).collect();
        GroupState {
            newest: i64::MIN,
            written: i64::MIN,
            recent: Vec::new(),
            states,
        }
    }

    /// Takes in rows that hold no copies, of any age: batch and point in time.
    pub fn fold(&self, state: &mut GroupState, rows: &Events<'_>) {
        if self.bits.is_any_written(rows) {
            return self.fold_mixed(state, rows);
        }
        self.fold_events(state, rows);
    }

    /// The same of rows none of which was written.
    pub(super) fn fold_events(&self, state: &mut GroupState, events: &Events<'_>) {
        if events.rows.is_empty() {
            return;
        }
        let events = Events {
            newest: events.newest.max(state.newest),
            ..events.clone()
        };
        for (fold, state) in self.states.iter().zip(&mut state.states) {
            fold.update(state, &events);
        }
        state.newest = events.newest;
        if self.keeps_ids {
            self.remember(state, &events);
        }
    }

    /// The compact state of a run of rows that hold no copies.
    pub fn closed(&self, events: &Events<'_>) -> GroupState {
        let mut state = self.new_state();
        if self.bits.is_any_written(events) {
            self.fold_mixed(&mut state, events);
            self.compact(&mut state);
            return state;
        }
        let closed_before = self.closed_before(events.newest);
        for (fold, state) in self.states.iter().zip(&mut state.states) {
            fold.close(state, events, closed_before);
        }
        state.newest = events.newest;
        if self.keeps_ids {
            self.remember(&mut state, events);
        }
        state
    }

    /// What becomes of a live event, told by the head of the entity's encoded state and the
    /// events that wait to be folded into it.
    pub(crate) fn judge(
        &self,
        state: Option<&[u8]>,
        waiting: impl Iterator<Item = Result<Seen, DecodeError>>,
        event: Seen,
    ) -> Result<Applied, DecodeError> {
        let (mut newest, mut is_known) = match state {
            Some(state) => known(state, event)?,
            None => (i64::MIN, false),
        };
        for other in waiting {
            let other = other?;
            newest = newest.max(other.0);
            is_known |= other == event;
        }
        Ok(
            if newest != i64::MIN && event.0 < self.closed_before(newest) {
                Applied::Late
            } else if is_known && event.1 != NO_HASH {
                Applied::Duplicate
            } else {
                Applied::Folded
            },
        )
    }

    /// Takes in live events that were judged to count, in order of time.
    pub(crate) fn fold_live(&self, state: &mut GroupState, columns: &Columns) {
        self.fold(state, &Events::new(columns, 0..columns.rows()));
        self.compact(state);
    }

    /// Joins the state of other events of the same entity.
    pub fn merge(&self, into: &mut GroupState, from: &GroupState) {
        into.newest = into.newest.max(from.newest);
        into.written = into.written.max(from.written);
        for ((fold, into), from) in self.states.iter().zip(&mut into.states).zip(&from.states) {
            fold.merge(into, from);
        }
        into.recent.extend_from_slice(&from.recent);
        into.recent.sort_unstable();
    }

    /// Gives up what only events beyond the allowed lateness would need.
    pub fn compact(&self, state: &mut GroupState) {
        if state.newest == i64::MIN {
            return;
        }
        let closed_before = self.closed_before(state.newest);
        for (fold, held) in self.states.iter().zip(&mut state.states) {
            fold.compact(held, closed_before, state.newest);
        }
        let old = state
            .recent
            .partition_point(|(time, _)| *time < closed_before);
        state.recent.drain(..old);
    }

    /// The value of one feature as of an instant later than the newest event.
    pub fn value(&self, slot: usize, state: &GroupState, as_of: EventTime) -> Value {
        let answer = match &self.slots[slot].answer {
            Answer::Fold { fold, state: held } => fold.finalize(&state.states[*held], as_of),
            Answer::Derived { program, needs } => {
                let values: Vec<Value> = needs
                    .iter()
                    .map(|&need| self.value(need, state, as_of))
                    .collect();
                program.evaluate_row(&values)
            }
        };
        match ValueRef::from(&answer) {
            ValueRef::Text(_) | ValueRef::Vector(_) => answer, // keeps what it shares
            number => coerce(number, self.slots[slot].dtype).to_value(),
        }
    }

    /// Whether a feature that is counted exactly as a rule is an estimate for this entity.
    pub fn is_estimate(&self, slot: usize, state: &GroupState) -> bool {
        match &self.slots[slot].answer {
            Answer::Fold { fold, state: held } => fold.is_estimate(&state.states[*held]),
            Answer::Derived { .. } => false,
        }
    }

    /// Writes a state.
    pub fn encode(&self, state: &GroupState, out: &mut Sink) {
        if state.written == i64::MIN {
            out.row.push(STATE_FORMAT);
            out.signed(state.newest);
        } else {
            out.row.push(WRITTEN_FORMAT);
            out.signed(state.newest);
            out.signed(state.written);
        }
        out.unsigned(state.recent.len() as u64);
        let mut later = state.newest;
        for (time, id) in state.recent.iter().rev() {
            out.time_before(*time, later);
            out.row.extend_from_slice(&id.to_le_bytes());
            later = *time;
        }
        let base = state.newest().0;
        for (fold, held) in self.states.iter().zip(&state.states) {
            fold.encode(held, base, out);
        }
    }

    /// Reads what `encode` wrote under the same definition. Without `vectors` the features
    /// of [`GroupFold::needs_vectors`] answer null, and the state must not be written back.
    pub fn decode(&self, row: &[u8], vectors: Option<&[u8]>) -> Result<GroupState, DecodeError> {
        let mut bytes = Bytes::new(row, vectors);
        let head = begin(&mut bytes)?;
        let count = bytes.length()?;
        let mut recent = Vec::with_capacity(count);
        let mut later = head.newest;
        for _ in 0..count {
            later = bytes.time_before(later)?;
            recent.push((later, u64::from_le_bytes(bytes.fixed()?)));
        }
        recent.reverse();
        let states = self
            .states
            .iter()
            .map(|fold| fold.decode(head.latest(), &mut bytes));
        let states = states.collect::<Result<Vec<State>, DecodeError>>()?;
        if bytes.is_empty() {
            Ok(GroupState {
                newest: head.newest,
                written: head.written,
                recent,
                states,
            })
        } else {
            Err(DecodeError::Invalid {
                what: "rest after the states",
                found: 0,
            })
        }
    }

    /// The newest event or written value of an encoded state, without decoding the rest.
    pub fn newest_of(state: &[u8]) -> Result<i64, DecodeError> {
        Ok(begin(&mut Bytes::new(state, None))?.latest())
    }

    /// Its newest event.
    pub fn newest_event_of(state: &[u8]) -> Result<i64, DecodeError> {
        Ok(begin(&mut Bytes::new(state, None))?.newest)
    }

    fn closed_before(&self, newest: i64) -> i64 {
        newest.saturating_sub(self.lateness.0)
    }

    fn remember(&self, state: &mut GroupState, events: &Events<'_>) {
        let limit = self.closed_before(state.newest);
        let first = events.rows.start + events.times().partition_point(|&time| time < limit);
        let before = state.recent.len();
        for row in first..events.rows.end {
            let id = events.columns.ids.get(row).copied().unwrap_or(NO_HASH);
            if id != NO_HASH {
                state.recent.push((events.columns.times[row], id));
            }
        }
        if before > 0 || !state.recent.is_sorted() {
            state.recent.sort_unstable();
        }
    }
}

impl GroupState {
    /// The entity's newest event or written value; `MIN` for rows of tables without an event time
    /// and before the first.
    pub fn newest(&self) -> EventTime {
        EventTime(self.newest.max(self.written))
    }

    /// The newest event alone.
    pub fn newest_event(&self) -> EventTime {
        EventTime(self.newest)
    }
}

impl Head {
    /// The newest of all that the state knows.
    pub(super) fn latest(self) -> i64 {
        self.newest.max(self.written)
    }
}

/// The head of an encoded state, of which the rest follows.
pub(super) fn begin(bytes: &mut Bytes<'_>) -> Result<Head, DecodeError> {
    let format = bytes.byte()?;
    if format != STATE_FORMAT && format != WRITTEN_FORMAT {
        return Err(DecodeError::Format { found: format });
    }
    let newest = bytes.signed()?;
    let written = match format {
        WRITTEN_FORMAT => bytes.signed()?,
        _ => i64::MIN,
    };
    Ok(Head { newest, written })
}

/// The newest event of an encoded state, and whether the state still knows this one.
fn known(state: &[u8], event: Seen) -> Result<(i64, bool), DecodeError> {
    let mut bytes = Bytes::new(state, None);
    let newest = begin(&mut bytes)?.newest;
    let mut later = newest;
    for _ in 0..bytes.length()? {
        later = bytes.time_before(later)?;
        let id = u64::from_le_bytes(bytes.fixed()?);
        if later < event.0 {
            break;
        }
        if (later, id) == event {
            return Ok((newest, true));
        }
    }
    Ok((newest, false))
}

/// A fold's answer in the type that the registry gives the feature.
pub(super) fn coerce(value: ValueRef<'_>, dtype: DType) -> ValueRef<'_> {
    match (dtype, value) {
        (DType::Int, ValueRef::Float(x)) => ValueRef::Int(x.round() as i64),
        (DType::Float, ValueRef::Int(x)) => ValueRef::Float(x as f64),
        (DType::Timestamp, ValueRef::Float(x)) => ValueRef::Timestamp(EventTime(x as i64)),
        (_, value) => value,
    }
}
