//! Every slot as a code of one byte: up to 255 ranges of values, and missing.
//! Made once per training, shared by forest and boosting.

use rayon::prelude::*;

use crate::encoder::Encoded;

/// The most ranges of one slot; the code after the last range means missing.
const MAX_RANGES: usize = 255;
/// Cut points are taken from about this many rows.
const SAMPLE_ROWS: usize = 200_000;

/// The codes of all rows, slot by slot.
pub(crate) struct Bins {
    rows: usize,
    slots: Vec<Slot>,
}

/// One slot of all rows.
pub(crate) struct Slot {
    /// Range `k` holds the values above `cuts[k - 1]` and up to `cuts[k]`.
    cuts: Vec<f32>,
    codes: Vec<u8>,
}

impl Bins {
    /// Cuts every slot into ranges with about the same number of rows.
    pub(crate) fn new(encoded: &Encoded) -> Bins {
        let slots = (0..encoded.width()).into_par_iter().map(|slot| {
            let step = encoded.rows().div_ceil(SAMPLE_ROWS).max(1);
            let mut sample: Vec<f32> = encoded
                .slot(slot)
                .step_by(step)
                .filter(|value| !value.is_nan())
                .collect();
            sample.sort_unstable_by(f32::total_cmp);
            let cuts = cuts(&sample);
            let code = |value: f32| match value {
                value if value.is_nan() => cuts.len() as u8 + 1,
                value => cuts.partition_point(|&cut| cut < value) as u8,
            };
            let codes = encoded.slot(slot).map(code).collect();
            Slot { cuts, codes }
        });
        Bins {
            rows: encoded.rows(),
            slots: slots.collect(),
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Number of slots.
    pub(crate) fn width(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn slot(&self, slot: u32) -> &Slot {
        &self.slots[slot as usize]
    }
}

impl Slot {
    /// The code of every row.
    #[inline]
    pub(crate) fn codes(&self) -> &[u8] {
        &self.codes
    }

    /// Number of codes, the one for missing included.
    #[inline]
    pub(crate) fn code_count(&self) -> usize {
        self.cuts.len() + 2
    }

    /// The code of missing values.
    pub(crate) fn missing(&self) -> u8 {
        self.cuts.len() as u8 + 1
    }

    /// The largest value that codes up to this one stand for.
    pub(crate) fn upper_edge(&self, code: u8) -> f32 {
        self.cuts
            .get(code as usize)
            .copied()
            .unwrap_or(f32::INFINITY)
    }
}

/// Cut points between the sorted values, at most `MAX_RANGES - 1`.
fn cuts(sorted: &[f32]) -> Vec<f32> {
    let mut distinct = sorted.to_vec();
    distinct.dedup();
    let mut cuts: Vec<f32> = if distinct.len() <= MAX_RANGES {
        distinct
            .windows(2)
            .map(|pair| between(pair[0], pair[1]))
            .collect()
    } else {
        let place = |range: usize| range * sorted.len() / MAX_RANGES;
        let cut = |range| between(sorted[place(range) - 1], sorted[place(range)]);
        (1..MAX_RANGES).map(cut).collect()
    };
    cuts.dedup();
    cuts
}

/// A number that is at least `low` and below `high`, unless they are equal.
fn between(low: f32, high: f32) -> f32 {
    let middle = low * 0.5 + high * 0.5;
    if middle >= low && middle < high {
        middle
    } else {
        low
    }
}
