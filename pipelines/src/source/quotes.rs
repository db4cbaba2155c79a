//! Follows the quotes of a CSV file to tell which of its newlines end a record.
//! Called by `chunk`, which cuts a file at such newlines.

use std::io::{self, Read};

use memchr::{memchr_iter, memchr2};

use super::format::read_full;

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
        let bytes = &block[..filled];
        for at in memchr_iter(b'"', bytes) {
            let previous = if at == 0 { before } else { bytes[at - 1] };
            let position = offset + at as u64;
            // Both beginnings soon lead to the same state; then one is enough.
            let merged = states[0] == states[1];
            states[0].quote(position, previous);
            if merged {
                states[1] = states[0];
            } else {
                states[1].quote(position, previous);
            }
        }
        if filled < BLOCK {
            return Ok([states[0].inside, states[1].inside]);
        }
        before = bytes[filled - 1];
        offset += filled as u64;
    }
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
