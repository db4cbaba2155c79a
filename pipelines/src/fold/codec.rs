//! The bytes of a state: varints, fixed floats and texts, written and read by every fold.
//! A state has two parts, because vectors lie in a table of their own.

use std::sync::Arc;

use granary_registry::{EventTime, Value, ValueRef};

use super::STATE_FORMAT;

/// Where a state is written: everything but vectors, and the vectors.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Sink {
    /// Numbers and texts.
    pub row: Vec<u8>,
    /// Elements of vectors.
    pub vectors: Vec<u8>,
}

/// Where a state is read from. Vectors may be left out when nobody asks for them.
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'a> {
    row: &'a [u8],
    vectors: Option<&'a [u8]>,
}

/// A place in a state, told from its end.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Place {
    row: usize,
    vectors: usize,
}

/// Bytes that no fold of this format wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a value.
    #[error("state ends early: {0} is cut off")]
    Short(&'static str),
    /// Another version of this program wrote it.
    #[error(
        "state is of format {found}, this version reads {STATE_FORMAT}: run `granary build` and `granary push`"
    )]
    Format {
        /// The format found.
        found: u8,
    },
    /// A byte that has no meaning here.
    #[error("state holds an impossible {what}: {found}")]
    Invalid {
        /// Of what.
        what: &'static str,
        /// The value found.
        found: u64,
    },
}

impl Sink {
    /// Room for so many bytes beside vectors.
    pub fn with_capacity(bytes: usize) -> Sink {
        Sink {
            row: Vec::with_capacity(bytes),
            vectors: Vec::new(),
        }
    }

    /// Empties both parts, keeping their memory.
    pub fn clear(&mut self) {
        self.row.clear();
        self.vectors.clear();
    }

    /// Gives up memory that is not taken.
    pub fn shrink_to_fit(&mut self) {
        self.row.shrink_to_fit();
        self.vectors.shrink_to_fit();
    }

    /// Seven bits a byte, low ones first.
    pub fn unsigned(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.row.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.row.push(value as u8);
    }

    /// Zigzag, so that small negatives are short.
    pub fn signed(&mut self, value: i64) {
        self.unsigned(((value << 1) ^ (value >> 63)) as u64);
    }

    /// An instant, relative to a later one: small when they are near. `MIN` keeps its meaning.
    pub fn time_before(&mut self, time: i64, later: i64) {
        self.signed(later.wrapping_sub(time));
    }

    /// Eight bytes, so that sums survive bit for bit. Integral values take a varint.
    pub fn float(&mut self, value: f64) {
        let whole = value as i64;
        if (whole as f64).to_bits() == value.to_bits() && whole.unsigned_abs() < 1 << 50 {
            // Low bit 0: a whole number, which sums and means of ints mostly are.
            self.unsigned(u64::from_le_bytes(zigzag(whole).to_le_bytes()) << 1);
        } else {
            self.row.push(1);
            self.row.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// Length and bytes.
    pub fn text(&mut self, text: &[u8]) {
        self.unsigned(text.len() as u64);
        self.row.extend_from_slice(text);
    }

    /// A value with its type.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.row.push(0),
            Value::Int(x) => {
                self.row.push(1);
                self.signed(*x);
            }
            Value::Float(x) => {
                self.row.push(2);
                self.float(*x);
            }
            Value::Bool(x) => self.row.push(3 + u8::from(*x)),
            Value::Text(x) => {
                self.row.push(5);
                self.text(x.as_bytes());
            }
            Value::Timestamp(x) => {
                self.row.push(6);
                self.signed(x.0);
            }
            Value::Vector(x) => {
                self.row.push(7);
                self.unsigned(x.len() as u64);
                for element in x.iter() {
                    self.vectors.extend_from_slice(&element.to_le_bytes());
                }
            }
        }
    }

    /// Elements of a vector, in the part of their own.
    pub fn elements(&mut self, elements: &[f64]) {
        for element in elements {
            self.vectors.extend_from_slice(&element.to_le_bytes());
        }
    }
}

/// Of eight bytes.
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

// The small readers are inlined always: called, they make reading a row a third slower.
#[expect(clippy::inline_always, reason = "measured with the serving bench")]
impl<'a> Bytes<'a> {
    /// Reads a state; without `vectors`, vector states come back empty.
    #[inline(always)]
    pub fn new(row: &'a [u8], vectors: Option<&'a [u8]>) -> Self {
        Bytes { row, vectors }
    }

    /// Whether everything of the row part has been read.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    /// What has not been read of the row part.
    pub fn rest(&self) -> &'a [u8] {
        self.row
    }

    /// One byte.
    #[inline(always)]
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        let (first, rest) = self.row.split_first().ok_or(DecodeError::Short("a byte"))?;
        self.row = rest;
        Ok(*first)
    }

    /// What [`Sink::unsigned`] wrote.
    #[inline(always)]
    pub fn unsigned(&mut self) -> Result<u64, DecodeError> {
        // Most are short.
        if let Some((&first, rest)) = self.row.split_first()
            && first < 0x80
        {
            self.row = rest;
            return Ok(u64::from(first));
        }
        self.long_unsigned()
    }

    #[inline(never)]
    fn long_unsigned(&mut self) -> Result<u64, DecodeError> {
        // Up to eight bytes at once: the last one is the first without its high bit, and the
        // groups of seven bits move together in three steps.
        if let Some(word) = self.row.first_chunk::<8>() {
            let word = u64::from_le_bytes(*word);
            let last = !word & HIGH_BITS;
            if last != 0 {
                let bits = last.trailing_zeros() + 1;
                self.row = &self.row[bits as usize / 8..];
                let x = word & (u64::MAX >> (64 - bits)) & !HIGH_BITS;
                let x = (x & 0x007f_007f_007f_007f) | ((x & 0x7f00_7f00_7f00_7f00) >> 1);
                let x = (x & 0x0000_3fff_0000_3fff) | ((x & 0x3fff_0000_3fff_0000) >> 2);
                return Ok((x & 0x0fff_ffff) | ((x & 0x0fff_ffff_0000_0000) >> 4));
            }
        }
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::Invalid {
            what: "varint",
            found: value,
        })
    }

    /// A number of things that take at least one byte each, so that a corrupt count
    /// cannot ask for more memory than the bytes could fill.
    #[inline(always)]
    pub fn length(&mut self) -> Result<usize, DecodeError> {
        let length = self.unsigned()?;
        if length > self.row.len() as u64 {
            return Err(DecodeError::Invalid {
                what: "length",
                found: length,
            });
        }
        Ok(length as usize)
    }

    /// What [`Sink::signed`] wrote.
    #[inline(always)]
    pub fn signed(&mut self) -> Result<i64, DecodeError> {
        let value = self.unsigned()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// What [`Sink::time_before`] wrote.
    #[inline(always)]
    pub fn time_before(&mut self, later: i64) -> Result<i64, DecodeError> {
        Ok(later.wrapping_sub(self.signed()?))
    }

    /// What [`Sink::float`] wrote.
    #[inline(always)]
    pub fn float(&mut self) -> Result<f64, DecodeError> {
        if self.row.first() == Some(&1) {
            self.row = &self.row[1..];
            return Ok(f64::from_le_bytes(self.fixed()?));
        }
        let value = self.unsigned()? >> 1;
        Ok(((value >> 1) as i64 ^ -((value & 1) as i64)) as f64)
    }

    /// What [`Sink::text`] wrote.
    #[inline(always)]
    pub fn text(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.length()?;
        let (text, rest) = self.row.split_at(length);
        self.row = rest;
        Ok(text)
    }

    /// Exactly eight bytes.
    #[inline(always)]
    pub fn fixed(&mut self) -> Result<[u8; 8], DecodeError> {
        let (bytes, rest) = self
            .row
            .split_first_chunk::<8>()
            .ok_or(DecodeError::Short("eight bytes"))?;
        self.row = rest;
        Ok(*bytes)
    }

    /// What [`Sink::value`] wrote.
    pub fn value(&mut self) -> Result<Value, DecodeError> {
        Ok(match self.byte()? {
            0 => Value::Null,
            1 => Value::Int(self.signed()?),
            2 => Value::Float(self.float()?),
            3 => Value::Bool(false),
            4 => Value::Bool(true),
            5 => {
                let text = String::from_utf8_lossy(self.text()?);
                Value::Text(Arc::from(text.as_ref()))
            }
            6 => Value::Timestamp(EventTime(self.signed()?)),
            7 => {
                let length = self.unsigned()?;
                self.vector_value(length)?
            }
            found => {
                return Err(DecodeError::Invalid {
                    what: "value type",
                    found: u64::from(found),
                });
            }
        })
    }

    /// The same where it lies; the elements of a vector are put into `floats`.
    pub(super) fn value_ref<'v>(
        &mut self,
        floats: &'v mut Vec<f32>,
    ) -> Result<ValueRef<'v>, DecodeError>
    where
        'a: 'v,
    {
        Ok(match self.row.first() {
            Some(5) => {
                self.byte()?;
                let text = self.text()?;
                ValueRef::Text(std::str::from_utf8(text).map_err(|_| DecodeError::Invalid {
                    what: "text",
                    found: text.len() as u64,
                })?)
            }
            Some(7) => {
                self.byte()?;
                let length = self.unsigned()? as usize;
                let Some(taken) = self.take_floats(length)? else {
                    return Ok(ValueRef::Null);
                };
                floats.clear();
                floats.extend(taken.iter().map(|chunk| f32::from_le_bytes(*chunk)));
                ValueRef::Vector(floats)
            }
            _ => match self.value()? {
                Value::Int(x) => ValueRef::Int(x),
                Value::Float(x) => ValueRef::Float(x),
                Value::Bool(x) => ValueRef::Bool(x),
                Value::Timestamp(x) => ValueRef::Timestamp(x),
                Value::Null | Value::Text(_) | Value::Vector(_) => ValueRef::Null,
            },
        })
    }

    /// Passes over what [`Sink::value`] wrote.
    #[inline(always)]
    pub(super) fn skip_value(&mut self) -> Result<(), DecodeError> {
        match self.row.first() {
            Some(5) => {
                self.byte()?;
                self.text().map(|_| ())
            }
            Some(7) => {
                self.byte()?;
                let length = self.unsigned()? as usize;
                self.take_floats(length).map(|_| ())
            }
            _ => self.value().map(|_| ()),
        }
    }

    /// How much has not been read, of both parts.
    #[inline(always)]
    pub(super) fn place(&self) -> Place {
        Place {
            row: self.row.len(),
            vectors: self.vectors.map_or(0, <[u8]>::len),
        }
    }

    /// The end of the bytes from a place on.
    #[inline(always)]
    pub(super) fn at(self, place: Place) -> Bytes<'a> {
        let from = |all: &'a [u8], rest: usize| &all[all.len().saturating_sub(rest)..];
        Bytes {
            row: from(self.row, place.row),
            vectors: self.vectors.map(|all| from(all, place.vectors)),
        }
    }

    /// What [`Sink::elements`] wrote; empty when vectors were left out.
    pub fn elements(&mut self, length: usize) -> Result<Vec<f64>, DecodeError> {
        let Some(vectors) = self.vectors else {
            return Ok(Vec::new());
        };
        let (taken, rest) = split(vectors, length, 8)?;
        self.vectors = Some(rest);
        Ok(taken
            .as_chunks::<8>()
            .0
            .iter()
            .map(|chunk| f64::from_le_bytes(*chunk))
            .collect())
    }

    fn vector_value(&mut self, length: u64) -> Result<Value, DecodeError> {
        if self.vectors.is_none() {
            return Ok(Value::Null);
        }
        Ok(Value::Vector(self.floats(length as usize)?.into()))
    }

    /// Elements of 32 bits; empty when vectors were left out.
    pub(super) fn floats(&mut self, length: usize) -> Result<Vec<f32>, DecodeError> {
        let elements = self.take_floats(length)?.unwrap_or_default().iter();
        Ok(elements.map(|chunk| f32::from_le_bytes(*chunk)).collect())
    }

    fn take_floats(&mut self, length: usize) -> Result<Option<&'a [[u8; 4]]>, DecodeError> {
        let Some(vectors) = self.vectors else {
            return Ok(None);
        };
        let (taken, rest) = split(vectors, length, 4)?;
        self.vectors = Some(rest);
        Ok(Some(taken.as_chunks::<4>().0))
    }
}

fn split(bytes: &[u8], length: usize, width: usize) -> Result<(&[u8], &[u8]), DecodeError> {
    length
        .checked_mul(width)
        .and_then(|end| bytes.split_at_checked(end))
        .ok_or(DecodeError::Short("a vector"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_survive(unsigned: u64, signed: i64, float: f64, time: i64, later: i64) {
            let mut sink = Sink::default();
            sink.unsigned(unsigned);
            sink.signed(signed);
            sink.float(float);
            sink.float(signed as f64);
            sink.time_before(time, later);
            let mut bytes = Bytes::new(&sink.row, None);
            prop_assert_eq!(bytes.unsigned(), Ok(unsigned));
            prop_assert_eq!(bytes.signed(), Ok(signed));
            prop_assert_eq!(bytes.float().map(f64::to_bits), Ok(float.to_bits()));
            prop_assert_eq!(bytes.float(), Ok(signed as f64));
            prop_assert_eq!(bytes.time_before(later), Ok(time));
            prop_assert!(bytes.is_empty());
        }

        #[test]
        fn varints_of_any_length_survive_whatever_follows(
            bits in 0u32..64, low: u64, rest in prop::collection::vec(any::<u8>(), 0..9)
        ) {
            let value = (1 << bits) | (low & ((1 << bits) - 1));
            let mut sink = Sink::default();
            sink.unsigned(value);
            sink.row.extend_from_slice(&rest);
            let mut bytes = Bytes::new(&sink.row, None);
            prop_assert_eq!(bytes.unsigned(), Ok(value));
            prop_assert_eq!(bytes.rest(), &rest[..]);
        }

        #[test]
        fn garbage_is_an_error_or_a_value_but_never_a_panic(garbage: Vec<u8>) {
            let mut bytes = Bytes::new(&garbage, Some(&garbage));
            while !bytes.is_empty() && bytes.value().is_ok() {}
        }
    }
}
