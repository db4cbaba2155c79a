//! Trees as they are read: one node while growing, and the flat form that predicts and
//! is stored, one array per property over the nodes of all trees.
//! Called by `forest` and `boosting`.

use serde::{Deserialize, Serialize};

/// One tree; node 0 is the root.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(super) nodes: Vec<Node>,
}

/// A node; a leaf has no `left`, and its right child follows the left one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Node {
    pub(super) slot: u16,
    pub(super) threshold: f32,
    pub(super) missing_left: bool,
    pub(super) left: u32,
    pub(super) value: f32,
    pub(super) weight: f32,
    pub(super) gain: f64,
}

/// Many trees, flat.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trees {
    /// The first node of each tree.
    roots: Vec<u32>,
    /// The slot a node looks at, times two; plus one if missing goes left.
    slots: Vec<u32>,
    /// Values up to this go left.
    thresholds: Vec<f32>,
    /// The left child; the right one follows it. 0 at a leaf.
    lefts: Vec<u32>,
    /// What a leaf says; at inner nodes what it would say.
    values: Vec<f32>,
    /// How much of the training data came through a node.
    weights: Vec<f32>,
}

/// Trees that go down in step.
const LANES: usize = 8;

impl Tree {
    /// The value of the leaf that a row falls into.
    pub(crate) fn value(&self, slots: &[f32]) -> f32 {
        let mut node = &self.nodes[0];
        while node.left != 0 {
            let value = slots[node.slot as usize];
            let goes_left = if value.is_nan() {
                node.missing_left
            } else {
                value <= node.threshold
            };
            node = &self.nodes[node.left as usize + usize::from(!goes_left)];
        }
        node.value
    }

    /// Adds what each slot gained in this tree.
    pub(crate) fn add_gains(&self, gains: &mut [f64]) {
        for node in self.nodes.iter().filter(|node| node.left != 0) {
            gains[node.slot as usize] += node.gain;
        }
    }
}

impl Trees {
    /// Puts the trees one after the other.
    pub(crate) fn flatten(trees: &[Tree]) -> Trees {
        let mut flat = Trees::default();
        for tree in trees {
            let root = flat.lefts.len() as u32;
            flat.roots.push(root);
            for node in &tree.nodes {
                flat.slots
                    .push(u32::from(node.slot) * 2 + u32::from(node.missing_left));
                flat.thresholds.push(node.threshold);
                flat.lefts
                    .push(if node.left == 0 { 0 } else { root + node.left });
                flat.values.push(node.value);
                flat.weights.push(node.weight);
            }
        }
        flat
    }

    /// Number of trees.
    pub(crate) fn len(&self) -> usize {
        self.roots.len()
    }

    /// The sum over all trees of the leaf that a row falls into.
    #[inline]
    pub(crate) fn sum(&self, slots: &[f32]) -> f64 {
        let mut sum = 0.0;
        let groups = self.roots.chunks_exact(LANES);
        let rest = groups.remainder();
        for group in groups {
            let mut nodes = [0_u32; LANES];
            nodes.copy_from_slice(group);
            self.walk(&mut nodes, slots);
            for node in nodes {
                sum += f64::from(self.values[node as usize]);
            }
        }
        for &root in rest {
            let mut node = [root];
            self.walk(&mut node, slots);
            sum += f64::from(self.values[node[0] as usize]);
        }
        sum
    }

    /// Moves from roots to leaves. Several trees go down in step, because one alone would
    /// spend its time waiting for the next node.
    #[inline]
    fn walk<const N: usize>(&self, nodes: &mut [u32; N], slots: &[f32]) {
        let mut moved = true;
        while moved {
            moved = false;
            for node in &mut *nodes {
                let at = *node as usize;
                let (left, looked_at) = (self.lefts[at], self.slots[at]);
                let value = slots[(looked_at >> 1) as usize];
                let threshold = self.thresholds[at];
                let goes_right = if value.is_nan() {
                    looked_at & 1 == 0
                } else {
                    value > threshold
                };
                let is_inner = left != 0;
                *node = if is_inner {
                    left + u32::from(goes_right)
                } else {
                    *node
                };
                moved |= is_inner;
            }
        }
    }

    /// Whether every path ends at a leaf and reads only slots below `width`, which
    /// stored bytes need not.
    pub(crate) fn is_sound(&self, width: usize) -> bool {
        let nodes = self.lefts.len();
        let same_length = [self.slots.len(), self.thresholds.len()] == [nodes; 2]
            && [self.values.len(), self.weights.len()] == [nodes; 2];
        let child_is_sound = |(node, &left): (usize, &u32)| {
            left == 0 || (left as usize > node && (left as usize) < nodes.saturating_sub(1))
        };
        same_length
            && self.roots.iter().all(|&root| (root as usize) < nodes)
            && self
                .slots
                .iter()
                .all(|&slot| ((slot >> 1) as usize) < width)
            && self.lefts.iter().enumerate().all(child_is_sound)
    }
}
