//! Arrow IPC that a client sent, as rows of a source: found by name, cast as the columns of a
//! Parquet file are. Called by `ingest`; the bytes come from outside, so every length in them
//! is held against what was really sent.

use std::panic::catch_unwind;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::buffer::Buffer;
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int64Type, Schema, TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;
use granary_registry::{Column, DType, EventTime, Source, Value};

use super::cast::{means_null, readable_as, to_wanted};
use super::{Reason, Wanted};

/// Most rows of one body.
const MOST_ROWS: usize = 1 << 20;

/// Most text of one column once it is spelled out: a dictionary or a view says a long text
/// again in a few bytes.
const MOST_TEXT: usize = 256 << 20;

/// Begins an IPC file, and no stream.
const FILE_MAGIC: &[u8] = b"ARROW1";

/// A row: the columns that are not null, by name.
pub type Row = Vec<(Arc<str>, Value)>;

/// Why bytes are no rows of a source.
#[derive(Debug, thiserror::Error)]
pub enum IpcError {
    /// They are no Arrow IPC.
    #[error("is no Arrow IPC stream or file that can be read: {0}")]
    Malformed(String),
    /// A column that the source does not have.
    #[error("is no column of the source")]
    UnknownColumn {
        /// Its name.
        column: String,
    },
    /// Two columns of one name.
    #[error("is there twice")]
    Twice {
        /// Their name.
        column: String,
    },
    /// A column whose type cannot become the registry's.
    #[error("is {found} in the Arrow schema, registry says {wanted}")]
    ColumnType {
        /// Its name.
        column: String,
        /// As it was sent.
        found: DataType,
        /// As the registry has it.
        wanted: DType,
    },
    /// A value that cannot become one of the registry's type.
    #[error("{reason}")]
    Cell {
        /// Which row of all that were sent, from 0.
        row: usize,
        /// Its column.
        column: String,
        /// What is wrong.
        reason: Reason,
    },
    /// More than one request may hold.
    #[error("{0}; send several smaller requests")]
    TooMuch(String),
}

impl From<ArrowError> for IpcError {
    fn from(error: ArrowError) -> IpcError {
        IpcError::Malformed(error.to_string())
    }
}

/// The rows of an IPC stream or file, in order.
pub fn rows(bytes: Vec<u8>, source: &Source) -> Result<Vec<Row>, IpcError> {
    let sent = bytes.len();
    let (schema, batches) = read(bytes)?;
    let columns = plan(&schema, source)?;
    let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
    // A row takes a byte at the least: more are a length that lies.
    if count > MOST_ROWS || count > sent {
        let message = format!("{count} rows in one body, of at most {MOST_ROWS}");
        return Err(IpcError::TooMuch(message));
    }
    let mut rows = Vec::with_capacity(count);
    for batch in &batches {
        let first = rows.len();
        rows.resize_with(first + batch.num_rows(), || {
            Row::with_capacity(columns.len())
        });
        for (array, column) in batch.columns().iter().zip(&columns) {
            column.fill(array, first, &mut rows)?;
        }
    }
    Ok(rows)
}

type Batches = (Arc<Schema>, Vec<RecordBatch>);

/// The decoder checks what arrays hold, but not every length in a message's header: on some it
/// panics, with nothing but its own values in hand.
fn read(bytes: Vec<u8>) -> Result<Batches, IpcError> {
    catch_unwind(|| decode(bytes))
        .unwrap_or_else(|_| Err(malformed("a length in it does not fit the others")))
}

fn decode(bytes: Vec<u8>) -> Result<Batches, IpcError> {
    let mut rest = Buffer::from_vec(bytes);
    if rest.starts_with(FILE_MAGIC) {
        rest = stream_within(&rest).ok_or_else(|| malformed("the file's footer is damaged"))?;
    }
    let mut decoder = StreamDecoder::new();
    let mut batches = Vec::new();
    while let Some(batch) = decoder.decode(&mut rest)? {
        batches.push(batch);
    }
    decoder.finish()?;
    let schema = decoder.schema();
    let schema = schema.ok_or_else(|| malformed("it ends before its schema"))?;
    Ok((schema, batches))
}

fn malformed(reason: &str) -> IpcError {
    IpcError::Malformed(reason.to_owned())
}

/// A file is its magic, zeros, a stream, and a footer with its length and the magic again.
fn stream_within(file: &Buffer) -> Option<Buffer> {
    let end = file.len().checked_sub(FILE_MAGIC.len() + 4)?;
    let footer = u32::from_le_bytes(*file.get(end..)?.first_chunk()?) as usize;
    let until = end.checked_sub(footer)?;
    let stream = file.get(FILE_MAGIC.len()..until)?;
    let zeros = stream.iter().take_while(|byte| **byte == 0).count();
    Some(file.slice_with_length(FILE_MAGIC.len() + zeros, stream.len() - zeros))
}

/// A column as it was sent, and what it becomes.
struct Plan {
    name: Arc<str>,
    wanted: Wanted,
    read_as: DataType,
}

fn plan(schema: &Schema, source: &Source) -> Result<Vec<Plan>, IpcError> {
    let mut plans: Vec<Plan> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let name = field.name();
        let known = |column: &&Column| column.name == *name;
        let Some(column) = source.columns.iter().find(known) else {
            let column = name.clone();
            return Err(IpcError::UnknownColumn { column });
        };
        if plans.iter().any(|held| *held.name == **name) {
            let column = name.clone();
            return Err(IpcError::Twice { column });
        }
        let wanted = Wanted::optional(name, column.dtype).plain();
        let read_as = readable_as(field.data_type(), &wanted);
        plans.push(Plan {
            name: name.as_str().into(),
            read_as: read_as.ok_or_else(|| IpcError::ColumnType {
                column: name.clone(),
                found: field.data_type().clone(),
                wanted: column.dtype,
            })?,
            wanted,
        });
    }
    Ok(plans)
}

impl Plan {
    /// Adds the values of a batch to its rows, which begin at `first`.
    fn fill(&self, array: &ArrayRef, first: usize, rows: &mut [Row]) -> Result<(), IpcError> {
        if spelled_out(array)? > MOST_TEXT {
            let message = format!("column `{}` holds more than {MOST_TEXT} bytes", self.name);
            return Err(IpcError::TooMuch(message));
        }
        let read = cast(array, &self.read_as)?;
        let cast = to_wanted(&read, &self.wanted)?;
        let sent = array.logical_nulls();
        let cells = Cells::of(&cast, self.wanted.dtype);
        for (at, row) in rows[first..].iter_mut().enumerate() {
            if cast.is_valid(at) {
                row.push((self.name.clone(), cells.value(at)));
            } else if sent.as_ref().is_none_or(|nulls| nulls.is_valid(at))
                && !(read.is_valid(at) && means_null(&read, at))
                && read.data_type() != &DataType::Null
            {
                let reason = match self.wanted.dtype {
                    DType::Text | DType::Categorical => Reason::NotUtf8,
                    other => Reason::NotA(other),
                };
                return Err(IpcError::Cell {
                    row: first + at,
                    column: self.wanted.name.clone(),
                    reason,
                });
            }
        }
        Ok(())
    }
}

/// How many bytes the texts of an array are, with every repetition.
fn spelled_out(array: &ArrayRef) -> Result<usize, ArrowError> {
    Ok(match array.data_type() {
        DataType::Utf8View => array.as_string_view().lengths().map(|x| x as usize).sum(),
        DataType::BinaryView => array.as_binary_view().lengths().map(|x| x as usize).sum(),
        DataType::Dictionary(_, value) if is_text(value) => {
            let dictionary = array.as_any_dictionary();
            let values = cast(dictionary.values(), &DataType::BinaryView)?;
            let lengths: Vec<u32> = values.as_binary_view().lengths().collect();
            if lengths.is_empty() {
                return Ok(0);
            }
            let keys = dictionary.normalized_keys();
            keys.iter().map(|key| lengths[*key] as usize).sum()
        }
        _ => 0,
    })
}

fn is_text(value: &DataType) -> bool {
    value.is_string() || value.is_binary()
}

/// The values of a cast column.
enum Cells<'a> {
    Int(&'a [i64]),
    Float(&'a [f64]),
    Bool(&'a BooleanArray),
    Text(&'a StringArray),
    Timestamp(&'a [i64]),
    Vector(&'a ArrayRef),
}

impl<'a> Cells<'a> {
    fn of(array: &'a ArrayRef, dtype: DType) -> Cells<'a> {
        match dtype {
            DType::Int => Cells::Int(array.as_primitive::<Int64Type>().values()),
            DType::Float => Cells::Float(array.as_primitive::<Float64Type>().values()),
            DType::Bool => Cells::Bool(array.as_boolean()),
            DType::Text | DType::Categorical => Cells::Text(array.as_string()),
            DType::Timestamp => {
                Cells::Timestamp(array.as_primitive::<TimestampMicrosecondType>().values())
            }
            DType::Vector => Cells::Vector(array),
        }
    }

    fn value(&self, at: usize) -> Value {
        match self {
            Cells::Int(values) => Value::Int(values[at]),
            Cells::Float(values) => Value::Float(values[at]),
            Cells::Bool(values) => Value::Bool(values.value(at)),
            Cells::Text(values) => Value::Text(values.value(at).into()),
            Cells::Timestamp(values) => Value::Timestamp(EventTime(values[at])),
            Cells::Vector(lists) => {
                let list = match lists.data_type() {
                    DataType::FixedSizeList(..) => lists.as_fixed_size_list().value(at),
                    _ => lists.as_list::<i32>().value(at),
                };
                let elements: &[f32] = list.as_primitive::<Float32Type>().values();
                Value::Vector(elements.into())
            }
        }
    }
}
