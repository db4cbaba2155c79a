//! Batch: every entity's whole history folded into its state, and finalized at one instant.
//! Called by `build`.
//!
//! Rows are folded while they are decoded, and forgotten: what is kept of a run of an entity's
//! events is their compact state. That is exact as long as the runs of an entity do not
//! overlap in time: states are merged in order, and an event newer than all before it is no
//! copy of them. Rows of one entity that stand together are folded together, be they cut by
//! the end of a batch or of a chunk. An entity whose runs overlap is *tangled*: its rows are
//! read again and put in order.

mod base; // a version to go on from
mod chunk; // one chunk of the source -> states of runs of events
mod join; // one entity's states from all chunks

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::ArrayRef;
use granary_registry::{EventTime, FeatureGroup};
use rayon::prelude::*;

pub use self::base::Base;
use self::chunk::{ChunkFold, Disorder, Partials};
use self::join::{Joined, Place};
use crate::error::Error;
use crate::feature_columns::FeatureColumns;
use crate::fold::{GroupFold, GroupState, Sink};
use crate::history::History;
use crate::job::Job;
use crate::reading::{Reading, Rows};

/// Entities that one thread finalizes at a time: as many as a column has room for when it is
/// made.
const SLICE: usize = 1024;

/// A source folded: the state of every entity.
pub struct States {
    /// The folds.
    pub fold: GroupFold,
    /// Rows of the source that were read, copies included, in the first pass over it.
    pub rows_read: u64,
    /// Keys of the entities, by their numbers.
    names: Vec<Arc<str>>,
    joined: Joined,
}

/// A group folded and finalized, in order of the entities' keys.
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

/// Folds the whole source of a group, or what is new of it since a version.
pub fn fold(job: &Job<'_>, group: &FeatureGroup, base: Option<&Base>) -> Result<States, Error> {
    let since = base.map(Base::since).unwrap_or_default();
    let reading = Reading::open(job, group, since)?;
    let base = base
        .map(|base| base.partials(&mut reading.interner()))
        .transpose()?;
    let disorder = Disorder::default();
    let mut partials = reading.each_chunk(
        Rows::New,
        |chunk| {
            let is_by_entity = chunk.is_some_and(|chunk| reading.is_by_entity(chunk));
            ChunkFold::new(&reading.fold, &disorder, is_by_entity)
        },
        |chunk, piece| {
            chunk.take(piece);
            Ok(())
        },
        |chunk| Ok(chunk.finish()),
    )?;
    let rows_read = partials.iter().map(|partials| partials.rows_read).sum();
    if disorder.is_hopeless() {
        let history = History::read(&reading, Rows::New)?;
        partials = Partials::of_history(&reading.fold, &history)?;
    }
    let is_mixed = reading.are_mixed();
    let mut joined = Joined::new(base, partials, reading.entities(), &reading.fold, is_mixed)?;
    if let Some(tangled) = joined.tangled() {
        let history = History::read(&reading, Rows::Of(tangled))?;
        joined.untangle(&reading.fold, &history)?;
    }
    let (fold, interner) = reading.into_parts();
    Ok(States {
        fold,
        rows_read,
        names: interner.into_names(),
        joined,
    })
}

impl States {
    /// Rows folded: copies left out.
    pub fn rows(&self) -> u64 {
        self.joined.parts().map(|part| u64::from(part.rows)).sum()
    }

    /// The newest event of all.
    pub fn watermark(&self) -> Option<i64> {
        let newest = self.joined.parts().map(|part| part.span.1).max();
        newest.filter(|&time| time != i64::MIN)
    }

    /// Finalizes every entity; `as_of` must lie after the newest event.
    pub fn finalize(&self, as_of: EventTime) -> Result<Folded<'_>, Error> {
        let mut entities: Vec<&[Place]> = self.joined.entities().collect();
        // Stable for its speed alone: keys that ascend in the files are runs of numbers here.
        entities.par_sort_by(|a, b| self.key(a).cmp(self.key(b)));
        let slots: Vec<usize> = (0..self.fold.slots.len()).collect();
        let slices: Vec<Slice<'_, '_>> = entities
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

    fn finalize_slice<'a: 'c, 'c>(
        &'a self,
        first: usize,
        entities: &[&[Place]],
        as_of: EventTime,
        slots: &'c [usize],
    ) -> Result<Slice<'a, 'c>, Error> {
        let mut columns = FeatureColumns::new(&self.fold, slots);
        let mut states = Vec::with_capacity(entities.len());
        let mut estimates = vec![0; slots.len()];
        for (at, places) in entities.iter().enumerate() {
            let state = self.joined.state(&self.fold, places);
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
    fn encoded(&self, places: &[Place], state: &GroupState) -> Encoded<'_> {
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

    fn key(&self, places: &[Place]) -> &Arc<str> {
        &self.names[places[0].entity as usize]
    }
}

#[cfg(test)]
mod laws {
    use proptest::prelude::*;

    use granary_storage::StateRow;

    use super::*;
    use crate::fold::laws::{Bench, Raw, events};
    use crate::piece::Piece;

    /// Rows of users as the pieces of a chunk.
    type Chunk = Vec<Vec<(u32, Raw)>>;

    /// What `fold` does, over rows in memory. Of the chunks some are those of a version gone on
    /// from.
    fn folded(bench: &Bench, chunks: &[Chunk], is_base: &[bool], users: usize) -> Joined {
        let pieces =
            |wanted: &dyn Fn(usize) -> bool, only: &dyn Fn(u32) -> bool| -> Vec<Vec<Piece>> {
                let piece = |rows: &Vec<(u32, Raw)>| {
                    let (entities, raws): (Vec<u32>, Vec<Raw>) =
                        rows.iter().filter(|row| only(row.0)).cloned().unzip();
                    let columns = bench.columns(&raws);
                    Piece {
                        entities,
                        columns,
                        rank: 0,
                    }
                };
                let chunks = chunks.iter().enumerate();
                chunks
                    .filter(|(at, _)| wanted(*at))
                    .map(|(_, chunk)| chunk.iter().map(piece).collect())
                    .collect()
            };
        let is_new = |at: usize| !is_base[at];
        let base = is_base.contains(&true).then(|| {
            let read: Vec<Chunk> = chunks
                .iter()
                .zip(is_base)
                .filter(|held| *held.1)
                .map(|held| held.0.clone())
                .collect();
            stored(
                bench,
                &folded(bench, &read, &vec![false; read.len()], users),
            )
        });
        let disorder = Disorder::default();
        let partials = pieces(&is_new, &|_| true).into_iter().map(|chunk| {
            let mut fold = ChunkFold::new(&bench.fold, &disorder, false);
            for piece in chunk {
                fold.take(piece);
            }
            fold.finish()
        });
        let mut partials: Vec<Partials> = partials.collect();
        if disorder.is_hopeless() {
            let all = pieces(&is_new, &|_| true).into_iter().flatten().collect();
            partials = Partials::of_history(&bench.fold, &History::gather(all, users)).unwrap();
        }
        let mut joined = Joined::new(base, partials, users, &bench.fold, false).unwrap();
        if let Some(tangled) = joined.tangled() {
            let pieces = pieces(&|_| true, &|user| tangled[user as usize]);
            let history = History::gather(pieces.into_iter().flatten().collect(), users);
            joined.untangle(&bench.fold, &history).unwrap();
        }
        joined
    }

    /// As a version keeps it.
    fn stored(bench: &Bench, joined: &Joined) -> Partials {
        let mut base = Partials::default();
        for places in joined.entities() {
            let state = joined.state(&bench.fold, places).unwrap();
            let events = places.iter().map(|place| joined.part(place).rows).sum();
            let mut bytes = Sink::default();
            bench.fold.encode(&state, &mut bytes);
            let row = StateRow {
                key: b"",
                row: &bytes.row,
                vectors: Some(&bytes.vectors),
                events: u64::from(events),
            };
            let newest = GroupFold::newest_of(&bytes.row).unwrap();
            base.push_encoded(places[0].entity, events, (i64::MIN, newest), &row);
        }
        base
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// However rows are cut into chunks and pieces, sorted or not, with copies anywhere, some
        /// chunks read by an earlier build or none: every user's features are the oracle's.
        #[test]
        fn chunks_are_the_whole(
            raws in events(),
            users in prop::collection::vec(0u32..4, 60),
            copies in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
            order in 0..3usize,
            sizes in prop::collection::vec(0..12usize, 1..12),
            per_chunk in 1..4usize,
            ids: bool,
            read_before in prop_oneof![Just(vec![false; 64]), prop::collection::vec(any::<bool>(), 64)],
        ) {
            let mut raws = raws;
            if !ids {
                // Nothing but the input orders events of one instant then.
                raws.sort_by_key(|raw| raw.time);
                raws.dedup_by_key(|raw| raw.time);
            }
            prop_assume!(!raws.is_empty());
            let bench = if ids { Bench::new() } else { Bench::without_ids() };
            let mut rows: Vec<(u32, Raw)> = raws.iter().zip(&users).map(|(raw, &user)| (user, raw.clone())).collect();
            let unique = rows.clone();
            rows.extend(copies.iter().filter(|_| ids).map(|copy| copy.get(&unique).clone()));
            match order {
                0 => rows.sort_by_key(|(user, raw)| (*user, raw.time)),
                1 => rows.sort_by_key(|(_, raw)| raw.time),
                _ => rows.sort_by_key(|(user, raw)| (raw.time.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64), *user)),
            }
            let mut pieces = Vec::new();
            let mut sizes = sizes.iter().cycle();
            while !rows.is_empty() {
                let size = (*sizes.next().unwrap() + 1).min(rows.len());
                pieces.push(rows.drain(..size).collect::<Vec<_>>());
            }
            let chunks: Vec<Chunk> = pieces.chunks(per_chunk).map(<[_]>::to_vec).collect();
            let joined = folded(&bench, &chunks, &read_before[..chunks.len()], 4);
            prop_assert_eq!(joined.parts().map(|part| u64::from(part.rows)).sum::<u64>(), unique.len() as u64);
            let as_of = raws.iter().map(|raw| raw.time).max().unwrap() + 1;
            for places in joined.entities() {
                let state = joined.state(&bench.fold, places).unwrap();
                let of_user: Vec<Raw> = unique.iter().filter(|row| row.0 == places[0].entity).map(|row| row.1.clone()).collect();
                bench.agree(&bench.values(&state, as_of), &of_user, as_of)?;
            }
        }
    }
}
