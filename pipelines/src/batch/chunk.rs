//! One chunk of a source folded while it is decoded: a state for every run of events of one
//! entity in it.

use std::ops::Range;

use granary_storage::StateRow;

use super::watch::{Flush, Watch};
use crate::error::Error;
use crate::fold::{DecodeError, Events, GroupFold, GroupState, Sink};
use crate::grouped::{Grouped, stands_together};
use crate::history::History;
use crate::piece::Piece;

/// Rows per stretch from which on stretches are folded as they come.
const TOGETHER: usize = 4;
/// Rows of one entity that are kept as they are, at most about.
const MOST_CARRIED: usize = 1 << 16;
/// Rows of changing entities that are kept as they are, at most about.
const MOST_WAITING: usize = 1 << 20;

/// Folds the pieces of a chunk in their order.
pub(super) struct ChunkFold<'a> {
    fold: &'a GroupFold,
    watch: &'a Watch,
    /// Whether an entity's rows are all in this chunk, though not together.
    is_by_entity: bool,
    partials: Partials,
    /// Rows of the entity that the newest piece ended with: the next may have more of them.
    carried: Vec<Piece>,
    /// Pieces in which entities change from row to row: folded together.
    waiting: Vec<Piece>,
    waiting_bytes: usize,
    /// What the watch knows of already.
    held: usize,
}

/// What a chunk came to.
#[derive(Default)]
pub(super) struct Partials {
    /// The runs of its entities.
    pub parts: Vec<Partial>,
    /// Rows in it, copies included.
    pub rows_read: u64,
    /// What they took in memory.
    pub bytes_read: u64,
    /// Rows of the entities at its two ends, not folded: they may be cut.
    pub edges: Vec<Piece>,
    /// The newest event of the parts.
    pub newest: Option<i64>,
    /// The newest row of them: values may have been written after it.
    pub latest: Option<i64>,
    /// The states of the parts, one after another.
    bytes: Sink,
}

/// Events of one entity that were folded together.
pub(super) struct Partial {
    /// The entity's number.
    pub entity: u32,
    /// Rows folded.
    pub rows: u32,
    /// The first and the last of them.
    pub span: (i64, i64),
    /// Where its state begins.
    row: usize,
    vectors: usize,
}

impl<'a> ChunkFold<'a> {
    pub(super) fn new(fold: &'a GroupFold, watch: &'a Watch, is_by_entity: bool) -> Self {
        ChunkFold {
            fold,
            watch,
            is_by_entity,
            partials: Partials::default(),
            carried: Vec::new(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            held: 0,
        }
    }

    pub(super) fn take(&mut self, piece: Piece) {
        let is_first = self.partials.rows_read == 0;
        let bytes = piece.bytes();
        self.partials.rows_read += piece.rows() as u64;
        self.partials.bytes_read += bytes as u64;
        if self.watch.gave_up() {
            return;
        }
        if self.is_by_entity
            || !self.waiting.is_empty()
            || !stands_together(&piece.entities, TOGETHER)
        {
            self.wait(piece, bytes);
        } else {
            self.take_stretches(piece, is_first);
        }
        self.count();
    }

    /// Keeps rows whose entities change from row to row, to fold many together.
    fn wait(&mut self, piece: Piece, bytes: usize) {
        self.waiting_bytes += bytes;
        self.waiting.append(&mut self.carried);
        self.waiting.push(piece);
        let is_much =
            rows(&self.waiting) > MOST_WAITING || self.waiting_bytes > self.watch.most_waiting();
        if is_much && !self.is_by_entity {
            self.fold_waiting();
        }
    }

    /// Folds rows that stand together by entity, but those of the last, which may go on.
    fn take_stretches(&mut self, piece: Piece, is_first: bool) {
        let Some((entity, end)) = piece.head() else {
            return;
        };
        let is_carried = self
            .carried
            .first()
            .is_some_and(|held| held.entities[0] == entity);
        let mut start = 0;
        if is_first || is_carried {
            self.carried.push(piece.slice(0..end));
            start = end;
        }
        if start < piece.rows() {
            self.settle();
            let tail = piece.tail();
            self.carried.push(piece.slice(tail..piece.rows()));
            self.partials.fold(self.fold, piece, start..tail);
        } else if rows(&self.carried) > MOST_CARRIED {
            self.fold_carried();
        }
    }

    /// Folds what is left and gives up the memory that is not needed.
    pub(super) fn finish(mut self) -> Partials {
        self.fold_waiting();
        self.partials.edges.append(&mut self.carried);
        self.count();
        let mut partials = self.partials;
        partials.parts.shrink_to_fit();
        partials.bytes.shrink_to_fit();
        partials
    }

    /// Tells the watch what more is kept.
    fn count(&mut self) {
        let held = self.partials.size();
        self.watch.hold(held.saturating_sub(self.held));
        self.held = held;
    }

    /// The carried rows are all that this chunk has of their entity.
    fn settle(&mut self) {
        if self.partials.parts.is_empty() && self.partials.edges.is_empty() {
            self.partials.edges = std::mem::take(&mut self.carried);
        } else {
            self.fold_carried();
        }
    }

    fn fold_carried(&mut self) {
        let carried = std::mem::take(&mut self.carried);
        self.partials.fold_all(self.fold, carried);
    }

    fn fold_waiting(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let times = waiting.iter().flat_map(|piece| &piece.columns.times);
        let span = times.fold((i64::MAX, i64::MIN), |(first, last), &time| {
            (first.min(time), last.max(time))
        });
        if !waiting.is_empty() {
            let before = self.partials.parts.len();
            self.partials.fold_all(self.fold, waiting);
            if !self.is_by_entity {
                let flush = Flush::of(&self.partials.parts[before..], span);
                self.watch.note(flush);
            }
        }
    }
}

fn rows(pieces: &[Piece]) -> usize {
    pieces.iter().map(Piece::rows).sum()
}

impl Partials {
    /// Rows folded into it, copies left out.
    pub(super) fn rows(&self) -> u64 {
        self.parts.iter().map(|part| u64::from(part.rows)).sum()
    }

    /// Bytes that it takes in memory.
    pub(super) fn size(&self) -> usize {
        let edges: usize = self.edges.iter().map(Piece::bytes).sum();
        let parts = self.parts.len() * size_of::<Partial>();
        parts + edges + self.bytes.row.len() + self.bytes.vectors.len()
    }

    /// Folds whole histories: of entities whose events were brought together and put in order.
    pub(super) fn of_history(fold: &GroupFold, history: &History) -> Result<Vec<Partials>, Error> {
        history.map(Partials::default, |partials, entity, events| {
            partials.push(fold, entity, events);
            Ok(())
        })
    }

    fn fold_all(&mut self, fold: &GroupFold, pieces: Vec<Piece>) {
        if !pieces.is_empty() {
            let piece = Piece::concat(pieces);
            let rows = 0..piece.rows();
            self.fold(fold, piece, rows);
        }
    }

    fn fold(&mut self, fold: &GroupFold, piece: Piece, rows: Range<usize>) {
        let grouped = Grouped::of_rows(piece, rows);
        for (entity, rows) in &grouped.runs {
            self.push(fold, *entity, &Events::new(&grouped.columns, rows.clone()));
        }
    }

    /// What is kept of the events is compact: their state is only ever merged with those of
    /// events before the first or after the last of them.
    fn push(&mut self, fold: &GroupFold, entity: u32, events: &Events<'_>) {
        let times = events.times();
        let state = fold.closed(events);
        self.parts.push(Partial {
            entity,
            rows: times.len() as u32,
            span: (times[0], times[times.len() - 1]),
            row: self.bytes.row.len(),
            vectors: self.bytes.vectors.len(),
        });
        fold.encode(&state, &mut self.bytes);
        self.note(state.newest_event().0, state.newest().0);
    }

    fn note(&mut self, newest: i64, latest: i64) {
        self.newest = self.newest.max(Some(newest));
        self.latest = self.latest.max(Some(latest));
    }

    /// Adds an encoded state of everything up to its newest event.
    pub(super) fn push_encoded(
        &mut self,
        entity: u32,
        state: &StateRow<'_>,
    ) -> Result<(), DecodeError> {
        let newest = GroupFold::newest_event_of(state.row)?;
        self.note(newest, GroupFold::newest_of(state.row)?);
        self.parts.push(Partial {
            entity,
            rows: u32::try_from(state.events).unwrap_or(u32::MAX),
            span: (i64::MIN, newest),
            row: self.bytes.row.len(),
            vectors: self.bytes.vectors.len(),
        });
        self.bytes.row.extend_from_slice(state.row);
        self.bytes
            .vectors
            .extend_from_slice(state.vectors.unwrap_or_default());
        Ok(())
    }

    /// The encoded state of one of its parts, and its vectors.
    pub(super) fn bytes(&self, part: usize) -> (&[u8], &[u8]) {
        let Partial { row, vectors, .. } = self.parts[part];
        let (row_end, vectors_end) = match self.parts.get(part + 1) {
            Some(next) => (next.row, next.vectors),
            None => (self.bytes.row.len(), self.bytes.vectors.len()),
        };
        (
            &self.bytes.row[row..row_end],
            &self.bytes.vectors[vectors..vectors_end],
        )
    }

    /// The state of one of its parts.
    pub(super) fn state(&self, fold: &GroupFold, part: usize) -> Result<GroupState, DecodeError> {
        let (row, vectors) = self.bytes(part);
        fold.decode(row, Some(vectors))
    }
}
