//! A record batch as CSV text: missing values are empty fields, instants are
//! ISO-8601 in UTC without an offset, booleans `True` and `False`, as the
//! original project wrote them. Called by `files`, and for the ISO text of
//! `truth.json` by `generate`.

use std::io::Write;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{
    DataType, Float64Type, Int32Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
};
use arrow::error::ArrowError;

/// The first line.
pub(super) fn header(schema: &Schema) -> Vec<u8> {
    let names: Vec<&str> = (schema.fields().iter())
        .map(|field| field.name().as_str())
        .collect();
    (names.join(",") + "\n").into_bytes()
}

/// The rows of a batch.
pub(super) fn rows(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let columns = batch.columns().iter().map(Cells::of);
    let columns = columns.collect::<Result<Vec<Cells<'_>>, ArrowError>>()?;
    let mut out = Vec::with_capacity(batch.num_rows() * 16 * columns.len());
    for row in 0..batch.num_rows() {
        for (place, column) in columns.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            column.write(row, &mut out)?;
        }
        out.push(b'\n');
    }
    Ok(out)
}

/// A column with its type found out.
enum Cells<'a> {
    Text(&'a StringArray),
    Coded(&'a Int32Array, Vec<Vec<u8>>),
    Whole(&'a Int64Array),
    Real(&'a Float64Array),
    Bool(&'a BooleanArray),
    Instant(&'a TimestampMicrosecondArray),
}

impl<'a> Cells<'a> {
    fn of(column: &'a ArrayRef) -> Result<Cells<'a>, ArrowError> {
        Ok(match column.data_type() {
            DataType::Utf8 => Cells::Text(column.as_string()),
            DataType::Int64 => Cells::Whole(column.as_primitive::<Int64Type>()),
            DataType::Float64 => Cells::Real(column.as_primitive::<Float64Type>()),
            DataType::Boolean => Cells::Bool(column.as_boolean()),
            DataType::Timestamp(TimeUnit::Microsecond, None) => {
                Cells::Instant(column.as_primitive::<TimestampMicrosecondType>())
            }
            DataType::Dictionary(key, _) if **key == DataType::Int32 => {
                let coded = column.as_dictionary::<Int32Type>();
                let texts = coded.values().as_string::<i32>().iter();
                let quoted = texts.map(|text| {
                    let mut field = Vec::new();
                    push_text(&mut field, text.unwrap_or_default());
                    field
                });
                Cells::Coded(coded.keys(), quoted.collect())
            }
            other => {
                let message = format!("no CSV form for a column of type {other}");
                return Err(ArrowError::NotYetImplemented(message));
            }
        })
    }

    #[inline]
    fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        match self {
            Cells::Text(cells) if cells.is_valid(row) => push_text(out, cells.value(row)),
            Cells::Coded(keys, texts) if keys.is_valid(row) => {
                out.extend_from_slice(&texts[keys.value(row) as usize]);
            }
            Cells::Whole(cells) if cells.is_valid(row) => write!(out, "{}", cells.value(row))?,
            Cells::Real(cells) if cells.is_valid(row) => write!(out, "{}", cells.value(row))?,
            Cells::Bool(cells) if cells.is_valid(row) => {
                let text: &[u8] = if cells.value(row) { b"True" } else { b"False" };
                out.extend_from_slice(text);
            }
            Cells::Instant(cells) if cells.is_valid(row) => push_instant(out, cells.value(row)),
            _ => {}
        }
        Ok(())
    }
}

/// A field, in quotes where RFC 4180 wants them.
#[inline]
fn push_text(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    if memchr::memchr3(b',', b'"', b'\n', bytes).is_none() {
        return out.extend_from_slice(bytes);
    }
    out.push(b'"');
    for (place, part) in bytes.split(|&byte| byte == b'"').enumerate() {
        if place > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part);
    }
    out.push(b'"');
}

/// Microseconds since the epoch as `2025-12-31T23:59:59.000001`; four-digit years.
pub(super) fn push_instant(out: &mut Vec<u8>, microseconds: i64) {
    let seconds = microseconds.div_euclid(1_000_000);
    let second_of_day = seconds.rem_euclid(86_400);
    let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
    let mut text = *b"0000-00-00T00:00:00.000000";
    digits(&mut text[0..4], year);
    digits(&mut text[5..7], month);
    digits(&mut text[8..10], day);
    digits(&mut text[11..13], second_of_day / 3_600);
    digits(&mut text[14..16], second_of_day / 60 % 60);
    digits(&mut text[17..19], second_of_day % 60);
    digits(&mut text[20..26], microseconds.rem_euclid(1_000_000));
    out.extend_from_slice(&text);
}

#[inline]
fn digits(places: &mut [u8], mut number: i64) {
    for place in places.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of a day since the epoch: Howard Hinnant's
/// `civil_from_days` (<https://howardhinnant.github.io/date_algorithms.html>).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_iso_8601() {
        let text = |microseconds| {
            let mut out = Vec::new();
            push_instant(&mut out, microseconds);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(0), "1970-01-01T00:00:00.000000");
        assert_eq!(text(951_782_399_999_999), "2000-02-28T23:59:59.999999");
        assert_eq!(text(951_782_400_000_000), "2000-02-29T00:00:00.000000");
        assert_eq!(text(1_767_225_600_000_001), "2026-01-01T00:00:00.000001");
        assert_eq!(text(-1), "1969-12-31T23:59:59.999999");
    }

    #[test]
    fn quotes_only_where_needed() {
        let text = |field| {
            let mut out = Vec::new();
            push_text(&mut out, field);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text("plain"), "plain");
        assert_eq!(text("a, b"), "\"a, b\"");
        assert_eq!(text(r#"{"a": 1}"#), r#""{""a"": 1}""#);
    }
}
