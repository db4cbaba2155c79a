//! A change of keys as bytes of the log, and back. Called by `change`, which makes effects and
//! applies them, and by the replay after a start, which applies them again.
//!
//! An effect says what is so afterwards: it holds whatever was before, so one that is already
//! in a stored value does no harm when it comes again with all that followed.
//!
//! A record of the log is the format byte 1 and then effects; one that begins with 2 is a part
//! of a group too long for a record, and the group ends with the next that begins with 1.

use super::NEVER;
use super::fields::Fields;
use super::packed::{put_length, take_length};
use super::value::{self, Value};

/// First byte of a record that ends a group of effects, and of one that does not.
pub(super) const LAST: u8 = 1;
pub(super) const PART: u8 = 2;

/// What is so after a change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Effect<'a> {
    /// The key holds this text.
    Text {
        key: &'a [u8],
        expires: i64,
        text: &'a [u8],
    },
    /// The key holds a text of this length, with these bytes at a place.
    Splice {
        key: &'a [u8],
        at: usize,
        length: usize,
        bytes: &'a [u8],
    },
    /// The key holds this, as it is stored.
    Whole { key: &'a [u8], stored: &'a [u8] },
    /// The key is gone.
    Remove { key: &'a [u8] },
    /// The key expires then.
    Expire { key: &'a [u8], expires: i64 },
    /// The hash has this field.
    Field {
        key: &'a [u8],
        name: &'a [u8],
        expires: i64,
        value: &'a [u8],
    },
    /// The hash does not have this field.
    RemoveField { key: &'a [u8], name: &'a [u8] },
    /// The field, if it is there, expires then.
    ExpireField {
        key: &'a [u8],
        name: &'a [u8],
        expires: i64,
    },
    /// No key is left.
    Clear,
}

impl<'a> Effect<'a> {
    /// The key that it is about; none if it is about all.
    pub(super) fn key(&self) -> Option<&'a [u8]> {
        match *self {
            Effect::Text { key, .. }
            | Effect::Splice { key, .. }
            | Effect::Whole { key, .. }
            | Effect::Remove { key }
            | Effect::Expire { key, .. }
            | Effect::Field { key, .. }
            | Effect::RemoveField { key, .. }
            | Effect::ExpireField { key, .. } => Some(key),
            Effect::Clear => None,
        }
    }

    /// Makes it so; whether a field is new or was there, where it is about one.
    pub(super) fn apply(&self, value: &mut Option<Value>, expires: &mut i64) -> bool {
        match *self {
            Effect::Text {
                expires: then,
                text: bytes,
                ..
            } => {
                let held = text(value);
                held.clear();
                held.extend_from_slice(bytes);
                *expires = then;
            }
            Effect::Splice {
                at, length, bytes, ..
            } => splice(text(value), at, length, bytes),
            Effect::Whole { stored, .. } => {
                (*value, *expires) = match value::decode(stored) {
                    Some((whole, then)) => (Some(whole), then),
                    None => (None, NEVER),
                };
            }
            Effect::Remove { .. } | Effect::Clear => {
                let was = value.take().is_some();
                *expires = NEVER;
                return was;
            }
            Effect::Expire { expires: then, .. } => *expires = then,
            Effect::Field {
                name,
                expires,
                value: bytes,
                ..
            } => return hash(value).set(name, bytes, expires),
            Effect::RemoveField { name, .. } => return hash(value).remove(name),
            Effect::ExpireField { name, expires, .. } => return hash(value).expire(name, expires),
        }
        true
    }

    /// Appends it to a record.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Effect::Text { key, expires, text } => {
                begin(out, 1, key);
                put_instant(out, expires);
                put_bytes(out, text);
            }
            Effect::Splice {
                key,
                at,
                length,
                bytes,
            } => {
                begin(out, 2, key);
                put_length(out, at);
                put_length(out, length);
                put_bytes(out, bytes);
            }
            Effect::Whole { key, stored } => {
                begin(out, 3, key);
                put_bytes(out, stored);
            }
            Effect::Remove { key } => begin(out, 4, key),
            Effect::Expire { key, expires } => {
                begin(out, 5, key);
                put_instant(out, expires);
            }
            Effect::Field {
                key,
                name,
                expires,
                value,
            } => {
                begin(out, 6, key);
                put_bytes(out, name);
                put_instant(out, expires);
                put_bytes(out, value);
            }
            Effect::RemoveField { key, name } => {
                begin(out, 7, key);
                put_bytes(out, name);
            }
            Effect::ExpireField { key, name, expires } => {
                begin(out, 8, key);
                put_bytes(out, name);
                put_instant(out, expires);
            }
            Effect::Clear => out.push(9),
        }
    }

    /// Takes one off the front of a record's rest; none if that is no effect.
    pub(super) fn decode(bytes: &mut &'a [u8]) -> Option<Effect<'a>> {
        let (&code, rest) = bytes.split_first()?;
        *bytes = rest;
        if code == 9 {
            return Some(Effect::Clear);
        }
        let key = take_bytes(bytes)?;
        Some(match code {
            1 => Effect::Text {
                key,
                expires: take_instant(bytes)?,
                text: take_bytes(bytes)?,
            },
            2 => Effect::Splice {
                key,
                at: take_length(bytes)?,
                length: take_length(bytes)?,
                bytes: take_bytes(bytes)?,
            },
            3 => Effect::Whole {
                key,
                stored: take_bytes(bytes)?,
            },
            4 => Effect::Remove { key },
            5 => Effect::Expire {
                key,
                expires: take_instant(bytes)?,
            },
            6 => Effect::Field {
                key,
                name: take_bytes(bytes)?,
                expires: take_instant(bytes)?,
                value: take_bytes(bytes)?,
            },
            7 => Effect::RemoveField {
                key,
                name: take_bytes(bytes)?,
            },
            8 => Effect::ExpireField {
                key,
                name: take_bytes(bytes)?,
                expires: take_instant(bytes)?,
            },
            _ => return None,
        })
    }
}

/// The text to change. What was of another kind is replaced: later effects say so as well.
fn text(value: &mut Option<Value>) -> &mut Vec<u8> {
    if !matches!(value, Some(Value::Text(_))) {
        *value = Some(Value::Text(Vec::new()));
    }
    match value {
        Some(Value::Text(text)) => text,
        _ => unreachable!("it was made a text above"),
    }
}

fn hash(value: &mut Option<Value>) -> &mut Fields {
    if !matches!(value, Some(Value::Hash(_))) {
        *value = Some(Value::Hash(Fields::default()));
    }
    match value {
        Some(Value::Hash(fields)) => fields,
        _ => unreachable!("it was made a hash above"),
    }
}

fn splice(text: &mut Vec<u8>, at: usize, length: usize, bytes: &[u8]) {
    text.resize(length.max(at + bytes.len()), 0);
    text[at..at + bytes.len()].copy_from_slice(bytes);
}

fn begin(out: &mut Vec<u8>, code: u8, key: &[u8]) {
    out.push(code);
    put_bytes(out, key);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_length(bytes)?;
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

/// Most keys never expire: those take one byte.
fn put_instant(out: &mut Vec<u8>, instant: i64) {
    if instant == NEVER {
        return out.push(0);
    }
    out.push(1);
    out.extend_from_slice(&instant.to_le_bytes());
}

fn take_instant(bytes: &mut &[u8]) -> Option<i64> {
    let (&expires, rest) = bytes.split_first()?;
    *bytes = rest;
    if expires == 0 {
        return Some(NEVER);
    }
    let (instant, rest) = rest.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(i64::from_le_bytes(*instant))
}
