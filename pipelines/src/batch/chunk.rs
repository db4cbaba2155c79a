//! One chunk of a source folded while it is decoded: a state for every run of events of one
//! entity in it.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

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
    seen: Mutex<Seen>,
}

/// Of the rows in which entities change from row to row.
#[derive(Default)]
struct Seen {
    /// Spans of time of the rows that were folded together.
    spans: Vec<(i64, i64)>,
    /// By number, whether an entity was among them.
    entities: Vec<bool>,
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
    row: u32,
    vectors: u32,
}

impl Disorder {
    pub(super) fn is_hopeless(&self) -> bool {
        self.is_hopeless.load(Ordering::Relaxed)
    }

    /// Parts that were folded together, of the rows of this span. Sorted by time they overlap
    /// a little at most with other parts, sorted by entity they are of others.
    fn note(&self, span: (i64, i64), parts: &[Partial]) {
        let mut seen = lock(&self.seen);
        let length = |(first, last): (i64, i64)| last.saturating_sub(first);
        let mostly_overlaps = |other: &(i64, i64)| {
            let both = length((span.0.max(other.0), span.1.min(other.1)));
            both > length(span).min(length(*other)) / 2
        };
        let overlaps = seen.spans.iter().any(mostly_overlaps);
        let known = parts.iter().filter(|part| seen.meet(part.entity)).count();
        if overlaps && known > parts.len() / 2 {
            self.is_hopeless.store(true, Ordering::Relaxed);
        }
        seen.spans.push(span);
    }
}

impl Seen {
    /// Notes an entity, and says whether it was there already.
    fn meet(&mut self, entity: u32) -> bool {
        let entity = entity as usize;
        if self.entities.len() <= entity {
            self.entities.resize(entity + 1, false);
        }
        std::mem::replace(&mut self.entities[entity], true)
    }
}

impl<'a> ChunkFold<'a> {
    pub(super) fn new(fold: &'a GroupFold, disorder: &'a Disorder) -> Self {
        ChunkFold {
            fold,
            disorder,
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
            self.disorder.note(span, &self.partials.parts[before..]);
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
        let mut state = fold.new_state();
        fold.fold(&mut state, events);
        fold.compact(&mut state);
        self.parts.push(Partial {
            entity,
            rows: times.len() as u32,
            span: (times[0], times[times.len() - 1]),
            row: self.bytes.row.len() as u32,
            vectors: self.bytes.vectors.len() as u32,
        });
        fold.encode(&state, &mut self.bytes);
    }

    /// The encoded state of one of its parts, and its vectors.
    pub(super) fn bytes(&self, part: usize) -> (&[u8], &[u8]) {
        let Partial { row, vectors, .. } = self.parts[part];
        let (row, vectors) = (row as usize, vectors as usize);
        let (row_end, vectors_end) = match self.parts.get(part + 1) {
            Some(next) => (next.row as usize, next.vectors as usize),
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
