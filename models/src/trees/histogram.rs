//! Sums of residuals and weights by code. Called by `search`.
//!
//! The sums are fixed-point integers: exact in any order, so that a parent less one child
//! is the other child to the last bit, an empty bin is exactly 0, and the trees are the
//! same for any number of threads.

use super::bins::Slot;

/// What each row pulls the tree towards: residual and weight in fixed point. The value
/// of a leaf is the sum of residuals over the sum of weights.
pub(crate) struct Targets {
    pairs: Vec<[i32; 2]>,
    /// What one step of the integers stands for.
    unit: f64,
}

/// Residual and weight summed over some rows, in units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) residual: i64,
    pub(crate) weight: i64,
}

impl Targets {
    /// Whole numbers, as they are.
    pub(crate) fn counted(pairs: Vec<[i32; 2]>) -> Targets {
        Targets { pairs, unit: 1.0 }
    }

    /// Rounded to 2^-30; residuals lie in -1..=1 and weights in 0..=1. Every row keeps a
    /// weight above 0, so that weight 0 means no rows.
    pub(crate) fn rounded(pairs: impl Iterator<Item = (f64, f64)>) -> Targets {
        const STEPS: f64 = (1_u32 << 30) as f64;
        let round = |(residual, weight): (f64, f64)| {
            [
                (residual * STEPS).round() as i32,
                ((weight * STEPS).round() as i32).max(1),
            ]
        };
        Targets {
            pairs: pairs.map(round).collect(),
            unit: 1.0 / STEPS,
        }
    }

    pub(crate) fn unit(&self) -> f64 {
        self.unit
    }

    /// The pairs of these rows, one after the other, and their sum.
    pub(crate) fn gather(&self, rows: &[u32], into: &mut Vec<[i32; 2]>) -> Sum {
        into.clear();
        into.extend(rows.iter().map(|&row| self.pairs[row as usize]));
        let mut sum = Sum::default();
        for &pair in into.iter() {
            sum.take(pair);
        }
        sum
    }
}

impl Sum {
    pub(crate) fn plus(self, other: Sum) -> Sum {
        Sum {
            residual: self.residual + other.residual,
            weight: self.weight + other.weight,
        }
    }

    pub(crate) fn minus(self, other: Sum) -> Sum {
        Sum {
            residual: self.residual - other.residual,
            weight: self.weight - other.weight,
        }
    }

    #[inline]
    fn take(&mut self, [residual, weight]: [i32; 2]) {
        self.residual += i64::from(residual);
        self.weight += i64::from(weight);
    }
}

/// Fills the histogram of one slot over these rows; `pairs` are theirs.
pub(super) fn fill(slot: &Slot, rows: &[u32], pairs: &[[i32; 2]], histogram: &mut [Sum]) {
    // An array of all 256 codes spares a check per row.
    let mut by_code = [Sum::default(); 256];
    let codes = slot.codes();
    for (&row, &pair) in rows.iter().zip(pairs) {
        by_code[codes[row as usize] as usize].take(pair);
    }
    histogram.copy_from_slice(&by_code[..slot.code_count()]);
}

/// Takes a child out of its parent, leaving the other child.
pub(super) fn subtract(parent: &mut [Sum], child: &[Sum]) {
    for (parent, &child) in parent.iter_mut().zip(child) {
        *parent = parent.minus(child);
    }
}
