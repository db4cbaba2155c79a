//! Values that were written one by one, beside the rows of their source: a row of the columns
//! that is no event, and of which some inputs count alone. Bits of its masks say which; an event
//! has none of them. So writes go every way that events go, and only the folds of values see them.

use std::ops::Range;

use super::group::GroupState;
use super::{Columns, Events, Filter, GroupFold, Latest, State};

/// A fold whose state can be written.
#[derive(Clone, Debug)]
pub(super) struct ValueState {
    pub(super) fold: Latest,
    /// Which of the states it keeps.
    pub(super) state: usize,
}

/// Where masks say which values a row brings: behind the words of the conditions a bit for each
/// of the inputs that are values, in their order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WrittenBits {
    first: usize,
    words: usize,
}

impl WrittenBits {
    /// For so many conditions and values.
    pub(crate) fn new(filters: usize, values: usize) -> WrittenBits {
        WrittenBits {
            first: filters.div_ceil(64),
            words: values.div_ceil(64),
        }
    }

    /// How many mask columns there are in all.
    pub(crate) fn words(self) -> usize {
        self.first + self.words
    }

    /// The bit of a value.
    pub(crate) fn of(self, value: usize) -> Filter {
        Filter {
            word: self.first + value / 64,
            bit: (value % 64) as u32,
        }
    }

    /// Whether a row brings values and is no event.
    #[inline]
    pub(crate) fn is_written(self, columns: &Columns, row: usize) -> bool {
        let words = columns.masks[self.first..self.words()].iter();
        words.into_iter().any(|words| words[row] != 0)
    }

    /// Whether one of the rows does.
    #[inline]
    pub(super) fn is_any_written(self, events: &Events<'_>) -> bool {
        if self.words == 0 || events.rows.is_empty() {
            return false;
        }
        let masks = &events.columns.masks[self.first..self.words()];
        let any = |words: &Vec<u64>| words[events.rows.clone()].iter().any(|&word| word != 0);
        masks.iter().any(any)
    }
}

impl GroupFold {
    /// Where rows of the group's columns say which values they bring.
    pub(crate) fn bits(&self) -> WrittenBits {
        self.bits
    }

    /// Whether a row of the group's columns was written and is no event.
    pub(crate) fn is_written(&self, columns: &Columns, row: usize) -> bool {
        self.bits.is_written(columns, row)
    }

    /// Takes in rows of which some were written: the events between them run by run.
    pub(super) fn fold_mixed(&self, state: &mut GroupState, rows: &Events<'_>) {
        let mut start = rows.rows.start;
        let fold_run = |run: Range<usize>, state: &mut GroupState| {
            self.fold_events(state, &Events::new(rows.columns, run));
        };
        for row in rows.rows.clone() {
            if self.bits.is_written(rows.columns, row) {
                fold_run(start..row, state);
                self.write(state, rows, row);
                start = row + 1;
            }
        }
        fold_run(start..rows.rows.end, state);
    }

    /// Offers the values of a written row, each to its own state.
    fn write(&self, state: &mut GroupState, rows: &Events<'_>, row: usize) {
        let (time, position) = (rows.columns.times[row], rows.position(row));
        for (at, value) in self.values.iter().enumerate() {
            let Filter { word, bit } = self.bits.of(at);
            if rows.columns.masks[word][row] >> bit & 1 == 0 {
                continue;
            }
            if let State::Latest(held) = &mut state.states[value.state] {
                Latest::offer(held, time, position, rows.value(value.fold.input, row));
            }
        }
        state.written = state.written.max(time);
    }
}
