//! Entities folded: their states, finalized at one instant.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::ArrayRef;
use granary_registry::EventTime;
use rayon::prelude::*;

use super::join::{Joined, Place};
use crate::error::Error;
use crate::feature_columns::FeatureColumns;
use crate::fold::{GroupFold, GroupState, Sink};

/// Entities that one thread finalizes at a time: as many as a column has room for when it is
/// made.
const SLICE: usize = 1024;

/// The states of entities, of all or of a range of keys.
#[derive(Clone, Copy)]
pub struct States<'a> {
    pub(super) fold: &'a GroupFold,
    /// Keys of the entities, by their numbers.
    pub(super) names: &'a [Arc<str>],
    pub(super) joined: &'a Joined,
}

/// States finalized, in order of the entities' keys.
pub struct Folded<'a> {
    /// Entity keys, ascending.
    pub keys: Vec<Arc<str>>,
    /// One column a feature.
    pub columns: Vec<ArrayRef>,
    /// One encoded state an entity.
    pub states: Vec<Encoded<'a>>,
    /// For how many entities each feature is an estimate, though it is counted as a rule.
    pub estimates: Vec<u64>,
}

/// An encoded state and its vectors.
pub struct Encoded<'a> {
    /// Everything but vectors.
    pub row: Cow<'a, [u8]>,
    /// Elements of vectors.
    pub vectors: Cow<'a, [u8]>,
    /// Rows folded into it.
    pub events: u64,
}

/// Some of the entities finalized.
struct Slice<'a, 'c> {
    columns: FeatureColumns<'c>,
    states: Vec<Encoded<'a>>,
    estimates: Vec<u64>,
}

impl<'a> States<'a> {
    /// Rows folded: copies left out.
    pub fn rows(self) -> u64 {
        self.joined.parts().map(|part| u64::from(part.rows)).sum()
    }

    /// Finalizes every entity; `as_of` must lie after the newest event.
    pub fn finalize(self, as_of: EventTime) -> Result<Folded<'a>, Error> {
        let mut entities: Vec<&[Place]> = self.joined.entities().collect();
        // Stable for its speed alone: keys that ascend in the files are runs of numbers here.
        entities.par_sort_by(|a, b| self.key(a).cmp(self.key(b)));
        let slots: Vec<usize> = (0..self.fold.slots.len()).collect();
        let slices: Vec<Slice<'a, '_>> = entities
            .par_chunks(SLICE)
            .enumerate()
            .map(|(at, slice)| self.finalize_slice(at * SLICE, slice, as_of, &slots))
            .collect::<Result<_, Error>>()?;
        let keys = entities.iter().map(|places| self.key(places).clone());
        let mut folded = Folded {
            keys: keys.collect(),
            columns: Vec::new(),
            states: Vec::with_capacity(entities.len()),
            estimates: vec![0; slots.len()],
        };
        let mut columns = Vec::with_capacity(slices.len());
        for mut slice in slices {
            columns.push(slice.columns);
            folded.states.append(&mut slice.states);
            for (all, more) in folded.estimates.iter_mut().zip(slice.estimates) {
                *all += more;
            }
        }
        folded.columns = FeatureColumns::finish(columns)?;
        Ok(folded)
    }

    fn finalize_slice<'c>(
        self,
        first: usize,
        entities: &[&[Place]],
        as_of: EventTime,
        slots: &'c [usize],
    ) -> Result<Slice<'a, 'c>, Error>
    where
        'a: 'c,
    {
        let mut columns = FeatureColumns::new(self.fold, slots);
        let mut states = Vec::with_capacity(entities.len());
        let mut estimates = vec![0; slots.len()];
        for (at, places) in entities.iter().enumerate() {
            let state = self.joined.state(self.fold, places);
            let state = state.map_err(|source| Error::State {
                key: self.key(places).to_string(),
                group: self.fold.name.clone(),
                source,
            })?;
            columns.push((first + at) as u32, &state, as_of);
            for (count, &slot) in estimates.iter_mut().zip(slots) {
                *count += u64::from(self.fold.is_estimate(slot, &state));
            }
            states.push(self.encoded(places, &state));
        }
        Ok(Slice {
            columns,
            states,
            estimates,
        })
    }

    /// A state that was not merged of parts is encoded already.
    fn encoded(self, places: &[Place], state: &GroupState) -> Encoded<'a> {
        let parts = places.iter().map(|place| self.joined.part(place));
        let events = parts.map(|part| u64::from(part.rows)).sum();
        if let Some((row, vectors)) = self.joined.bytes(places) {
            return Encoded {
                row: Cow::Borrowed(row),
                vectors: Cow::Borrowed(vectors),
                events,
            };
        }
        let mut bytes = Sink::default();
        self.fold.encode(state, &mut bytes);
        Encoded {
            row: Cow::Owned(bytes.row),
            vectors: Cow::Owned(bytes.vectors),
            events,
        }
    }

    fn key(self, places: &[Place]) -> &'a Arc<str> {
        &self.names[places[0].entity as usize]
    }
}
