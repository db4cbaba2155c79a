//! Which parts and rows of them are wanted: all, or what some files and a place in the log do not
//! cover.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use granary_storage::{EventLogManifest, IngestedFrom};

use super::Parts;

/// What is read of the parts.
#[derive(Clone, Debug, Default)]
pub(super) struct Picks {
    /// In the order of their inputs.
    pub(super) parts: Vec<Pick>,
    /// Whether rows of one part stand between those of another.
    pub(super) are_interleaved: bool,
    /// For each input whether its rows are wanted.
    pub(super) inputs: Vec<bool>,
    /// Places in the log: after the first, up to the second.
    pub(super) positions: (u64, u64),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Pick {
    pub(super) part: usize,
    /// Whether some of its rows are not wanted.
    pub(super) is_filtered: bool,
}

impl Parts {
    /// What is not of these files, and of the log what lies after the first place and not after
    /// the second.
    pub(super) fn pick(&self, read: &HashSet<PathBuf>, positions: (u64, u64)) -> Picks {
        let is_wanted = |from: &IngestedFrom| match from {
            IngestedFrom::File(file) => !read.contains(Path::new(&file.path)),
            IngestedFrom::Log { from, until } => from.0 < positions.1 && until.0 > positions.0,
        };
        let inputs = self.manifest.inputs.iter();
        let inputs: Vec<bool> = inputs.map(|input| is_wanted(&input.from)).collect();
        let mut parts: Vec<(Pick, (u32, u32))> = Vec::new();
        for (number, part) in self.manifest.parts.iter().enumerate() {
            let (first, last) = part.positions.unwrap_or((u64::MAX, 0));
            let within = last <= positions.1 && first > positions.0;
            let wanted = part.inputs.iter().filter(|&&input| inputs[input as usize]);
            let wanted: Vec<u32> = wanted.map(|&input| self.ranks[input as usize]).collect();
            let (Some(&least), Some(&most)) = (wanted.iter().min(), wanted.iter().max()) else {
                continue;
            };
            let pick = Pick {
                part: number,
                is_filtered: !within || wanted.len() < part.inputs.len(),
            };
            parts.push((pick, (least, most)));
        }
        parts.sort_by_key(|(_, ranks)| *ranks);
        let instants = |at: usize| self.manifest.parts[parts[at].0.part].instants;
        // Only rows of one instant need the order of their inputs.
        let may_tie = |a: usize, b: usize| {
            let ((first, last), (next, end)) = (instants(a), instants(b));
            first <= end && next <= last
        };
        let stand_apart = |a: usize, b: usize| parts[a].1.1 <= parts[b].1.0 || !may_tie(a, b);
        let is_in_order = |b: usize| (0..b).all(|a| stand_apart(a, b));
        Picks {
            are_interleaved: !(0..parts.len()).all(is_in_order),
            parts: parts.into_iter().map(|(pick, _)| pick).collect(),
            inputs,
            positions,
        }
    }
}

/// Where rows of each input stand among those of one instant.
pub(crate) fn ranks_of_inputs(manifest: &EventLogManifest) -> Vec<u32> {
    let mut order: Vec<usize> = (0..manifest.inputs.len()).collect();
    order.sort_by_key(|&input| match &manifest.inputs[input].from {
        IngestedFrom::File(file) => (0, PathBuf::from(&file.path), 0),
        IngestedFrom::Log { from, .. } => (1, PathBuf::new(), from.0),
    });
    let mut ranks = vec![0; order.len()];
    for (rank, input) in order.into_iter().enumerate() {
        ranks[input] = rank as u32;
    }
    ranks
}
