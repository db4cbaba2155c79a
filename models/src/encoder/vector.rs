//! A vector becomes one number: the ridge regression of the label on its elements, which
//! trees use better than hundreds of raw columns. Called by the encoder.
//!
//! All sums are taken once per fold; a regression without a fold is the total less that
//! fold, so that the scores of train rows come out of fold at no further pass.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::TrainRows;
use super::folds::{FOLDS, Folds};
use crate::dataset::Cell;

/// Vectors up to this length also give every element as a slot (counts by type).
const MAX_ELEMENT_SLOTS: usize = 32;
/// Ridge penalties tried, in rows of standardised columns.
const PENALTIES: [f64; 4] = [3.0, 30.0, 300.0, 3000.0];
/// Standardised elements beyond this are cut off.
const MAX_DEVIATION: f64 = 8.0;
/// Rows multiplied at a time.
const BLOCK: usize = 512;

/// The linear score of a vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct VectorScore {
    scale: Scale,
    /// One weight per element, then the intercept.
    weights: Vec<f64>,
}

/// How elements are standardised; its length is the vector's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Scale {
    mean: Vec<f64>,
    /// One over the deviation; 0 for a constant element.
    inverse: Vec<f64>,
}

/// `x'x`, `x'y` and `y'y` of standardised rows with a column of ones at the end.
#[derive(Clone)]
struct Moments {
    xx: Array2<f64>,
    xy: Array1<f64>,
    yy: f64,
}

impl VectorScore {
    /// The score of all train rows, and the score of every train row out of its fold.
    pub(super) fn fit(
        train: TrainRows<'_>,
        feature: usize,
        folds: &Folds,
    ) -> (VectorScore, Vec<f32>) {
        let mut vectors: Vec<Option<&[f32]>> = train.cells(feature).map(elements).collect();
        let length = vectors
            .iter()
            .flatten()
            .next()
            .map_or(0, |vector| vector.len());
        for vector in &mut vectors {
            *vector = vector.filter(|vector| vector.len() == length);
        }

        let scale = Scale::fit(&vectors, length);
        let by_fold: Vec<Moments> = (0..FOLDS)
            .into_par_iter()
            .map(|fold| {
                let own = |&row: &usize| folds.of(row) == fold && vectors[row].is_some();
                let rows: Vec<usize> = (0..vectors.len()).filter(own).collect();
                Moments::of(&rows, &vectors, train.labels, &scale)
            })
            .collect();
        let mut total = Moments::zeroed(length);
        for fold in &by_fold {
            total.add(fold, 1.0);
        }

        let penalty = best_penalty(&total, &by_fold);
        let scores: Vec<VectorScore> = by_fold
            .par_iter()
            .map(|fold| VectorScore {
                scale: scale.clone(),
                weights: total.without(fold).solve(penalty),
            })
            .collect();
        let out_of_fold = |(row, vector): (usize, Option<&[f32]>)| {
            vector.map_or(f32::NAN, |vector| scores[folds.of(row)].score(vector))
        };
        let out_of_fold = vectors
            .iter()
            .copied()
            .enumerate()
            .map(out_of_fold)
            .collect();
        (
            VectorScore {
                scale,
                weights: total.solve(penalty),
            },
            out_of_fold,
        )
    }

    /// Writes the score and, for a short vector, its elements; a vector that is missing
    /// or of another length is missing in all of them.
    #[inline]
    pub(super) fn encode(&self, cell: Cell<'_>, slots: &mut [f32]) {
        let Some(vector) = elements(cell).filter(|vector| vector.len() == self.length()) else {
            slots.fill(f32::NAN);
            return;
        };
        slots[0] = self.score(vector);
        for (slot, &element) in slots[1..].iter_mut().zip(vector) {
            *slot = if element.is_finite() {
                element
            } else {
                f32::NAN
            };
        }
    }

    pub(super) fn slots(&self) -> usize {
        if self.length() <= MAX_ELEMENT_SLOTS {
            1 + self.length()
        } else {
            1
        }
    }

    pub(super) fn is_sound(&self) -> bool {
        self.scale.inverse.len() == self.length() && self.weights.len() == self.length() + 1
    }

    fn length(&self) -> usize {
        self.scale.mean.len()
    }

    fn score(&self, vector: &[f32]) -> f32 {
        let mut score = self.weights[self.length()];
        for (at, &element) in vector.iter().enumerate() {
            score += self.weights[at] * self.scale.standardised(at, element);
        }
        score as f32
    }
}

impl Scale {
    fn fit(vectors: &[Option<&[f32]>], length: usize) -> Scale {
        let mut count = vec![0.0; length];
        let mut mean = vec![0.0; length];
        let mut squares = vec![0.0; length];
        for vector in vectors.iter().flatten() {
            for (at, &element) in vector.iter().enumerate() {
                if element.is_finite() {
                    count[at] += 1.0;
                    let before = f64::from(element) - mean[at];
                    mean[at] += before / count[at];
                    squares[at] += before * (f64::from(element) - mean[at]);
                }
            }
        }
        let inverse = |(&squares, &count): (&f64, &f64)| {
            let deviation = (squares / count).sqrt();
            if deviation > 0.0 && deviation.is_finite() {
                1.0 / deviation
            } else {
                0.0
            }
        };
        let inverse = squares.iter().zip(&count).map(inverse).collect();
        Scale { mean, inverse }
    }

    /// 0, the mean, for an element that is not finite.
    #[inline]
    fn standardised(&self, at: usize, element: f32) -> f64 {
        if !element.is_finite() {
            return 0.0;
        }
        let deviations = (f64::from(element) - self.mean[at]) * self.inverse[at];
        deviations.clamp(-MAX_DEVIATION, MAX_DEVIATION)
    }
}

impl Moments {
    fn zeroed(length: usize) -> Moments {
        let side = length + 1;
        Moments {
            xx: Array2::zeros((side, side)),
            xy: Array1::zeros(side),
            yy: 0.0,
        }
    }

    fn of(rows: &[usize], vectors: &[Option<&[f32]>], labels: &[bool], scale: &Scale) -> Moments {
        let length = scale.mean.len();
        let mut moments = Moments::zeroed(length);
        let mut block = Array2::<f64>::ones((BLOCK, length + 1));
        for rows in rows.chunks(BLOCK) {
            for (mut x, &row) in block.outer_iter_mut().zip(rows) {
                let vector = vectors[row].unwrap_or_default();
                for (at, &element) in vector.iter().enumerate() {
                    x[at] = scale.standardised(at, element);
                }
                if labels[row] {
                    moments.xy += &x;
                    moments.yy += 1.0;
                }
            }
            let x = block.slice(s![..rows.len(), ..]);
            general_mat_mul(1.0, &x.t(), &x, 1.0, &mut moments.xx);
        }
        moments
    }

    fn add(&mut self, other: &Moments, times: f64) {
        self.xx.scaled_add(times, &other.xx);
        self.xy.scaled_add(times, &other.xy);
        self.yy += times * other.yy;
    }

    fn without(&self, fold: &Moments) -> Moments {
        let mut rest = self.clone();
        rest.add(fold, -1.0);
        rest
    }

    /// The sum of squared errors that these weights make on these rows.
    fn squared_error(&self, weights: &[f64]) -> f64 {
        let weights = ndarray::aview1(weights);
        self.yy - 2.0 * weights.dot(&self.xy) + weights.dot(&self.xx.dot(&weights))
    }

    /// Ridge weights by Cholesky; the intercept, which comes last, is not drawn to 0.
    fn solve(&self, penalty: f64) -> Vec<f64> {
        let side = self.xy.len();
        let mut lower = self.xx.clone();
        for at in 0..side - 1 {
            lower[[at, at]] += penalty;
        }
        for row in 0..side {
            for column in 0..=row {
                let (left, right) = (
                    lower.slice(s![row, ..column]),
                    lower.slice(s![column, ..column]),
                );
                let rest = lower[[row, column]] - left.dot(&right);
                // The floor is reached only without rows, where every weight is 0.
                lower[[row, column]] = if row == column {
                    rest.max(1e-9).sqrt()
                } else {
                    rest / lower[[column, column]]
                };
            }
        }
        let mut weights = self.xy.to_vec();
        for row in 0..side {
            let known: f64 = (0..row).map(|at| lower[[row, at]] * weights[at]).sum();
            weights[row] = (weights[row] - known) / lower[[row, row]];
        }
        for row in (0..side).rev() {
            let known: f64 = (row + 1..side)
                .map(|at| lower[[at, row]] * weights[at])
                .sum();
            weights[row] = (weights[row] - known) / lower[[row, row]];
        }
        weights
    }
}

/// The penalty whose out-of-fold scores miss the labels least.
fn best_penalty(total: &Moments, by_fold: &[Moments]) -> f64 {
    let error = |penalty: f64| -> f64 {
        let of_fold = |fold: &Moments| fold.squared_error(&total.without(fold).solve(penalty));
        by_fold
            .par_iter()
            .map(of_fold)
            .collect::<Vec<f64>>()
            .iter()
            .sum()
    };
    let tried = PENALTIES.map(|penalty| (penalty, error(penalty)));
    tried
        .iter()
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map_or(PENALTIES[0], |best| best.0)
}

fn elements(cell: Cell<'_>) -> Option<&[f32]> {
    match cell {
        Cell::Vector(elements) => Some(elements),
        Cell::Missing | Cell::Number(_) | Cell::Text(_) => None,
    }
}
