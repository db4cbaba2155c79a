//! Versions come back as they were written, whole or not at all.

use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use proptest::prelude::*;

use super::*;
use crate::log::Offset;
use crate::{DataDir, Error};

fn batch(keys: &[&str]) -> RecordBatch {
    let numbers: Vec<Option<f64>> = (0..keys.len())
        .map(|i| (i % 3 != 0).then_some(i as f64))
        .collect();
    RecordBatch::try_from_iter([
        (
            "user_id",
            Arc::new(StringArray::from(keys.to_vec())) as ArrayRef,
        ),
        ("age", Arc::new(Float64Array::from(numbers)) as ArrayRef),
    ])
    .unwrap()
}

fn integers(keys: &[i64]) -> RecordBatch {
    RecordBatch::try_from_iter([("id", Arc::new(Int64Array::from(keys.to_vec())) as ArrayRef)])
        .unwrap()
}

fn state<'a>(key: &'a [u8], row: &'a [u8]) -> StateRow<'a> {
    StateRow {
        key,
        row,
        vectors: None,
        events: 1,
    }
}

fn manifest() -> Manifest {
    Manifest {
        fingerprint: "f00".to_owned(),
        log_offset: Offset(77),
        as_of: 1_700_000_000_000_000,
        watermark: Some(5),
        inputs: vec![InputFile {
            path: "raw/a.csv".to_owned(),
            bytes: 3,
            modified: 7,
            blake3: "b3".to_owned(),
        }],
        columns: vec![ColumnStatistics {
            name: "age".to_owned(),
            min: 1.5.into(),
            max: serde_json::Value::Null,
            mean: Some(0.25),
            ..ColumnStatistics::default()
        }],
        expectations: vec![ExpectationOutcome {
            feature: "age".to_owned(),
            rule: "not_null".to_owned(),
            severity: "warn".to_owned(),
            passed: false,
            detail: "3 nulls".to_owned(),
        }],
        notes: vec!["a note".to_owned()],
        ..Manifest::default()
    }
}

#[test]
fn a_version_comes_back_as_written() {
    let home = tempfile::tempdir().unwrap();
    let data = DataDir::open(home.path()).unwrap();
    let lock = data.lock_builder().unwrap();
    let store = OfflineStore::new(&data);
    assert!(store.current("users").unwrap().is_none());
    let mut writer = store.begin(&lock, "users").unwrap();
    writer.write_features(&batch(&["a", "b"])).unwrap();
    writer.write_features(&batch(&["c", "d", "e"])).unwrap();
    let with_vectors = StateRow {
        vectors: Some(b"vector"),
        ..state(b"a", b"state a")
    };
    writer.append_state(with_vectors).unwrap();
    writer.append_state(state(b"b", b"")).unwrap();
    let version = writer.publish(manifest()).unwrap();

    assert_eq!(store.groups().unwrap(), ["users"]);
    assert_eq!(
        store.current("users").unwrap().unwrap().manifest(),
        version.manifest()
    );
    let found = version.manifest();
    assert_eq!(
        (found.version.as_str(), found.group.as_str(), found.rows),
        ("v000001", "users", 5)
    );
    assert_eq!(
        found.features_bytes,
        fs::metadata(version.features_path()).unwrap().len()
    );
    let expected = Manifest {
        format: 2,
        group: found.group.clone(),
        version: found.version.clone(),
        rows: 5,
        features_bytes: found.features_bytes,
        states_bytes: found.states_bytes,
        ..manifest()
    };
    assert_eq!(found, &expected);

    let all = version.read_features(None).unwrap();
    assert_eq!(all.iter().map(RecordBatch::num_rows).sum::<usize>(), 5);
    assert_eq!(all[0].slice(0, 2), batch(&["a", "b"]));
    let ages = version.read_features(Some(&["age"])).unwrap();
    assert_eq!(ages[0].num_columns(), 1);
    let error = version.read_features(Some(&["agee"])).unwrap_err();
    assert!(error.to_string().contains("user_id, age"), "{error}");
}

#[test]
fn features_must_ascend_by_key_within_and_across_batches() {
    let home = tempfile::tempdir().unwrap();
    let data = DataDir::open(home.path()).unwrap();
    let lock = data.lock_builder().unwrap();
    let store = OfflineStore::new(&data);
    let mut writer = store.begin(&lock, "g").unwrap();
    writer.write_features(&batch(&["a", "c"])).unwrap();
    assert!(matches!(
        writer.write_features(&batch(&["c"])),
        Err(Error::KeyOrder { .. })
    ));
    assert!(matches!(
        writer.write_features(&batch(&["e", "d"])),
        Err(Error::KeyOrder { .. })
    ));
    writer.write_features(&batch(&["d"])).unwrap();
    drop(writer);

    let mut writer = store.begin(&lock, "g").unwrap();
    writer.write_features(&integers(&[-5, 2, 10])).unwrap();
    assert!(matches!(
        writer.write_features(&integers(&[9])),
        Err(Error::KeyOrder { .. })
    ));
    drop(writer);

    let mut writer = store.begin(&lock, "g").unwrap();
    let floats =
        RecordBatch::try_from_iter([("x", Arc::new(Float64Array::from(vec![1.0])) as ArrayRef)]);
    assert!(matches!(
        writer.write_features(&floats.unwrap()),
        Err(Error::KeyColumn { .. })
    ));
    assert!(matches!(writer.append_state(state(b"b", b"")), Ok(())));
    assert!(matches!(
        writer.append_state(state(b"b", b"")),
        Err(Error::KeyOrder { .. })
    ));
}

#[test]
fn an_unpublished_version_is_never_seen_and_its_leftovers_go() {
    let home = tempfile::tempdir().unwrap();
    let data = DataDir::open(home.path()).unwrap();
    let lock = data.lock_builder().unwrap();
    let store = OfflineStore::new(&data);
    let mut writer = store.begin(&lock, "g").unwrap();
    writer.write_features(&batch(&["a"])).unwrap();
    writer.publish(Manifest::default()).unwrap();

    // Killed at work; then an error; then nothing to publish.
    let mut writer = store.begin(&lock, "g").unwrap();
    writer.write_features(&batch(&["z"])).unwrap();
    std::mem::forget(writer);
    assert_eq!(store.current("g").unwrap().unwrap().name(), "v000001");
    drop(store.begin(&lock, "g").unwrap());
    let empty = store
        .begin(&lock, "g")
        .unwrap()
        .publish(Manifest::default());
    assert!(matches!(empty, Err(Error::NoFeatures { .. })));
    assert_eq!(store.versions("g").unwrap(), ["v000001"]);
    let left = fs::read_dir(data.offline_store().join("g"))
        .unwrap()
        .count();
    assert_eq!(left, 2, "the version and CURRENT");
}

#[test]
fn a_manifest_of_a_newer_format_is_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    let data = DataDir::open(home.path()).unwrap();
    let lock = data.lock_builder().unwrap();
    let store = OfflineStore::new(&data);
    let mut writer = store.begin(&lock, "g").unwrap();
    writer.write_features(&batch(&["a"])).unwrap();
    let version = writer.publish(Manifest::default()).unwrap();
    // Whatever else the newer format changed.
    fs::write(
        version.path().join(MANIFEST),
        r#"{"format": 3, "groups": []}"#,
    )
    .unwrap();
    let error = store.current("g").unwrap_err();
    assert!(
        matches!(
            error,
            Error::Format {
                found: 3,
                known: 2,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("manifest.json"), "{error}");
}

#[test]
fn gc_keeps_the_newest_and_the_current() {
    let home = tempfile::tempdir().unwrap();
    let data = DataDir::open(home.path()).unwrap();
    let lock = data.lock_builder().unwrap();
    let store = OfflineStore::new(&data);
    for _ in 0..4 {
        let mut writer = store.begin(&lock, "g").unwrap();
        writer.write_features(&batch(&["a"])).unwrap();
        writer.publish(Manifest::default()).unwrap();
    }
    assert_eq!(store.gc(&lock, "g", 2).unwrap(), ["v000001", "v000002"]);
    assert_eq!(store.versions("g").unwrap(), ["v000003", "v000004"]);
    assert!(store.version("g", "v000001").is_err());
    assert!(store.version("g", "v000003").is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn states_come_back_in_order_over_any_number_of_batches(
        states in prop::collection::btree_map(
            prop::collection::vec(any::<u8>(), 0..6),
            (prop::collection::vec(any::<u8>(), 0..40), prop::option::of(prop::collection::vec(any::<u8>(), 0..40)), any::<u32>()),
            0..300,
        ),
        copies in prop_oneof![Just(1_usize), Just(100)],
    ) {
        let home = tempfile::tempdir().unwrap();
        let data = DataDir::open(home.path()).unwrap();
        let lock = data.lock_builder().unwrap();
        let mut writer = OfflineStore::new(&data).begin(&lock, "g").unwrap();
        writer.write_features(&batch(&["a"])).unwrap();
        let mut expected = Vec::new();
        for copy in 0..copies {
            for (key, (row, vectors, events)) in &states {
                let key = [&[copy as u8], key.as_slice()].concat();
                let events = u64::from(*events);
                let vectors = vectors.as_deref();
                writer.append_state(StateRow { key: &key, row, vectors, events }).unwrap();
                expected.push((key, row.clone(), vectors.map(<[u8]>::to_vec), events));
            }
        }
        let version = writer.publish(Manifest::default()).unwrap();
        let mut read = Vec::new();
        for batch in version.states().unwrap() {
            let batch = batch.unwrap();
            read.extend(batch.iter().map(|held| {
                (held.key.to_vec(), held.row.to_vec(), held.vectors.map(<[u8]>::to_vec), held.events)
            }));
        }
        prop_assert_eq!(read, expected);
    }
}
