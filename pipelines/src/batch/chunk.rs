//! One chunk of a source folded while it is decoded: a partial state for every entity in it.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::HashMap;

use crate::error::Error;
use crate::fold::{DecodeError, Events, GroupFold, GroupState, Sink};
use crate::grouped::{Grouped, stands_together};
use crate::history::History;
use crate::piece::Piece;

/// Rows of one entity that are kept as they are, at most about.
const MOST_CARRIED: usize = 1 << 16;

/// Folds the pieces of a chunk in their order.
pub(super) struct ChunkFold<'a> {
    fold: &'a GroupFold,
    /// Set once most entities of a chunk are tangled: then nothing is gained by going on.
    hopeless: &'a AtomicBool,
    known: HashMap<u32, usize, foldhash::fast::FixedState>,
    open: Vec<Open>,
    /// Rows of the entity that the newest piece ended with: the next may have more of them.
    carried: Vec<Piece>,
    /// Rows of the chunk's first entity, if the chunk before may have more of them.
    edges: Vec<Piece>,
    /// Pieces in which entities change from row to row: folded together at the end.
    waiting: Vec<Piece>,
    rows_read: u64,
}

/// An entity of the chunk.
struct Open {
    entity: u32,
    state: GroupState,
    span: (i64, i64),
    rows: u64,
    is_tangled: bool,
}

/// What a chunk came to.
#[derive(Default)]
pub(super) struct Partials {
    /// One for each of its entities.
    pub parts: Vec<Partial>,
    /// Rows in it, copies included.
    pub rows_read: u64,
    /// Rows of the entities at its two ends, not folded: they may be cut.
    pub edges: Vec<Piece>,
    bytes: Sink,
}

/// One entity's events in one chunk.
pub(super) struct Partial {
    /// Its number.
    pub entity: u32,
    /// Its first and last event.
    pub span: (i64, i64),
    /// Rows folded.
    pub rows: u64,
    /// Its events do not come in order of time.
    pub is_tangled: bool,
    row: Range<usize>,
    vectors: Range<usize>,
}

impl<'a> ChunkFold<'a> {
    pub(super) fn new(fold: &'a GroupFold, hopeless: &'a AtomicBool) -> Self {
        ChunkFold {
            fold,
            hopeless,
            known: HashMap::default(),
            open: Vec::new(),
            carried: Vec::new(),
            edges: Vec::new(),
            waiting: Vec::new(),
            rows_read: 0,
        }
    }

    pub(super) fn take(&mut self, piece: Piece) {
        let is_first = self.rows_read == 0;
        self.rows_read += piece.rows() as u64;
        if self.hopeless.load(Ordering::Relaxed) {
            return;
        }
        if !self.waiting.is_empty() || !stands_together(&piece.entities) {
            self.waiting.append(&mut self.carried);
            self.waiting.push(piece);
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
            self.fold_rows(piece, start..tail);
        } else if self.carried.iter().map(Piece::rows).sum::<usize>() > MOST_CARRIED {
            self.fold_carried();
        }
    }

    /// The carried rows are all that this chunk has of their entity.
    fn settle(&mut self) {
        if self.open.is_empty() && self.edges.is_empty() {
            self.edges = std::mem::take(&mut self.carried);
        } else {
            self.fold_carried();
        }
    }

    fn fold_carried(&mut self) {
        if !self.carried.is_empty() {
            let piece = Piece::concat(std::mem::take(&mut self.carried));
            let rows = 0..piece.rows();
            self.fold_rows(piece, rows);
        }
    }

    /// Encodes the states, so that what is kept until all chunks are done is small.
    pub(super) fn finish(mut self) -> Partials {
        let waiting = std::mem::take(&mut self.waiting);
        if !waiting.is_empty() {
            let piece = Piece::concat(waiting);
            let rows = 0..piece.rows();
            self.fold_rows(piece, rows);
        }
        self.edges.append(&mut self.carried);
        let tangled = self.open.iter().filter(|open| open.is_tangled).count();
        if tangled * 2 > self.open.len() {
            self.hopeless.store(true, Ordering::Relaxed);
        }
        let mut partials = Partials {
            rows_read: self.rows_read,
            edges: self.edges,
            ..Partials::default()
        };
        for open in &self.open {
            partials.push(self.fold, open);
        }
        partials
    }

    fn fold_rows(&mut self, piece: Piece, rows: Range<usize>) {
        let grouped = Grouped::of_rows(piece, rows);
        for (entity, rows) in &grouped.runs {
            let events = Events::new(&grouped.columns, rows.clone());
            let place = *self.known.entry(*entity).or_insert(self.open.len());
            if place == self.open.len() {
                self.open.push(Open::new(*entity, self.fold.new_state()));
            }
            self.open[place].take(self.fold, &events);
        }
    }
}

impl Open {
    fn new(entity: u32, state: GroupState) -> Open {
        Open {
            entity,
            state,
            span: (i64::MAX, i64::MIN),
            rows: 0,
            is_tangled: false,
        }
    }

    /// Folds a run in, unless copies of what was folded before may be in it.
    fn take(&mut self, fold: &GroupFold, events: &Events<'_>) {
        let times = events.times();
        let (first, last) = (times[0], times[times.len() - 1]);
        self.is_tangled |= fold.keeps_ids() && self.rows > 0 && first <= self.span.1;
        if !self.is_tangled {
            fold.fold(&mut self.state, events);
            self.span = (self.span.0.min(first), self.span.1.max(last));
            self.rows += times.len() as u64;
        }
    }
}

impl Partials {
    /// Folds whole histories: of entities whose events were brought together and put in order.
    pub(super) fn of_history(fold: &GroupFold, history: &History) -> Result<Vec<Partials>, Error> {
        history.map(Partials::default, |partials, entity, events| {
            let mut open = Open::new(entity, fold.new_state());
            open.take(fold, events);
            partials.push(fold, &open);
            Ok(())
        })
    }

    fn push(&mut self, fold: &GroupFold, open: &Open) {
        let (row, vectors) = (self.bytes.row.len(), self.bytes.vectors.len());
        if !open.is_tangled {
            fold.encode(&open.state, &mut self.bytes);
        }
        self.parts.push(Partial {
            entity: open.entity,
            span: open.span,
            rows: open.rows,
            is_tangled: open.is_tangled,
            row: row..self.bytes.row.len(),
            vectors: vectors..self.bytes.vectors.len(),
        });
    }

    /// The state of one of its parts.
    pub(super) fn state(&self, fold: &GroupFold, part: usize) -> Result<GroupState, DecodeError> {
        let part = &self.parts[part];
        let vectors = &self.bytes.vectors[part.vectors.clone()];
        fold.decode(&self.bytes.row[part.row.clone()], Some(vectors))
    }
}
