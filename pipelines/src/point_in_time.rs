//! Point in time: for every (entity, instant) of a spine, the features as they were then.
//! One sweep over an entity's events in order of time, finalizing at each instant.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use granary_registry::EventTime;
use rayon::prelude::*;

use crate::error::Error;
use crate::feature_columns::FeatureColumns;
use crate::fold::{Events, GroupFold, GroupState};
use crate::history::History;
use crate::piece::by_name;

/// Entities that one thread answers at a time if they have no events.
const WITHOUT_EVENTS: usize = 1024;

/// Which entities at which instants; rows may repeat and stand in any order.
#[derive(Clone, Debug, Default)]
pub struct Spine {
    /// Keys of the entities, each once.
    pub names: Vec<Arc<str>>,
    /// One entity a row: its place among the keys.
    pub entities: Vec<u32>,
    /// One instant a row.
    pub instants: Vec<EventTime>,
}

/// The rows of a spine by entity, those of one in order of their instants.
struct Asked {
    rows: Vec<u32>,
    /// Where the rows of each entity begin, and where the last ones end.
    starts: Vec<u32>,
}

impl Spine {
    /// One entity at these instants.
    pub(crate) fn of_one(key: &str, instants: Vec<EventTime>) -> Spine {
        Spine {
            names: vec![Arc::from(key)],
            entities: vec![0; instants.len()],
            instants,
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.entities.len()
    }

    /// The entity's key of each row.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.entities
            .iter()
            .map(|&entity| &self.names[entity as usize])
    }

    /// Brings the keys into order: rows of files that are sorted by key are then in order of
    /// entity as they stand.
    pub(crate) fn sort_keys(&mut self) {
        let (names, ranks) = by_name(&self.names);
        self.names = names;
        let ranked = |entity: &mut u32| *entity = ranks[*entity as usize];
        self.entities.iter_mut().for_each(ranked);
    }

    /// These rows.
    pub(crate) fn take(&self, rows: &[usize]) -> Spine {
        Spine {
            names: self.names.clone(),
            entities: rows.iter().map(|&row| self.entities[row]).collect(),
            instants: rows.iter().map(|&row| self.instants[row]).collect(),
        }
    }
}

impl Asked {
    fn of(spine: &Spine) -> Asked {
        let mut starts = vec![0u32; spine.names.len() + 1];
        for &entity in &spine.entities {
            starts[entity as usize + 1] += 1;
        }
        for entity in 1..starts.len() {
            starts[entity] += starts[entity - 1];
        }
        let mut rows = vec![0u32; spine.rows()];
        let mut next = starts.clone();
        for (row, &entity) in spine.entities.iter().enumerate() {
            let place = &mut next[entity as usize];
            rows[*place as usize] = row as u32;
            *place += 1;
        }
        Asked { rows, starts }
    }

    fn rows(&self, entity: usize) -> &[u32] {
        &self.rows[self.starts[entity] as usize..self.starts[entity + 1] as usize]
    }
}

/// The features of `slots` for every row of the spine, in its order. The history's entities
/// are numbered as those of the spine; one without history has the values of an empty one.
pub(crate) fn sweep(
    fold: &GroupFold,
    history: History,
    spine: &Spine,
    slots: &[usize],
) -> Result<Vec<ArrayRef>, Error> {
    let asked = Asked::of(spine);
    let begin = || (FeatureColumns::new(fold, slots), Vec::new(), Vec::new());
    let swept = history.map(begin, |(columns, met, rows), entity, events| {
        met.push(entity);
        rows.clear();
        rows.extend_from_slice(asked.rows(entity as usize));
        rows.sort_by_key(|&row| spine.instants[row as usize]);
        sweep_entity(fold, events, rows, &spine.instants, |row, state, as_of| {
            columns.push(row, state, as_of);
        });
        Ok(())
    })?;
    drop(history);
    let mut without_events = vec![true; spine.names.len()];
    let mut parts = Vec::with_capacity(swept.len());
    for (columns, met, _) in swept {
        parts.push(columns);
        for entity in met {
            without_events[entity as usize] = false;
        }
    }
    let entities = (0..spine.names.len()).filter(|&entity| without_events[entity]);
    let entities: Vec<usize> = entities.collect();
    let nothing = fold.new_state();
    let empty = entities.par_chunks(WITHOUT_EVENTS).map(|entities| {
        let mut columns = FeatureColumns::new(fold, slots);
        for &row in entities.iter().flat_map(|&entity| asked.rows(entity)) {
            columns.push(row, &nothing, spine.instants[row as usize]);
        }
        columns
    });
    parts.extend(empty.collect::<Vec<_>>());
    FeatureColumns::finish(parts)
}

/// The features of `slots` of these entities at each of the instants, ascending: entity by
/// entity.
pub(crate) fn sweep_all(
    fold: &GroupFold,
    history: &History,
    entities: Range<u32>,
    instants: &[EventTime],
    slots: &[usize],
) -> Result<Vec<ArrayRef>, Error> {
    let steps: Vec<u32> = (0..instants.len() as u32).collect();
    let mut columns = FeatureColumns::new(fold, slots);
    let mut without_events = vec![true; entities.len()];
    history.each_of(entities.clone(), |entity, events| {
        let place = entity - entities.start;
        without_events[place as usize] = false;
        let first = place * steps.len() as u32;
        sweep_entity(fold, events, &steps, instants, |step, state, as_of| {
            columns.push(first + step, state, as_of);
        });
        Ok(())
    })?;
    let nothing = fold.new_state();
    for place in (0..entities.len()).filter(|&place| without_events[place]) {
        for (step, &as_of) in instants.iter().enumerate() {
            columns.push((place * steps.len() + step) as u32, &nothing, as_of);
        }
    }
    FeatureColumns::finish(vec![columns])
}

/// Feeds events up to each instant, then answers it: an event at the instant is not in it, nor
/// one that became known then or later. Rows come in order of their instants.
pub(crate) fn sweep_entity(
    fold: &GroupFold,
    events: &Events<'_>,
    rows: &[u32],
    instants: &[EventTime],
    mut answer: impl FnMut(u32, &GroupState, EventTime),
) {
    let columns = events.columns;
    let mut state = fold.new_state();
    let mut fed = events.rows.start;
    for &row in rows {
        let as_of = instants[row as usize];
        let before = columns.times[fed..events.rows.end].partition_point(|&time| time < as_of.0);
        let before = fed + before;
        let was_known = |row: &usize| columns.was_known(*row, as_of.0);
        // What is known once stays known, so the events before the first unknown one are folded
        // for good, and those behind it for this instant alone.
        let known = if columns.created.is_empty() {
            before
        } else {
            fed + (fed..before).take_while(was_known).count()
        };
        if known > fed {
            fold.fold(&mut state, &Events::new(columns, fed..known));
            fed = known;
        }
        if fed == before {
            answer(row, &state, as_of);
            continue;
        }
        let mut then = state.clone();
        for event in (fed..before).filter(was_known) {
            fold.fold(&mut then, &Events::new(columns, event..event + 1));
        }
        answer(row, &then, as_of);
    }
}
