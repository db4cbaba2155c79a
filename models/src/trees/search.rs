//! The best split of a leaf: over all slots of the tree with histograms handed down from
//! parent to child, or over a few slots drawn anew for each leaf. Called by `grow`.

use super::bins::Bins;
use super::grow::Growth;
use super::histogram::{Sum, Targets, fill, subtract};
use super::split::{Rule, Split, better};
use crate::random::Random;

/// A leaf to search: its rows and their sum.
#[derive(Clone, Copy)]
pub(super) struct Leaf<'a> {
    pub(super) rows: &'a [u32],
    pub(super) sum: Sum,
}

/// What was found for a leaf: its best split, and what its children are searched with.
#[derive(Default)]
pub(super) struct Found {
    pub(super) split: Option<Split>,
    pub(super) histogram: Vec<Sum>,
}

/// What all leaves of a tree are searched with.
pub(super) struct Search<'a> {
    bins: &'a Bins,
    targets: &'a Targets,
    rule: Rule,
    slots: Slots,
    /// Targets of the leaf at hand.
    pairs: Vec<[i32; 2]>,
    /// Histograms out of use.
    spare: Vec<Vec<Sum>>,
}

enum Slots {
    /// The same for all leaves, ascending.
    OfTree(Vec<u32>),
    /// So many of all, drawn for each leaf.
    PerSplit {
        count: usize,
        all: Vec<u32>,
        random: Random,
    },
}

/// Row-and-bin visits below which a thread of its own does not pay.
const MIN_TASK: usize = 40_000;

impl<'a> Search<'a> {
    pub(super) fn new(
        bins: &'a Bins,
        targets: &'a Targets,
        growth: &Growth,
        random: Random,
    ) -> Search<'a> {
        let rule = Rule::new(growth, targets.unit());
        let slots = match &growth.features {
            super::FeatureChoice::OfTree(slots) => Slots::OfTree(slots.clone()),
            super::FeatureChoice::PerSplit(count) => {
                let all: Vec<u32> = (0..bins.width() as u32).collect();
                Slots::PerSplit {
                    count: (*count).clamp(1, all.len()),
                    all,
                    random,
                }
            }
        };
        Search {
            bins,
            targets,
            rule,
            slots,
            pairs: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// The sum over some rows.
    pub(super) fn sum(&mut self, rows: &[u32]) -> Sum {
        self.targets.gather(rows, &mut self.pairs)
    }

    /// Whether a leaf is heavy enough to be divided.
    pub(super) fn is_divisible(&self, sum: Sum) -> bool {
        self.rule.is_divisible(sum)
    }

    /// Searches a leaf without the help of its parent.
    pub(super) fn root(&mut self, leaf: Leaf<'_>) -> Found {
        if !self.is_divisible(leaf.sum) {
            return Found::default();
        }
        let mut histogram = self.blank();
        let (split, _) = self.sweep(leaf, &mut histogram, None, &mut []);
        if matches!(self.slots, Slots::PerSplit { .. }) {
            self.recycle(std::mem::take(&mut histogram));
        }
        Found { split, histogram }
    }

    /// Searches both children of a leaf, given what was kept for it.
    pub(super) fn children(
        &mut self,
        mut parent: Vec<Sum>,
        small: Leaf<'_>,
        large: Leaf<'_>,
    ) -> (Found, Found) {
        if matches!(self.slots, Slots::PerSplit { .. }) {
            return (self.root(small), self.root(large));
        }
        let mut histogram = self.blank();
        let (of_small, of_large) = self.sweep(small, &mut histogram, Some(large.sum), &mut parent);
        (
            Found {
                split: of_small,
                histogram,
            },
            Found {
                split: of_large,
                histogram: parent,
            },
        )
    }

    /// Takes back the histogram of a leaf that will not be divided.
    pub(super) fn recycle(&mut self, histogram: Vec<Sum>) {
        if !histogram.is_empty() {
            self.spare.push(histogram);
        }
    }

    /// Fills the histogram of `small`; if there is a sibling, `large` is the parent's
    /// histogram and becomes the sibling's. Finds the best split of both.
    fn sweep(
        &mut self,
        small: Leaf<'_>,
        histogram: &mut Vec<Sum>,
        sibling: Option<Sum>,
        large: &mut [Sum],
    ) -> (Option<Split>, Option<Split>) {
        self.targets.gather(small.rows, &mut self.pairs);
        match &mut self.slots {
            Slots::OfTree(slots) => {
                let sweep = Sweep {
                    bins: self.bins,
                    rule: self.rule,
                    small,
                    pairs: &self.pairs,
                    sibling,
                };
                sweep.over(slots, histogram, large)
            }
            Slots::PerSplit { count, all, random } => {
                random.draw_to_front(all, *count);
                let mut best = None;
                for &slot in &all[..*count] {
                    let of_slot = self.bins.slot(slot);
                    histogram.resize(of_slot.code_count(), Sum::default());
                    fill(of_slot, small.rows, &self.pairs, histogram);
                    best = better(best, self.rule.best_split(slot, histogram, small.sum));
                }
                (best, None)
            }
        }
    }

    fn blank(&mut self) -> Vec<Sum> {
        match &self.slots {
            Slots::PerSplit { .. } => self.spare.pop().unwrap_or_default(),
            Slots::OfTree(slots) => self.spare.pop().unwrap_or_else(|| {
                let bins = slots
                    .iter()
                    .map(|&slot| self.bins.slot(slot).code_count())
                    .sum();
                vec![Sum::default(); bins]
            }),
        }
    }
}

/// One pass over the slots of a tree for a leaf and its sibling.
#[derive(Clone, Copy)]
struct Sweep<'a> {
    bins: &'a Bins,
    rule: Rule,
    small: Leaf<'a>,
    pairs: &'a [[i32; 2]],
    sibling: Option<Sum>,
}

impl Sweep<'_> {
    /// Halves the slots between threads while there is enough to do.
    fn over(
        self,
        slots: &[u32],
        small: &mut [Sum],
        large: &mut [Sum],
    ) -> (Option<Split>, Option<Split>) {
        let work = self.small.rows.len() * slots.len() + 4 * small.len();
        if slots.len() < 2 || work < MIN_TASK {
            return self.one_by_one(slots, small, large);
        }
        let (first, second) = slots.split_at(slots.len() / 2);
        let bins: usize = first
            .iter()
            .map(|&slot| self.bins.slot(slot).code_count())
            .sum();
        let (small_first, small_second) = small.split_at_mut(bins);
        let (large_first, large_second) = large.split_at_mut(bins.min(large.len()));
        let (a, b) = rayon::join(
            || self.over(first, small_first, large_first),
            || self.over(second, small_second, large_second),
        );
        (better(a.0, b.0), better(a.1, b.1))
    }

    fn one_by_one(
        self,
        slots: &[u32],
        mut small: &mut [Sum],
        mut large: &mut [Sum],
    ) -> (Option<Split>, Option<Split>) {
        let mut best = (None, None);
        for &slot in slots {
            let of_slot = self.bins.slot(slot);
            let (own, rest) = small.split_at_mut(of_slot.code_count());
            small = rest;
            fill(of_slot, self.small.rows, self.pairs, own);
            best.0 = better(best.0, self.rule.best_split(slot, own, self.small.sum));
            if let Some(sum) = self.sibling {
                let (sibling, rest) = large.split_at_mut(of_slot.code_count());
                large = rest;
                subtract(sibling, own);
                best.1 = better(best.1, self.rule.best_split(slot, sibling, sum));
            }
        }
        best
    }
}
