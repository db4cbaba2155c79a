//! Batch: every entity's whole history folded into its state and finalized at one instant.
//! Called by `build`.

use std::sync::Arc;

use arrow::array::ArrayRef;
use granary_registry::EventTime;

use crate::error::Error;
use crate::feature_columns::FeatureColumns;
use crate::fold::{GroupFold, Sink};
use crate::history::History;

/// A group folded, in order of the entities' keys.
pub struct Folded {
    /// Entity keys, ascending.
    pub keys: Vec<Arc<str>>,
    /// One column a feature.
    pub columns: Vec<ArrayRef>,
    /// One encoded state an entity.
    pub states: Vec<Sink>,
}

/// Folds every entity of a history; `as_of` must lie after its newest event.
pub fn fold(fold: &GroupFold, history: &History, as_of: EventTime) -> Result<Folded, Error> {
    let names = history.names();
    let mut order: Vec<u32> = (0..names.len() as u32).collect();
    order.sort_unstable_by(|&a, &b| names[a as usize].cmp(&names[b as usize]));
    let mut rank = vec![0u32; names.len()];
    for (at, &entity) in order.iter().enumerate() {
        rank[entity as usize] = at as u32;
    }
    let slots: Vec<usize> = (0..fold.slots.len()).collect();
    let parts = history.map(
        || (FeatureColumns::new(fold, &slots), Vec::new()),
        |(columns, states), entity, events| {
            let mut state = fold.new_state();
            fold.fold(&mut state, events);
            let row = rank[entity as usize];
            columns.push(row, &state, as_of);
            fold.compact(&mut state);
            let mut bytes = Sink::default();
            fold.encode(&state, &mut bytes);
            states.push((row, bytes));
            Ok(())
        },
    )?;
    let (columns, states): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let mut sorted: Vec<Sink> = vec![Sink::default(); names.len()];
    for (row, bytes) in states.into_iter().flatten() {
        sorted[row as usize] = bytes;
    }
    Ok(Folded {
        keys: order
            .iter()
            .map(|&entity| names[entity as usize].clone())
            .collect(),
        columns: FeatureColumns::finish(columns)?,
        states: sorted,
    })
}
