//! One entity's stored row: the encoded states of all its groups, one after another.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | format, 1 |
//! | then for each group: varint | its number in the generation |
//! | varint, varint | length of its vectors, length of its state |
//! | … | its state |
//!
//! The vectors of all groups lie in another table, in the same order.

use std::ops::Range;

use crate::fold::{Bytes, DecodeError, Sink};

/// First byte of every stored row.
const ROW_FORMAT: u8 = 1;

/// The parts of a stored row.
#[derive(Debug, Default)]
pub(crate) struct Row<'a> {
    parts: Vec<Part<'a>>,
}

/// One group's part.
#[derive(Clone, Debug)]
pub(crate) struct Part<'a> {
    /// Number of the group in the generation.
    pub group: usize,
    /// Its state.
    pub state: &'a [u8],
    /// Where that lies in the row.
    pub place: Range<usize>,
    /// Where its vectors lie in the entity's vectors.
    pub vectors: Range<usize>,
}

impl<'a> Row<'a> {
    /// The parts of a row, none if it is empty: an entity that has no row yet.
    pub(crate) fn of(row: &'a [u8]) -> Result<Row<'a>, DecodeError> {
        if row.is_empty() {
            return Ok(Row::default());
        }
        Row::parse(row)
    }

    /// Reads the parts of a row without decoding them.
    pub(crate) fn parse(row: &'a [u8]) -> Result<Row<'a>, DecodeError> {
        Ok(Row {
            parts: parts(row)?.collect::<Result<_, _>>()?,
        })
    }

    /// The part of a group, if the entity has one.
    pub(crate) fn part(&self, group: usize) -> Option<&Part<'a>> {
        self.parts.iter().find(|part| part.group == group)
    }

    /// All parts, in order.
    pub(crate) fn parts(&self) -> &[Part<'a>] {
        &self.parts
    }
}

/// The parts of a row one after another.
pub(crate) fn parts(
    row: &[u8],
) -> Result<impl Iterator<Item = Result<Part<'_>, DecodeError>>, DecodeError> {
    let mut bytes = begun(row)?;
    let mut start = 0usize;
    Ok(std::iter::from_fn(move || {
        let part = (!bytes.is_empty()).then(|| next_part(row, &mut bytes, &mut start))?;
        if part.is_err() {
            bytes = Bytes::new(&[], None); // nothing behind a fault can be trusted
        }
        Some(part)
    }))
}

#[inline]
fn next_part<'a>(
    row: &'a [u8],
    bytes: &mut Bytes<'a>,
    start: &mut usize,
) -> Result<Part<'a>, DecodeError> {
    let group = bytes.unsigned()? as usize;
    let vectors = bytes.unsigned()? as usize;
    let state = bytes.text()?;
    let end = start
        .checked_add(vectors)
        .ok_or(DecodeError::Short("vectors"))?;
    let vectors = std::mem::replace(start, end)..end;
    let until = row.len() - bytes.rest().len();
    Ok(Part {
        group,
        state,
        place: until - state.len()..until,
        vectors,
    })
}

/// The state of one group in a row, which may be empty, looked for without a list of all.
pub(crate) fn state_of(row: &[u8], group: usize) -> Result<Option<&[u8]>, DecodeError> {
    if row.is_empty() {
        return Ok(None);
    }
    let mut bytes = begun(row)?;
    while !bytes.is_empty() {
        let found = bytes.unsigned()? as usize;
        bytes.unsigned()?;
        let state = bytes.text()?;
        if found == group {
            return Ok(Some(state));
        }
    }
    Ok(None)
}

/// What follows the format.
fn begun(row: &[u8]) -> Result<Bytes<'_>, DecodeError> {
    let mut bytes = Bytes::new(row, None);
    match bytes.byte()? {
        ROW_FORMAT => Ok(bytes),
        found => Err(DecodeError::Invalid {
            what: "row format",
            found: u64::from(found),
        }),
    }
}

/// Begins a row.
pub(crate) fn begin(out: &mut Sink) {
    out.clear();
    out.row.push(ROW_FORMAT);
}

/// Adds a group's part to a row.
pub(crate) fn append(out: &mut Sink, group: usize, state: &[u8], vectors: &[u8]) {
    out.unsigned(group as u64);
    out.unsigned(vectors.len() as u64);
    out.text(state);
    out.vectors.extend_from_slice(vectors);
}

/// Adds a part as it was; its vectors may be left out of both rows.
pub(crate) fn keep(out: &mut Sink, part: &Part<'_>, vectors: &[u8]) {
    out.unsigned(part.group as u64);
    out.unsigned(part.vectors.len() as u64);
    out.text(part.state);
    out.vectors.extend_from_slice(vectors);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_survive(parts: Vec<(u8, Vec<u8>, Vec<u8>)>) {
            let mut out = Sink::default();
            begin(&mut out);
            for (group, state, vectors) in &parts {
                append(&mut out, *group as usize, state, vectors);
            }
            let row = Row::parse(&out.row).unwrap();
            prop_assert_eq!(row.parts().len(), parts.len());
            for (part, (group, state, vectors)) in row.parts().iter().zip(&parts) {
                prop_assert_eq!(part.group, *group as usize);
                prop_assert_eq!(part.state, &state[..]);
                prop_assert_eq!(&out.vectors[part.vectors.clone()], &vectors[..]);
            }
        }

        #[test]
        fn garbage_is_never_a_panic(garbage: Vec<u8>) {
            let _ = Row::parse(&garbage);
        }
    }
}
