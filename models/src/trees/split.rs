//! What makes a division good: the best split of one slot, from its histogram.
//! Called by `search`.

use super::grow::Growth;
use super::histogram::Sum;

/// Where a leaf is divided: codes up to `code` go left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Split {
    pub(super) gain: f64,
    pub(super) slot: u32,
    pub(super) code: u8,
    pub(super) missing_left: bool,
    pub(super) left: Sum,
}

/// What makes a split possible and good, in units of the targets.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    lambda: f64,
    min_weight: i64,
    min_gain: f64,
}

impl Rule {
    pub(super) fn new(growth: &Growth, unit: f64) -> Rule {
        Rule {
            lambda: growth.lambda / unit,
            min_weight: (growth.min_weight / unit).ceil().max(1.0) as i64,
            min_gain: growth.min_gain / unit,
        }
    }

    /// Whether a leaf is heavy enough to be divided.
    pub(super) fn is_divisible(self, sum: Sum) -> bool {
        sum.weight >= 2 * self.min_weight
    }

    /// The best split of one slot, with missing values on the side where they gain most.
    pub(super) fn best_split(self, slot: u32, histogram: &[Sum], total: Sum) -> Option<Split> {
        if !self.is_divisible(total) {
            return None;
        }
        let (&missing, values) = histogram.split_last()?;
        let unsplit = self.score(total);
        let mut best: Option<Split> = None;
        let mut below = Sum::default();
        for (code, &bin) in values.iter().enumerate() {
            if bin.weight == 0 {
                continue; // the same division as at the code before
            }
            below = below.plus(bin);
            let heavier_left = 2 * below.weight >= total.weight - missing.weight;
            let sides: &[bool] = match missing.weight {
                // None seen: they will go where most rows go.
                0 => &[heavier_left][..],
                _ => &[false, true],
            };
            for &missing_left in sides {
                let left = if missing_left {
                    below.plus(missing)
                } else {
                    below
                };
                let right = total.minus(left);
                if left.weight < self.min_weight || right.weight < self.min_weight {
                    continue;
                }
                let gain = self.score(left) + self.score(right) - unsplit;
                if gain > best.map_or(self.min_gain, |best| best.gain) {
                    best = Some(Split {
                        gain,
                        slot,
                        code: code as u8,
                        missing_left,
                        left,
                    });
                }
            }
        }
        best
    }

    #[inline]
    fn score(self, sum: Sum) -> f64 {
        let residual = sum.residual as f64;
        residual * residual / (sum.weight as f64 + self.lambda)
    }
}

/// The one with more gain; of equals the one of the smaller slot, so that the order in
/// which slots were looked at does not matter.
pub(super) fn better(a: Option<Split>, b: Option<Split>) -> Option<Split> {
    match (a, b) {
        (Some(a), Some(b)) => {
            let b_wins = b.gain > a.gain || (b.gain == a.gain && b.slot < a.slot);
            Some(if b_wins { b } else { a })
        }
        (a, b) => a.or(b),
    }
}
