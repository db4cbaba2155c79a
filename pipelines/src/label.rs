//! Labels: who is to be predicted, at which instant, with what outcome, and in which part of
//! the split. Called by `materialize` and by the build of a label's own table.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute;
use arrow::datatypes::{DataType, Float64Type, TimestampMicrosecondType};
use granary_registry::{
    Aggregation, DType, Entity, EventTime, Expression, Feature, FeatureGroup, FeatureKind,
    Fingerprint, Function, Instant, Label, LabelTarget, Source, Span, Split, Value,
};
use granary_storage::Tombstone;
use twox_hash::XxHash3_64;

use crate::error::Error;
use crate::expression::value_at;
use crate::job::Job;
use crate::point_in_time::{self, Spine};
use crate::source::{FileHash, Wanted};

/// A label's rows.
pub(crate) struct Labels {
    /// Entities and instants.
    pub spine: Spine,
    /// 1 or 0, or null where the source has none.
    pub outcomes: Vec<Option<bool>>,
    /// The files read.
    pub files: Vec<FileHash>,
}

/// A part of the split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What models learn from.
    Train,
    /// What choices are made on.
    Valid,
    /// What is only reported.
    Test,
}

impl Part {
    /// As the split column writes it.
    pub fn name(self) -> &'static str {
        match self {
            Part::Train => "train",
            Part::Valid => "valid",
            Part::Test => "test",
        }
    }
}

/// Reads a label's rows in file order. `clock` is the instant of labels that have none.
pub(crate) fn read(job: &Job<'_>, label: &Label, clock: EventTime) -> Result<Labels, Error> {
    let source = job
        .registry
        .source(&label.source)
        .expect("checked: a label's source exists");
    let entity = job
        .registry
        .entity(&label.entity)
        .expect("checked: a label's entity exists");
    match &label.target {
        LabelTarget::Column(column) => {
            let reader = TableReader {
                job,
                label,
                source,
                entity,
                clock,
            };
            reader.read(column, DType::Float, |_, value| {
                value.map(|number| match number {
                    0.0 => Ok(false),
                    1.0 => Ok(true),
                    other => Err(format!("{other} is neither 0 nor 1")),
                })
            })
        }
        LabelTarget::Draw(draw) => {
            let reader = TableReader {
                job,
                label,
                source,
                entity,
                clock,
            };
            reader.read(&draw.from, DType::Float, |key, value| {
                value.map(|score| {
                    let entry = draw.probability.iter().find(|(bound, _)| score <= *bound);
                    Ok(unit(draw.seed, key) < entry.map_or(0.0, |(_, probability)| *probability))
                })
            })
        }
        LabelTarget::Inactivity { filter, horizon } => {
            inactivity(job, label, source, filter.as_ref(), *horizon, clock)
        }
    }
}

/// The part of each row: by hash of the key, so that a key is never in two parts, or by time.
pub fn split(split: Split, spine: &Spine) -> Vec<Part> {
    if !split.by_time {
        let of_names: Vec<Part> = spine.names.iter().map(|key| by_key(split, key)).collect();
        let of_row = |&entity: &u32| of_names[entity as usize];
        return spine.entities.iter().map(of_row).collect();
    }
    let mut instants = spine.instants.clone();
    instants.sort_unstable();
    let of_row = |&instant: &EventTime| by_time(split, instant, &instants);
    spine.instants.iter().map(of_row).collect()
}

/// The same for every key at each of the instants, ascending, key by key.
pub(crate) fn split_all<'a>(
    split: Split,
    keys: &'a [Arc<str>],
    instants: &'a [EventTime],
) -> impl Iterator<Item = Part> + 'a {
    let part = move |key: &Arc<str>, instant: EventTime| match split.by_time {
        true => by_time(split, instant, instants),
        false => by_key(split, key),
    };
    keys.iter()
        .flat_map(move |key| instants.iter().map(move |&instant| part(key, instant)))
}

fn by_key(split: Split, key: &str) -> Part {
    part(split, unit(SPLIT_SEED, key))
}

/// By how many of all instants are earlier.
fn by_time(split: Split, instant: EventTime, all: &[EventTime]) -> Part {
    let earlier = all.partition_point(|held| *held < instant);
    part(split, earlier as f64 / all.len() as f64)
}

fn part(split: Split, share: f64) -> Part {
    match share {
        share if share < split.train => Part::Train,
        share if share < split.train + split.valid => Part::Valid,
        _ => Part::Test,
    }
}

/// Fixed, so that a key stays in its part whatever else changes.
const SPLIT_SEED: u64 = 0x6772_616e_6172_7931;

/// A number in [0, 1) that a seed and a key decide.
fn unit(seed: u64, key: &str) -> f64 {
    (XxHash3_64::oneshot_with_seed(seed, key.as_bytes()) >> 11) as f64 / (1u64 << 53) as f64
}

struct TableReader<'a> {
    job: &'a Job<'a>,
    label: &'a Label,
    source: &'a Source,
    entity: &'a Entity,
    clock: EventTime,
}

impl TableReader<'_> {
    fn read(
        &self,
        column: &str,
        dtype: DType,
        outcome: impl Fn(&str, Option<f64>) -> Option<Result<bool, String>>,
    ) -> Result<Labels, Error> {
        let files = self.job.open(self.source)?;
        let mut wanted = vec![Wanted::required(&self.entity.key, self.entity.dtype)];
        wanted.push(Wanted::optional(column, dtype));
        if let Instant::Column(instant) = &self.label.instant {
            wanted.push(Wanted::required(instant, DType::Timestamp));
        }
        let mut labels = Labels {
            spine: Spine::default(),
            outcomes: Vec::new(),
            files: self.job.files_of(self.source)?,
        };
        let mut interner = self.job.interner(self.entity);
        for batch in files.read(&wanted, self.job.bad_rows)? {
            let keys = texts(batch.column(0))?;
            let scores = batch.column(1).as_primitive::<Float64Type>();
            for row in 0..batch.num_rows() {
                let key = keys.as_string::<i32>().value(row);
                let score = scores.is_valid(row).then(|| scores.value(row));
                let own = match &self.label.instant {
                    Instant::Column(_) => {
                        let instants = batch.column(2).as_primitive::<TimestampMicrosecondType>();
                        Some(EventTime(instants.value(row)))
                    }
                    Instant::Fixed(_) | Instant::DataClock => None,
                };
                let time = own.map_or(i64::MIN, |instant| instant.0);
                let counts = |tombstone: &Tombstone| tombstone.admits(0, time);
                let Some(entity) = interner.number_for(key, counts) else {
                    continue;
                };
                let outcome = outcome(key, score)
                    .transpose()
                    .map_err(|reason| Error::Row {
                        what: format!("label `{}`, column `{column}` of `{key}`", self.label.name),
                        reason,
                    })?;
                labels.spine.entities.push(entity);
                labels.spine.instants.push(match &self.label.instant {
                    Instant::Fixed(instant) => *instant,
                    Instant::DataClock | Instant::Column(_) => own.unwrap_or(self.clock),
                });
                labels.outcomes.push(outcome);
            }
        }
        labels.spine.names = interner.into_names();
        Ok(labels)
    }
}

fn texts(array: &ArrayRef) -> Result<ArrayRef, Error> {
    Ok(compute::cast(array, &DataType::Utf8)?)
}

/// 1 where no event of the kind follows the instant within the horizon: a fold like any
/// other, asked at both ends.
fn inactivity(
    job: &Job<'_>,
    label: &Label,
    source: &Source,
    filter: Option<&Expression>,
    horizon: Span,
    clock: EventTime,
) -> Result<Labels, Error> {
    let instant = match &label.instant {
        Instant::Fixed(instant) => *instant,
        Instant::DataClock | Instant::Column(_) => EventTime(clock.0.saturating_sub(horizon.0)),
    };
    let end = EventTime(instant.0.saturating_add(horizon.0));
    if clock < end {
        return Err(Error::Row {
            what: format!("label `{}`", label.name),
            reason: format!(
                "its horizon ends at {end}, after the newest event; choose an earlier `instant`"
            ),
        });
    }
    let count = |name: &str, filter: Option<&Expression>| Feature {
        name: Arc::from(name),
        dtype: DType::Int,
        kind: FeatureKind::Aggregate(Aggregation {
            function: Function::Count,
            input: None,
            filter: filter.cloned(),
            window: None,
        }),
        description: String::new(),
        imputation: None,
        expectations: Vec::new(),
    };
    let group = FeatureGroup {
        name: label.name.clone(),
        entity: label.entity.clone(),
        source: source.name.clone(),
        description: String::new(),
        owner: String::new(),
        tags: Vec::new(),
        freshness: None,
        max_age: None,
        session_gap: Span(0),
        features: vec![count("of_kind", filter), count("any", None)],
        fingerprint: Fingerprint(0),
    };
    let gathered = job.gather(&group)?;
    // Every entity at both ends, side by side.
    let entities = 0..gathered.names.len() as u32;
    let both = Spine {
        entities: entities.flat_map(|entity| [entity, entity]).collect(),
        instants: [instant, end].repeat(gathered.names.len()),
        names: gathered.names,
    };
    let counts = point_in_time::sweep(&gathered.fold, gathered.history, &both, &[0, 1])?;
    let number = |column: &ArrayRef, row| value_at(column, row).as_f64().unwrap_or(0.0);
    // Whoever has no event before the instant was not there to be predicted.
    let was_there = |&row: &usize| number(&counts[1], row) > 0.0;
    let mut rows: Vec<usize> = (0..both.rows()).step_by(2).filter(was_there).collect();
    // Entities are numbered as threads meet them.
    rows.sort_by_key(|&row| &both.names[both.entities[row] as usize]);
    let is_inactive = |&row: &usize| number(&counts[0], row) == number(&counts[0], row + 1);
    Ok(Labels {
        outcomes: rows.iter().map(|row| Some(is_inactive(row))).collect(),
        spine: both.take(&rows),
        files: gathered.files,
    })
}

impl Labels {
    /// The outcome of a row as 1, 0 or null.
    pub(crate) fn outcome(&self, row: usize) -> Value {
        self.outcomes[row].map_or(Value::Null, |outcome| Value::Int(i64::from(outcome)))
    }
}
