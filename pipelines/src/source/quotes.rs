//! Follows the quotes of a CSV file to tell which of its newlines end a record.
//! Called by `chunk`, which cuts a file at such newlines.

use std::io::{self, Read};

use memchr::{memchr, memchr_iter, memchr2, memchr2_iter};

use super::format::read_full;
use super::words::{Regular, WORD};

const BLOCK: usize = 256 << 10;

/// Where reading stands with regard to quotes. Only quotes change it, so that a stretch of
/// bytes is followed at the speed of `memchr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Quoting {
    inside: bool,
    /// Position of the newest closing quote: a quote right after it reopens the field, for
    /// the two are an escaped quote.
    closed: Option<u64>,
}

impl Quoting {
    fn new(inside: bool) -> Quoting {
        Quoting {
            inside,
            closed: None,
        }
    }

    /// Takes in the quote at `position`, which follows the byte `before`.
    fn quote(&mut self, position: u64, before: u8) {
        if self.inside {
            *self = Quoting {
                inside: false,
                closed: Some(position),
            };
        } else if matches!(before, b',' | b'\n') || self.closed.is_some_and(|p| p + 1 == position) {
            *self = Quoting {
                inside: true,
                closed: None,
            };
        }
    }
}

/// Whether the end of a stretch that begins after a newline is inside quotes: if its beginning
/// is outside, and if its beginning is inside.
pub(super) fn inside_at_end(input: &mut dyn Read) -> io::Result<[bool; 2]> {
    let mut states = [Quoting::new(false), Quoting::new(true)];
    let mut block = vec![0; BLOCK];
    let (mut offset, mut before) = (0, b'\n');
    loop {
        let filled = read_full(input, &mut block)?;
        let read = Block {
            bytes: &block[..filled],
            offset,
            before,
        };
        let mut from = 0;
        // Both beginnings soon lead to the same state; then one is enough.
        while states[0] != states[1]
            && let Some(quote) = read.quote_from(from)
        {
            for state in &mut states {
                state.quote(offset + quote as u64, read.before(quote));
            }
            from = quote + 1;
        }
        if states[0] == states[1] {
            states[0].follow(&read, from);
            states[1] = states[0];
        }
        if filled < BLOCK {
            return Ok([states[0].inside, states[1].inside]);
        }
        before = read.before(filled);
        offset += filled as u64;
    }
}

/// A block of a stretch.
struct Block<'a> {
    bytes: &'a [u8],
    /// Where it begins in the stretch.
    offset: u64,
    /// The byte before it.
    before: u8,
}

impl Block<'_> {
    fn before(&self, at: usize) -> u8 {
        if at == 0 {
            self.before
        } else {
            self.bytes[at - 1]
        }
    }

    fn quote_from(&self, from: usize) -> Option<usize> {
        memchr(b'"', &self.bytes[from..]).map(|found| from + found)
    }
}

impl Quoting {
    /// Takes in the bytes of a block from a place on: words at a time, as long as they are
    /// regular.
    fn follow(&mut self, block: &Block<'_>, from: usize) {
        let mut at = from;
        let mut regular = self.regular(block, at);
        while let Some(word) = block.bytes[at..].first_chunk::<WORD>() {
            let was = regular;
            if regular.take(word).stray != 0 {
                *self = Quoting::of(was, block.offset + at as u64);
                self.follow_quotes(block, at, at + WORD);
                regular = self.regular(block, at + WORD);
            }
            at += WORD;
        }
        *self = Quoting::of(regular, block.offset + at as u64);
        self.follow_quotes(block, at, block.bytes.len());
    }

    fn follow_quotes(&mut self, block: &Block<'_>, from: usize, to: usize) {
        for found in memchr_iter(b'"', &block.bytes[from..to]) {
            let at = from + found;
            self.quote(block.offset + at as u64, block.before(at));
        }
    }

    fn regular(self, block: &Block<'_>, at: usize) -> Regular {
        let closed = self.closed.map(|position| position + 1);
        let begins = matches!(block.before(at), b',' | b'\n');
        Regular::new(
            self.inside,
            begins,
            closed == Some(block.offset + at as u64),
        )
    }

    /// The same state before a position of the stretch.
    fn of(regular: Regular, position: u64) -> Quoting {
        Quoting {
            inside: regular.is_inside(),
            closed: regular.has_closed().then(|| position - 1),
        }
    }
}

/// Length of a stretch, which begins after a newline, up to a newline that ends a record
/// whether its beginning is inside quotes or not; none if there is no such newline.
pub(super) fn end_of_a_record(input: &mut dyn Read) -> io::Result<Option<u64>> {
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes)?;
    let mut states = [Quoting::new(false), Quoting::new(true)];
    for at in memchr2_iter(b'"', b'\n', &bytes) {
        if bytes[at] == b'"' {
            let before = at.checked_sub(1).map_or(b'\n', |before| bytes[before]);
            for state in &mut states {
                state.quote(at as u64, before);
            }
        } else if states.iter().all(|state| !state.inside) {
            return Ok(Some(at as u64 + 1));
        }
    }
    Ok(None)
}

/// Length of the rest of a record whose beginning is inside quotes, its newline included;
/// none if it runs to the end of the input.
pub(super) fn rest_of_quoted_record(input: &mut dyn Read) -> io::Result<Option<u64>> {
    let mut state = Quoting::new(true);
    let mut block = vec![0; BLOCK];
    let (mut offset, mut before) = (0, b'\n');
    loop {
        let filled = read_full(input, &mut block)?;
        let bytes = &block[..filled];
        let mut at = 0;
        while let Some(found) = memchr2(b'"', b'\n', &bytes[at..]) {
            let here = at + found;
            if bytes[here] == b'"' {
                let previous = if here == 0 { before } else { bytes[here - 1] };
                state.quote(offset + here as u64, previous);
            } else if !state.inside {
                return Ok(Some(offset + here as u64 + 1));
            }
            at = here + 1;
        }
        if filled < BLOCK {
            return Ok(None);
        }
        before = bytes[filled - 1];
        offset += filled as u64;
    }
}
