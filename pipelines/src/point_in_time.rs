//! Point in time: for every (entity, instant) of a spine, the features as they were then.
//! One sweep over an entity's events in order of time, finalizing at each instant.

use std::sync::Arc;

use arrow::array::ArrayRef;
use granary_registry::EventTime;
use hashbrown::HashMap;

use crate::error::Error;
use crate::feature_columns::FeatureColumns;
use crate::fold::{Events, GroupFold, GroupState};
use crate::history::History;

/// Which entities at which instants; rows may repeat and stand in any order.
#[derive(Clone, Debug, Default)]
pub struct Spine {
    /// Entity keys.
    pub keys: Vec<Arc<str>>,
    /// One instant a key.
    pub instants: Vec<EventTime>,
}

/// The features of `slots` for every row of the spine, in its order; `names` are the keys of
/// the history's entities. An entity without history has the values of an empty one.
pub(crate) fn sweep(
    fold: &GroupFold,
    names: &[Arc<str>],
    history: &History,
    spine: &Spine,
    slots: &[usize],
) -> Result<Vec<ArrayRef>, Error> {
    let numbers: HashMap<&str, usize> = history
        .entities()
        .map(|number| (&*names[number as usize], number as usize))
        .collect();
    let mut asked: Vec<Vec<u32>> = vec![Vec::new(); names.len()];
    let mut empty = FeatureColumns::new(fold, slots);
    let nothing = fold.new_state();
    for (row, key) in spine.keys.iter().enumerate() {
        match numbers.get(&**key) {
            Some(&number) => asked[number].push(row as u32),
            None => empty.push(row as u32, &nothing, spine.instants[row]),
        }
    }
    for rows in &mut asked {
        rows.sort_by_key(|&row| spine.instants[row as usize]);
    }
    let mut parts = history.map(
        || FeatureColumns::new(fold, slots),
        |columns, entity, events| {
            sweep_entity(
                fold,
                events,
                &asked[entity as usize],
                &spine.instants,
                |row, state, as_of| columns.push(row, state, as_of),
            );
            Ok(())
        },
    )?;
    parts.push(empty);
    FeatureColumns::finish(parts)
}

/// Feeds events up to each instant, then answers it: an event at the instant is not in it.
/// Rows come in order of their instants.
pub(crate) fn sweep_entity(
    fold: &GroupFold,
    events: &Events<'_>,
    rows: &[u32],
    instants: &[EventTime],
    mut answer: impl FnMut(u32, &GroupState, EventTime),
) {
    let mut state = fold.new_state();
    let mut fed = events.rows.start;
    for &row in rows {
        let as_of = instants[row as usize];
        let before =
            events.columns.times[fed..events.rows.end].partition_point(|&time| time < as_of.0);
        if before > 0 {
            fold.fold(&mut state, &Events::new(events.columns, fed..fed + before));
            fed += before;
        }
        answer(row, &state, as_of);
    }
}
