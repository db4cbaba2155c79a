//! The folds of one feature group, compiled once from the registry, and their states for
//! one entity. Called by every job: batch, stream, serving and point in time.

use std::collections::HashMap;
use std::sync::Arc;

use granary_registry::{
    Aggregation, BinaryOp, DType, EventTime, Expression, Feature, FeatureGroup, FeatureKind,
    Fingerprint, Function, Source, Span, UnaryOp, Value, ValueColumns, Window,
};

use super::codec::{Bytes, DecodeError, Sink};
use super::{
    Count, CountBy, Edge, Events, Extreme, Filter, Fold, Latest, Moments, Recency, Sessions, State,
    Sum, VectorSum, Windowed,
};
use crate::expression::{self, Program};
use crate::text::Embedder;

/// First byte of every encoded state.
const STATE_FORMAT: u8 = 1;

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
    states: Vec<Fold>,
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
    /// The columns of a value feature, chosen when the file's columns are known.
    Value(ValueColumns, DType),
}

/// The form in which folds read an input.
#[derive(Clone, Debug, PartialEq)]
pub enum InputKind {
    /// As 64-bit floats.
    Numbers,
    /// As positions in this list.
    Codes(Vec<Arc<str>>),
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
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    /// The ending of a fold over a state.
    Fold { fold: Fold, state: usize },
    /// An expression over other features of the group.
    Derived { program: Program, needs: Vec<usize> },
}

/// The states of one group for one entity.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupState {
    newest: i64,
    /// Instant and hashed id of the events a copy of which may still come, in order.
    recent: Vec<(i64, u64)>,
    states: Vec<State>,
}

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

/// Why a group cannot be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// An expression of a derived feature.
    #[error("compile feature `{feature}`: {source}")]
    Derived {
        /// The feature.
        feature: String,
        /// What is wrong.
        source: expression::Error,
    },
    /// An aggregation that needs an input has none.
    #[error("compile feature `{feature}`: its aggregation needs an `input`")]
    NoInput {
        /// The feature.
        feature: String,
    },
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
        let mut compiler = Compiler::new(group);
        let mut slots = Vec::with_capacity(group.features.len());
        for feature in &group.features {
            let answer = match &feature.kind {
                FeatureKind::Value { columns } => compiler.value(feature, columns, group.max_age),
                FeatureKind::Aggregate(aggregation) => compiler.aggregate(feature, aggregation)?,
                FeatureKind::Derived(expression) => derived(group, feature, expression, embedder)?,
            };
            slots.push(Slot {
                name: feature.name.clone(),
                dtype: feature.dtype,
                answer,
            });
        }
        Ok(GroupFold {
            name: group.name.clone(),
            fingerprint: group.fingerprint,
            filters: compiler.filters,
            inputs: compiler.inputs,
            slots,
            states: compiler.states,
            keeps_ids: source.id.is_some(),
            lateness: source.allowed_lateness,
        })
    }

    /// The position of a feature.
    pub fn slot(&self, name: &str) -> Option<usize> {
        self.slots.iter().position(|slot| &*slot.name == name)
    }

    /// Whether a feature can be answered without the vectors of its state.
    pub fn needs_vectors(&self, slot: usize) -> bool {
        match &self.slots[slot].answer {
            Answer::Fold { fold, .. } => match fold {
                Fold::VectorSum(_) | Fold::WindowedVectorSum(_) => true,
                Fold::Latest(_) => self.slots[slot].dtype == DType::Vector,
                _ => false,
            },
            Answer::Derived { needs, .. } => needs.iter().any(|&need| self.needs_vectors(need)),
        }
    }

    /// The state that has seen nothing.
    pub fn new_state(&self) -> GroupState {
        let states = self.states.iter().map(Fold::new_state).collect();
        GroupState {
            newest: i64::MIN,
            recent: Vec::new(),
            states,
        }
    }

    /// Takes in events that hold no copies, of any age: batch and point in time.
    pub fn fold(&self, state: &mut GroupState, events: &Events<'_>) {
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

    /// Takes in one live event, if it is no copy and not too late.
    pub fn apply(&self, state: &mut GroupState, event: &Events<'_>) -> Applied {
        let row = event.rows.start;
        let time = event.columns.times[row];
        if state.newest != i64::MIN && time < self.closed_before(state.newest) {
            return Applied::Late;
        }
        if let Some(&id) = event.columns.ids.get(row)
            && state.recent.contains(&(time, id))
        {
            return Applied::Duplicate;
        }
        self.fold(state, event);
        self.compact(state);
        Applied::Folded
    }

    /// Joins the state of other events of the same entity.
    pub fn merge(&self, into: &mut GroupState, from: &GroupState) {
        into.newest = into.newest.max(from.newest);
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
        coerce(answer, self.slots[slot].dtype)
    }

    /// Writes a state.
    pub fn encode(&self, state: &GroupState, out: &mut Sink) {
        out.row.push(STATE_FORMAT);
        out.signed(state.newest);
        out.unsigned(state.recent.len() as u64);
        let mut later = state.newest;
        for (time, id) in state.recent.iter().rev() {
            out.time_before(*time, later);
            out.row.extend_from_slice(&id.to_le_bytes());
            later = *time;
        }
        for (fold, held) in self.states.iter().zip(&state.states) {
            fold.encode(held, state.newest, out);
        }
    }

    /// Reads what `encode` wrote under the same definition. Without `vectors` the features
    /// of [`GroupFold::needs_vectors`] answer null, and the state must not be written back.
    pub fn decode(&self, row: &[u8], vectors: Option<&[u8]>) -> Result<GroupState, DecodeError> {
        let mut bytes = Bytes::new(row, vectors);
        match bytes.byte()? {
            STATE_FORMAT => {}
            found => {
                return Err(DecodeError::Invalid {
                    what: "format",
                    found: u64::from(found),
                });
            }
        }
        let newest = bytes.signed()?;
        let count = bytes.length()?;
        let mut recent = Vec::with_capacity(count);
        let mut later = newest;
        for _ in 0..count {
            later = bytes.time_before(later)?;
            recent.push((later, u64::from_le_bytes(bytes.fixed()?)));
        }
        recent.reverse();
        let states = self
            .states
            .iter()
            .map(|fold| fold.decode(newest, &mut bytes));
        let states = states.collect::<Result<Vec<State>, DecodeError>>()?;
        match bytes.is_empty() {
            true => Ok(GroupState {
                newest,
                recent,
                states,
            }),
            false => Err(DecodeError::Invalid {
                what: "rest after the states",
                found: 0,
            }),
        }
    }

    /// The newest event of an encoded state, without decoding the rest.
    pub fn newest_of(state: &[u8]) -> Result<i64, DecodeError> {
        let mut bytes = Bytes::new(state, None);
        bytes.byte()?;
        bytes.signed()
    }

    fn closed_before(&self, newest: i64) -> i64 {
        newest.saturating_sub(self.lateness.0)
    }

    fn remember(&self, state: &mut GroupState, events: &Events<'_>) {
        let limit = self.closed_before(state.newest);
        let first = events.rows.start + events.times().partition_point(|&time| time < limit);
        let before = state.recent.len();
        for row in first..events.rows.end {
            let id = events.columns.ids.get(row).copied().unwrap_or(0);
            state.recent.push((events.columns.times[row], id));
        }
        if before > 0 || !state.recent.is_sorted() {
            state.recent.sort_unstable();
        }
    }
}

impl GroupState {
    /// The entity's newest event; `MIN` for tables without an event time and before the first.
    pub fn newest(&self) -> EventTime {
        EventTime(self.newest)
    }
}

/// Collects distinct states, inputs and filters while the features are walked.
struct Compiler<'a> {
    group: &'a FeatureGroup,
    filters: Vec<Expression>,
    inputs: Vec<InputSpec>,
    states: Vec<Fold>,
    /// What distinguishes a state: everything but the ending and the window's length.
    known: HashMap<StateKey, usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct StateKey {
    class: &'static str,
    input: Option<usize>,
    filter: Option<Filter>,
    hop: Option<Span>,
}

impl<'a> Compiler<'a> {
    fn new(group: &'a FeatureGroup) -> Self {
        Compiler {
            group,
            filters: Vec::new(),
            inputs: Vec::new(),
            states: Vec::new(),
            known: HashMap::new(),
        }
    }

    fn value(
        &mut self,
        feature: &Feature,
        columns: &ValueColumns,
        max_age: Option<Span>,
    ) -> Answer {
        let vector = feature.dtype == DType::Vector;
        let input = self.input(InputSpec {
            from: InputFrom::Value(columns.clone(), feature.dtype),
            kind: if vector {
                InputKind::Vectors
            } else {
                InputKind::Values
            },
        });
        let fold = Fold::Latest(Latest { input, max_age });
        let key = StateKey {
            class: "latest",
            input: Some(input),
            filter: None,
            hop: None,
        };
        self.state(key, fold)
    }

    fn aggregate(
        &mut self,
        feature: &Feature,
        aggregation: &Aggregation,
    ) -> Result<Answer, CompileError> {
        let filter = condition(aggregation).map(|filter| self.filter(&filter));
        let needed = |input: Option<usize>| {
            input.ok_or_else(|| CompileError::NoInput {
                feature: feature.name.to_string(),
            })
        };
        let vector = feature.dtype == DType::Vector;
        let kind = match &aggregation.function {
            Function::First | Function::Last => InputKind::Values,
            Function::CountBy { categories } => InputKind::Codes(categories.clone()),
            _ if vector => InputKind::Vectors,
            _ => InputKind::Numbers,
        };
        let folded = aggregation
            .input
            .as_ref()
            .filter(|_| aggregation.function != Function::Count);
        let input = folded.map(|input| {
            self.input(InputSpec {
                from: InputFrom::Expression(input.clone()),
                kind,
            })
        });
        let window = aggregation.window;
        let key = |class| StateKey {
            class,
            input,
            filter,
            hop: window.map(|window| window.hop),
        };
        Ok(match &aggregation.function {
            Function::Count => {
                let fold = Count { filter };
                self.plain_or_windowed(key("count"), fold, window, Fold::Count, Fold::WindowedCount)
            }
            Function::Sum | Function::Mean if vector => {
                let mean = aggregation.function == Function::Mean;
                let fold = VectorSum {
                    filter,
                    input: needed(input)?,
                    mean,
                };
                let (plain, windowed) = (Fold::VectorSum, Fold::WindowedVectorSum);
                self.plain_or_windowed(key("vector_sum"), fold, window, plain, windowed)
            }
            Function::Sum | Function::Mean => {
                let mean = aggregation.function == Function::Mean;
                let fold = Sum {
                    filter,
                    input: needed(input)?,
                    mean,
                };
                self.plain_or_windowed(key("sum"), fold, window, Fold::Sum, Fold::WindowedSum)
            }
            Function::Min | Function::Max => {
                let max = aggregation.function == Function::Max;
                let fold = Extreme {
                    filter,
                    input: needed(input)?,
                    max,
                };
                let class = if max { "max" } else { "min" };
                let (plain, windowed) = (Fold::Extreme, Fold::WindowedExtreme);
                self.plain_or_windowed(key(class), fold, window, plain, windowed)
            }
            Function::Variance | Function::Stddev => {
                let deviation = aggregation.function == Function::Stddev;
                let fold = Moments {
                    filter,
                    input: needed(input)?,
                    deviation,
                };
                let (plain, windowed) = (Fold::Moments, Fold::WindowedMoments);
                self.plain_or_windowed(key("moments"), fold, window, plain, windowed)
            }
            Function::First | Function::Last => {
                let last = aggregation.function == Function::Last;
                let fold = Edge {
                    filter,
                    input: needed(input)?,
                    last,
                };
                let class = if last { "last" } else { "first" };
                self.plain_or_windowed(key(class), fold, window, Fold::Edge, Fold::WindowedEdge)
            }
            Function::CountBy { categories } => {
                let fold = CountBy {
                    filter,
                    input: needed(input)?,
                    categories: categories.len(),
                };
                let (plain, windowed) = (Fold::CountBy, Fold::WindowedCountBy);
                self.plain_or_windowed(key("count_by"), fold, window, plain, windowed)
            }
            Function::Sessions | Function::SessionLength => {
                let length = aggregation.function == Function::SessionLength;
                let fold = Sessions {
                    filter,
                    gap: self.group.session_gap.0,
                    length,
                };
                let (plain, windowed) = (Fold::Sessions, Fold::WindowedSessions);
                self.plain_or_windowed(key("sessions"), fold, window, plain, windowed)
            }
            Function::DaysSinceLast => {
                let fold = Recency { filter };
                let (plain, windowed) = (Fold::Recency, Fold::WindowedRecency);
                self.plain_or_windowed(key("recency"), fold, window, plain, windowed)
            }
        })
    }

    fn plain_or_windowed<A>(
        &mut self,
        key: StateKey,
        inner: A,
        window: Option<Window>,
        plain: fn(A) -> Fold,
        windowed: fn(Windowed<A>) -> Fold,
    ) -> Answer {
        match window {
            None => self.state(key, plain(inner)),
            Some(window) => {
                let keep = self.longest(window.hop);
                self.state(
                    key,
                    windowed(Windowed {
                        inner,
                        window,
                        keep,
                    }),
                )
            }
        }
    }

    /// The longest window of the group with this hop: states of one hop are shared, and
    /// each keeps enough for any of them.
    fn longest(&self, hop: Span) -> i64 {
        let windows = self
            .group
            .features
            .iter()
            .filter_map(|feature| match &feature.kind {
                FeatureKind::Aggregate(aggregation) => aggregation.window,
                _ => None,
            });
        let lengths = windows
            .filter(|window| window.hop == hop)
            .map(|window| window.length.0);
        lengths.max().unwrap_or(0)
    }

    fn state(&mut self, key: StateKey, fold: Fold) -> Answer {
        let next = self.states.len();
        let state = *self.known.entry(key).or_insert(next);
        if state == next {
            self.states.push(fold.clone());
        }
        Answer::Fold { fold, state }
    }

    fn filter(&mut self, filter: &Expression) -> Filter {
        let index = position_or_push(&mut self.filters, filter.clone());
        Filter {
            word: index / 64,
            bit: (index % 64) as u32,
        }
    }

    fn input(&mut self, input: InputSpec) -> usize {
        position_or_push(&mut self.inputs, input)
    }
}

/// The condition of an aggregation. `count` of a column skips nulls, as in SQL, by one.
fn condition(aggregation: &Aggregation) -> Option<Expression> {
    let filter = aggregation.filter.clone();
    let Some(input) = &aggregation.input else {
        return filter;
    };
    if aggregation.function != Function::Count {
        return filter;
    }
    let present = Expression::Unary {
        op: UnaryOp::IsNotNull,
        operand: Box::new(input.clone()),
    };
    Some(match filter {
        None => present,
        Some(filter) => Expression::Binary {
            op: BinaryOp::And,
            left: Box::new(filter),
            right: Box::new(present),
        },
    })
}

fn position_or_push<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    if let Some(index) = list.iter().position(|held| *held == item) {
        return index;
    }
    list.push(item);
    list.len() - 1
}

fn derived(
    group: &FeatureGroup,
    feature: &Feature,
    expression: &Expression,
    embedder: &Arc<dyn Embedder>,
) -> Result<Answer, CompileError> {
    let names = Program::columns_needed(expression);
    let needs = names.iter().filter_map(|name| {
        group
            .features
            .iter()
            .position(|feature| *feature.name == **name)
    });
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let program =
        Program::compile(expression, &names, embedder).map_err(|source| CompileError::Derived {
            feature: feature.name.to_string(),
            source,
        })?;
    Ok(Answer::Derived {
        program,
        needs: needs.collect(),
    })
}

/// A fold's answer in the type that the registry gives the feature.
fn coerce(value: Value, dtype: DType) -> Value {
    match (dtype, value) {
        (DType::Int, Value::Float(x)) => Value::Int(x.round() as i64),
        (DType::Float, Value::Int(x)) => Value::Float(x as f64),
        (DType::Timestamp, Value::Float(x)) => Value::Timestamp(EventTime(x as i64)),
        (_, value) => value,
    }
}
