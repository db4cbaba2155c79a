//! From the registry's paths to files: candidates, directories, globs, endings.

use std::fs;
use std::path::Path;

use super::super::{Error, SourceFiles};
use super::source;

fn found(directory: &Path, paths: &[&str]) -> Result<Vec<String>, Error> {
    let files = SourceFiles::find(&source(paths), directory)?;
    let relative = files.files().iter().map(|file| {
        file.strip_prefix(directory)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    });
    Ok(relative.collect())
}

fn directory(files: &[&str]) -> tempfile::TempDir {
    let directory = tempfile::Builder::new().prefix("od[d]").tempdir().unwrap();
    for file in files {
        let path = directory.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "a\n1\n").unwrap();
    }
    directory
}

#[test]
fn a_path_without_ending_tries_them_in_order() {
    let data = directory(&["raw/t.csv", "raw/t.csv.gz", "raw/t.jsonl"]);
    assert_eq!(found(data.path(), &["raw/t"]).unwrap(), ["raw/t.csv"]);
    fs::remove_file(data.path().join("raw/t.csv")).unwrap();
    assert_eq!(found(data.path(), &["raw/t"]).unwrap(), ["raw/t.csv.gz"]);
}

#[test]
fn a_directory_comes_first_and_is_sorted() {
    let data = directory(&[
        "t/2.csv",
        "t/10.csv",
        "t/_SUCCESS",
        "t/.hidden.csv",
        "t.csv",
    ]);
    assert_eq!(found(data.path(), &["t"]).unwrap(), ["t/10.csv", "t/2.csv"]);
}

#[test]
fn an_empty_directory_does_not_hide_a_file() {
    let data = directory(&["t/readme.txt", "t.csv"]);
    assert_eq!(found(data.path(), &["t"]).unwrap(), ["t.csv"]);
}

#[test]
fn the_first_candidate_that_exists_is_read() {
    let data = directory(&["b.csv", "c.csv"]);
    assert_eq!(found(data.path(), &["a", "b", "c"]).unwrap(), ["b.csv"]);
}

#[test]
fn globs_match_below_an_odd_directory_name() {
    let data = directory(&["day=2/e.csv", "day=1/e.csv", "day=1/note.txt"]);
    assert_eq!(
        found(data.path(), &["day=*/*"]).unwrap(),
        ["day=1/e.csv", "day=2/e.csv"]
    );
}

#[test]
fn nothing_found_lists_what_was_tried() {
    let data = directory(&["other.csv"]);
    let error = found(data.path(), &["raw/t", "x.csv", "y/*.csv"])
        .unwrap_err()
        .to_string();
    for part in [
        "raw/t",
        ".parquet",
        ".csv.gz",
        ".ndjson.zst",
        "x.csv",
        "y/*.csv",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn one_source_has_one_format() {
    let data = directory(&["t/a.csv", "t/b.jsonl"]);
    let error = found(data.path(), &["t"]).unwrap_err();
    assert!(matches!(error, Error::MixedFormats { .. }), "{error}");
    let data = directory(&["t.txt"]);
    let error = found(data.path(), &["t.txt"]).unwrap_err();
    assert!(matches!(error, Error::UnknownFormat { .. }), "{error}");
}
