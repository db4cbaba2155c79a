//! CSV 64 bytes at a time: where fields end, told from quotes without a look at single bytes.
//! Called by `csv` for the fields and by `quotes` for the cuts; both follow what is irregular
//! byte by byte. The first byte is the lowest bit of a word.

use wide::u8x16;

/// Bytes of a word.
pub(super) const WORD: usize = 64;

/// Where reading stands with regard to quotes. Right as long as every quote opens a field,
/// closes one, or is one of two that stand for one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Regular {
    /// All bits of it, inside quotes.
    inside: u64,
    /// Whether a quote may come next, outside.
    may_open: u64,
    /// Whether the byte before closed a quote.
    closed: u64,
}

/// What 64 bytes hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    /// Commas and newlines outside quotes.
    pub(super) ends: u64,
    /// Quotes inside of fields that did not begin with one: nothing here is right.
    pub(super) stray: u64,
    /// Bytes behind a closing quote that neither end the field nor are quotes.
    pub(super) trailing: u64,
}

impl Regular {
    /// Before a byte: inside quotes or not, whether a field begins with it, and whether the
    /// byte before closed a quote.
    pub(super) fn new(inside: bool, begins: bool, closed: bool) -> Regular {
        Regular {
            inside: if inside { u64::MAX } else { 0 },
            may_open: u64::from(!inside && (begins || closed)),
            closed: u64::from(!inside && closed),
        }
    }

    /// Whether the next byte is inside quotes.
    pub(super) fn is_inside(self) -> bool {
        self.inside != 0
    }

    /// Whether the byte before closed a quote.
    pub(super) fn has_closed(self) -> bool {
        self.closed != 0
    }

    /// Takes in the next bytes.
    pub(super) fn take(&mut self, bytes: &[u8; WORD]) -> Word {
        let quotes = bits(bytes, [b'"']);
        let separators = bits(bytes, [b',', b'\n']);
        // An opening quote is inside, a closing one outside.
        let inside = parity(quotes) ^ self.inside;
        let closing = quotes & !inside;
        let ends = separators & !inside;
        let may_open = (ends | closing) << 1 | self.may_open;
        let behind = closing << 1 | self.closed;
        self.inside = (inside >> 63).wrapping_neg();
        self.may_open = (ends | closing) >> 63;
        self.closed = closing >> 63;
        Word {
            ends,
            stray: quotes & inside & !may_open,
            trailing: behind & !(separators | quotes),
        }
    }
}

/// One bit a byte: whether it is one of these.
#[inline]
fn bits<const N: usize>(bytes: &[u8; WORD], wanted: [u8; N]) -> u64 {
    let lanes = bytes.as_chunks::<16>().0.iter().enumerate();
    lanes.fold(0, |bits, (at, lane)| {
        let lane = u8x16::new(*lane);
        let found = wanted.map(|byte| lane.simd_eq(u8x16::splat(byte)));
        let found = found.into_iter().fold(u8x16::ZERO, |all, one| all | one);
        bits | u64::from(found.to_bitmask()) << (16 * at)
    })
}

/// For each bit whether the number of ones up to it is odd.
#[inline]
fn parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// Commas and newlines outside quotes, from the begin of a record to the first that is
/// irregular.
pub(super) struct Ends<'a> {
    block: &'a [u8],
    /// Where the word begins of which `found` are left.
    word: usize,
    found: u64,
    next: usize,
    quoting: Regular,
}

impl<'a> Ends<'a> {
    pub(super) fn new(block: &'a [u8], start: usize) -> Ends<'a> {
        Ends {
            block,
            word: start,
            found: 0,
            next: start,
            quoting: Regular::new(false, true, false),
        }
    }

    #[inline]
    pub(super) fn next(&mut self) -> Option<usize> {
        while self.found == 0 {
            self.advance()?;
        }
        let place = self.word + self.found.trailing_zeros() as usize;
        self.found &= self.found - 1;
        Some(place)
    }

    /// Goes on to the next word; none if there is none that is regular.
    fn advance(&mut self) -> Option<()> {
        let rest = self
            .block
            .get(self.next..)
            .filter(|rest| !rest.is_empty())?;
        let word = if let Some(whole) = rest.first_chunk::<WORD>() {
            self.quoting.take(whole)
        } else {
            let mut padded = [0; WORD];
            padded[..rest.len()].copy_from_slice(rest);
            self.quoting.take(&padded)
        };
        let mut trailing = word.trailing;
        while trailing != 0 {
            let place = trailing.trailing_zeros() as usize;
            // The `\r` of `\r\n` may follow a quote; what is missing is told by its missing end.
            let rest = &self.block[(self.next + place).min(self.block.len())..];
            if !rest.is_empty() && !rest.starts_with(b"\r\n") {
                return None;
            }
            trailing &= trailing - 1;
        }
        (self.word, self.found) = (self.next, word.ends);
        self.next += WORD;
        (word.stray == 0).then_some(())
    }
}
