//! Where SCANs stand. A cursor is a number, a position is a key: this table joins them, for
//! the most recent steps of all clients. Called by `execute::keys`.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Steps remembered: enough for hundreds of scans at once to be resumed, in about 2 MB.
const REMEMBERED: usize = 16 * 1024;

/// No server ran before 2020: smaller numbers were never given out as cursors.
const EARLIEST: u64 = 1_577_836_800_000_000;

/// The positions of running scans.
#[derive(Debug)]
pub(super) struct Cursors {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    next: u64,
    positions: HashMap<u64, Place>,
    order: VecDeque<u64>,
}

/// Where a scan goes on: among the rows of entities, which come first, or the plain keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// After this entity, or at the first.
    Rows(Option<String>),
    /// After this key, or at the first.
    Plain(Option<Vec<u8>>),
}

impl Place {
    /// Where every scan begins.
    pub(super) fn start() -> Place {
        Place::Rows(None)
    }

    /// Where the plain keys begin.
    pub(super) fn plain() -> Place {
        Place::Plain(None)
    }
}

/// What a cursor stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// Cursor 0.
    Start,
    /// Go on there.
    After(Place),
    /// It was given out, but so long ago that the position is gone.
    Forgotten,
    /// Never given out, which Redis leaves undefined: there is nothing to go on with.
    Unknown,
}

impl Cursors {
    /// Cursors count up from the start's microsecond, so that those of an earlier run are
    /// recognised as forgotten.
    pub(super) fn starting_at(micros: u64) -> Cursors {
        let inner = Inner {
            next: micros.max(EARLIEST),
            positions: HashMap::new(),
            order: VecDeque::new(),
        };
        Cursors {
            inner: Mutex::new(inner),
        }
    }

    /// A cursor for going on there. It stays valid when used, so a client may retry.
    pub(super) fn give(&self, place: Place) -> u64 {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let cursor = inner.next;
        inner.next += 1;
        if inner.order.len() == REMEMBERED
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.positions.remove(&oldest);
        }
        inner.order.push_back(cursor);
        inner.positions.insert(cursor, place);
        cursor
    }

    /// Where to go on.
    pub(super) fn find(&self, cursor: u64) -> Position {
        if cursor == 0 {
            return Position::Start;
        }
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match inner.positions.get(&cursor) {
            Some(place) => Position::After(place.clone()),
            None if (EARLIEST..inner.next).contains(&cursor) => Position::Forgotten,
            None => Position::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_remembered_a_while_and_never_confused() {
        let cursors = Cursors::starting_at(EARLIEST + 100);
        assert_eq!(cursors.find(0), Position::Start);
        let (a, b) = (
            Place::Rows(Some("a".to_owned())),
            Place::Plain(Some(b"b".to_vec())),
        );
        let first = cursors.give(a.clone());
        assert_eq!(cursors.find(first), Position::After(a.clone()));
        assert_eq!(cursors.find(first), Position::After(a));
        assert_eq!(cursors.find(first - 1), Position::Forgotten);
        assert_eq!(cursors.find(first + 1), Position::Unknown);
        assert_eq!(cursors.find(17), Position::Unknown);
        assert_eq!(cursors.find(u64::MAX), Position::Unknown);
        let last = (0..REMEMBERED)
            .map(|_| cursors.give(b.clone()))
            .last()
            .unwrap();
        assert_eq!(cursors.find(first), Position::Forgotten);
        assert_eq!(cursors.find(last), Position::After(b));
    }
}
