//! One entity's states from all chunks: where they lie, and whether they may be merged.

use super::chunk::{Partial, Partials};
use crate::error::Error;
use crate::fold::{DecodeError, GroupFold, GroupState};
use crate::history::History;

/// The parts of every entity's history.
pub(super) struct Joined {
    partials: Vec<Partials>,
    /// In order of entity, then of time.
    places: Vec<Place>,
    /// For each entity whether its rows must be brought together first.
    tangled: Vec<bool>,
    /// The rows of those, as far as they are folded already.
    tangled_rows: u64,
    /// Whether the first of the partials are those of a version gone on from.
    has_base: bool,
}

/// A part of an entity's history.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The entity's number.
    pub entity: u32,
    partials: u32,
    part: u32,
    span: (i64, i64),
}

impl Joined {
    /// Brings the parts of each entity together. They must not overlap in time: what is compact
    /// cannot take in events from between, and where ids tell copies, a copy of an event of one
    /// part might be in the other.
    pub(super) fn new(
        base: Option<Partials>,
        mut partials: Vec<Partials>,
        entities: usize,
        fold: &GroupFold,
        order_is_open: bool,
    ) -> Result<Joined, Error> {
        let edges = partials.iter_mut().flat_map(|held| held.edges.drain(..));
        let cut = History::gather(edges.collect(), entities);
        partials.extend(Partials::of_history(fold, &cut)?);
        let mut joined = Joined {
            partials: Vec::new(),
            places: Vec::new(),
            tangled: vec![false; entities],
            tangled_rows: 0,
            has_base: base.is_some(),
        };
        joined.add(base.into_iter().chain(partials));
        joined.find_tangled(fold.keeps_ids() || order_is_open);
        Ok(joined)
    }

    /// The entities whose rows must be brought together, if there are any.
    pub(super) fn tangled(&self) -> Option<&[bool]> {
        self.tangled.contains(&true).then_some(&self.tangled)
    }

    /// How many rows those have, copies left out.
    pub(super) fn tangled_rows(&self) -> u64 {
        self.tangled_rows
    }

    /// Folds the tangled entities, of which these are all rows.
    pub(super) fn untangle(&mut self, fold: &GroupFold, history: &History) -> Result<(), Error> {
        self.add(Partials::of_history(fold, history)?);
        self.tangled.fill(false);
        Ok(())
    }

    /// Every entity with its parts.
    pub(super) fn entities(&self) -> impl Iterator<Item = &[Place]> {
        self.places.chunk_by(|a, b| a.entity == b.entity)
    }

    /// All parts.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Partial> {
        self.places.iter().map(|place| self.part(place))
    }

    /// The newest event of all.
    pub(super) fn newest(&self) -> Option<i64> {
        let newest = self.partials.iter().filter_map(|partials| partials.newest);
        newest.max().filter(|&time| time != i64::MIN)
    }

    /// The newest row of all, written values included.
    pub(super) fn latest(&self) -> Option<i64> {
        let latest = self.partials.iter().filter_map(|partials| partials.latest);
        latest.max().filter(|&time| time != i64::MIN)
    }

    /// A part.
    pub(super) fn part(&self, place: &Place) -> &Partial {
        &self.partials[place.partials as usize].parts[place.part as usize]
    }

    /// The state of an entity: its parts merged.
    pub(super) fn state(
        &self,
        fold: &GroupFold,
        places: &[Place],
    ) -> Result<GroupState, DecodeError> {
        let state = |place: &Place| {
            let partials = &self.partials[place.partials as usize];
            partials.state(fold, place.part as usize)
        };
        let mut whole = state(&places[0])?;
        for place in &places[1..] {
            fold.merge(&mut whole, &state(place)?);
        }
        if places.len() > 1 {
            fold.compact(&mut whole);
        }
        Ok(whole)
    }

    /// The encoded state of an entity that has one part, and its vectors.
    pub(super) fn bytes(&self, places: &[Place]) -> Option<(&[u8], &[u8])> {
        match places {
            [place] => {
                let partials = &self.partials[place.partials as usize];
                Some(partials.bytes(place.part as usize))
            }
            _ => None,
        }
    }

    fn find_tangled(&mut self, copies_may_come: bool) {
        let (places, tangled, has_base) = (&mut self.places, &mut self.tangled, self.has_base);
        for pair in places.windows(2) {
            let (last, next) = (pair[0].span.1, pair[1].span.0);
            // New files may stand before old ones, and then be first at an instant of both.
            let order_is_open = has_base && pair[0].partials == 0;
            let overlap = next < last || ((copies_may_come || order_is_open) && next == last);
            if pair[0].entity == pair[1].entity && overlap {
                tangled[pair[0].entity as usize] = true;
            }
        }
        let is_tangled = |place: &Place| tangled[place.entity as usize];
        let partials = &self.partials;
        let rows =
            |place: &Place| partials[place.partials as usize].parts[place.part as usize].rows;
        let of_tangled = places.iter().filter(|place| is_tangled(place));
        self.tangled_rows = of_tangled.map(|place| u64::from(rows(place))).sum();
        places.retain(|place| !is_tangled(place));
    }

    fn add(&mut self, partials: impl IntoIterator<Item = Partials>) {
        for partials in partials {
            let parts = partials.parts.iter().enumerate();
            self.places.extend(parts.map(|(part, held)| Place {
                entity: held.entity,
                partials: self.partials.len() as u32,
                part: part as u32,
                span: held.span,
            }));
            self.partials.push(partials);
        }
        self.places.sort_by_key(|place| (place.entity, place.span));
    }
}
