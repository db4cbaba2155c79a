//! Arrow IPC from a client: every type that can become the registry's does, the others are
//! refused by name, and bytes that are no IPC are told from those that are.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, FixedSizeListArray, Float32Array, Int8Array,
    Int16Array, Int32Array, Int64Array, LargeStringArray, ListArray, NullArray, RecordBatch,
    StringArray, StringViewArray, TimestampMillisecondArray, TimestampNanosecondArray,
    TimestampSecondArray, UInt64Array,
};
use arrow::datatypes::{Float32Type, Int8Type};
use arrow::ipc::writer::{FileWriter, StreamWriter};
use granary_registry::{EventTime, Registry, Source, Value};
use proptest::prelude::*;

use crate::source::ipc::{IpcError, Row, rows};

const REGISTRY: &str = "
project: p
entities:
  user: {key: user_id, type: text}
sources:
  clicks:
    path: raw/clicks
    entity: user
    event_time: at
    columns:
      user_id: text
      at: timestamp
      kind: categorical
      count: int
      price: float
      paid: bool
      vector: vector
feature_groups:
  g:
    entity: user
    source: clicks
    features:
      - {name: n, dtype: int, aggregation: count}
";

fn source() -> Source {
    let registry = Registry::parse(REGISTRY).unwrap();
    registry.source("clicks").unwrap().clone()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap()
}

fn stream(batches: &[RecordBatch]) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.into_inner().unwrap()
}

fn file(batches: &[RecordBatch]) -> Vec<u8> {
    let mut writer = FileWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.into_inner().unwrap()
}

/// One column as values of the registry's type; none for a null.
fn column(name: &str, array: ArrayRef) -> Result<Vec<Option<Value>>, IpcError> {
    let rows = rows(stream(&[batch(vec![(name, array)])]), &source())?;
    let value = |row: Row| row.into_iter().next().map(|(_, value)| value);
    Ok(rows.into_iter().map(value).collect())
}

fn array(array: impl Array + 'static) -> ArrayRef {
    Arc::new(array)
}

#[test]
fn text_comes_in_any_form() {
    let wanted = vec![
        Some(Value::Text("a".into())),
        None,
        Some(Value::Text("a longer text than a view holds".into())),
    ];
    let texts = [Some("a"), None, Some("a longer text than a view holds")];
    let dictionary: DictionaryArray<Int8Type> = texts.into_iter().collect();
    let forms: [ArrayRef; 5] = [
        array(StringArray::from_iter(texts)),
        array(LargeStringArray::from_iter(texts)),
        array(StringViewArray::from_iter(texts)),
        array(dictionary),
        array(arrow::array::BinaryViewArray::from_iter(
            texts.map(|text| text.map(str::as_bytes)),
        )),
    ];
    for form in forms {
        let shown = form.data_type().clone();
        assert_eq!(column("kind", form.clone()).unwrap(), wanted, "{shown}");
        assert_eq!(column("user_id", form).unwrap(), wanted, "{shown}");
    }
    let numbers = column("user_id", array(Int16Array::from(vec![7]))).unwrap();
    assert_eq!(numbers, [Some(Value::Text("7".into()))]);
}

#[test]
fn instants_of_every_unit_and_zone_are_microseconds_of_utc() {
    let second = 1_700_000_000;
    let wanted = vec![
        Some(Value::Timestamp(EventTime(second * 1_000_000))),
        None,
        Some(Value::Timestamp(EventTime(-1_000_000))),
    ];
    let scaled = |factor: i64| vec![Some(second * factor), None, Some(-factor)];
    let forms: [ArrayRef; 4] = [
        array(TimestampSecondArray::from(scaled(1))),
        array(TimestampMillisecondArray::from(scaled(1_000)).with_timezone("+05:30")),
        array(TimestampNanosecondArray::from(scaled(1_000_000_000)).with_timezone("UTC")),
        array(StringArray::from(vec![
            Some("2023-11-14T22:13:20Z"),
            None,
            Some("1969-12-31T23:59:59"),
        ])),
    ];
    for form in forms {
        assert_eq!(column("at", form).unwrap(), wanted);
    }
}

#[test]
fn numbers_and_vectors_come_in_any_width() {
    let ints = column("count", array(Int8Array::from(vec![Some(-3), None]))).unwrap();
    assert_eq!(ints, [Some(Value::Int(-3)), None]);
    let whole = column("count", array(Float32Array::from(vec![2.0]))).unwrap();
    assert_eq!(whole, [Some(Value::Int(2))]);
    let floats = column("price", array(Int32Array::from(vec![5]))).unwrap();
    assert_eq!(floats, [Some(Value::Float(5.0))]);
    let nan = column("price", array(Float32Array::from(vec![f32::NAN, 0.5]))).unwrap();
    assert_eq!(nan, [None, Some(Value::Float(0.5))]);
    let bools = column("paid", array(BooleanArray::from(vec![true]))).unwrap();
    assert_eq!(bools, [Some(Value::Bool(true))]);
    let nulls = column("paid", array(NullArray::new(2)));
    // Without a column that takes room, two rows are still fewer than the bytes.
    assert_eq!(nulls.unwrap(), [None, None]);
    let vectors = [Some(vec![Some(1.0), Some(0.5)]), None];
    let list = ListArray::from_iter_primitive::<Float32Type, _, _>(vectors.clone());
    let fixed = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(vectors, 2);
    for form in [array(list), array(fixed)] {
        let found = column("vector", form).unwrap();
        assert_eq!(found, [Some(Value::Vector(vec![1.0, 0.5].into())), None]);
    }
}

#[test]
fn refusals_name_the_column_both_types_and_the_row() {
    let no = |name, array| column(name, array).unwrap_err();
    let error = no("count", array(StringArray::from(vec!["7"])));
    assert_eq!(
        error.to_string(),
        "is Utf8 in the Arrow schema, registry says int"
    );
    assert!(matches!(error, IpcError::ColumnType { column, .. } if column == "count"));
    let error = no("kin", array(StringArray::from(vec!["7"])));
    assert!(matches!(error, IpcError::UnknownColumn { column } if column == "kin"));
    for (name, array) in [
        ("count", array(UInt64Array::from(vec![1, u64::MAX]))),
        ("count", array(Float32Array::from(vec![1.0, 1.5]))),
        ("at", array(StringArray::from(vec!["2024-01-01", "soon"]))),
        ("at", array(TimestampSecondArray::from(vec![1, i64::MAX]))),
    ] {
        let error = no(name, array);
        assert!(
            matches!(&error, IpcError::Cell { row: 1, column, .. } if column == name),
            "{error:?}"
        );
    }
}

#[test]
fn a_text_said_again_and_again_is_refused_before_it_is_spelled_out() {
    let long = "x".repeat(1 << 20);
    let views = StringViewArray::from_iter_values(std::iter::once(&long));
    let many = arrow::compute::take(&views, &Int32Array::from(vec![0; 1_000]), None).unwrap();
    let keys = Int8Array::from(vec![0; 1_000]);
    let values = array(StringArray::from(vec![long.as_str()]));
    let dictionary = DictionaryArray::new(keys, values);
    for form in [many, array(dictionary)] {
        let error = column("kind", form).unwrap_err();
        assert!(matches!(error, IpcError::TooMuch(_)), "{error:?}");
    }
}

fn sent() -> impl Strategy<Value = Vec<RecordBatch>> {
    let row = (
        "[a-c]{1,20}",
        any::<i32>(),
        prop::option::of(any::<i64>()),
        prop::option::of("[xyz]"),
    );
    let rows = prop::collection::vec(row, 0..20);
    prop::collection::vec(rows, 1..4).prop_map(|batches| {
        let of = |rows: Vec<(String, i32, Option<i64>, Option<String>)>| {
            let users = rows.iter().map(|row| Some(row.0.as_str()));
            let times = rows.iter().map(|row| i64::from(row.1));
            let kinds: DictionaryArray<Int8Type> =
                rows.iter().map(|row| row.3.as_deref()).collect();
            batch(vec![
                ("user_id", array(users.collect::<StringViewArray>())),
                (
                    "at",
                    array(TimestampMillisecondArray::from_iter_values(times)),
                ),
                (
                    "count",
                    array(rows.iter().map(|row| row.2).collect::<Int64Array>()),
                ),
                ("kind", array(kinds)),
            ])
        };
        batches.into_iter().map(of).collect()
    })
}

proptest! {
    #[test]
    fn a_stream_and_a_file_hold_the_same_rows(batches in sent()) {
        let streamed = rows(stream(&batches), &source()).unwrap();
        prop_assert_eq!(streamed.len(), batches.iter().map(RecordBatch::num_rows).sum::<usize>());
        // The writer of files takes one dictionary a column alone.
        let filed = rows(file(&batches[..1]), &source()).unwrap();
        prop_assert_eq!(&streamed[..filed.len()], &filed[..]);
    }

    #[test]
    fn broken_bytes_are_refused_and_never_a_panic(
        batches in sent(),
        as_file: bool,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut: prop::sample::Index,
        cuts: bool,
    ) {
        let mut bytes = if as_file { file(&batches[..1]) } else { stream(&batches) };
        for (at, byte) in &flips {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        if cuts {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = rows(bytes, &source());
    }

    #[test]
    fn garbage_is_never_a_panic(mut bytes: Vec<u8>, as_file: bool) {
        if as_file {
            bytes.splice(0..0, *b"ARROW1\0\0");
        }
        let _ = rows(bytes, &source());
    }
}
