//! The promises of the demo data, checked on what `generate` writes.

mod files; // same plan, same bytes; what happens when things go wrong
mod learning; // the truth shows, and nothing gives it away
mod rows; // sizes, gaps, order, rhythm, words

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Write};
use std::sync::{Arc, LazyLock, Mutex};

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::chunk::TABLES;
use super::{DEFAULT_END, Error, Formats, Output, Plan, Progress, Summary, generate};

type Files = BTreeMap<String, Vec<u8>>;

/// A file in memory, put on the shelf when committed.
struct Draft {
    name: String,
    bytes: Vec<u8>,
    /// Writing fails beyond this length.
    room: usize,
    shelf: Arc<Mutex<Files>>,
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Draft {
    fn commit(self: Box<Self>) -> io::Result<()> {
        self.shelf.lock().unwrap().insert(self.name, self.bytes);
        Ok(())
    }
}

/// Where committed files go.
struct Shelf {
    files: Arc<Mutex<Files>>,
    room: usize,
}

impl Shelf {
    fn with_room(room: usize) -> Shelf {
        Shelf {
            files: Arc::default(),
            room,
        }
    }

    fn open(&self, name: &str) -> Box<dyn Output> {
        Box::new(Draft {
            name: name.to_owned(),
            bytes: Vec::new(),
            room: self.room,
            shelf: Arc::clone(&self.files),
        })
    }
}

fn try_make(plan: &Plan, threads: usize, room: usize) -> (Result<Summary, Error>, Files) {
    let shelf = Shelf::with_room(room);
    let open = |name: &str| Ok(shelf.open(name));
    let last = Mutex::new(None::<Progress>);
    let watch = |progress: Progress| {
        let mut last = last.lock().unwrap();
        assert!(last.is_none_or(|last| last.users_done < progress.users_done));
        *last = Some(progress);
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    let summary = pool
        .build()
        .unwrap()
        .install(|| generate(plan, &open, &watch));
    if summary.is_ok() {
        assert_eq!(
            last.lock().unwrap().map_or(0, |last| last.users_done),
            plan.users
        );
    }
    let files = std::mem::take(&mut *shelf.files.lock().unwrap());
    (summary, files)
}

fn make(users: u64, seed: u64, formats: Formats, threads: usize) -> (Summary, Files) {
    let plan = Plan {
        users,
        seed,
        formats,
        end: DEFAULT_END,
    };
    let (summary, files) = try_make(&plan, threads, usize::MAX);
    (summary.unwrap(), files)
}

fn read(files: &Files, table: &str) -> RecordBatch {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&files[&format!("{table}.parquet")]).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let schema = reader.schema().clone();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

/// The tables that most tests look at.
struct Sample {
    summary: Summary,
    users: RecordBatch,
    events: RecordBatch,
    reviews: RecordBatch,
    targets: RecordBatch,
    truth: serde_json::Value,
}

static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let (summary, files) = make(4_000, 42, Formats::Parquet, 2);
    let [users, events, reviews, targets] = TABLES.map(|table| read(&files, table));
    Sample {
        summary,
        users,
        events,
        reviews,
        targets,
        truth: serde_json::from_slice(&files["truth.json"]).unwrap(),
    }
});

fn texts<'a>(batch: &'a RecordBatch, column: &str) -> impl Iterator<Item = &'a str> {
    let column = batch.column_by_name(column).unwrap().as_string::<i32>();
    column.iter().map(Option::unwrap_or_default)
}

fn whole<'a>(batch: &'a RecordBatch, column: &str) -> &'a [i64] {
    let column = batch.column_by_name(column).unwrap();
    column.as_primitive::<Int64Type>().values()
}

fn times<'a>(batch: &'a RecordBatch, column: &str) -> &'a [i64] {
    let column = batch.column_by_name(column).unwrap();
    column.as_primitive::<TimestampMicrosecondType>().values()
}

/// Instants and types of the events, by user; copies taken out, in time order.
fn events_by_user() -> HashMap<&'static str, Vec<(i64, &'static str)>> {
    let mut seen = HashSet::new();
    let mut by_user: HashMap<&str, Vec<(i64, &str)>> = HashMap::new();
    let rows = texts(&SAMPLE.events, "event_id").zip(texts(&SAMPLE.events, "user_id"));
    let what = times(&SAMPLE.events, "timestamp")
        .iter()
        .zip(texts(&SAMPLE.events, "event_type"));
    for ((id, user), (&time, kind)) in rows.zip(what) {
        if seen.insert(id) {
            by_user.entry(user).or_default().push((time, kind));
        }
    }
    for events in by_user.values_mut() {
        events.sort_unstable();
    }
    by_user
}
