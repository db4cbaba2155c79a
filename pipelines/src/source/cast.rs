//! From the type found in a Parquet file to the registry's type, without loss.
//! Called by `parquet`, once per column for the rule and once per batch for the values.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeListArray, Float64Array, Int64Array,
    ListArray, PrimitiveArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow::error::ArrowError;
use granary_registry::DType;

use super::scalar::{self, Parsed};
use super::wanted::vector_element;
use super::{TextAs, Wanted};

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// The type to ask of the Parquet reader, if the found type can become the wanted one.
pub(super) fn readable_as(found: &DataType, wanted: &Wanted) -> Option<DataType> {
    let value = match found {
        DataType::Dictionary(_, value) => value.as_ref(),
        other => other,
    };
    if value == &DataType::Null {
        return Some(DataType::Null);
    }
    let text = is_text(value);
    match wanted.dtype {
        DType::Int => {
            let whole = value.is_integer() || value.is_floating();
            (whole || is_whole_decimal(value)).then(|| value.clone())
        }
        DType::Float => (value.is_numeric()).then(|| value.clone()),
        DType::Bool | DType::Timestamp if text => Some(DataType::Utf8),
        DType::Bool => (value == &DataType::Boolean || value.is_integer()).then(|| value.clone()),
        DType::Text | DType::Categorical if text => Some(wanted.text_type()),
        DType::Text | DType::Categorical => value.is_integer().then(|| value.clone()),
        DType::Timestamp => {
            let instant = matches!(
                value,
                DataType::Timestamp(..) | DataType::Date32 | DataType::Date64
            );
            instant.then(|| value.clone())
        }
        DType::Vector => match value {
            DataType::List(element)
            | DataType::LargeList(element)
            | DataType::FixedSizeList(element, _) => {
                element.data_type().is_numeric().then(|| value.clone())
            }
            _ => None,
        },
    }
}

/// The Arrow type of a column once it is cast: as wanted, except that a vector whose length
/// is fixed in the file stays so.
pub(super) fn type_after(read: &DataType, wanted: &Wanted) -> DataType {
    match (wanted.dtype, read) {
        (DType::Vector, DataType::FixedSizeList(_, length)) => {
            DataType::FixedSizeList(vector_element(), *length)
        }
        _ => wanted.arrow_type(),
    }
}

/// An array as the wanted type. Where a value was and none came out, the row is a bad one.
pub(super) fn to_wanted(array: &ArrayRef, wanted: &Wanted) -> Result<ArrayRef, ArrowError> {
    let target = type_after(array.data_type(), wanted);
    if array.data_type() == &DataType::Null {
        return cast(array, &target);
    }
    match wanted.dtype {
        DType::Int => to_int(array),
        DType::Float => to_float(array),
        DType::Bool => to_bool(array),
        DType::Timestamp => to_timestamp(array),
        DType::Vector => to_vector(array, &target),
        DType::Text | DType::Categorical if array.data_type() == &target => Ok(array.clone()),
        DType::Text | DType::Categorical => match wanted.text {
            TextAs::Plain | TextAs::View => cast(array, &target),
            TextAs::Dictionary => cast(&cast(array, &DataType::Utf8)?, &target),
        },
    }
}

/// Whether a null of the cast array stands for a value that means null: NaN and infinities.
pub(super) fn means_null(array: &ArrayRef, row: usize) -> bool {
    match array.data_type() {
        DataType::Float32 => !array.as_primitive::<Float32Type>().value(row).is_finite(),
        DataType::Float64 => !array.as_primitive::<Float64Type>().value(row).is_finite(),
        DataType::Float16 => cast(&array.slice(row, 1), &DataType::Float64)
            .is_ok_and(|one| !one.as_primitive::<Float64Type>().value(0).is_finite()),
        DataType::Utf8 => array.as_string::<i32>().value(row).trim_ascii().is_empty(),
        _ => false,
    }
}

fn is_text(found: &DataType) -> bool {
    matches!(
        found,
        DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
    )
}

fn is_whole_decimal(found: &DataType) -> bool {
    matches!(
        found,
        DataType::Decimal32(_, 0)
            | DataType::Decimal64(_, 0)
            | DataType::Decimal128(_, 0)
            | DataType::Decimal256(_, 0)
    )
}

fn to_int(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if !array.data_type().is_floating() {
        return cast(array, &DataType::Int64);
    }
    let floats = cast(array, &DataType::Float64)?;
    let ints: Int64Array = floats
        .as_primitive::<Float64Type>()
        .unary_opt(scalar::whole);
    Ok(Arc::new(ints))
}

fn to_float(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let floats = cast(array, &DataType::Float64)?;
    let values = floats.as_primitive::<Float64Type>();
    if values.values().iter().all(|value| value.is_finite()) {
        return Ok(floats);
    }
    let finite: Float64Array = values.unary_opt(|value| value.is_finite().then_some(value));
    Ok(Arc::new(finite))
}

fn to_bool(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == &DataType::Boolean {
        return Ok(array.clone());
    }
    if array.data_type() == &DataType::Utf8 {
        return Ok(Arc::new(
            parsed(array, scalar::bool).collect::<BooleanArray>(),
        ));
    }
    let ints = cast(array, &DataType::Int64)?;
    let bools = ints
        .as_primitive::<Int64Type>()
        .iter()
        .map(|value| match value {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        });
    Ok(Arc::new(bools.collect::<BooleanArray>()))
}

fn to_timestamp(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let instants: TimestampMicrosecondArray = match array.data_type() {
        DataType::Utf8 => parsed(array, scalar::timestamp).collect(),
        DataType::Date32 => days_to_micros(cast(array, &DataType::Int32)?.as_primitive()),
        DataType::Date64 => millis_to_micros(cast(array, &DataType::Int64)?.as_primitive()),
        DataType::Timestamp(TimeUnit::Second, _) => array
            .as_primitive::<TimestampSecondType>()
            .unary_opt(|s| s.checked_mul(1_000_000)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => array
            .as_primitive::<TimestampMillisecondType>()
            .unary_opt(|ms| ms.checked_mul(1_000)),
        // An instant with a zone is stored in UTC, so the zone is only dropped.
        DataType::Timestamp(TimeUnit::Microsecond, _) => array
            .as_primitive::<TimestampMicrosecondType>()
            .clone()
            .with_timezone_opt(NO_ZONE),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => array
            .as_primitive::<TimestampNanosecondType>()
            .unary(|ns| ns.div_euclid(1_000)),
        other => return Err(ArrowError::CastError(format!("{other} is no instant"))),
    };
    Ok(Arc::new(instants))
}

const NO_ZONE: Option<Arc<str>> = None;

fn days_to_micros(days: &PrimitiveArray<Int32Type>) -> TimestampMicrosecondArray {
    days.unary_opt(|days| i64::from(days).checked_mul(DAY))
}

fn millis_to_micros(millis: &PrimitiveArray<Int64Type>) -> TimestampMicrosecondArray {
    millis.unary_opt(|millis| millis.checked_mul(1_000))
}

/// A vector with a hole in it becomes a null, and so a bad row.
fn to_vector(array: &ArrayRef, target: &DataType) -> Result<ArrayRef, ArrowError> {
    let floats = cast(array, target)?;
    let field = vector_element();
    if let DataType::FixedSizeList(_, length) = target {
        let list = floats.as_fixed_size_list();
        let nulls = whole_vectors(&floats, |row| list.value(row)).into();
        let values = list.values().clone();
        return Ok(Arc::new(FixedSizeListArray::try_new(
            field,
            *length,
            values,
            Some(nulls),
        )?));
    }
    let list = floats.as_list::<i32>();
    if list.values().null_count() == 0 {
        return Ok(floats);
    }
    let nulls = whole_vectors(&floats, |row| list.value(row)).into();
    let (offsets, values) = (list.offsets().clone(), list.values().clone());
    Ok(Arc::new(ListArray::try_new(
        field,
        offsets,
        values,
        Some(nulls),
    )?))
}

fn whole_vectors(lists: &ArrayRef, element: impl Fn(usize) -> ArrayRef) -> Vec<bool> {
    (0..lists.len())
        .map(|row| lists.is_valid(row) && element(row).null_count() == 0)
        .collect()
}

/// Every text through a parser of `scalar`; what it refuses is null.
fn parsed<'a, T>(
    array: &'a ArrayRef,
    parse: impl Fn(&'a [u8]) -> Parsed<T>,
) -> impl Iterator<Item = Option<T>> {
    array
        .as_string::<i32>()
        .iter()
        .map(move |text| parse(text?.as_bytes()).ok().flatten())
}
