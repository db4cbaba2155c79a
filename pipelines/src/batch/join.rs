//! One entity's states from all chunks: where they lie, and whether they may be merged.

use super::chunk::{Partial, Partials};
use crate::error::Error;
use crate::fold::{DecodeError, GroupFold, GroupState};
use crate::history::History;
use crate::piece::Piece;

/// The parts of every entity's history.
pub(super) struct Joined {
    partials: Vec<Partials>,
    /// In order of entity, then of time.
    places: Vec<Place>,
    /// For each entity whether its rows must be brought together first.
    tangled: Vec<bool>,
}

/// A part of an entity's history.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The entity's number.
    pub entity: u32,
    span: (i64, i64),
    partials: usize,
    part: usize,
}

impl Joined {
    /// Brings the parts of each entity together. Where ids tell copies, they must not overlap
    /// in time: a copy of an event of one part might be in the other.
    pub(super) fn new(
        mut partials: Vec<Partials>,
        entities: usize,
        fold: &GroupFold,
    ) -> Result<Joined, Error> {
        let edges = partials.iter_mut().flat_map(|held| held.edges.drain(..));
        let cut = History::gather(edges.collect(), entities);
        partials.extend(Partials::of_history(fold, &cut)?);
        let mut joined = Joined {
            partials: Vec::new(),
            places: Vec::new(),
            tangled: vec![false; entities],
        };
        joined.add(partials);
        if fold.keeps_ids() {
            joined.find_tangled();
        }
        Ok(joined)
    }

    /// Nothing is usable: all entities are tangled.
    pub(super) fn nothing(entities: usize) -> Joined {
        Joined {
            partials: Vec::new(),
            places: Vec::new(),
            tangled: vec![true; entities],
        }
    }

    /// The entities whose rows must be brought together, if there are any.
    pub(super) fn tangled(&self) -> Option<&[bool]> {
        self.tangled.contains(&true).then_some(&self.tangled)
    }

    /// Folds the tangled entities, of which these are all rows.
    pub(super) fn untangle(&mut self, fold: &GroupFold, pieces: Vec<Piece>) -> Result<(), Error> {
        let history = History::gather(pieces, self.tangled.len());
        self.add(Partials::of_history(fold, &history)?);
        self.tangled.fill(false);
        Ok(())
    }

    /// Every entity with its parts.
    pub(super) fn entities(&self) -> impl Iterator<Item = &[Place]> {
        self.places.chunk_by(|a, b| a.entity == b.entity)
    }

    /// All parts.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Partial> {
        let part = |place: &Place| &self.partials[place.partials].parts[place.part];
        self.places.iter().map(part)
    }

    /// The state of an entity: its parts merged.
    pub(super) fn state(
        &self,
        fold: &GroupFold,
        places: &[Place],
    ) -> Result<GroupState, DecodeError> {
        let state = |place: &Place| self.partials[place.partials].state(fold, place.part);
        let mut whole = state(&places[0])?;
        for place in &places[1..] {
            fold.merge(&mut whole, &state(place)?);
        }
        fold.compact(&mut whole);
        Ok(whole)
    }

    fn find_tangled(&mut self) {
        let (places, tangled) = (&mut self.places, &mut self.tangled);
        for pair in places.windows(2) {
            if pair[0].entity == pair[1].entity && pair[1].span.0 <= pair[0].span.1 {
                tangled[pair[0].entity as usize] = true;
            }
        }
        for part in self.partials.iter().flat_map(|partials| &partials.parts) {
            tangled[part.entity as usize] |= part.is_tangled;
        }
        places.retain(|place| !tangled[place.entity as usize]);
    }

    fn add(&mut self, partials: Vec<Partials>) {
        for partials in partials {
            let parts = partials.parts.iter().enumerate();
            self.places.extend(parts.map(|(part, held)| Place {
                entity: held.entity,
                span: held.span,
                partials: self.partials.len(),
                part,
            }));
            self.partials.push(partials);
        }
        self.places.sort_by_key(|place| (place.entity, place.span));
    }
}
