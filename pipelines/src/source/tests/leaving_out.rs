use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use flate2::write::GzEncoder;
use granary_registry::DType;
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;

use super::*;

/// A file without the rows of some, and how many those were.
fn without(name: &str, bytes: &[u8], gone: &[&str]) -> (u64, Vec<u8>) {
    let home = tempfile::tempdir().unwrap();
    let files = file(home.path(), name, bytes, Layout::default()).unwrap();
    let key = Wanted::required("user_id", DType::Text);
    let is_out = |key: &str| gone.contains(&key);
    let mut out = Vec::new();
    let rows = files.copy_without(0, &key, &is_out, &mut out).unwrap();
    assert_eq!(files.count_out(0, &key, &is_out).unwrap(), rows);
    (rows, out)
}

/// The rows of a file as a reader has them.
fn rows(name: &str, bytes: &[u8]) -> Vec<(String, String)> {
    let home = tempfile::tempdir().unwrap();
    let files = file(home.path(), name, bytes, Layout::default()).unwrap();
    let wanted = [
        Wanted::required("user_id", DType::Text).plain(),
        Wanted::optional("text", DType::Text).plain(),
    ];
    let batches = files.read(&wanted, &BadRows::strict()).unwrap();
    let of_batch = |batch: &RecordBatch| {
        let text = |column: usize, row: usize| {
            batch
                .column(column)
                .as_string::<i32>()
                .value(row)
                .to_owned()
        };
        let rows = 0..batch.num_rows();
        rows.map(|row| (text(0, row), text(1, row)))
            .collect::<Vec<_>>()
    };
    batches.iter().flat_map(of_batch).collect()
}

/// The same rows as files of every kind.
fn files_of(rows: &[(String, String)]) -> Vec<(&'static str, Vec<u8>)> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(["text", "user_id"]).unwrap();
    let mut json = Vec::new();
    for (user, text) in rows {
        csv.write_record([text, user]).unwrap();
        let line = serde_json::json!({"text": text, "user_id": user});
        json.extend_from_slice(line.to_string().as_bytes());
        json.push(b'\n');
    }
    let csv = csv.into_inner().unwrap();
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&csv).unwrap();
    let columns = |pick: fn(&(String, String)) -> &str| {
        Arc::new(StringArray::from_iter_values(rows.iter().map(pick))) as ArrayRef
    };
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let keys = cast(&columns(|row| &row.0), &dictionary).unwrap();
    assert!(keys.as_dictionary_opt::<Int32Type>().is_some());
    let schema = Arc::new(Schema::new(vec![
        Field::new("text", DataType::Utf8, false),
        Field::new("user_id", dictionary, false),
    ]));
    let batch = RecordBatch::try_new(schema.clone(), vec![columns(|row| &row.1), keys]).unwrap();
    let mut parquet = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut parquet, schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    vec![
        ("t.jsonl.zst", zstd::encode_all(&json[..], 1).unwrap()),
        ("t.jsonl", json),
        ("t.csv.gz", gzip.finish().unwrap()),
        ("t.csv", csv),
        ("t.parquet", parquet),
    ]
}

#[test]
fn rows_that_stay_keep_their_bytes_and_broken_ones_that_name_somebody_go() {
    let csv =
        b"\xef\xbb\xbfuser_id,text\r\na,\"x\n\"\"y\"\"\"\r\n\r\nb,a b\r\n\"a\",2\nbroken\nz,a,b\n";
    let (gone, out) = without("t.csv", csv, &["a"]);
    let wanted = b"\xef\xbb\xbfuser_id,text\r\nb,a b\r\nbroken\n";
    assert_eq!(gone, 3);
    assert_eq!(out, wanted, "{}", String::from_utf8_lossy(&out));
    assert_eq!(without("t.csv", csv, &["x"]), (0, csv.to_vec()));
    let json =
        b"{\"user_id\":\"a\"}\n{\"user_id\":\"b\",\"friend\":\"a\"}\n{broken \"a\"\n{broken}\n";
    let (gone, out) = without("t.jsonl", json, &["a"]);
    assert_eq!(gone, 2);
    assert_eq!(out, b"{\"user_id\":\"b\",\"friend\":\"a\"}\n{broken}\n");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_file_without_somebody_is_the_file_but_for_those_rows(
        all in prop::collection::vec(("[a-d]", "[a-d\",\n é]{1,8}"), 1..40),
        gone in prop::sample::select(vec!["a", "b", "nobody"]),
    ) {
        let wanted: Vec<(String, String)> =
            all.iter().filter(|(user, _)| user != gone).cloned().collect();
        for (name, bytes) in files_of(&all) {
            let (left_out, out) = without(name, &bytes, &[gone]);
            prop_assert_eq!(left_out as usize, all.len() - wanted.len());
            prop_assert_eq!(rows(name, &out), wanted.clone(), "{}", name);
        }
    }
}
