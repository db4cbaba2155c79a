//! No bytes make a reader panic, and no layout changes what it reads or which row it blames.

use arrow::array::RecordBatch;
use granary_registry::DType;
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;
use std::sync::Arc;

use super::super::cells::Cells;
use super::super::csv::{Fields, Header};
use super::super::{BadRows, Error, Layout, Wanted};
use super::{file, read_skipping, whole_columns};

fn layout() -> impl Strategy<Value = Layout> {
    (1_u64..40, 1_usize..40, 1_usize..5).prop_map(|(piece, block, batch_rows)| Layout {
        piece,
        block,
        batch_rows,
    })
}

fn wanted() -> [Wanted; 3] {
    [
        Wanted::required("b", DType::Text),
        Wanted::optional("a", DType::Text).plain(),
        Wanted::optional("b", DType::Int),
    ]
}

/// Records of two fields, some quoted, and some nuisance.
fn mostly_regular() -> impl Strategy<Value = String> {
    let record = r#"([a1]{0,9}|"([a,\n]|""){0,40}"),([a1]{0,90}|"([a,\n]|""){0,70}")\n"#;
    let nuisance = r#"\n|"[a",\n]{0,9}|a"{1,2},1\n|"a"a,1\n|,,\n"#;
    let part = prop_oneof![20 => record, 1 => nuisance];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

/// What is read of a file with a layout: the arrays, the lines left out, the strict error.
fn outcome(name: &str, bytes: &[u8], layout: Layout) -> String {
    let directory = tempfile::tempdir().unwrap();
    let files = match file(directory.path(), name, bytes, layout) {
        Ok(files) => files,
        Err(error) => return error_text(&error, directory.path()),
    };
    let (skipping, mut side) = read_skipping(&files, &wanted());
    side.sort_by_key(|line| line["line"].as_u64());
    for line in &mut side {
        line["file"] = serde_json::Value::Null;
    }
    let columns = match &skipping {
        Ok(batches) => format!("{:?}", whole_columns(batches)),
        Err(error) => error_text(error, directory.path()),
    };
    let strict = match files.read(&wanted(), &BadRows::strict()) {
        Ok(batches) => format!("{} batches of rows", usize::from(!batches.is_empty())),
        Err(error) => error_text(&error, directory.path()),
    };
    format!("{columns}\n{side:?}\n{strict}")
}

fn error_text(error: &Error, directory: &std::path::Path) -> String {
    error
        .to_string()
        .replace(&directory.display().to_string(), "")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn layouts_do_not_show_in_csv(soup in r#"[",\n\r 12ax]{0,120}"#, layout in layout()) {
        let bytes = format!("a,b\n{soup}");
        let whole = outcome("t.csv", bytes.as_bytes(), Layout::default());
        prop_assert_eq!(outcome("t.csv", bytes.as_bytes(), layout), whole);
    }

    /// Text that is mostly regular, long enough for words of it.
    #[test]
    fn layouts_do_not_show_in_longer_csv(soup in mostly_regular(), layout in (1_u64..2000, 1_usize..2000, 1_usize..5)) {
        let (piece, block, batch_rows) = layout;
        let bytes = format!("a,b\n{soup}");
        let whole = outcome("t.csv", bytes.as_bytes(), Layout::default());
        prop_assert_eq!(outcome("t.csv", bytes.as_bytes(), Layout { piece, block, batch_rows }), whole);
    }

    #[test]
    fn layouts_do_not_show_in_json_lines(
        lines in prop::collection::vec(
            r#"\{"b":("x"|1|"\\n"|null|1\.5),"a":("\\ud800"|"y"|\[1\]|true)\}|[{}"a]{0,5}"#, 0..12),
        layout in layout(),
    ) {
        let bytes = format!("{{\"a\":\"x\",\"b\":1}}\n{}", lines.join("\n"));
        let whole = outcome("t.jsonl", bytes.as_bytes(), Layout::default());
        prop_assert_eq!(outcome("t.jsonl", bytes.as_bytes(), layout), whole);
    }

    #[test]
    fn records_are_those_of_the_csv_crate(soup in prop_oneof![r#"[",\n a]{0,120}"#, mostly_regular()]) {
        let bytes = format!("a,b\n{soup}");
        let header = Header::read(&mut bytes.as_bytes()).unwrap().unwrap();
        let columns = [Wanted::optional("a", DType::Text), Wanted::optional("b", DType::Text)];
        let Ok(fields) = Fields::of(&header, &columns) else { panic!("both are there") };
        let mut cells = Cells::new(2);
        let block = &bytes.as_bytes()[header.end as usize..];
        prop_assert_eq!(fields.split(block, true, &mut cells), block.len());
        let flawed: Vec<usize> = cells.take_flaws().iter().map(|flaw| flaw.record).collect();
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes.as_bytes());
        let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        prop_assert_eq!(cells.len(), records.len());
        for (index, record) in records.iter().enumerate() {
            if flawed.contains(&index) {
                continue;
            }
            prop_assert_eq!(record.len(), 2);
            prop_assert_eq!(record.get(0).unwrap().as_bytes(), cells.cell(index, 0, block));
            prop_assert_eq!(record.get(1).unwrap().as_bytes(), cells.cell(index, 1, block));
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), layout in layout()) {
        for name in ["t.csv", "t.jsonl", "t.parquet"] {
            outcome(name, &bytes, layout);
        }
        let with_header = [b"a,b\n".as_slice(), &bytes].concat();
        outcome("t.csv", &with_header, layout);
        let with_line = [b"{\"a\":1,\"b\":2}\n".as_slice(), &bytes].concat();
        outcome("t.jsonl", &with_line, layout);
        for magic in [b"\x1f\x8b\x08\x00".as_slice(), b"\x28\xb5\x2f\xfd"] {
            outcome("t.csv", &[magic, &bytes].concat(), layout);
        }
    }

    #[test]
    fn damaged_parquet_is_an_error_at_worst(
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        layout in layout(),
    ) {
        let mut bytes = small_parquet();
        for (place, value) in hits {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        outcome("t.parquet", &bytes, layout);
    }
}

fn small_parquet() -> Vec<u8> {
    let texts: Vec<Option<String>> = (0..50)
        .map(|i| (i % 7 != 0).then(|| format!("text {}", i % 5)))
        .collect();
    let ints: Vec<i64> = (0..50).collect();
    let batch = RecordBatch::try_from_iter([
        (
            "a",
            Arc::new(arrow::array::StringArray::from(texts)) as arrow::array::ArrayRef,
        ),
        ("b", Arc::new(arrow::array::Int64Array::from(ints))),
    ])
    .unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// Every place of a file with quoted newlines, doubled quotes and CRLF as a border.
#[test]
fn csv_is_cut_rightly_at_every_byte() {
    let bytes =
        "a,b\n\"x\n\"\"y\"\",\n\",1\r\n\r\nplain 5\" pipe,2\n\"\"\"\n\"\"\",3\n\"\n\n\",\n,4";
    let whole = outcome("t.csv", bytes.as_bytes(), Layout::default());
    assert!(whole.contains("plain 5"), "{whole}");
    for piece in 1..bytes.len() as u64 {
        for block in [1, 2, 3, 7, 64] {
            let layout = Layout {
                piece,
                block,
                batch_rows: 2,
            };
            assert_eq!(
                outcome("t.csv", bytes.as_bytes(), layout),
                whole,
                "piece {piece}"
            );
        }
    }
}
