//! Features straight from an encoded state: values are looked at where they lie, and the
//! states of other folds are decoded over those of the read before. Called by `serving`.

use granary_registry::{EventTime, Value, ValueRef};

use super::codec::{Bytes, DecodeError, Place};
use super::group::{Answer, GroupFold, begin, coerce};
use super::{Fold, Latest, State};

/// What was read of one encoded state; its memory serves the next read.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    newest: i64,
    states: Vec<State>,
    /// Where the states of values begin.
    places: Vec<Place>,
}

impl Reading {
    /// The newest event or written value of the state read.
    pub(crate) fn newest(&self) -> i64 {
        self.newest
    }
}

impl GroupFold {
    /// How many of the states a feature is made of must be read.
    pub(crate) fn depth(&self, slot: usize) -> usize {
        match &self.slots[slot].answer {
            Answer::Fold { state, .. } => state + 1,
            Answer::Derived { needs, .. } => {
                let depths = needs.iter().map(|&need| self.depth(need));
                depths.max().unwrap_or(0)
            }
        }
    }

    /// Reads the first states of what `encode` wrote. Without vectors, features that need them
    /// answer null.
    pub(crate) fn read(
        &self,
        encoded: Bytes<'_>,
        depth: usize,
        reading: &mut Reading,
    ) -> Result<(), DecodeError> {
        let mut bytes = encoded;
        let newest = begin(&mut bytes)?.latest();
        reading.newest = newest;
        for _ in 0..bytes.length()? {
            bytes.unsigned()?;
            bytes.fixed()?;
        }
        let folds = &self.states[..depth];
        for fold in folds.iter().skip(reading.states.len()) {
            reading.states.push(fold.new_state());
        }
        reading
            .places
            .resize(depth.max(reading.places.len()), Place::default());
        let held = reading.states.iter_mut().zip(&mut reading.places);
        for (fold, (state, place)) in folds.iter().zip(held) {
            match fold {
                Fold::Latest(_) => {
                    *place = bytes.place();
                    Latest::skip(&mut bytes)?;
                }
                fold => fold.decode_into(newest, &mut bytes, state)?,
            }
        }
        if depth < self.states.len() || bytes.is_empty() {
            return Ok(());
        }
        Err(DecodeError::Invalid {
            what: "rest after the states",
            found: 0,
        })
    }

    /// Shows a feature's value as of an instant later than the newest event. `encoded` is what
    /// was read, deep enough for the feature.
    pub(crate) fn show<T>(
        &self,
        slot: usize,
        encoded: Bytes<'_>,
        reading: &Reading,
        as_of: EventTime,
        floats: &mut Vec<f32>,
        take: impl FnOnce(ValueRef<'_>) -> T,
    ) -> Result<T, DecodeError> {
        let dtype = self.slots[slot].dtype;
        Ok(match &self.slots[slot].answer {
            Answer::Fold {
                fold: Fold::Latest(latest),
                state,
            } => {
                let bytes = encoded.at(reading.places[*state]);
                let value = latest.read(reading.newest, bytes, as_of, floats)?;
                take(coerce(value, dtype))
            }
            Answer::Fold { fold, state } => {
                let value = fold.finalize(&reading.states[*state], as_of);
                take(coerce(ValueRef::from(&value), dtype))
            }
            Answer::Derived { program, needs } => {
                let mut values = Vec::with_capacity(needs.len());
                for &need in needs {
                    values.push(self.shown(need, encoded, reading, as_of, floats)?);
                }
                take(coerce(
                    ValueRef::from(&program.evaluate_row(&values)),
                    dtype,
                ))
            }
        })
    }

    /// A copy of a feature's value; beside `show` so that features of features end somewhere.
    fn shown(
        &self,
        slot: usize,
        encoded: Bytes<'_>,
        reading: &Reading,
        as_of: EventTime,
        floats: &mut Vec<f32>,
    ) -> Result<Value, DecodeError> {
        let copy = |value: ValueRef<'_>| value.to_value();
        self.show(slot, encoded, reading, as_of, floats, copy)
    }
}
