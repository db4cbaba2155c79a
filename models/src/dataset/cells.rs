//! One feature of one batch in one of three typed forms, decided once per batch, and
//! the cell that the encoder reads, whether it comes from Arrow or from a `Value`.
//! Called by `Table` and by `Model::predict`.

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, Float32Array, Float64Array, Int32Array,
    StringArray,
};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int32Type, TimeUnit, TimestampMicrosecondType,
};
use arrow::record_batch::RecordBatch;
use granary_registry::{DType, Span, Value};

use super::{FeatureColumn, column};
use crate::Error;

/// One value as the encoder sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    /// Null, NaN or infinite.
    Missing,
    /// Int, float, bool, or an instant in days.
    Number(f64),
    /// Text or category.
    Text(&'a str),
    /// Vector.
    Vector(&'a [f32]),
}

impl<'a> Cell<'a> {
    /// The cell of a value, unless the value is of another type than the feature.
    pub(crate) fn of(value: &'a Value, dtype: DType) -> Option<Cell<'a>> {
        match (dtype, value) {
            (_, Value::Null) => Some(Cell::Missing),
            (DType::Int | DType::Float | DType::Bool, value) => value.as_f64().map(Cell::number),
            (DType::Text | DType::Categorical, Value::Text(text)) => Some(Cell::Text(text)),
            (DType::Timestamp, Value::Timestamp(at)) => Some(Cell::Number(days(at.0))),
            (DType::Vector, Value::Vector(elements)) => Some(Cell::Vector(elements)),
            _ => None,
        }
    }

    fn number(x: f64) -> Cell<'a> {
        if x.is_finite() {
            Cell::Number(x)
        } else {
            Cell::Missing
        }
    }
}

/// One feature of one batch.
pub(crate) enum Cells {
    /// Numbers, bools, instants in days.
    Numbers(Float64Array),
    /// Plain text.
    Texts(StringArray),
    /// Text as keys into a dictionary.
    Keyed {
        keys: Int32Array,
        texts: StringArray,
    },
    /// Vectors one after the other: row `i` is `elements[bounds[i]..bounds[i + 1]]`.
    Vectors {
        elements: Vec<f32>,
        bounds: Vec<usize>,
        nulls: Option<NullBuffer>,
    },
}

impl Cells {
    /// The feature's column of a batch, converted if need be.
    pub(crate) fn read(feature: &FeatureColumn, batch: &RecordBatch) -> Result<Cells, Error> {
        let array = column(batch, &feature.name, "feature")?;
        let read = match feature.dtype {
            DType::Int | DType::Float | DType::Bool => numbers(array),
            DType::Timestamp => instants(array),
            DType::Text | DType::Categorical => texts(array),
            DType::Vector => vectors(array),
        };
        match read {
            Ok(Some(cells)) => Ok(cells),
            Ok(None) => Err(Error::ColumnType {
                column: feature.name.to_string(),
                found: array.data_type().to_string(),
                wanted: feature.dtype.to_string(),
            }),
            Err(source) => Err(Error::Arrow {
                column: feature.name.to_string(),
                source,
            }),
        }
    }

    /// The value of a row.
    #[inline]
    pub(crate) fn cell(&self, row: usize) -> Cell<'_> {
        match self {
            Cells::Numbers(array) if array.is_valid(row) => Cell::number(array.value(row)),
            Cells::Texts(array) if array.is_valid(row) => Cell::Text(array.value(row)),
            Cells::Keyed { keys, texts } if keys.is_valid(row) => {
                let key = keys.value(row) as usize;
                if texts.is_valid(key) {
                    Cell::Text(texts.value(key))
                } else {
                    Cell::Missing
                }
            }
            Cells::Vectors {
                elements,
                bounds,
                nulls,
            } if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) => {
                Cell::Vector(&elements[bounds[row]..bounds[row + 1]])
            }
            _ => Cell::Missing,
        }
    }
}

type Read = Result<Option<Cells>, arrow::error::ArrowError>;

fn numbers(array: &ArrayRef) -> Read {
    if !(array.data_type().is_numeric() || array.data_type() == &DataType::Boolean) {
        return Ok(None);
    }
    let floats = cast(array, &DataType::Float64)?;
    Ok(Some(Cells::Numbers(
        floats.as_primitive::<Float64Type>().clone(),
    )))
}

fn instants(array: &ArrayRef) -> Read {
    let zone = match array.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        DataType::Date32 | DataType::Date64 => None,
        _ => return Ok(None),
    };
    let instants = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, zone))?;
    let days = instants
        .as_primitive::<TimestampMicrosecondType>()
        .unary::<_, Float64Type>(days);
    Ok(Some(Cells::Numbers(days)))
}

fn texts(array: &ArrayRef) -> Read {
    match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let texts = cast(array, &DataType::Utf8)?;
            Ok(Some(Cells::Texts(texts.as_string::<i32>().clone())))
        }
        DataType::Dictionary(_, values)
            if matches!(
                **values,
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
            ) =>
        {
            let wanted = DataType::Dictionary(Box::new(DataType::Int32), values.clone());
            let keyed = cast(array, &wanted)?;
            let keyed = keyed.as_dictionary::<Int32Type>();
            let texts = cast(keyed.values(), &DataType::Utf8)?;
            Ok(Some(Cells::Keyed {
                keys: keyed.keys().clone(),
                texts: texts.as_string::<i32>().clone(),
            }))
        }
        _ => Ok(None),
    }
}

fn vectors(array: &ArrayRef) -> Read {
    let rows = array.len();
    let (elements, bounds) = match array.data_type() {
        DataType::FixedSizeList(..) => {
            let lists: &FixedSizeListArray = array.as_fixed_size_list();
            let length = lists.value_length() as usize;
            (
                lists.values().clone(),
                (0..=rows).map(|row| row * length).collect(),
            )
        }
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            let bounds = lists
                .value_offsets()
                .iter()
                .map(|&bound| bound as usize)
                .collect();
            (lists.values().clone(), bounds)
        }
        DataType::LargeList(_) => {
            let lists = array.as_list::<i64>();
            let bounds = lists
                .value_offsets()
                .iter()
                .map(|&bound| bound as usize)
                .collect();
            (lists.values().clone(), bounds)
        }
        _ => return Ok(None),
    };
    if !elements.data_type().is_numeric() {
        return Ok(None);
    }
    let elements = cast(&elements, &DataType::Float32)?;
    let elements: &Float32Array = elements.as_primitive::<Float32Type>();
    let elements = elements
        .iter()
        .map(|element| element.unwrap_or(f32::NAN))
        .collect();
    Ok(Some(Cells::Vectors {
        elements,
        bounds,
        nulls: array.nulls().cloned(),
    }))
}

fn days(micros: i64) -> f64 {
    micros as f64 / Span::DAY.0 as f64
}
