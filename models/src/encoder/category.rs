//! Target encoding: a category becomes how often the label is 1 in it, drawn towards the
//! overall rate when rows are few. Called by the encoder.
//!
//! Missing is a category of its own. A category never seen in training, or seen less
//! than `MIN_ROWS` times, has the overall rate.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::TrainRows;
use super::folds::{FOLDS, Folds};
use crate::dataset::Cell;

/// Rows at the overall rate that every category is given.
const SMOOTHING: f64 = 20.0;
/// Categories with fewer rows are not kept.
const MIN_ROWS: u64 = 5;
/// The most frequent ones are kept.
const MAX_CATEGORIES: usize = 10_000;

/// The kept categories with their rates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CategoryTable {
    /// Ascending, for the binary search.
    names: Vec<String>,
    rates: Vec<f32>,
    missing_rate: f32,
    overall_rate: f32,
}

/// Rows and ones of a category, by fold.
#[derive(Clone, Copy, Default)]
struct Tally {
    rows: [u64; FOLDS],
    ones: [u64; FOLDS],
}

impl CategoryTable {
    /// The table of all train rows, and the rate of every train row out of its fold.
    pub(super) fn fit(
        train: TrainRows<'_>,
        feature: usize,
        folds: &Folds,
    ) -> (CategoryTable, Vec<f32>) {
        let mut tallies: HashMap<Option<&str>, Tally> = HashMap::new();
        for (row, cell) in train.cells(feature).enumerate() {
            let tally = tallies.entry(name(cell)).or_default();
            tally.rows[folds.of(row)] += 1;
            tally.ones[folds.of(row)] += u64::from(train.labels[row]);
        }
        let ones = train.labels.iter().filter(|&&label| label).count();
        let overall = ones as f64 / train.labels.len().max(1) as f64;
        let missing = tallies.remove(&None).filter(Tally::is_kept);
        let mut kept: Vec<(&str, Tally)> = tallies
            .into_iter()
            .filter(|(_, tally)| tally.is_kept())
            .filter_map(|(name, tally)| Some((name?, tally)))
            .collect();
        kept.sort_unstable_by_key(|(name, tally)| (std::cmp::Reverse(tally.all_rows()), *name));
        kept.truncate(MAX_CATEGORIES);
        kept.sort_unstable_by_key(|(name, _)| *name);

        let tally_of = |cell| match name(cell) {
            None => missing.as_ref(),
            Some(name) => {
                let found = kept.binary_search_by_key(&name, |(name, _)| *name);
                found.ok().map(|at| &kept[at].1)
            }
        };
        let out_of_fold = |(row, cell)| {
            let tally = tally_of(cell);
            tally.map_or(overall as f32, |tally| {
                tally.rate(Some(folds.of(row)), overall)
            })
        };
        let out_of_fold = train.cells(feature).enumerate().map(out_of_fold).collect();
        let table = CategoryTable {
            names: kept.iter().map(|(name, _)| (*name).to_owned()).collect(),
            rates: kept
                .iter()
                .map(|(_, tally)| tally.rate(None, overall))
                .collect(),
            missing_rate: missing.map_or(overall as f32, |tally| tally.rate(None, overall)),
            overall_rate: overall as f32,
        };
        (table, out_of_fold)
    }

    /// The rate of a cell and its code: 0 for an unknown category, 1.. for the known
    /// ones, and one more than their number for a missing one.
    #[inline]
    pub(super) fn encode(&self, cell: Cell<'_>) -> (f32, u16) {
        let Cell::Text(text) = cell else {
            return (self.missing_rate, self.names.len() as u16 + 1);
        };
        match self.names.binary_search_by(|name| name.as_str().cmp(text)) {
            Ok(at) => (self.rates[at], at as u16 + 1),
            Err(_) => (self.overall_rate, 0),
        }
    }

    /// Number of known categories.
    pub(super) fn categories(&self) -> usize {
        self.names.len()
    }

    pub(super) fn is_sound(&self) -> bool {
        self.names.len() == self.rates.len()
            && self.names.len() <= MAX_CATEGORIES
            && self.names.is_sorted()
    }
}

impl Tally {
    fn all_rows(&self) -> u64 {
        self.rows.iter().sum()
    }

    fn is_kept(&self) -> bool {
        self.all_rows() >= MIN_ROWS
    }

    fn rate(&self, without: Option<usize>, overall: f64) -> f32 {
        let sum = |counts: &[u64; FOLDS]| {
            counts.iter().sum::<u64>() - without.map_or(0, |fold| counts[fold])
        };
        let (rows, ones) = (sum(&self.rows) as f64, sum(&self.ones) as f64);
        ((ones + SMOOTHING * overall) / (rows + SMOOTHING)) as f32
    }
}

fn name(cell: Cell<'_>) -> Option<&str> {
    match cell {
        Cell::Text(text) => Some(text),
        Cell::Missing | Cell::Number(_) | Cell::Vector(_) => None,
    }
}
