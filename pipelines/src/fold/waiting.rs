//! Live events on their way into a state: what the folds read of each, as bytes. Written when
//! an event is taken in, folded when its entity's row is read or goes to disk. They lie in
//! memory alone and have no format number.
//!
//! | bytes | what of one event for one group |
//! |---|---|
//! | varint | length of all that follows |
//! | varint | number of the group, doubled, and one more if values were written |
//! | varint | its instant |
//! | 8 | its id, hashed |
//! | varint | one past its offset in the log |
//! | varint each | mask words |
//! | varint | length of the inputs without elements of vectors, then these |
//! | … | elements of vectors |

use super::codec::{Bytes, DecodeError, Sink};
use super::events::{Columns, Input, NO_CATEGORY, NO_HASH, Vectors};
use super::group::{GroupFold, InputKind};
use super::written::WrittenBits;
use crate::expression::value_at;

/// One event that waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting<'a> {
    /// Number of the group that it waits for.
    pub group: usize,
    /// Its instant.
    pub time: i64,
    /// Its hashed id.
    pub id: u64,
    /// Whether it is no event: values were written.
    pub is_written: bool,
    rest: Bytes<'a>,
}

/// Events of a group, ready to wait.
#[derive(Debug)]
pub(crate) struct Records {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Records {
    /// All rows of a group's columns.
    pub(crate) fn of(group: usize, columns: &Columns, bits: WrittenBits) -> Records {
        let (mut framed, mut sink, mut inputs) =
            (Sink::default(), Sink::default(), Sink::default());
        let mut ends = Vec::with_capacity(columns.rows());
        for row in 0..columns.rows() {
            sink.clear();
            inputs.clear();
            for input in &columns.inputs {
                append_input(&mut inputs, input, row);
            }
            let is_written = bits.is_written(columns, row);
            sink.unsigned((group as u64) << 1 | u64::from(is_written));
            sink.signed(columns.times[row]);
            let id = columns.ids.get(row).copied().unwrap_or(NO_HASH);
            sink.row.extend_from_slice(&id.to_le_bytes());
            sink.unsigned(columns.positions.get(row).copied().unwrap_or(0));
            for mask in &columns.masks {
                sink.unsigned(mask[row]);
            }
            sink.text(&inputs.row);
            sink.row.extend_from_slice(&inputs.vectors);
            framed.text(&sink.row);
            ends.push(framed.row.len());
        }
        Records {
            bytes: framed.row,
            ends,
        }
    }

    /// The bytes of one, to be added to what waits.
    pub(crate) fn get(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.bytes[start..self.ends[row]]
    }
}

/// The events that wait, in the order in which they came.
pub(crate) fn waiting(bytes: &[u8]) -> impl Iterator<Item = Result<Waiting<'_>, DecodeError>> {
    let mut bytes = Bytes::new(bytes, None);
    std::iter::from_fn(move || {
        (!bytes.is_empty()).then(|| {
            let mut rest = Bytes::new(bytes.text()?, None);
            let place = rest.unsigned()?;
            Ok(Waiting {
                group: (place >> 1) as usize,
                is_written: place & 1 == 1,
                time: rest.signed()?,
                id: u64::from_le_bytes(rest.fixed()?),
                rest,
            })
        })
    })
}

/// Waiting events of one group as the columns they were, in order of time.
pub(crate) fn columns(
    fold: &GroupFold,
    mut events: Vec<Waiting<'_>>,
) -> Result<Columns, DecodeError> {
    events.sort_by_key(|event| event.time);
    let mut columns = Columns {
        masks: vec![Vec::with_capacity(events.len()); fold.bits.words()],
        ..Columns::default()
    };
    let mut inputs: Vec<Column> = fold
        .inputs
        .iter()
        .map(|input| Column::of(&input.kind))
        .collect();
    for event in &events {
        let mut rest = event.rest;
        columns.times.push(event.time);
        if fold.keeps_ids() {
            columns.ids.push(event.id);
        }
        columns.positions.push(rest.unsigned()?);
        for mask in &mut columns.masks {
            mask.push(rest.unsigned()?);
        }
        let row = rest.text()?;
        let mut bytes = Bytes::new(row, Some(rest.rest()));
        for input in &mut inputs {
            input.push(&mut bytes)?;
        }
    }
    columns.inputs = inputs.into_iter().map(Column::finish).collect();
    Ok(columns)
}

fn append_input(sink: &mut Sink, input: &Input, row: usize) {
    match input {
        Input::Numbers(numbers) => sink.float(numbers[row]),
        Input::Codes(codes) => sink.unsigned(u64::from(codes[row].wrapping_add(1))),
        Input::Hashes(hashes) => sink.row.extend_from_slice(&hashes[row].to_le_bytes()),
        Input::Values(array) => sink.value(&value_at(array, row)),
        Input::Cells(cells) => sink.value(&cells[row]),
        Input::Vectors(vectors) => {
            let vector = vectors.get(row);
            // 0 is no vector, so that one without elements is told from it.
            sink.unsigned(vector.map_or(0, |vector| vector.len() as u64 + 1));
            for element in vector.unwrap_or_default() {
                sink.vectors.extend_from_slice(&element.to_le_bytes());
            }
        }
    }
}

/// An input being read back.
enum Column {
    Whole(Input),
    /// One vector a row, if it has one.
    Vectors(Vec<Option<Vec<f32>>>),
}

impl Column {
    fn of(kind: &InputKind) -> Column {
        Column::Whole(match kind {
            InputKind::Numbers => Input::Numbers(Vec::new()),
            InputKind::Codes(_) | InputKind::Buckets(_) => Input::Codes(Vec::new()),
            InputKind::Hashes => Input::Hashes(Vec::new()),
            InputKind::Values => Input::Cells(Vec::new()),
            InputKind::Vectors => return Column::Vectors(Vec::new()),
        })
    }

    fn push(&mut self, bytes: &mut Bytes<'_>) -> Result<(), DecodeError> {
        match self {
            Column::Whole(Input::Numbers(numbers)) => numbers.push(bytes.float()?),
            Column::Whole(Input::Codes(codes)) => {
                codes.push((bytes.unsigned()? as u32).wrapping_sub(1));
            }
            Column::Whole(Input::Hashes(hashes)) => {
                hashes.push(u64::from_le_bytes(bytes.fixed()?));
            }
            Column::Whole(Input::Cells(cells)) => cells.push(bytes.value()?),
            Column::Whole(Input::Values(_) | Input::Vectors(_)) => {}
            Column::Vectors(vectors) => vectors.push(match bytes.unsigned()? {
                0 => None,
                length => Some(bytes.floats(length as usize - 1)?),
            }),
        }
        Ok(())
    }

    fn finish(self) -> Input {
        match self {
            Column::Whole(input) => input,
            Column::Vectors(vectors) => Input::Vectors(Vectors::of_rows(&vectors)),
        }
    }
}

const _: () = assert!(
    NO_CATEGORY.wrapping_add(1) == 0,
    "no category is written as 0"
);
