//! The original system's Parquet feature groups load unchanged: an excerpt of each always,
//! the whole files where they are at hand.

use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use granary_registry::DType;

use super::super::{BadRows, Format, SourceFiles, Wanted};
use super::{source, whole_columns};

fn excerpts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn read(directory: &Path, name: &str, columns: &[Wanted]) -> Vec<RecordBatch> {
    let files = SourceFiles::find(&source(&[name]), directory).unwrap();
    assert_eq!(files.format(), Format::Parquet);
    files.read(columns, &BadRows::strict()).unwrap()
}

fn profile() -> [Wanted; 5] {
    [
        Wanted::required("user_id", DType::Text),
        Wanted::optional("age", DType::Int),
        Wanted::optional("gender", DType::Categorical),
        Wanted::optional("income", DType::Float),
        Wanted::optional("premium", DType::Bool),
    ]
}

#[test]
fn profiles_load() {
    let batches = read(&excerpts(), "user_profile_features", &profile());
    assert!(matches!(
        batches[0].column(0).data_type(),
        DataType::Dictionary(_, _)
    ));
    let columns = whole_columns(&batches);
    assert_eq!(columns[0].len(), 50);
    assert_eq!(columns[0].as_string::<i32>().value(0), "c4ca4238a0b9");
    assert_eq!(columns[1].as_primitive::<Int64Type>().value(0), 27);
    assert_eq!(columns[2].as_string::<i32>().value(0), "Male");
    assert_eq!(columns[3].as_primitive::<Float64Type>().value(0), 40_682.0);
    assert!(columns[4].as_boolean().value(0));
    assert!(!columns[4].as_boolean().value(1));
}

#[test]
fn the_event_vector_is_spread_over_columns() {
    let files = SourceFiles::find(&source(&["user_activity_features"]), &excerpts()).unwrap();
    let spread: Vec<Wanted> = files
        .columns()
        .iter()
        .filter(|name| name.starts_with("event_vector_"))
        .map(|name| Wanted::optional(name, DType::Float))
        .collect();
    assert_eq!(spread.len(), 17);
    let columns = whole_columns(&files.read(&spread, &BadRows::strict()).unwrap());
    assert_eq!(columns[0].as_primitive::<Float64Type>().value(0), 19.0);
}

#[test]
fn labels_load() {
    let wanted = [
        Wanted::required("user_id", DType::Text),
        Wanted::required("churned", DType::Bool),
    ];
    let columns = whole_columns(&read(&excerpts(), "churn_labels", &wanted));
    assert_eq!(columns[1].as_boolean().len(), 50);
}

#[test]
fn the_whole_files_load() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/reference/original");
    if !directory.is_dir() {
        println!("not run: {} is not there", directory.display());
        return;
    }
    for (name, known) in [
        ("user_profile_features", 10),
        ("user_activity_features", 24),
        ("churn_labels", 2),
    ] {
        let files = SourceFiles::find(&source(&[name]), &directory).unwrap();
        assert_eq!(
            files.rows_hint(&std::collections::HashSet::new()),
            Some(100_000)
        );
        assert_eq!(files.columns().len(), known);
        let key = [Wanted::required("user_id", DType::Text)];
        let batches = files.read(&key, &BadRows::strict()).unwrap();
        assert_eq!(
            batches.iter().map(RecordBatch::num_rows).sum::<usize>(),
            100_000
        );
    }
    let ages = whole_columns(&read(&directory, "user_profile_features", &profile()));
    let excerpt = whole_columns(&read(&excerpts(), "user_profile_features", &profile()));
    for (whole, part) in ages.iter().zip(&excerpt) {
        assert_eq!(&whole.slice(0, 50), part);
    }
}
