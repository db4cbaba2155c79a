//! The law of the event log: whatever was ingested of a source, in however many steps and in
//! whatever order, and whatever was not, every feature is the one that the raw files and the
//! log give; and a build goes on from any of those moments.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute;
use arrow::datatypes::{DataType, Float64Type};
use granary_registry::{EventTime, Registry, Value};
use granary_storage::{DataDir, Kind, Log, LogOptions, Offset, Tombstones};
use proptest::prelude::*;

use super::{IngestOptions, ingest};
use crate::batch::{self, Base};
use crate::build::{self, BuildPlan};
use crate::error::Error;
use crate::event::Event;
use crate::job::Job;
use crate::known::KnownFiles;
use crate::source::BadRows;
use crate::text::{Embedder, HashedNgrams};

const DAY: i64 = 86_400_000_000;

/// A row of the source: user, instant, id, kind, amount.
type Row = (u8, i64, u8, bool, i8);

/// What happens between two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    File,
    Log,
    Ingest,
    Build,
}

fn registry(has_ids: bool) -> Registry {
    let id = if has_ids { "id: id" } else { "" };
    let yaml = format!(
        r#"
project: law
clock: data
entities:
  user: {{key: user, type: text, prefix: 'user:'}}
sources:
  events:
    path: raw/events
    entity: user
    event_time: at
    {id}
    columns: {{id: text, user: text, at: timestamp, kind: categorical, amount: float, note: text}}
feature_groups:
  law:
    entity: user
    source: events
    features:
      - {{name: count, dtype: int, aggregation: count}}
      - {{name: recent, dtype: int, aggregation: count, windows: [3d]}}
      - {{name: good, dtype: int, aggregation: count, where: "kind = 'good'"}}
      - {{name: total, dtype: float, aggregation: sum, input: amount}}
      - {{name: oldest, dtype: text, aggregation: first, input: note}}
      - {{name: newest, dtype: text, aggregation: last, input: note}}
      - {{name: sessions, dtype: int, aggregation: sessions}}
"#
    );
    Registry::parse(&yaml).unwrap()
}

/// One data directory and its log.
struct Home {
    data: DataDir,
    log: Log,
    written: u64,
    /// What builds may hold at once.
    memory: usize,
}

impl Home {
    fn new(path: &Path, memory: usize) -> Home {
        let data = DataDir::open(path).unwrap();
        fs::create_dir_all(data.raw().join("events")).unwrap();
        let log = Log::open(data.log(), LogOptions::default()).unwrap();
        Home {
            data,
            log,
            written: 0,
            memory,
        }
    }

    /// A file of rows, whose name decides where it stands among the others.
    fn write(&self, name: &str, rows: &[Row], notes: usize) {
        let mut text = "id,user,at,kind,amount,note\n".to_owned();
        for (row, (user, at, id, good, amount)) in rows.iter().enumerate() {
            let kind = if *good { "good" } else { "bad" };
            let (at, note) = (EventTime(*at), notes + row);
            writeln!(text, "i{id},u{user},{at},{kind},{amount}.1,n{note}").unwrap();
        }
        fs::write(self.data.raw().join("events").join(name), text).unwrap();
    }

    /// The same rows as events in the log.
    fn append(&mut self, rows: &[Row], notes: usize) {
        for (row, (user, at, id, good, amount)) in rows.iter().enumerate() {
            let kind = if *good { "good" } else { "bad" };
            let text = |text: String| Value::Text(text.into());
            let fields: [(&str, Value); 6] = [
                ("id", text(format!("i{id}"))),
                ("user", text(format!("u{user}"))),
                ("at", Value::Timestamp(EventTime(*at))),
                ("kind", text(kind.to_owned())),
                ("amount", Value::Float(f64::from(*amount) + 0.1)),
                ("note", text(format!("n{}", notes + row))),
            ];
            let event = Event {
                source: "events".into(),
                fields: fields
                    .into_iter()
                    .map(|(name, value)| (name.into(), value))
                    .collect(),
            };
            self.log.append(Kind::Event, &event.encode()).unwrap();
        }
        self.written = self.log.close_segment().unwrap().0;
    }

    fn with_job<T>(&self, registry: &Registry, work: impl FnOnce(&Job<'_>) -> T) -> T {
        let (bad_rows, known) = (BadRows::strict(), KnownFiles::default());
        work(&Job {
            registry,
            data: &self.data,
            log_until: Offset(self.written),
            embedder: Arc::new(HashedNgrams) as Arc<dyn Embedder>,
            bad_rows: &bad_rows,
            erased: &Tombstones::default(),
            known: &known,
            memory: self.memory,
            progress: &|_| {},
        })
    }

    fn ingest(&self, registry: &Registry, options: IngestOptions) {
        let lock = self.data.lock_builder().unwrap();
        let source = registry.source("events").unwrap();
        self.with_job(registry, |job| {
            ingest(job, &lock, source, false, options).unwrap()
        });
    }

    /// Publishes a version, which goes on from the one before if there is one.
    fn build(&self, registry: &Registry) {
        let lock = self.data.lock_builder().unwrap();
        self.with_job(registry, |job| {
            let group = job.group("law").unwrap();
            let base = Base::find(job, group).unwrap();
            let plan = BuildPlan {
                as_of: &|| Ok::<_, Error>(EventTime(0)),
                base: base.as_ref(),
                inputs_fingerprint: &|| Ok(String::new()),
                elapsed: &|| 0,
            };
            build::build(job, &lock, group, plan).unwrap();
        });
    }

    /// Every feature of every user at one instant, and how many rows were folded.
    fn features(
        &self,
        registry: &Registry,
        from_base: bool,
    ) -> (BTreeMap<String, Vec<String>>, u64) {
        self.with_job(registry, |job| {
            let group = job.group("law").unwrap();
            let base = from_base.then(|| Base::find(job, group).unwrap()).flatten();
            let folds = batch::fold(job, group, base.as_ref()).unwrap();
            let (mut of_users, mut rows) = (BTreeMap::new(), 0);
            folds
                .each(|states| {
                    let folded = states.finalize(EventTime(100 * DAY))?;
                    let values: Vec<Vec<String>> = folded.columns.iter().map(texts).collect();
                    for (row, key) in folded.keys.iter().enumerate() {
                        let of_user = values.iter().map(|column| column[row].clone()).collect();
                        let twice = of_users.insert(key.to_string(), of_user);
                        assert_eq!(twice, None, "{key} twice");
                    }
                    rows += states.rows();
                    Ok(())
                })
                .unwrap();
            (of_users, rows)
        })
    }
}

/// Values as text; sums as far as their order does not show.
fn texts(column: &ArrayRef) -> Vec<String> {
    if let Some(floats) = column.as_primitive_opt::<Float64Type>() {
        return floats
            .iter()
            .map(|value| format!("{:.6?}", value.map(|value| value + 0.0)))
            .collect();
    }
    let texts = compute::cast(column, &DataType::Utf8).unwrap();
    let texts = texts.as_string::<i32>();
    (0..texts.len())
        .map(|row| format!("{:?}", texts.is_valid(row).then(|| texts.value(row))))
        .collect()
}

fn row() -> impl Strategy<Value = Row> {
    // Few instants and ids, so that copies, ties and late rows are common.
    let at = prop_oneof![(0i64..8).prop_map(|hour| hour * DAY / 6), 0i64..9 * DAY];
    (0u8..5, at, 0u8..6, any::<bool>(), any::<i8>())
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::File),
        2 => Just(Step::Log),
        3 => Just(Step::Ingest),
        1 => Just(Step::Build),
    ];
    prop::collection::vec(step, 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn ingested_rows_are_the_raw_rows(
        rows in prop::collection::vec(row(), 1..120),
        steps in steps(),
        names in Just((0..16usize).collect::<Vec<_>>()).prop_shuffle(),
        has_ids: bool,
        // Of ingests, and of builds as well.
        memory in prop_oneof![Just(1usize), Just(3000), Just(1 << 20)],
        part_rows in 1u64..40,
        side_by_side in 1usize..4,
    ) {
        let options = IngestOptions { memory, part_rows, most_rows: 1 << 20, side_by_side };
        let registry = registry(has_ids);
        let home = tempfile::tempdir().unwrap();
        let mut raw = Home::new(&home.path().join("raw"), usize::MAX);
        let mut own = Home::new(&home.path().join("own"), memory);
        let takes = steps.iter().filter(|step| matches!(step, Step::File | Step::Log)).count() + 1;
        let mut shares = rows.chunks(rows.len().div_ceil(takes));
        let mut taken = 0;
        let mut files = names.iter();
        // There is always a file to begin with.
        for step in [Step::File].iter().chain(&steps) {
            match step {
                Step::File => {
                    let share = shares.next().unwrap_or_default();
                    let name = format!("f{:02}.csv", files.next().unwrap());
                    for home in [&raw, &own] {
                        home.write(&name, share, taken);
                    }
                    taken += share.len();
                }
                Step::Log => {
                    let share = shares.next().unwrap_or_default();
                    for home in [&mut raw, &mut own] {
                        home.append(share, taken);
                    }
                    taken += share.len();
                }
                Step::Ingest => own.ingest(&registry, options),
                Step::Build => own.build(&registry),
            }
        }
        let wanted = raw.features(&registry, false);
        prop_assert_eq!(&own.features(&registry, false), &wanted, "mixed");
        prop_assert_eq!(&own.features(&registry, true), &wanted, "gone on from a version, mixed");
        own.ingest(&registry, options);
        prop_assert_eq!(&own.features(&registry, false), &wanted, "ingested");
        prop_assert_eq!(&own.features(&registry, true), &wanted, "gone on from a version");
        fs::remove_dir_all(own.data.raw()).unwrap();
        prop_assert_eq!(&own.features(&registry, false), &wanted, "without the raw files");
    }
}
