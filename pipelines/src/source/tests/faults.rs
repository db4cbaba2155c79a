//! What the errors say, and what skipping does.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array,
    Int64Array, RecordBatch, StringArray, TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::{Float64Type, Int8Type, Int64Type, TimestampMicrosecondType};
use granary_registry::DType;
use parquet::arrow::ArrowWriter;

use super::super::{BadRows, Error, Layout, Wanted};
use super::{file, read_skipping, whole_columns};

fn strict_error(name: &str, bytes: &[u8], columns: &[Wanted]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let files = file(directory.path(), name, bytes, Layout::default()).unwrap();
    let error = files
        .read(columns, &BadRows::strict())
        .unwrap_err()
        .to_string();
    error.replace(&format!("{}/", directory.path().display()), "")
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// One column of a Parquet file, read as the wanted type under the skip rule.
fn read_parquet(array: ArrayRef, dtype: DType) -> Result<(Vec<ArrayRef>, usize), String> {
    let directory = tempfile::tempdir().unwrap();
    let bytes = parquet(vec![("x", array)]);
    let files = file(directory.path(), "t.parquet", &bytes, Layout::default()).unwrap();
    let (batches, side) = read_skipping(&files, &[Wanted::optional("x", dtype)]);
    let batches = batches.map_err(|error| error.to_string())?;
    Ok((whole_columns(&batches), side.len()))
}

#[test]
fn a_bad_value_is_told_with_its_place() {
    let bytes = b"user_id,age\n\"a\nb\",1\nc,x7\nd,y\n";
    let columns = [
        Wanted::required("user_id", DType::Text),
        Wanted::optional("age", DType::Int),
    ];
    assert_eq!(
        strict_error("t.csv", bytes, &columns),
        "read t.csv, row at 4: column `age`: `x7` is no int; fix the row, or leave such rows \
         out with `--on-bad-row skip`"
    );
}

#[test]
fn lines_count_through_compression_and_pieces() {
    let numbers: Vec<String> = (0..1000).map(|i| i.to_string()).collect();
    let text = format!("a\n{}\noops\n", numbers.join("\n"));
    let layout = Layout {
        piece: 64,
        block: 50,
        batch_rows: 10,
    };
    let packed = zstd::encode_all(text.as_bytes(), 1).unwrap();
    for (name, bytes) in [("t.csv", text.as_bytes()), ("t.csv.zst", packed.as_slice())] {
        let directory = tempfile::tempdir().unwrap();
        let files = file(directory.path(), name, bytes, layout).unwrap();
        let error = files.read(&[Wanted::optional("a", DType::Int)], &BadRows::strict());
        let Err(Error::BadRow(row)) = error else {
            panic!("a bad row")
        };
        assert_eq!((row.line, row.value.as_str()), (1002, "oops"));
    }
}

#[test]
fn skipping_writes_each_bad_row_with_its_reason() {
    let bytes = b"id,n\na,1\n,2\nb,x\nc\nd,4\n";
    let directory = tempfile::tempdir().unwrap();
    let files = file(directory.path(), "t.csv", bytes, Layout::default()).unwrap();
    let columns = [
        Wanted::required("id", DType::Text),
        Wanted::optional("n", DType::Int),
    ];
    let (batches, side) = read_skipping(&files, &columns);
    let kept = whole_columns(&batches.unwrap());
    assert_eq!(kept[1].as_primitive::<Int64Type>().values(), &[1, 4]);
    let told: Vec<_> = side
        .iter()
        .map(|line| {
            (
                line["line"].as_u64().unwrap(),
                line["reason"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (3, "must not be empty"),
            (4, "is no int"),
            (5, "the row has 1 fields, the header 2")
        ]
    );
    assert_eq!(side[1]["column"], "n");
    assert_eq!(side[1]["raw"], "b,x");
    assert_eq!(side[1]["source"], "events");
}

#[test]
fn a_missing_column_is_told_with_the_nearest_name() {
    let error = strict_error(
        "t.csv",
        b"user_id,age\nu,1\n",
        &[Wanted::optional("agee", DType::Int)],
    );
    assert_eq!(
        error,
        "read t.csv: no column `agee`; the nearest name is `age`"
    );
    let error = strict_error(
        "t.jsonl",
        b"{\"age\":1}\n",
        &[Wanted::optional("zz", DType::Int)],
    );
    assert_eq!(error, "read t.jsonl: no column `zz`; it has age");
}

#[test]
fn a_type_that_does_not_fit_is_told_with_both_types() {
    let bytes = parquet(vec![("age", Arc::new(StringArray::from(vec!["1"])))]);
    let error = strict_error("t.parquet", &bytes, &[Wanted::optional("age", DType::Int)]);
    assert_eq!(
        error,
        "read t.parquet: column `age` is Utf8, registry says int"
    );
}

#[test]
fn json_of_the_wrong_kind_is_a_bad_row() {
    let bytes = b"{\"n\":1}\n{\"n\":\"1\"}\n";
    let error = strict_error("t.jsonl", bytes, &[Wanted::optional("n", DType::Int)]);
    assert!(
        error.contains("row at 2: column `n`: `\"1\"` is a JSON text, registry says int"),
        "{error}"
    );
    let error = strict_error(
        "t.jsonl",
        b"{\"n\":1}\nnull\n",
        &[Wanted::optional("n", DType::Int)],
    );
    assert!(error.contains("row at 2: not a JSON object"), "{error}");
}

#[test]
fn nested_json_in_a_text_column_stays_as_it_stands() {
    let bytes = b"{\"m\": {\"b\": 1,  \"a\": [2]}}\n{\"m\": 7}\n";
    let directory = tempfile::tempdir().unwrap();
    let files = file(directory.path(), "t.jsonl", bytes, Layout::default()).unwrap();
    let read = files
        .read(&[Wanted::optional("m", DType::Text)], &BadRows::strict())
        .unwrap();
    let texts = whole_columns(&read);
    assert_eq!(
        texts[0].as_string::<i32>().value(0),
        "{\"b\": 1,  \"a\": [2]}"
    );
    assert_eq!(texts[0].as_string::<i32>().value(1), "7");
}

#[test]
fn pandas_forms_are_read_from_csv() {
    let bytes =
        b"i,f,b,t\n5.0,nan,True,2024-01-31 23:59:59.5\n,,False,\nNaN,1e3,1,2024-02-29T00:00:00Z\n";
    let directory = tempfile::tempdir().unwrap();
    let files = file(directory.path(), "t.csv", bytes, Layout::default()).unwrap();
    let wanted = [
        Wanted::optional("i", DType::Int),
        Wanted::optional("f", DType::Float),
        Wanted::optional("b", DType::Bool),
        Wanted::optional("t", DType::Timestamp),
    ];
    let columns = whole_columns(&files.read(&wanted, &BadRows::strict()).unwrap());
    let ints: Vec<_> = columns[0].as_primitive::<Int64Type>().iter().collect();
    assert_eq!(ints, [Some(5), None, None]);
    let floats: Vec<_> = columns[1].as_primitive::<Float64Type>().iter().collect();
    assert_eq!(floats, [None, None, Some(1000.0)]);
    let bools: Vec<_> = columns[2].as_boolean().iter().collect();
    assert_eq!(bools, [Some(true), Some(false), Some(true)]);
    let times: Vec<_> = columns[3]
        .as_primitive::<TimestampMicrosecondType>()
        .iter()
        .collect();
    assert_eq!(
        times,
        [
            Some(1_706_745_599_500_000),
            None,
            Some(1_709_164_800_000_000)
        ]
    );
}

#[test]
fn parquet_types_widen_without_loss() {
    let (ints, bad) = read_parquet(
        Arc::new(Float64Array::from(vec![5.0, f64::NAN, 1.5])),
        DType::Int,
    )
    .unwrap();
    let ints: Vec<_> = ints[0].as_primitive::<Int64Type>().iter().collect();
    assert_eq!((ints, bad), (vec![Some(5), None], 1));

    let (ints, bad) =
        read_parquet(Arc::new(UInt64Array::from(vec![1, u64::MAX])), DType::Int).unwrap();
    assert_eq!((ints[0].len(), bad), (1, 1));

    let decimals = Decimal128Array::from(vec![1250])
        .with_precision_and_scale(10, 2)
        .unwrap();
    let (floats, _) = read_parquet(Arc::new(decimals), DType::Float).unwrap();
    assert_eq!(floats[0].as_primitive::<Float64Type>().value(0), 12.5);

    let infinite = Float64Array::from(vec![f64::INFINITY, 2.0]);
    let (floats, bad) = read_parquet(Arc::new(infinite), DType::Float).unwrap();
    assert!(floats[0].is_null(0) && bad == 0);

    let (texts, _) = read_parquet(Arc::new(Int64Array::from(vec![42])), DType::Text).unwrap();
    assert_eq!(texts[0].as_string::<i32>().value(0), "42");

    let flags = Int64Array::from(vec![0, 1, 2]);
    let (bools, bad) = read_parquet(Arc::new(flags), DType::Bool).unwrap();
    assert_eq!((bools[0].len(), bad), (2, 1));

    let categories: DictionaryArray<Int8Type> = vec!["x", "y", "x"].into_iter().collect();
    let (texts, _) = read_parquet(Arc::new(categories), DType::Categorical).unwrap();
    assert_eq!(texts[0].as_string::<i32>().value(2), "x");
}

#[test]
fn parquet_instants_become_microseconds() {
    let zoned = TimestampNanosecondArray::from(vec![-1, 1_999]).with_timezone("+02:00");
    let (times, _) = read_parquet(Arc::new(zoned), DType::Timestamp).unwrap();
    assert_eq!(
        times[0].as_primitive::<TimestampMicrosecondType>().values(),
        &[-1, 1]
    );

    let (times, _) = read_parquet(Arc::new(Date32Array::from(vec![1])), DType::Timestamp).unwrap();
    assert_eq!(
        times[0].as_primitive::<TimestampMicrosecondType>().value(0),
        86_400_000_000
    );

    let texts = StringArray::from(vec![Some("1970-01-01 00:00:01"), None, Some("soon")]);
    let (times, bad) = read_parquet(Arc::new(texts), DType::Timestamp).unwrap();
    let times: Vec<_> = times[0]
        .as_primitive::<TimestampMicrosecondType>()
        .iter()
        .collect();
    assert_eq!((times, bad), (vec![Some(1_000_000), None], 1));

    let error = read_parquet(Arc::new(Int64Array::from(vec![1])), DType::Timestamp).unwrap_err();
    assert!(
        error.contains("is Int64, registry says timestamp"),
        "{error}"
    );
}

#[test]
fn a_missing_key_in_parquet_is_a_bad_row_with_its_number() {
    let keys = StringArray::from(vec![Some("a"), None]);
    let bytes = parquet(vec![("user_id", Arc::new(keys))]);
    let error = strict_error(
        "t.parquet",
        &bytes,
        &[Wanted::required("user_id", DType::Text)],
    );
    assert!(
        error.starts_with("read t.parquet, row at 2: column `user_id`: `` must not be empty"),
        "{error}"
    );
}

#[test]
fn instants_are_read_in_every_iso_form() {
    let bytes = b"t\n1970-01-02\n1970-01-02T02:00:00+02:00\n1970-01-01 23:00:00.000-01:00\n\
        1970-01-02T00:00:00.000000Z\n";
    let directory = tempfile::tempdir().unwrap();
    let files = file(directory.path(), "t.csv", bytes, Layout::default()).unwrap();
    let wanted = [Wanted::required("t", DType::Timestamp)];
    let columns = whole_columns(&files.read(&wanted, &BadRows::strict()).unwrap());
    let times = columns[0].as_primitive::<TimestampMicrosecondType>();
    assert_eq!(times.values(), &[86_400_000_000; 4]);
}
