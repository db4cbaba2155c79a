//! However rows are cut into chunks, every entity's features are those of its whole history.

use proptest::prelude::*;

use granary_storage::StateRow;

use super::*;
use crate::fold::Sink;
use crate::fold::laws::{Bench, Raw, events};
use crate::piece::Piece;

/// Rows of users as the pieces of a chunk.
type Chunk = Vec<Vec<(u32, Raw)>>;

/// What `fold` does, over rows in memory. Of the chunks some are those of a version gone on
/// from.
fn folded(bench: &Bench, chunks: &[Chunk], is_base: &[bool], users: usize) -> Joined {
    let pieces = |wanted: &dyn Fn(usize) -> bool, only: &dyn Fn(u32) -> bool| -> Vec<Vec<Piece>> {
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
    let watch = Watch::new(usize::MAX);
    let partials = pieces(&is_new, &|_| true).into_iter().map(|chunk| {
        let mut fold = ChunkFold::new(&bench.fold, &watch, false);
        for piece in chunk {
            fold.take(piece);
        }
        fold.finish()
    });
    let mut partials: Vec<Partials> = partials.collect();
    if watch.is_hopeless() {
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
        let events: u32 = places.iter().map(|place| joined.part(place).rows).sum();
        let mut bytes = Sink::default();
        bench.fold.encode(&state, &mut bytes);
        let row = StateRow {
            key: b"",
            row: &bytes.row,
            vectors: Some(&bytes.vectors),
            events: u64::from(events),
        };
        base.push_encoded(places[0].entity, &row).unwrap();
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
