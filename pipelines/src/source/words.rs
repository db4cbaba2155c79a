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

/// Words of which the ends are found at a time.
const STRIDE: usize = 64;

/// Commas and newlines outside quotes, from the begin of a record to the first place that is
/// irregular; found ahead of those who ask, and all of a word without a branch for each.
pub(super) struct Ends<'a> {
    block: &'a [u8],
    /// Those that were found; the first of them that is not used up, and how many there are.
    places: Vec<u32>,
    used: usize,
    found: usize,
    /// The next word, and what it follows.
    next: usize,
    quoting: Regular,
    is_over: bool,
}

impl<'a> Ends<'a> {
    /// For records of so many fields.
    pub(super) fn new(block: &'a [u8], fields: usize) -> Ends<'a> {
        Ends {
            block,
            places: vec![0; fields + STRIDE * WORD],
            used: 0,
            found: 0,
            next: 0,
            quoting: Regular::new(false, true, false),
            is_over: false,
        }
    }

    /// Goes on with the record that begins at a place, before which some were not asked for.
    pub(super) fn go_to(&mut self, record: usize) {
        while self.used < self.found && (self.places[self.used] as usize) < record {
            self.used += 1;
        }
        if record >= self.next {
            self.next = record;
            self.quoting = Regular::new(false, true, false);
            self.is_over = false;
        }
    }

    /// The next so many ends, which stay the next; none if there are not as many that are
    /// regular.
    #[inline]
    pub(super) fn ahead(&mut self, fields: usize) -> Option<&[u32]> {
        while self.found - self.used < fields {
            self.advance()?;
        }
        self.places.get(self.used..self.used + fields)
    }

    /// Those are done with.
    #[inline]
    pub(super) fn use_up(&mut self, fields: usize) {
        self.used += fields;
    }

    /// Goes on to the next words; none if there are none that are regular.
    fn advance(&mut self) -> Option<()> {
        if self.is_over {
            return None;
        }
        self.places.copy_within(self.used..self.found, 0);
        (self.used, self.found) = (0, self.found - self.used);
        for _ in 0..STRIDE {
            let Some(ends) = self.regular_word() else {
                self.is_over = true;
                break;
            };
            self.push(ends);
        }
        Some(())
    }

    /// The ends in the next word, if it is regular.
    fn regular_word(&mut self) -> Option<u64> {
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
            let rest = rest.get(place..).unwrap_or_default();
            if !rest.is_empty() && !rest.starts_with(b"\r\n") {
                return None;
            }
            trailing &= trailing - 1;
        }
        (word.stray == 0).then_some(word.ends)
    }

    /// Four places at a time, be they as many or less: how many there are in a word is too
    /// irregular to be foretold.
    fn push(&mut self, mut ends: u64) {
        let found = ends.count_ones() as usize;
        for four in self.places[self.found..].as_chunks_mut::<4>().0 {
            for place in four {
                *place = self.next as u32 + ends.trailing_zeros();
                ends &= ends.wrapping_sub(1);
            }
            if ends == 0 {
                break;
            }
        }
        self.found += found;
        self.next += WORD;
    }
}
