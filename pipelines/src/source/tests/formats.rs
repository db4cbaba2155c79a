//! The same table written in every format, packed in every way and read in every layout is
//! the same batches.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::Float32Type;
use arrow::util::display::array_value_to_string;
use flate2::Compression;
use flate2::write::GzEncoder;
use granary_registry::DType;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::{BadRows, Layout, Wanted};
use super::{file, whole_columns};

#[derive(Clone, Debug)]
struct Row {
    user: String,
    at: i64,
    age: Option<i64>,
    score: Option<f64>,
    premium: Option<bool>,
    device: Option<String>,
    review: Option<String>,
    vector: Option<Vec<f32>>,
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]{1,3}",
        r#"[",\n\r {}:a-z]{1,12}"#.prop_filter("blank", |text| !text.is_empty()),
        "\\PC{1,8}",
        Just("{\"page\": \"home\"}".to_owned()),
    ]
}

fn row() -> impl Strategy<Value = Row> {
    let numbers = (
        prop::option::of(any::<i64>()),
        prop::option::of(prop::num::f64::NORMAL | prop::num::f64::ZERO),
        prop::option::of(any::<bool>()),
        prop::option::of(prop::collection::vec(-1e6_f32..1e6, 0..4)),
    );
    let texts = (
        text(),
        prop::option::of("[a-c]{1,2}"),
        prop::option::of(text()),
    );
    let instant = -2_000_000_000_000_000_i64..4_000_000_000_000_000;
    (texts, instant, numbers).prop_map(|((user, device, review), at, numbers)| {
        let (age, score, premium, vector) = numbers;
        Row {
            user,
            at,
            age,
            score,
            premium,
            device,
            review,
            vector,
        }
    })
}

fn table() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec(row(), 1..30)
}

fn layout() -> impl Strategy<Value = Layout> {
    (1_u64..300, 1_usize..200, 1_usize..10).prop_map(|(piece, block, batch_rows)| Layout {
        piece,
        block,
        batch_rows,
    })
}

fn wanted() -> Vec<Wanted> {
    vec![
        Wanted::optional("premium", DType::Bool),
        Wanted::required("user_id", DType::Text),
        Wanted::required("at", DType::Timestamp),
        Wanted::optional("age", DType::Int),
        Wanted::optional("score", DType::Float),
        Wanted::optional("device", DType::Categorical),
        Wanted::optional("review", DType::Text).plain(),
        Wanted::optional("vector", DType::Vector),
    ]
}

/// What must come out, made without the code under test.
fn expected(rows: &[Row]) -> Vec<ArrayRef> {
    let vectors = rows.iter().map(|row| {
        row.vector
            .as_ref()
            .map(|vector| vector.iter().map(|x| Some(*x)).collect::<Vec<_>>())
    });
    vec![
        Arc::new(rows.iter().map(|row| row.premium).collect::<BooleanArray>()),
        Arc::new(
            rows.iter()
                .map(|row| Some(row.user.as_str()))
                .collect::<StringArray>(),
        ),
        Arc::new(TimestampMicrosecondArray::from_iter_values(
            rows.iter().map(|row| row.at),
        )),
        Arc::new(rows.iter().map(|row| row.age).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.score).collect::<Float64Array>()),
        Arc::new(
            rows.iter()
                .map(|row| row.device.as_deref())
                .collect::<StringArray>(),
        ),
        Arc::new(
            rows.iter()
                .map(|row| row.review.as_deref())
                .collect::<StringArray>(),
        ),
        Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(vectors)),
    ]
}

fn names() -> [&'static str; 8] {
    [
        "premium", "user_id", "at", "age", "score", "device", "review", "vector",
    ]
}

fn iso(micros: i64) -> String {
    let one: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![micros]));
    array_value_to_string(&one, 0).unwrap()
}

fn list(vector: &[f32]) -> String {
    let elements: Vec<String> = vector.iter().map(f32::to_string).collect();
    format!("[{}]", elements.join(", "))
}

fn as_csv(rows: &[Row], crlf: bool, always_quote: bool) -> Vec<u8> {
    let terminator = if crlf {
        csv::Terminator::CRLF
    } else {
        csv::Terminator::Any(b'\n')
    };
    let style = if always_quote {
        csv::QuoteStyle::Always
    } else {
        csv::QuoteStyle::Necessary
    };
    let mut writer = csv::WriterBuilder::new()
        .terminator(terminator)
        .quote_style(style)
        .from_writer(vec![]);
    writer
        .write_record([
            "unused", "user_id", "at", "premium", "age", "score", "device", "vector", "review",
            "last",
        ])
        .unwrap();
    for row in rows {
        let premium = row
            .premium
            .map(|premium| if premium { "True" } else { "False" });
        writer
            .write_record([
                "a \"quoted\", one\n",
                &row.user,
                &iso(row.at),
                premium.unwrap_or_default(),
                &row.age.map(|age| age.to_string()).unwrap_or_default(),
                &row.score.map(|score| score.to_string()).unwrap_or_default(),
                row.device.as_deref().unwrap_or_default(),
                &row.vector.as_deref().map(list).unwrap_or_default(),
                row.review.as_deref().unwrap_or_default(),
                "",
            ])
            .unwrap();
    }
    let mut bytes = b"\xef\xbb\xbf".to_vec();
    bytes.extend(writer.into_inner().unwrap());
    bytes
}

fn as_jsonl(rows: &[Row]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| {
            // Every other null is left out instead, except in the first line, which names
            // the columns.
            if !value.is_null() || index % 2 == 0 {
                object.insert(name.to_owned(), value);
            }
        };
        put("user_id", json!(row.user));
        put("at", json!(iso(row.at)));
        put("age", json!(row.age));
        put("score", json!(row.score));
        put("premium", json!(row.premium));
        put("device", json!(row.device));
        put("review", json!(row.review));
        put("unused", json!({"nested": ["\n", {"a": null}]}));
        put(
            "vector",
            row.vector
                .as_deref()
                .map_or(Value::Null, |v| serde_json::from_str(&list(v)).unwrap()),
        );
        serde_json::to_writer(&mut bytes, &object).unwrap();
        bytes.push(b'\n');
    }
    bytes
}

fn as_parquet(rows: &[Row], group_rows: usize) -> Vec<u8> {
    let columns = names().into_iter().zip(expected(rows));
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))
            .unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group_rows))
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// Packed as two members or frames, which a reader must not take for one.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let (left, right) = bytes.split_at(bytes.len() / 2);
    let pack = |part: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap()
    };
    [pack(left), pack(right)].concat()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let (left, right) = bytes.split_at(bytes.len() / 2);
    [
        zstd::encode_all(left, 1).unwrap(),
        zstd::encode_all(right, 1).unwrap(),
    ]
    .concat()
}

/// Reads a file and compares it with the rows.
fn assert_reads(name: &str, bytes: &[u8], rows: &[Row], layout: Layout) {
    let directory = tempfile::tempdir().unwrap();
    let files = file(directory.path(), name, bytes, layout).unwrap();
    let batches = files.read(&wanted(), &BadRows::strict()).unwrap();
    for batch in &batches {
        assert!(matches!(
            batch.column(1).data_type(),
            arrow::datatypes::DataType::Dictionary(_, _)
        ));
    }
    let found = whole_columns(&batches);
    for ((name, found), expected) in names().iter().zip(&found).zip(expected(rows)) {
        assert_eq!(found, &expected, "column {name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn csv_reads_back(rows in table(), layout in layout(), crlf: bool, always: bool) {
        let bytes = as_csv(&rows, crlf, always);
        assert_reads("t.csv", &bytes, &rows, layout);
        assert_reads("t.csv.gz", &gzip(&bytes), &rows, layout);
        // The magic bytes count, not the name.
        assert_reads("t.csv", &zstd(&bytes), &rows, layout);
    }

    #[test]
    fn json_lines_read_back(rows in table(), layout in layout()) {
        let bytes = as_jsonl(&rows);
        assert_reads("t.jsonl", &bytes, &rows, layout);
        assert_reads("t.ndjson.zst", &zstd(&bytes), &rows, layout);
        assert_reads("t.jsonl.gz", &gzip(&bytes), &rows, layout);
    }

    #[test]
    fn parquet_reads_back(rows in table(), layout in layout(), group_rows in 1_usize..20) {
        assert_reads("t.parquet", &as_parquet(&rows, group_rows), &rows, layout);
    }
}

#[test]
fn chunks_follow_the_row_groups() {
    let row = Row {
        user: "u".to_owned(),
        at: 0,
        age: None,
        score: None,
        premium: None,
        device: None,
        review: None,
        vector: None,
    };
    let directory = tempfile::tempdir().unwrap();
    let bytes = as_parquet(&vec![row; 10], 4);
    let files = file(directory.path(), "t.parquet", &bytes, Layout::default()).unwrap();
    assert_eq!(files.rows_hint(&std::collections::HashSet::new()), Some(10));
    assert_eq!(files.chunks().unwrap().len(), 3);
    assert_eq!(files.columns(), names());
    let only_counted = files.read(&[], &BadRows::strict()).unwrap();
    assert_eq!(
        only_counted
            .iter()
            .map(RecordBatch::num_rows)
            .sum::<usize>(),
        10
    );
}

#[test]
fn hashes_are_of_the_bytes_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let files = file(directory.path(), "t.csv", b"a\n1\n", Layout::default()).unwrap();
    let hash = &files.hash(&std::collections::HashMap::new()).unwrap()[0];
    assert_eq!(hash.path.to_str(), Some("t.csv"));
    assert_eq!(
        (hash.state.bytes, hash.blake3),
        (4, blake3::hash(b"a\n1\n"))
    );
}
