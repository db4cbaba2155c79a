use std::fs;
use std::sync::Arc;

use arrow::array::{AsArray, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int32Type, Schema, TimeUnit};
use proptest::prelude::*;

use super::*;
use crate::log::Offset;

const DAY: i64 = 86_400_000_000;

fn schema() -> PartSchema {
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    let column = |name: &str, dtype: &str| EventColumn {
        name: name.to_owned(),
        dtype: dtype.to_owned(),
    };
    PartSchema {
        schema: Arc::new(Schema::new(vec![
            Field::new(ENTITY, DataType::Int32, false),
            Field::new("at", time, false),
            Field::new("kind", DataType::Utf8, true),
        ])),
        time: 1,
        columns: vec![column("at", "timestamp"), column("kind", "categorical")],
    }
}

/// So many rows of each entity.
fn rows(entities: &[u32]) -> RecordBatch {
    let each = entities.iter().enumerate();
    let rows =
        each.flat_map(|(entity, &rows)| (0..rows).map(move |row| (entity as i32, i64::from(row))));
    let rows: Vec<(i32, i64)> = rows.collect();
    let kind = |&(entity, row): &(i32, i64)| (row % 3 > 0).then(|| format!("kind {}", entity % 2));
    RecordBatch::try_new(
        schema().schema,
        vec![
            Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.0))),
            Arc::new(TimestampMicrosecondArray::from_iter_values(
                rows.iter().map(|row| row.1 * DAY),
            )),
            Arc::new(rows.iter().map(kind).collect::<StringArray>()),
        ],
    )
    .unwrap()
}

fn write(
    log: &EventLog,
    lock: &BuilderLock,
    number: u64,
    rows: &RecordBatch,
    slice: usize,
) -> EventPart {
    let writer = log.begin(lock).unwrap();
    let mut part = writer.part(number, PartKind::Part, schema()).unwrap();
    part.set_input(3);
    for start in (0..rows.num_rows()).step_by(slice) {
        part.write(&rows.slice(start, slice.min(rows.num_rows() - start)))
            .unwrap();
    }
    part.finish().unwrap().unwrap()
}

fn read(log: &EventLog, part: &EventPart) -> Result<RecordBatch> {
    let reader = log.part(part)?;
    let columns = [
        (ENTITY, DataType::Int32),
        ("at", schema().schema.field(1).data_type().clone()),
        ("kind", DataType::Utf8),
    ];
    let plan = reader.plan(&columns.map(|(name, dtype)| (name.to_owned(), dtype)))?;
    let mut batches = Vec::new();
    for (number, group) in reader.groups().iter().enumerate() {
        let mut held = Vec::new();
        for batch in reader.read(&plan, number, 1000)? {
            held.push(batch.map_err(|error| Error::parquet("read", reader.path())(error.into()))?);
        }
        let entities: Vec<i32> = held
            .iter()
            .flat_map(|batch| {
                batch
                    .column(0)
                    .as_primitive::<Int32Type>()
                    .values()
                    .to_vec()
            })
            .collect();
        assert_eq!(group.rows, entities.len() as u64);
        assert_eq!(
            (group.first as i32, group.last as i32),
            (entities[0], entities[entities.len() - 1])
        );
        batches.extend(held);
    }
    Ok(concat_batches(&batches[0].schema(), &batches).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// However rows come in, they come back; row groups end where an entity does, unless that
    /// one alone is longer than a group.
    #[test]
    fn parts_come_back(entities in prop::collection::vec(1u32..30_000, 1..20), giant in 0u32..300_000, slice in 1000usize..200_000) {
        let home = tempfile::tempdir().unwrap();
        let data = DataDir::open(home.path()).unwrap();
        let (log, lock) = (EventLog::new(&data, "events").unwrap(), data.lock_builder().unwrap());
        let rows = rows(&[&entities[..], &[giant.max(1)]].concat());
        let part = write(&log, &lock, 1, &rows, slice);
        prop_assert_eq!(part.rows, rows.num_rows() as u64);
        prop_assert_eq!(&part.inputs, &[3]);
        prop_assert_eq!(part.days.0, 0);
        let back = read(&log, &part).unwrap();
        for column in 0..3 {
            prop_assert_eq!(back.column(column), rows.column(column));
        }
        let groups = log.part(&part).unwrap().groups().to_vec();
        for pair in groups.windows(2) {
            let giant = rows.column(0).as_primitive::<Int32Type>().values();
            let long = giant.iter().filter(|&&entity| entity as u32 == pair[1].first).count();
            prop_assert!(pair[0].last < pair[1].first || long > 64 << 10);
        }
    }

    /// A changed byte anywhere is an error, or in bytes that nobody reads.
    #[test]
    fn damage_is_told(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let home = tempfile::tempdir().unwrap();
        let data = DataDir::open(home.path()).unwrap();
        let (log, lock) = (EventLog::new(&data, "events").unwrap(), data.lock_builder().unwrap());
        let rows = rows(&[500, 20, 70_000]);
        let part = write(&log, &lock, 1, &rows, 4096);
        let path = data.event_log().join("events").join(&part.file);
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        fs::write(&path, &bytes).unwrap();
        match read(&log, &part) {
            Err(error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                let said = format!("{error} {}", source.unwrap_or_default());
                prop_assert!(said.contains("ingest --force"), "{}", said);
            }
            // The four letters that a Parquet file begins with.
            Ok(_) => prop_assert!(at < 4, "byte {} of {}", at, bytes.len()),
        }
    }
}

fn input() -> Ingested {
    let (from, until) = (Offset(0), Offset(1));
    Ingested {
        from: IngestedFrom::Log { from, until },
        rows: 1,
    }
}

#[test]
fn a_part_with_rows_of_an_unknown_input_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("manifest.json");
    let mut manifest = EventLogManifest::anew(None, "user", "at");
    manifest.inputs = vec![input(); 2];
    manifest.parts.push(EventPart {
        inputs: vec![1],
        ..EventPart::default()
    });
    manifest.write(&path).unwrap();
    assert_eq!(
        EventLogManifest::read(&path).unwrap(),
        Some(manifest.clone())
    );
    manifest.inputs.pop();
    manifest.write(&path).unwrap();
    let refused = EventLogManifest::read(&path);
    assert!(
        matches!(refused, Err(Error::TornPair { .. })),
        "{refused:?}"
    );
}

#[test]
fn what_no_manifest_names_goes_when_the_next_writer_begins_and_keys_go_on() {
    let home = tempfile::tempdir().unwrap();
    let data = DataDir::open(home.path()).unwrap();
    let (log, lock) = (
        EventLog::new(&data, "events").unwrap(),
        data.lock_builder().unwrap(),
    );
    assert_eq!(log.manifest().unwrap(), None);
    let first = write(&log, &lock, 1, &rows(&[3, 4]), 100);
    let mut manifest = EventLogManifest::anew(None, "user", "at");
    manifest.inputs = vec![input(); 4];
    let second = write(&log, &lock, 2, &rows(&[5]), 100);
    let path = |part: &EventPart| data.event_log().join("events").join(&part.file);
    assert!(!path(&first).exists() && path(&second).exists());

    let writer = log.begin(&lock).unwrap();
    let part = write(&log, &lock, 3, &rows(&[5]), 100);
    manifest.parts.push(part.clone());
    writer
        .append_keys(&mut manifest, ["a", "bc"].into_iter())
        .unwrap();
    writer.publish(&mut manifest).unwrap();
    // Killed: keys that no manifest knows, and a file in the making.
    writer
        .append_keys(&mut manifest.clone(), ["lost"].into_iter())
        .unwrap();
    std::mem::forget(writer.part(9, PartKind::Run, schema()).unwrap());

    let writer = log.begin(&lock).unwrap();
    assert!(path(&part).exists());
    assert_eq!(
        fs::read_dir(data.event_log().join("events"))
            .unwrap()
            .count(),
        3
    );
    let mut manifest = log.manifest().unwrap().unwrap();
    assert_eq!(manifest.number, 1);
    writer
        .append_keys(&mut manifest, ["", "ü"].into_iter())
        .unwrap();
    writer.publish(&mut manifest).unwrap();
    let keys = log.keys(&log.manifest().unwrap().unwrap()).unwrap();
    assert_eq!(keys.iter().collect::<Vec<_>>(), ["a", "bc", "", "ü"]);
}
