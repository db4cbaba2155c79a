//! The form that linear models read: standardised columns made of slots and codes,
//! with gaps filled by the train median and marked. Called by `logistic`.

use ndarray::Array2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Encoded, Encoder};

/// Features with at most this many categories become one column per category.
const MAX_ONE_HOT: usize = 24;
/// Standardised values beyond this are cut off, so that one absurd input cannot decide.
const MAX_DEVIATION: f64 = 8.0;

/// The columns of the linear form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LinearForm {
    columns: Vec<Column>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Column {
    source: Source,
    mean: f64,
    /// One over the deviation; 0 for a constant column.
    inverse: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Source {
    /// A slot, or the train median where it is missing.
    Slot { slot: u32, median: f32 },
    /// Whether a slot is missing.
    Gap { slot: u32 },
    /// Whether a feature has this category.
    OneHot { place: u32, code: u16 },
}

impl LinearForm {
    /// Chooses the columns and takes means and deviations from the train rows.
    pub(crate) fn fit(encoder: &Encoder, train: &Encoded) -> LinearForm {
        let sources: Vec<Source> = (0..encoder.slots())
            .into_par_iter()
            .flat_map_iter(|slot| slot_sources(train, slot))
            .chain(one_hot_sources(encoder).collect::<Vec<_>>())
            .collect();
        let columns = sources
            .into_par_iter()
            .map(|source| standardise(train, source));
        LinearForm {
            columns: columns.collect(),
        }
    }

    /// Number of columns.
    pub(crate) fn width(&self) -> usize {
        self.columns.len()
    }

    /// The columns of one row.
    #[inline]
    pub(crate) fn row<'a>(
        &'a self,
        slots: &'a [f32],
        codes: &'a [u16],
    ) -> impl Iterator<Item = f64> + 'a {
        self.columns
            .iter()
            .map(move |column| column.standardised(slots, codes))
    }

    /// The whole matrix.
    pub(crate) fn matrix(&self, encoded: &Encoded) -> Array2<f64> {
        let mut matrix = Array2::zeros((encoded.rows(), self.width()));
        for (row, mut columns) in matrix.outer_iter_mut().enumerate() {
            let values = self.row(encoded.slots(row), encoded.codes(row));
            columns
                .iter_mut()
                .zip(values)
                .for_each(|(column, value)| *column = value);
        }
        matrix
    }

    /// The feature that each column comes from.
    pub(crate) fn features<'a>(&'a self, encoder: &Encoder) -> impl Iterator<Item = usize> + 'a {
        let (of_slot, of_code) = (encoder.feature_of_slot(), encoder.feature_of_code());
        self.columns.iter().map(move |column| match column.source {
            Source::Slot { slot, .. } | Source::Gap { slot } => of_slot[slot as usize],
            Source::OneHot { place, .. } => of_code[place as usize],
        })
    }

    /// Whether it reads only what this encoder writes.
    pub(crate) fn is_sound(&self, encoder: &Encoder) -> bool {
        self.columns.iter().all(|column| match column.source {
            Source::Slot { slot, .. } | Source::Gap { slot } => (slot as usize) < encoder.slots(),
            Source::OneHot { place, .. } => (place as usize) < encoder.codes(),
        })
    }
}

impl Column {
    #[inline]
    fn standardised(&self, slots: &[f32], codes: &[u16]) -> f64 {
        let deviations = (self.source.value(slots, codes) - self.mean) * self.inverse;
        deviations.clamp(-MAX_DEVIATION, MAX_DEVIATION)
    }
}

impl Source {
    #[inline]
    fn value(self, slots: &[f32], codes: &[u16]) -> f64 {
        match self {
            Source::Slot { slot, median } => {
                let value = slots[slot as usize];
                f64::from(if value.is_nan() { median } else { value })
            }
            Source::Gap { slot } => f64::from(u8::from(slots[slot as usize].is_nan())),
            Source::OneHot { place, code } => f64::from(u8::from(codes[place as usize] == code)),
        }
    }
}

fn slot_sources(train: &Encoded, slot: usize) -> Vec<Source> {
    let mut known: Vec<f32> = train.slot(slot).filter(|value| !value.is_nan()).collect();
    let gaps = known.len() < train.rows();
    let slot = slot as u32;
    if known.is_empty() {
        return Vec::new();
    }
    let middle = known.len() / 2;
    let (_, &mut median, _) = known.select_nth_unstable_by(middle, f32::total_cmp);
    let mut sources = vec![Source::Slot { slot, median }];
    if gaps {
        sources.push(Source::Gap { slot });
    }
    sources
}

fn one_hot_sources(encoder: &Encoder) -> impl Iterator<Item = Source> {
    let few = |&(_, categories): &(usize, usize)| categories <= MAX_ONE_HOT;
    encoder
        .categories()
        .enumerate()
        .filter(few)
        .flat_map(|(place, categories)| {
            let place = place as u32;
            (1..=categories as u16 + 1).map(move |code| Source::OneHot { place, code })
        })
}

fn standardise(train: &Encoded, source: Source) -> Column {
    let values = || (0..train.rows()).map(|row| source.value(train.slots(row), train.codes(row)));
    let count = train.rows().max(1) as f64;
    let mean = values().sum::<f64>() / count;
    let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    // A column whose spread is lost in rounding is constant.
    let is_constant = variance.sqrt() <= mean.abs() * 1e-7;
    Column {
        source,
        mean,
        inverse: if is_constant {
            0.0
        } else {
            1.0 / variance.sqrt()
        },
    }
}
