//! Entities that were erased, on the way in: whoever numbers entities tells them apart, so that
//! their rows are left out by what their tombstones admit. Called by everything that reads rows.

use std::sync::Arc;

use granary_registry::Entity;
use granary_storage::{Tombstone, Tombstones};

use crate::fold::Columns;
use crate::piece::NOBODY;

/// Numbers from here on stand for entities that were erased: who has one has no number until a
/// row of it counts.
pub(crate) const FIRST_ERASED: u32 = NOBODY - (1 << 24);

/// The entities met so far that were erased.
#[derive(Clone, Debug)]
pub(crate) struct Erased {
    tombstones: Tombstones,
    entity: Arc<str>,
    met: Vec<Met>,
}

#[derive(Clone, Debug)]
struct Met {
    key: Arc<str>,
    tombstone: Tombstone,
    place: usize,
    /// Since a row of it counts.
    number: Option<u32>,
}

impl Erased {
    /// Of this kind of entity; none if nobody was erased.
    pub(crate) fn of(tombstones: &Tombstones, entity: &Entity) -> Option<Erased> {
        (!tombstones.is_empty()).then(|| Erased {
            tombstones: tombstones.clone(),
            entity: Arc::from(entity.name.as_str()),
            met: Vec::new(),
        })
    }

    /// What stands for an entity if it was erased, given the number it has if it is known.
    pub(crate) fn meet(&mut self, key: &str, number: Option<u32>) -> Option<u32> {
        let (place, tombstone) = self.tombstones.find(&self.entity, key)?;
        self.met.push(Met {
            key: Arc::from(key),
            tombstone: tombstone.clone(),
            place,
            number,
        });
        Some(FIRST_ERASED + self.met.len() as u32 - 1)
    }

    /// The tombstone of whoever such a number stands for.
    pub(crate) fn tombstone(&self, stand_in: u32) -> Option<&Tombstone> {
        self.of_stand_in(stand_in).map(|met| &met.tombstone)
    }

    /// Its place among all.
    pub(crate) fn place(&self, stand_in: u32) -> usize {
        self.of_stand_in(stand_in).map_or(0, |met| met.place)
    }

    pub(crate) fn key(&self, stand_in: u32) -> Option<Arc<str>> {
        self.of_stand_in(stand_in).map(|met| met.key.clone())
    }

    pub(crate) fn number(&self, stand_in: u32) -> Option<u32> {
        self.of_stand_in(stand_in)?.number
    }

    pub(crate) fn set_number(&mut self, stand_in: u32, number: u32) {
        if let Some(met) = self.met.get_mut((stand_in - FIRST_ERASED) as usize) {
            met.number = Some(number);
        }
    }

    fn of_stand_in(&self, stand_in: u32) -> Option<&Met> {
        self.met.get((stand_in - FIRST_ERASED) as usize)
    }
}

/// Whether a number stands for an entity that was erased.
pub(crate) fn is_stand_in(number: u32) -> bool {
    (FIRST_ERASED..NOBODY).contains(&number)
}

/// The rows of one entity that count in spite of its tombstone.
pub(crate) fn admitted(columns: &Columns, tombstone: &Tombstone) -> Vec<u32> {
    let position = |row: usize| columns.positions.get(row).copied().unwrap_or(0);
    let admits = |row: &u32| {
        let row = *row as usize;
        tombstone.admits(position(row), columns.times[row])
    };
    (0..columns.times.len() as u32).filter(admits).collect()
}
