//! Same plan, same bytes; and what happens when things go wrong.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};

use super::super::chunk::TABLES;
use super::super::csv::push_instant;
use super::super::{Error, Formats, Plan, generate};
use super::{Shelf, make, read, try_make};

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let one = make(2_100, 7, Formats::Both, 1);
    let two = make(2_100, 7, Formats::Both, 2);
    let five = make(2_100, 7, Formats::Both, 5);
    assert!(one == two && one == five);
    assert_eq!(one.1.len(), 9);
}

#[test]
fn another_seed_gives_other_rows_for_the_same_users() {
    let (first, second) = (
        make(50, 1, Formats::Csv, 1).1,
        make(50, 2, Formats::Csv, 1).1,
    );
    assert_eq!(
        first.keys().collect::<Vec<_>>(),
        second.keys().collect::<Vec<_>>()
    );
    assert!(first.iter().all(|(name, bytes)| &second[name] != bytes));
}

#[test]
fn more_users_do_not_change_the_first_ones() {
    let (few, many) = (
        make(900, 3, Formats::Csv, 2).1,
        make(1_300, 3, Formats::Csv, 2).1,
    );
    for table in TABLES {
        let name = format!("{table}.csv");
        assert!(many[&name].starts_with(&few[&name]));
    }
}

#[test]
fn no_users_make_empty_tables() {
    let (summary, files) = make(0, 42, Formats::Both, 2);
    assert_eq!(summary.oracle_roc_auc, None);
    for table in TABLES {
        assert_eq!(read(&files, table).num_rows(), 0);
        let csv = std::str::from_utf8(&files[&format!("{table}.csv")]).unwrap();
        assert_eq!(csv.lines().count(), 1);
    }
}

#[test]
fn a_full_disk_is_an_error_and_commits_nothing() {
    let plan = Plan {
        users: 12_500,
        ..Plan::default()
    };
    for threads in [1, 2] {
        let (summary, files) = try_make(&plan, threads, 2_000_000);
        assert!(
            matches!(
                summary,
                Err(Error::Encode {
                    table: "event_logs",
                    ..
                })
            ),
            "{summary:?}"
        );
        assert!(files.is_empty());
    }
}

#[test]
#[should_panic(expected = "the bar broke")]
fn a_panic_of_the_caller_reaches_the_caller() {
    let shelf = Shelf::with_room(usize::MAX);
    let open = |name: &str| Ok(shelf.open(name));
    let plan = Plan {
        users: 12_500,
        ..Plan::default()
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
    let watch = |_| panic!("the bar broke");
    let _ = pool.unwrap().install(|| generate(&plan, &open, &watch));
}

#[test]
fn impossible_plans_are_refused() {
    let many = Plan {
        users: u64::MAX,
        ..Plan::default()
    };
    assert!(matches!(
        try_make(&many, 1, 0).0,
        Err(Error::TooManyUsers { .. })
    ));
    let never = Plan {
        end: granary_registry::EventTime::MIN,
        ..Plan::default()
    };
    assert!(matches!(try_make(&never, 1, 0).0, Err(Error::End { .. })));
}

#[test]
fn csv_and_parquet_hold_the_same_rows() {
    let (_, files) = make(150, 5, Formats::Both, 2);
    for table in TABLES {
        let batch = read(&files, table);
        let mut csv = csv::Reader::from_reader(files[&format!("{table}.csv")].as_slice());
        let header: Vec<String> = csv.headers().unwrap().iter().map(str::to_owned).collect();
        let names: Vec<&String> = batch
            .schema_ref()
            .fields()
            .iter()
            .map(|f| f.name())
            .collect();
        assert_eq!(header.iter().collect::<Vec<_>>(), names);
        let mut rows = 0;
        for (row, record) in csv.records().enumerate() {
            for (column, field) in batch.columns().iter().zip(&record.unwrap()) {
                assert_eq!(field, cell(column, row), "{table}");
            }
            rows += 1;
        }
        assert_eq!(rows, batch.num_rows());
        assert!(rows >= 150);
    }
}

/// A Parquet value as CSV should show it.
fn cell(column: &dyn Array, row: usize) -> String {
    if column.is_null(row) {
        return String::new();
    }
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string(),
        DataType::Boolean if column.as_boolean().value(row) => "True".to_owned(),
        DataType::Boolean => "False".to_owned(),
        DataType::Timestamp(_, None) => {
            let mut text = Vec::new();
            push_instant(
                &mut text,
                column.as_primitive::<TimestampMicrosecondType>().value(row),
            );
            String::from_utf8(text).unwrap()
        }
        other => panic!("unexpected type {other}"),
    }
}
