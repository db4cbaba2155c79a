//! Whether folding a source chunk by chunk goes well: what its states take in memory, and
//! whether its rows have an order that makes them few.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::chunk::Partial;
use crate::piece::lock;

/// Shared by the threads that fold chunks.
pub(super) struct Watch {
    /// Bytes that rows and states may take.
    memory: usize,
    held: AtomicUsize,
    is_hopeless: AtomicBool,
    seen: Mutex<Vec<Flush>>,
}

/// Rows in which entities change from row to row, as they were folded together.
pub(super) struct Flush {
    span: (i64, i64),
    /// A bit for each of its entities, by number.
    entities: Vec<u64>,
}

impl Watch {
    pub(super) fn new(memory: usize) -> Watch {
        Watch {
            memory,
            held: AtomicUsize::new(0),
            is_hopeless: AtomicBool::new(false),
            seen: Mutex::default(),
        }
    }

    /// Whether going on is of no use.
    pub(super) fn gave_up(&self) -> bool {
        self.is_hopeless() || self.is_full()
    }

    /// Whether entities' events are so spread and out of order that nothing is gained by
    /// folding chunk by chunk.
    pub(super) fn is_hopeless(&self) -> bool {
        self.is_hopeless.load(Ordering::Relaxed)
    }

    /// Whether the states do not fit into memory.
    pub(super) fn is_full(&self) -> bool {
        self.held.load(Ordering::Relaxed) > self.memory
    }

    /// Bytes from which on rows that wait are folded.
    pub(super) fn most_waiting(&self) -> usize {
        self.memory / 16
    }

    /// Counts what is kept until the end.
    pub(super) fn hold(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether two flushes share most of their time and most of their entities: sorted by time
    /// they share little of the one, sorted by entity of the other. Asked of every pair, so
    /// that the order in which threads come does not matter.
    pub(super) fn note(&self, flush: Flush) {
        let mut seen = lock(&self.seen);
        if seen.iter().any(|other| flush.is_mixed_with(other)) {
            self.is_hopeless.store(true, Ordering::Relaxed);
        }
        seen.push(flush);
    }
}

impl Flush {
    pub(super) fn of(parts: &[Partial], span: (i64, i64)) -> Flush {
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
