//! What a key holds, and its bytes on disk. Called by `entry`, `effect` and the flush.
//!
//! | stored value | bytes | |
//! |---|---|---|
//! | 0 | 1 | format, 1 |
//! | 1 | 1 | kind: 1 text, 2 hash, 3 hash with fields that expire; 0x80 if the key expires |
//! | 2 | 8 | if it expires: when, in milliseconds since 1970, little-endian |
//! |   |   | text: its bytes; hash: its pairs as in `packed`; kind 3: the instant, then a pair |

use super::NEVER;
use super::fields::Fields;
use super::packed::{Packed, Pairs, put};

const FORMAT: u8 = 1;
const TEXT: u8 = 1;
const HASH: u8 = 2;
const EXPIRING_HASH: u8 = 3;
const EXPIRES: u8 = 0x80;

/// What a key holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A string of bytes.
    Text(Vec<u8>),
    /// Fields and their values.
    Hash(Fields),
}

/// Which kind of value a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// A string of bytes.
    Text,
    /// Fields and their values.
    Hash,
}

impl Value {
    /// Its kind.
    pub fn kind(&self) -> KeyKind {
        match self {
            Value::Text(_) => KeyKind::Text,
            Value::Hash(_) => KeyKind::Hash,
        }
    }

    /// What it takes in memory, roughly.
    pub fn size(&self) -> usize {
        match self {
            Value::Text(text) => text.capacity(),
            Value::Hash(fields) => fields.size(),
        }
    }
}

/// Appends a value as it is stored.
pub(super) fn encode(value: &Value, expires: i64, out: &mut Vec<u8>) {
    let kind = match value {
        Value::Text(_) => TEXT,
        Value::Hash(fields) if fields.next_expiry() == NEVER => HASH,
        Value::Hash(_) => EXPIRING_HASH,
    };
    out.push(FORMAT);
    if expires == NEVER {
        out.push(kind);
    } else {
        out.push(kind | EXPIRES);
        out.extend_from_slice(&expires.to_le_bytes());
    }
    match value {
        Value::Text(text) => out.extend_from_slice(text),
        Value::Hash(fields) => encode_fields(fields, kind, out),
    }
}

fn encode_fields(fields: &Fields, kind: u8, out: &mut Vec<u8>) {
    if let Some(bytes) = fields.packed_bytes() {
        return out.extend_from_slice(bytes);
    }
    for field in fields.iter() {
        if kind == EXPIRING_HASH {
            out.extend_from_slice(&field.expires.to_le_bytes());
        }
        put(out, field.name, field.value);
    }
}

/// Reads a stored value and when it expires; none if these are no such bytes.
pub(in crate::online) fn decode(bytes: &[u8]) -> Option<(Value, i64)> {
    let (kind, expires, rest) = head(bytes)?;
    let value = match kind {
        TEXT => Value::Text(rest.to_vec()),
        HASH => Value::Hash(decode_pairs(rest)?),
        EXPIRING_HASH => Value::Hash(decode_expiring(rest)?),
        _ => return None,
    };
    Some((value, expires))
}

fn head(bytes: &[u8]) -> Option<(u8, i64, &[u8])> {
    let (&[FORMAT, kind], rest) = bytes.split_first_chunk::<2>()? else {
        return None;
    };
    if kind & EXPIRES == 0 {
        return Some((kind, NEVER, rest));
    }
    let (expires, rest) = rest.split_first_chunk::<8>()?;
    Some((kind & !EXPIRES, i64::from_le_bytes(*expires), rest))
}

fn decode_pairs(bytes: &[u8]) -> Option<Fields> {
    let count = Pairs::check(bytes)?;
    let packed = Packed::of(bytes.to_vec(), count);
    if count <= super::packed::MOST_PAIRS && bytes.len() <= super::packed::MOST_BYTES {
        return Some(Fields::packed(packed));
    }
    let mut fields = Fields::default();
    for (name, value) in packed.pairs() {
        fields.set(name, value, NEVER);
    }
    Some(fields)
}

fn decode_expiring(mut bytes: &[u8]) -> Option<Fields> {
    let mut fields = Fields::default();
    while !bytes.is_empty() {
        let (expires, rest) = bytes.split_first_chunk::<8>()?;
        let mut pairs = Pairs::new(rest);
        let (name, value) = pairs.next()?;
        fields.set(name, value, i64::from_le_bytes(*expires));
        bytes = pairs.rest();
    }
    Some(fields)
}
