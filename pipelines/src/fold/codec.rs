//! The bytes of a state: varints, fixed floats and texts, written and read by every fold.
//! A state has two parts, because vectors lie in a table of their own.

use std::sync::Arc;

use granary_registry::{EventTime, Value};

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

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

impl<'a> Bytes<'a> {
    /// Reads a state; without `vectors`, vector states come back empty.
    pub fn new(row: &'a [u8], vectors: Option<&'a [u8]>) -> Self {
        Bytes { row, vectors }
    }

    /// Whether everything of the row part has been read.
    pub fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    /// What has not been read of the row part.
    pub fn rest(&self) -> &'a [u8] {
        self.row
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        let (first, rest) = self.row.split_first().ok_or(DecodeError::Short("a byte"))?;
        self.row = rest;
        Ok(*first)
    }

    /// What [`Sink::unsigned`] wrote.
    pub fn unsigned(&mut self) -> Result<u64, DecodeError> {
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
    pub fn signed(&mut self) -> Result<i64, DecodeError> {
        let value = self.unsigned()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// What [`Sink::time_before`] wrote.
    pub fn time_before(&mut self, later: i64) -> Result<i64, DecodeError> {
        Ok(later.wrapping_sub(self.signed()?))
    }

    /// What [`Sink::float`] wrote.
    pub fn float(&mut self) -> Result<f64, DecodeError> {
        if self.row.first() == Some(&1) {
            self.row = &self.row[1..];
            return Ok(f64::from_le_bytes(self.fixed()?));
        }
        let value = self.unsigned()? >> 1;
        Ok(((value >> 1) as i64 ^ -((value & 1) as i64)) as f64)
    }

    /// What [`Sink::text`] wrote.
    pub fn text(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.length()?;
        let (text, rest) = self.row.split_at(length);
        self.row = rest;
        Ok(text)
    }

    /// Exactly eight bytes.
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
        let Some(vectors) = self.vectors else {
            return Ok(Vec::new());
        };
        let (taken, rest) = split(vectors, length, 4)?;
        self.vectors = Some(rest);
        let elements = taken.as_chunks::<4>().0.iter();
        Ok(elements.map(|chunk| f32::from_le_bytes(*chunk)).collect())
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
        fn garbage_is_an_error_or_a_value_but_never_a_panic(garbage: Vec<u8>) {
            let mut bytes = Bytes::new(&garbage, Some(&garbage));
            while !bytes.is_empty() && bytes.value().is_ok() {}
        }
    }
}
