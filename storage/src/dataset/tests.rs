//! Pairs, crashes between their steps, and versions.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use serde_json::json;

use super::*;

fn batch(values: &[i64]) -> RecordBatch {
    RecordBatch::try_from_iter([("x", Arc::new(Int64Array::from(values.to_vec())) as ArrayRef)])
        .unwrap()
}

fn name() -> DatasetName {
    DatasetName::parse("training_dataset").unwrap()
}

fn write(data: &DataDir, values: &[i64], manifest: Json) -> PathBuf {
    let lock = data.lock_builder().unwrap();
    let batch = batch(values);
    let mut writer = DatasetWriter::replace(data, &lock, &name(), batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    assert_eq!(writer.finish().unwrap().publish(manifest).unwrap(), name());
    data.materialized_store().join("training_dataset.parquet")
}

fn read(data: &DataDir) -> (RecordBatch, Json) {
    let dataset = read_dataset(data, &name()).unwrap().unwrap();
    assert_eq!(dataset.batches.len(), 1);
    (dataset.batches[0].clone(), dataset.manifest)
}

#[test]
fn a_training_set_comes_back_and_is_replaced() {
    let home = tempfile::tempdir().unwrap();
    let data = DataDir::open(home.path()).unwrap();
    assert!(read_dataset(&data, &name()).unwrap().is_none());
    write(&data, &[1, 2], json!({"old": true}));
    assert_eq!(read(&data), (batch(&[1, 2]), json!({"old": true})));
    let path = write(&data, &[3], json!({"new": [1.5]}));
    assert_eq!(read(&data), (batch(&[3]), json!({"new": [1.5]})));
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 2);
}

#[test]
fn a_crash_between_any_two_steps_leaves_the_old_pair_or_the_new_one() {
    let home = tempfile::tempdir().unwrap();
    let (old, new) = (home.path().join("old"), home.path().join("new"));
    write(&DataDir::open(&old).unwrap(), &[1, 2], json!("old"));
    write(&DataDir::open(&new).unwrap(), &[3], json!("new"));
    let data = DataDir::open(&old).unwrap();
    let (from, to) = (
        Paths::of(&DataDir::open(&new).unwrap(), &name()).unwrap(),
        Paths::of(&data, &name()).unwrap(),
    );
    fs::copy(&from.manifest, &to.next).unwrap();
    assert_eq!(read(&data), (batch(&[1, 2]), json!("old")));
    fs::copy(&from.data, &to.data).unwrap();
    assert_eq!(read(&data), (batch(&[3]), json!("new")));
    to.switch_manifest().unwrap();
    assert_eq!(read(&data), (batch(&[3]), json!("new")));
}

#[test]
fn data_that_no_manifest_describes_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let data = DataDir::open(home.path()).unwrap();
    let path = write(&data, &[1, 2, 3], json!(null));
    let mut bytes = fs::read(&path).unwrap();
    bytes[10] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = read_dataset(&data, &name()).unwrap_err();
    assert!(matches!(error, Error::TornPair { .. }), "{error}");
    for bad in ["../x", "x/../y", "x/", "/x"] {
        assert!(DatasetName::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn versions_stay_and_come_back_byte_for_byte_or_not_at_all() {
    let home = tempfile::tempdir().unwrap();
    let data = DataDir::open(home.path()).unwrap();
    let lock = data.lock_builder().unwrap();
    for (number, values) in [(1, [1, 2]), (2, [3, 4])] {
        let batch = batch(&values);
        let mut writer = DatasetWriter::version(&data, &lock, "spring", batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        let published = writer.finish().unwrap().publish(json!(number)).unwrap();
        assert_eq!(published.to_string(), format!("spring/v00000{number}"));
    }
    let read = |name: &str| {
        let name = DatasetName::parse(name).unwrap();
        read_dataset(&data, &name)
            .unwrap()
            .map(|held| (held.batches[0].clone(), held.manifest))
    };
    let first = Some((batch(&[1, 2]), json!(1)));
    assert_eq!(read("spring/v000001"), first);
    assert_eq!(read("spring"), Some((batch(&[3, 4]), json!(2))));
    assert_eq!(read("summer"), None);

    let one = DatasetName::parse("spring/v000001").unwrap();
    fs::remove_file(
        data.materialized_store()
            .join("spring/v000001/dataset.parquet"),
    )
    .unwrap();
    assert_eq!(read("spring/v000001"), None);
    let held = read_manifest(&data, &one).unwrap().unwrap();
    let again = batch(&[1, 2]);
    let mut writer = DatasetWriter::replace(&data, &lock, &one, again.schema()).unwrap();
    writer.write(&again).unwrap();
    let written = writer.finish().unwrap();
    assert_eq!(written.blake3, held.blake3);
    written.restore().unwrap();
    assert_eq!(read("spring/v000001"), first);
}
