//! A feature is a fold: a state with four moves. Batch, stream, serving and point in time
//! all call the same one, so they cannot disagree. Knows no files, sockets or clock.

mod codec; // the bytes of a state
mod events; // what `update` reads
mod compile; // from the registry's features to folds
mod group; // the folds of one feature group, as one state per entity
mod written; // values that were written, beside events
mod reading; // features straight from an encoded state
pub(crate) mod waiting; // live events on their way into a state
mod column_builder; // finalized values into Arrow columns

mod count;
mod count_by;
mod decayed;
mod distinct;
mod edges;
mod extreme;
mod latest;
mod moments;
mod percentile;
mod rate;
mod recency;
mod sessions;
mod sum;
mod trend;
mod vector_extreme;
mod vector_sum;
mod window; // any of these over a window

#[cfg(test)]
pub(crate) mod laws; // batch = stream = point in time = the oracle

pub use codec::{Bytes, DecodeError, Sink};
pub use column_builder::ColumnBuilder;
pub use compile::CompileError;
pub use events::{Columns, Events, Filter, Input, NO_CATEGORY, NO_HASH, Vectors};
pub use group::{
    Applied, GroupFold, GroupState, InputFrom, InputKind, InputSpec, STATE_FORMAT, Slot,
};

pub(crate) use reading::Reading;
pub(crate) use written::WrittenBits;

use granary_registry::{EventTime, Value};

use self::count::Count;
use self::count_by::CountBy;
use self::decayed::Decayed;
use self::distinct::Distinct;
use self::edges::Edges;
use self::extreme::Extreme;
use self::latest::Latest;
use self::moments::Moments;
use self::percentile::Percentile;
use self::rate::Rate;
use self::recency::Recency;
use self::sessions::Sessions;
use self::sum::Sum;
use self::trend::Trend;
use self::vector_extreme::VectorExtreme;
use self::vector_sum::VectorSum;
use self::window::Windowed;

/// A fold over an entity's history. The law that all of them keep: merging the states of
/// parts equals folding the whole, exactly for counts, within rounding for sums.
pub trait Aggregate {
    /// What is kept per entity; the default has seen nothing.
    type State: Clone + Default + std::fmt::Debug + PartialEq;

    /// Takes events in. Calls may come in any order of time; the events of one call are in
    /// order of time.
    fn update(&self, state: &mut Self::State, events: &Events<'_>);

    /// Joins the state of other events of the same entity.
    fn merge(&self, into: &mut Self::State, from: &Self::State);

    /// Gives up what was kept for events before `closed_before`, which will not come any
    /// more, and what no instant after `newest` can ask for.
    fn compact(&self, state: &mut Self::State, closed_before: i64, newest: i64) {
        let _ = (state, closed_before, newest);
    }

    /// Takes in a run of events that nothing comes between any more: `update` and `compact` in
    /// one, which spares what would be given up at once.
    fn close(&self, state: &mut Self::State, events: &Events<'_>, closed_before: i64) {
        self.update(state, events);
        self.compact(state, closed_before, events.newest);
    }

    /// The value as of an instant later than every event taken in.
    fn finalize(&self, state: &Self::State, as_of: EventTime) -> Value;

    /// Writes the state; instants relative to `base`, the entity's newest event.
    fn encode(&self, state: &Self::State, base: i64, out: &mut Sink);

    /// Reads what `encode` wrote with the same base.
    fn decode(&self, base: i64, bytes: &mut Bytes<'_>) -> Result<Self::State, DecodeError>;

    /// The same over a state that held anything, whose memory may serve again.
    fn decode_into(
        &self,
        base: i64,
        bytes: &mut Bytes<'_>,
        state: &mut Self::State,
    ) -> Result<(), DecodeError> {
        *state = self.decode(base, bytes)?;
        Ok(())
    }

    /// Which events it takes.
    fn filter(&self) -> Option<Filter>;

    /// Whether a value of this state is an estimate although its fold counts exactly.
    fn is_estimate(&self, state: &Self::State) -> bool {
        let _ = state;
        false
    }
}

/// Every fold as one type, so that a group's states lie side by side without boxes, and a
/// fold is chosen once per run of events instead of once per event.
macro_rules! folds {
    ($($name:ident: $fold:ty,)*) => {
        /// One of the folds.
        #[derive(Clone, Debug)]
        pub(crate) enum Fold { $($name($fold)),* }

        /// The state of one of the folds.
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) enum State { $($name(<$fold as Aggregate>::State)),* }

        impl Fold {
            pub(crate) fn new_state(&self) -> State {
                match self { $(Fold::$name(_) => State::$name(Default::default())),* }
            }

            pub(crate) fn update(&self, state: &mut State, events: &Events<'_>) {
                match (self, state) {
                    $((Fold::$name(fold), State::$name(state)) => fold.update(state, events),)*
                    _ => debug_assert!(false, "a state belongs to the fold that made it"),
                }
            }

            pub(crate) fn merge(&self, into: &mut State, from: &State) {
                match (self, into, from) {
                    $((Fold::$name(fold), State::$name(into), State::$name(from)) => {
                        fold.merge(into, from);
                    })*
                    _ => debug_assert!(false, "states of one fold have one type"),
                }
            }

            pub(crate) fn compact(&self, state: &mut State, closed_before: i64, newest: i64) {
                match (self, state) {
                    $((Fold::$name(fold), State::$name(state)) => {
                        fold.compact(state, closed_before, newest);
                    })*
                    _ => debug_assert!(false, "a state belongs to the fold that made it"),
                }
            }

            pub(crate) fn close(
                &self,
                state: &mut State,
                events: &Events<'_>,
                closed_before: i64,
            ) {
                match (self, state) {
                    $((Fold::$name(fold), State::$name(state)) => {
                        fold.close(state, events, closed_before);
                    })*
                    _ => debug_assert!(false, "a state belongs to the fold that made it"),
                }
            }

            pub(crate) fn finalize(&self, state: &State, as_of: EventTime) -> Value {
                match (self, state) {
                    $((Fold::$name(fold), State::$name(state)) => fold.finalize(state, as_of),)*
                    _ => Value::Null,
                }
            }

            pub(crate) fn encode(&self, state: &State, base: i64, out: &mut Sink) {
                match (self, state) {
                    $((Fold::$name(fold), State::$name(state)) => fold.encode(state, base, out),)*
                    _ => debug_assert!(false, "a state belongs to the fold that made it"),
                }
            }

            pub(crate) fn is_estimate(&self, state: &State) -> bool {
                match (self, state) {
                    $((Fold::$name(fold), State::$name(state)) => fold.is_estimate(state),)*
                    _ => false,
                }
            }

            pub(crate) fn decode(
                &self,
                base: i64,
                bytes: &mut Bytes<'_>,
            ) -> Result<State, DecodeError> {
                Ok(match self {
                    $(Fold::$name(fold) => State::$name(fold.decode(base, bytes)?)),*
                })
            }

            pub(crate) fn decode_into(
                &self,
                base: i64,
                bytes: &mut Bytes<'_>,
                state: &mut State,
            ) -> Result<(), DecodeError> {
                match (self, state) {
                    $((Fold::$name(fold), State::$name(state)) => {
                        fold.decode_into(base, bytes, state)
                    })*
                    (_, state) => {
                        *state = self.decode(base, bytes)?;
                        Ok(())
                    }
                }
            }
        }
    };
}

folds! {
    Count: Count,
    CountBy: CountBy,
    Decayed: Decayed,
    Distinct: Distinct,
    Edges: Edges,
    Extreme: Extreme,
    Latest: Latest,
    Moments: Moments,
    Percentile: Percentile,
    Rate: Rate,
    Recency: Recency,
    Sessions: Sessions,
    Sum: Sum,
    Trend: Trend,
    VectorExtreme: VectorExtreme,
    VectorSum: VectorSum,
    WindowedCount: Windowed<Count>,
    WindowedCountBy: Windowed<CountBy>,
    WindowedDecayed: Windowed<Decayed>,
    WindowedDistinct: Windowed<Distinct>,
    WindowedEdges: Windowed<Edges>,
    WindowedExtreme: Windowed<Extreme>,
    WindowedMoments: Windowed<Moments>,
    WindowedPercentile: Windowed<Percentile>,
    WindowedRate: Windowed<Rate>,
    WindowedRecency: Windowed<Recency>,
    WindowedSessions: Windowed<Sessions>,
    WindowedSum: Windowed<Sum>,
    WindowedTrend: Windowed<Trend>,
    WindowedVectorExtreme: Windowed<VectorExtreme>,
    WindowedVectorSum: Windowed<VectorSum>,
}
