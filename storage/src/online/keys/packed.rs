//! A small hash in one piece of memory: its pairs one after another, searched from the front.
//! Called by `fields`. The same bytes are what lies on disk.
//!
//! Each pair is the varint lengths of name and value, then both.

/// A hash beyond one of these is kept as a map.
pub(super) const MOST_PAIRS: usize = 128;
pub(super) const MOST_BYTES: usize = 8 << 10;

/// Pairs in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Packed {
    bytes: Vec<u8>,
    count: usize,
}

/// Where a pair lies.
#[derive(Clone, Copy)]
struct Place {
    start: usize,
    value: usize,
    end: usize,
}

/// Reads the pairs off the front of bytes.
pub(super) struct Pairs<'a> {
    rest: &'a [u8],
}

impl Packed {
    /// Takes bytes that were checked by [`Pairs::check`].
    pub(super) fn of(bytes: Vec<u8>, count: usize) -> Packed {
        Packed { bytes, count }
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let place = self.find(name)?;
        Some(&self.bytes[place.value..place.end])
    }

    /// Sets a pair; whether the name is new.
    pub(super) fn set(&mut self, name: &[u8], value: &[u8]) -> bool {
        let Some(place) = self.find(name) else {
            put(&mut self.bytes, name, value);
            self.count += 1;
            return true;
        };
        if place.end - place.value == value.len() {
            self.bytes[place.value..place.end].copy_from_slice(value);
        } else {
            let mut pair = Vec::with_capacity(name.len() + value.len() + 10);
            put(&mut pair, name, value);
            self.bytes.splice(place.start..place.end, pair);
        }
        false
    }

    /// Removes a pair; whether it was there.
    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        let Some(place) = self.find(name) else {
            return false;
        };
        self.bytes.drain(place.start..place.end);
        self.count -= 1;
        true
    }

    pub(super) fn pairs(&self) -> Pairs<'_> {
        Pairs { rest: &self.bytes }
    }

    fn find(&self, name: &[u8]) -> Option<Place> {
        let mut pairs = self.pairs();
        loop {
            let start = self.bytes.len() - pairs.rest.len();
            let (found, value) = pairs.next()?;
            if found == name {
                let end = self.bytes.len() - pairs.rest.len();
                let value = end - value.len();
                return Some(Place { start, value, end });
            }
        }
    }
}

impl<'a> Pairs<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Pairs<'a> {
        Pairs { rest: bytes }
    }

    /// What follows the pairs read so far.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How many pairs the bytes are, if they are nothing else.
    pub(super) fn check(bytes: &'a [u8]) -> Option<usize> {
        let mut pairs = Pairs::new(bytes);
        let count = pairs.by_ref().count();
        pairs.rest.is_empty().then_some(count)
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let mut rest = self.rest;
        let name = take_length(&mut rest)?;
        let value = take_length(&mut rest)?;
        let (name, rest) = rest.split_at_checked(name)?;
        let (value, rest) = rest.split_at_checked(value)?;
        self.rest = rest;
        Some((name, value))
    }
}

/// Appends a pair.
pub(super) fn put(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    put_length(out, name.len());
    put_length(out, value.len());
    out.extend_from_slice(name);
    out.extend_from_slice(value);
}

/// Appends a length: seven bits a byte, lowest first.
pub(super) fn put_length(out: &mut Vec<u8>, length: usize) {
    let mut rest = length as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Takes a length off the front.
pub(super) fn take_length(bytes: &mut &[u8]) -> Option<usize> {
    let mut length = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        length |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return usize::try_from(length).ok();
        }
    }
    None
}
