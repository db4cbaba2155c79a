//! Grows one tree, always dividing the leaf that gains most. Called by `forest` and
//! `boosting`.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::bins::Bins;
use super::histogram::{Sum, Targets};
use super::nodes::{Node, Tree};
use super::search::{Found, Leaf, Search};
use super::split::Split;
use crate::random::Random;

/// How far a tree grows.
#[derive(Clone, Debug)]
pub(crate) struct Growth {
    /// Most leaves.
    pub(crate) max_leaves: usize,
    /// Most steps from the root to a leaf.
    pub(crate) max_depth: usize,
    /// Least weight of a leaf.
    pub(crate) min_weight: f64,
    /// Weight that every leaf is given at value 0.
    pub(crate) lambda: f64,
    /// Least gain of a split.
    pub(crate) min_gain: f64,
    /// What leaf values are multiplied by.
    pub(crate) shrinkage: f64,
    /// The slots that may divide a leaf.
    pub(crate) features: FeatureChoice,
}

/// The slots that may divide a leaf.
#[derive(Clone, Debug)]
pub(crate) enum FeatureChoice {
    /// These, ascending, for all leaves of the tree.
    OfTree(Vec<u32>),
    /// So many of all, drawn anew for each leaf.
    PerSplit(usize),
}

/// A tree, and the rows it was grown on by leaf.
pub(crate) struct Grown {
    pub(crate) tree: Tree,
    rows: Vec<u32>,
    leaves: Vec<(Range<usize>, f32)>,
}

impl Grown {
    /// The rows of each leaf with the leaf's value.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = (&[u32], f32)> {
        self.leaves
            .iter()
            .map(|(rows, value)| (&self.rows[rows.clone()], *value))
    }
}

/// A leaf that can be divided; the greatest has most gain, then the lowest node.
struct Candidate {
    node: usize,
    depth: usize,
    rows: Range<usize>,
    sum: Sum,
    split: Split,
    histogram: Vec<Sum>,
}

/// Grows a tree on these rows.
pub(crate) fn grow(
    bins: &Bins,
    targets: &Targets,
    rows: Vec<u32>,
    growth: &Growth,
    random: Random,
) -> Grown {
    let mut grower = Grower {
        bins,
        growth,
        unit: targets.unit(),
        search: Search::new(bins, targets, growth, random),
        moved: Vec::new(),
        candidates: BinaryHeap::new(),
        grown: Grown {
            tree: Tree::default(),
            rows,
            leaves: Vec::new(),
        },
    };
    grower.plant();
    let mut leaves = 1;
    while leaves < growth.max_leaves
        && let Some(candidate) = grower.candidates.pop()
    {
        grower.divide(candidate);
        leaves += 1;
    }
    while let Some(candidate) = grower.candidates.pop() {
        grower.close(candidate.node, candidate.rows);
    }
    grower.grown
}

struct Grower<'a> {
    bins: &'a Bins,
    growth: &'a Growth,
    unit: f64,
    search: Search<'a>,
    /// Rows that go right, while a leaf is divided.
    moved: Vec<u32>,
    candidates: BinaryHeap<Candidate>,
    grown: Grown,
}

impl Grower<'_> {
    fn plant(&mut self) {
        let rows = 0..self.grown.rows.len();
        let sum = self.search.sum(&self.grown.rows);
        let node = self.push_leaf(sum);
        let found = if self.growth.max_depth > 0 {
            self.search.root(Leaf {
                rows: &self.grown.rows,
                sum,
            })
        } else {
            Found::default()
        };
        self.settle(node, 0, rows, sum, found);
    }

    fn divide(&mut self, leaf: Candidate) {
        let split = leaf.split;
        let middle = self.partition(leaf.rows.clone(), split);
        let (left, right) = (leaf.rows.start..middle, middle..leaf.rows.end);
        let (left_sum, right_sum) = (split.left, leaf.sum.minus(split.left));
        let left_node = self.push_leaf(left_sum);
        let right_node = self.push_leaf(right_sum);
        let node = &mut self.grown.tree.nodes[leaf.node];
        node.slot = split.slot as u16;
        node.threshold = self.bins.slot(split.slot).upper_edge(split.code);
        node.missing_left = split.missing_left;
        node.left = left_node as u32;
        node.gain = split.gain * self.unit;

        let depth = leaf.depth + 1;
        let divisible = depth < self.growth.max_depth
            && (self.search.is_divisible(left_sum) || self.search.is_divisible(right_sum));
        let (of_left, of_right) = if divisible {
            let rows = &self.grown.rows;
            let as_left = Leaf {
                rows: &rows[left.clone()],
                sum: left_sum,
            };
            let as_right = Leaf {
                rows: &rows[right.clone()],
                sum: right_sum,
            };
            if left.len() <= right.len() {
                self.search.children(leaf.histogram, as_left, as_right)
            } else {
                let found = self.search.children(leaf.histogram, as_right, as_left);
                (found.1, found.0)
            }
        } else {
            self.search.recycle(leaf.histogram);
            (Found::default(), Found::default())
        };
        self.settle(left_node, depth, left, left_sum, of_left);
        self.settle(right_node, depth, right, right_sum, of_right);
    }

    /// Keeps a leaf that can be divided for later, and closes one that cannot.
    fn settle(&mut self, node: usize, depth: usize, rows: Range<usize>, sum: Sum, found: Found) {
        if let Some(split) = found.split {
            let histogram = found.histogram;
            self.candidates.push(Candidate {
                node,
                depth,
                rows,
                sum,
                split,
                histogram,
            });
        } else {
            self.search.recycle(found.histogram);
            self.close(node, rows);
        }
    }

    fn close(&mut self, node: usize, rows: Range<usize>) {
        self.grown
            .leaves
            .push((rows, self.grown.tree.nodes[node].value));
    }

    fn push_leaf(&mut self, sum: Sum) -> usize {
        let weight = sum.weight as f64 * self.unit;
        let value = match sum.weight {
            0 => 0.0,
            _ => sum.residual as f64 * self.unit / (weight + self.growth.lambda),
        };
        self.grown.tree.nodes.push(Node {
            value: (value * self.growth.shrinkage) as f32,
            weight: weight as f32,
            ..Node::default()
        });
        self.grown.tree.nodes.len() - 1
    }

    /// Brings the rows that go left to the front, keeping the order on both sides.
    fn partition(&mut self, range: Range<usize>, split: Split) -> usize {
        let slot = self.bins.slot(split.slot);
        let (codes, missing) = (slot.codes(), slot.missing());
        self.moved.clear();
        let rows = &mut self.grown.rows[range.clone()];
        let mut left = 0;
        for at in 0..rows.len() {
            let row = rows[at];
            let code = codes[row as usize];
            let goes_left = if code == missing {
                split.missing_left
            } else {
                code <= split.code
            };
            if goes_left {
                rows[left] = row;
                left += 1;
            } else {
                self.moved.push(row);
            }
        }
        rows[left..].copy_from_slice(&self.moved);
        range.start + left
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Candidate) -> Ordering {
        let by_gain = self.split.gain.total_cmp(&other.split.gain);
        by_gain.then(other.node.cmp(&self.node))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Candidate) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Candidate) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}
