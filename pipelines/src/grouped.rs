//! Rows by entity, each entity's in order of time and freed of copies: what the folds are
//! fed. Called for a batch, a chunk or a partition of a source, whichever fits the job.

use std::ops::Range;

use crate::fold::{Columns, NO_HASH};
use crate::piece::Piece;

/// Rows per stretch from which on it is cheaper to sort stretches than rows.
const LONG: usize = 8;

/// Entities a row from which on it is cheaper to compare than to count.
const SPARSE: usize = 8;

/// Rows of some entities.
#[derive(Debug)]
pub(crate) struct Grouped {
    /// The rows.
    pub columns: Columns,
    /// Every entity once, with its rows.
    pub runs: Vec<(u32, Range<usize>)>,
}

/// Neighbouring rows of one entity.
type Stretch = (u32, Range<u32>);

impl Grouped {
    /// Groups the rows of a piece. Of two copies the first stays.
    pub(crate) fn new(piece: Piece) -> Grouped {
        let rows = 0..piece.rows();
        Grouped::of_rows(piece, rows)
    }

    /// Groups some rows of a piece.
    pub(crate) fn of_rows(piece: Piece, rows: Range<usize>) -> Grouped {
        let Piece {
            entities,
            mut columns,
            ..
        } = piece;
        if let Some(runs) = as_they_stand(&entities, &columns, rows.clone()) {
            return Grouped { columns, runs };
        }
        let mut order = Vec::with_capacity(rows.len());
        let ends = by_entity(&entities[rows.clone()], rows.start as u32, &mut order);
        let mut kept = Vec::with_capacity(order.len());
        let mut runs = Vec::with_capacity(ends.len());
        let mut start = 0;
        for end in ends {
            let from = kept.len();
            let entity = entities[order[start] as usize];
            in_order(&mut order[start..end], &mut columns, &mut kept);
            runs.push((entity, from..kept.len()));
            start = end;
        }
        let columns = columns.take(&kept);
        Grouped { columns, runs }
    }
}

/// The rows of a piece by entity, those of one in the order in which they stood.
pub(crate) fn by_entities(piece: Piece) -> Piece {
    if piece.entities.is_sorted() {
        return piece;
    }
    let mut order = Vec::with_capacity(piece.rows());
    by_entity(&piece.entities, 0, &mut order);
    piece.take(&order)
}

/// The runs of rows that need not be moved: entities ascend, which they do by first sight in
/// sorted files, and so do the instants of each. Where ids tell copies, instants must differ.
fn as_they_stand(
    entities: &[u32],
    columns: &Columns,
    rows: Range<usize>,
) -> Option<Vec<(u32, Range<usize>)>> {
    let mut runs: Vec<(u32, Range<usize>)> = Vec::new();
    let mut start = rows.start;
    for stretch in entities[rows].chunk_by(|a, b| a == b) {
        let run = start..start + stretch.len();
        let times = &columns.times[run.clone()];
        let in_order = if columns.ids.is_empty() {
            times.is_sorted()
        } else {
            times.is_sorted_by(|a, b| a < b)
        };
        if !in_order || runs.last().is_some_and(|(last, _)| *last >= stretch[0]) {
            return None;
        }
        start = run.end;
        runs.push((stretch[0], run));
    }
    Some(runs)
}

/// Whether the rows of an entity stand together in stretches of this many on average.
pub(crate) fn stands_together(entities: &[u32], rows: usize) -> bool {
    let changes = entities.windows(2).filter(|pair| pair[0] != pair[1]);
    (changes.count() + 1) * rows <= entities.len()
}

/// Writes the rows, of which this is the first, by entity, stable, and gives back where each
/// entity's rows end.
fn by_entity(entities: &[u32], first: u32, order: &mut Vec<u32>) -> Vec<usize> {
    if !stands_together(entities, LONG) {
        return counting_sort(entities, first, order);
    }
    let mut stretches = stretches(entities, first);
    stretches.sort_by_key(|(entity, _)| *entity);
    let mut ends: Vec<usize> = Vec::with_capacity(stretches.len());
    let mut last = None;
    for (entity, rows) in stretches {
        order.extend(rows);
        if last != Some(entity) {
            ends.push(order.len());
            last = Some(entity);
        } else if let Some(end) = ends.last_mut() {
            *end = order.len();
        }
    }
    ends
}

fn stretches(entities: &[u32], first: u32) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    let mut start = first;
    for rows in entities.chunk_by(|a, b| a == b) {
        let end = start + rows.len() as u32;
        stretches.push((rows[0], start..end));
        start = end;
    }
    stretches
}

/// For rows whose entities change all the time.
fn counting_sort(entities: &[u32], first: u32, order: &mut Vec<u32>) -> Vec<usize> {
    let (mut least, mut most) = (u32::MAX, 0);
    for &entity in entities {
        (least, most) = (least.min(entity), most.max(entity));
    }
    let size = (most as usize + 1).saturating_sub(least as usize);
    if size > entities.len().saturating_mul(SPARSE) {
        return comparison_sort(entities, first, order);
    }
    let place = |entity: u32| (entity - least) as usize;
    let mut ends = vec![0usize; size];
    for &entity in entities {
        ends[place(entity)] += 1;
    }
    let mut start = 0;
    for end in &mut ends {
        start += std::mem::replace(end, start);
    }
    order.resize(entities.len(), 0);
    for (row, &entity) in entities.iter().enumerate() {
        let next = &mut ends[place(entity)];
        order[*next] = first + row as u32;
        *next += 1;
    }
    ends.dedup();
    ends.retain(|&end| end > 0);
    ends
}

/// For a few rows of entities far apart.
fn comparison_sort(entities: &[u32], first: u32, order: &mut Vec<u32>) -> Vec<usize> {
    let entity = |row: u32| entities[(row - first) as usize];
    order.extend(first..first + entities.len() as u32);
    order.sort_by_key(|&row| entity(row));
    let mut ends = Vec::new();
    for same in order.chunk_by(|&a, &b| entity(a) == entity(b)) {
        ends.push(ends.last().copied().unwrap_or(0) + same.len());
    }
    ends
}

/// Puts one entity's rows in order of (time, dedupe key), leaving out copies.
/// Of these the first stays, known since the earliest of them.
fn in_order(rows: &mut [u32], columns: &mut Columns, kept: &mut Vec<u32>) {
    let Columns {
        times,
        ids,
        created,
        ..
    } = columns;
    let time = |row: &u32| times[*row as usize];
    let ascending = |rows: &[u32]| rows.is_sorted_by(|a, b| time(a) < time(b));
    if !ascending(rows) {
        // Stable: of rows at one instant the first in file or log order stays first.
        rows.sort_by_key(time);
    }
    if ids.is_empty() || ascending(rows) {
        kept.extend_from_slice(rows);
        return;
    }
    let id = |row: &u32| ids[*row as usize];
    for tied in rows.chunk_by_mut(|a, b| time(a) == time(b)) {
        if tied.len() > 1 {
            tied.sort_by_key(id);
        }
        for same in tied.chunk_by(|a, b| id(a) == id(b) && id(a) != NO_HASH) {
            kept.push(same[0]);
            if same.len() > 1 && !created.is_empty() {
                let earliest = same.iter().map(|&row| created[row as usize]).min();
                created[same[0] as usize] = earliest.unwrap_or(i64::MIN);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Every entity once, with all its rows in order of (time, id), each pair once.
        #[test]
        fn groups_are_what_sorting_gives(
            rows in prop::collection::vec((0u32..6, 0i64..20, 0u64..4), 1..200),
            stretch in 1usize..30,
            cut in any::<(prop::sample::Index, prop::sample::Index)>(),
        ) {
            let entities: Vec<u32> = rows.iter().enumerate().map(|(at, row)| (row.0 + at as u32 / stretch as u32) % 6).collect();
            let columns = Columns {
                times: rows.iter().map(|row| row.1).collect(),
                ids: rows.iter().map(|row| row.2).collect(),
                ..Columns::default()
            };
            let (one, two) = (cut.0.index(rows.len() + 1), cut.1.index(rows.len() + 1));
            let range = one.min(two)..one.max(two);
            let mut wanted: Vec<(u32, i64, u64)> = entities.iter().zip(&rows).map(|(&entity, row)| (entity, row.1, row.2)).collect();
            wanted.truncate(range.end);
            wanted.drain(..range.start);
            wanted.sort_unstable();
            wanted.dedup_by(|a, b| a == b && a.2 != NO_HASH);
            let grouped = Grouped::of_rows(Piece { entities, columns, rank: 0 }, range);
            let mut found = Vec::new();
            for (entity, rows) in &grouped.runs {
                for row in rows.clone() {
                    found.push((*entity, grouped.columns.times[row], grouped.columns.ids[row]));
                }
            }
            let mut seen: Vec<u32> = grouped.runs.iter().map(|run| run.0).collect();
            seen.sort_unstable();
            prop_assert!(seen.is_sorted_by(|a, b| a < b), "an entity twice");
            found.sort_by_key(|row| row.0);
            prop_assert_eq!(found, wanted);
        }
    }
}
