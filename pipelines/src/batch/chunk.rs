//! One chunk of a source folded while it is decoded: a state for every run of events of one
//! entity in it.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use granary_storage::StateRow;

use crate::error::Error;
use crate::fold::{DecodeError, Events, GroupFold, GroupState, Sink};
use crate::grouped::{Grouped, stands_together};
use crate::history::History;
use crate::piece::{Piece, lock};

/// Rows per stretch from which on stretches are folded as they come.
const TOGETHER: usize = 4;
/// Rows of one entity that are kept as they are, at most about.
const MOST_CARRIED: usize = 1 << 16;
/// Rows of changing entities that are kept as they are, at most about.
const MOST_WAITING: usize = 1 << 20;

/// Folds the pieces of a chunk in their order.
pub(super) struct ChunkFold<'a> {
    fold: &'a GroupFold,
    disorder: &'a Disorder,
    /// Whether an entity's rows are all in this chunk, though not together.
    is_by_entity: bool,
    partials: Partials,
    /// Rows of the entity that the newest piece ended with: the next may have more of them.
    carried: Vec<Piece>,
    /// Pieces in which entities change from row to row: folded together.
    waiting: Vec<Piece>,
}

/// Whether entities' events are so spread and out of order that nothing is gained by folding
/// chunk by chunk.
#[derive(Default)]
pub(super) struct Disorder {
    is_hopeless: AtomicBool,
    seen: Mutex<Vec<Flush>>,
}

/// Rows in which entities change from row to row, as they were folded together.
struct Flush {
    span: (i64, i64),
    /// A bit for each of its entities, by number.
    entities: Vec<u64>,
}

/// What a chunk came to.
#[derive(Default)]
pub(super) struct Partials {
    /// The runs of its entities.
    pub parts: Vec<Partial>,
    /// Rows in it, copies included.
    pub rows_read: u64,
    /// Rows of the entities at its two ends, not folded: they may be cut.
    pub edges: Vec<Piece>,
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

impl Disorder {
    pub(super) fn is_hopeless(&self) -> bool {
        self.is_hopeless.load(Ordering::Relaxed)
    }

    /// Whether two flushes share most of their time and most of their entities: sorted by time
    /// they share little of the one, sorted by entity of the other. Asked of every pair, so
    /// that the order in which threads come does not matter.
    fn note(&self, flush: Flush) {
        let mut seen = lock(&self.seen);
        if seen.iter().any(|other| flush.is_mixed_with(other)) {
            self.is_hopeless.store(true, Ordering::Relaxed);
        }
        seen.push(flush);
    }
}

impl Flush {
    fn of(parts: &[Partial], span: (i64, i64)) -> Flush {
        let words = parts.iter().map(|part| part.entity / 64 + 1).max();
        let mut entities = vec![0; words.unwrap_or(0) as usize];
        for part in parts {
            entities[part.entity as usize / 64] |= 1 << (part.entity % 64);
        }
        Flush { span, entities }
    }

    fn is_mixed_with(&self, other: &Flush) -> bool {
        let length = |(first, last): (i64, i64)| last.saturating_sub(first);
        let common = (self.span.0.max(other.span.0), self.span.1.min(other.span.1));
        if length(common) <= length(self.span).min(length(other.span)) / 2 {
            return false;
        }
        let count = |words: &[u64]| words.iter().map(|word| word.count_ones()).sum::<u32>();
        let both = self.entities.iter().zip(&other.entities);
        let both: u32 = both.map(|(a, b)| (a & b).count_ones()).sum();
        both > count(&self.entities).min(count(&other.entities)) / 2
    }
}

impl<'a> ChunkFold<'a> {
    pub(super) fn new(fold: &'a GroupFold, disorder: &'a Disorder, is_by_entity: bool) -> Self {
        ChunkFold {
            fold,
            disorder,
            is_by_entity,
            partials: Partials::default(),
            carried: Vec::new(),
            waiting: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, piece: Piece) {
        let is_first = self.partials.rows_read == 0;
        self.partials.rows_read += piece.rows() as u64;
        if self.disorder.is_hopeless() {
            return;
        }
        if self.is_by_entity {
            self.waiting.push(piece);
            return;
        }
        if !self.waiting.is_empty() || !stands_together(&piece.entities, TOGETHER) {
            self.waiting.append(&mut self.carried);
            self.waiting.push(piece);
            if rows(&self.waiting) > MOST_WAITING {
                self.fold_waiting();
            }
            return;
        }
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
        let mut partials = self.partials;
        partials.edges.append(&mut self.carried);
        partials.parts.shrink_to_fit();
        partials.bytes.shrink_to_fit();
        partials
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
        let times = waiting.iter().flat_map(|piece| &piece.columns.times);
        let span = times.fold((i64::MAX, i64::MIN), |(first, last), &time| {
            (first.min(time), last.max(time))
        });
        if !waiting.is_empty() {
            let before = self.partials.parts.len();
            self.partials.fold_all(self.fold, waiting);
            if !self.is_by_entity {
                let flush = Flush::of(&self.partials.parts[before..], span);
                self.disorder.note(flush);
            }
        }
    }
}

fn rows(pieces: &[Piece]) -> usize {
    pieces.iter().map(Piece::rows).sum()
}

impl Partials {
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
    }

    /// Adds an encoded state.
    pub(super) fn push_encoded(
        &mut self,
        entity: u32,
        rows: u32,
        span: (i64, i64),
        state: &StateRow<'_>,
    ) {
        self.parts.push(Partial {
            entity,
            rows,
            span,
            row: self.bytes.row.len(),
            vectors: self.bytes.vectors.len(),
        });
        self.bytes.row.extend_from_slice(state.row);
        self.bytes
            .vectors
            .extend_from_slice(state.vectors.unwrap_or_default());
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
