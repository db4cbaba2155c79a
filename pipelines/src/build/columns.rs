//! Features of a group on their way into a version: checked, described and written, all at
//! once or, if they were folded in ranges of keys, range after range.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute;
use arrow::datatypes::{DataType, Field, Schema};
use granary_registry::{DType, EventTime, Feature, FeatureGroup, Severity};
use granary_storage::{
    ColumnStatistics, ExpectationOutcome, Spill, Spilled, StateRow, VersionWriter,
};
use rayon::prelude::*;

use super::json;
use crate::batch::{Encoded, Folded, Folds};
use crate::error::Error;
use crate::fold::ColumnBuilder;
use crate::job::Job;
use crate::quality;

/// What is written of a group.
pub(super) struct Draft<'a> {
    pub group: &'a FeatureGroup,
    /// Name of the column of keys.
    pub key: &'a str,
    pub as_of: EventTime,
}

/// What was written, for the manifest.
#[derive(Default)]
pub(super) struct Written {
    /// Rows folded: copies left out.
    pub events: u64,
    pub statistics: Vec<ColumnStatistics>,
    pub outcomes: Vec<ExpectationOutcome>,
    pub estimates: Vec<u64>,
}

/// Features of ranges of keys, until all of them are there to be checked.
struct Ranges {
    spill: Spill,
    blocks: Vec<Spilled>,
    /// For each column the elements of its vectors, 0 if there are none.
    dimensions: Vec<usize>,
}

impl Draft<'_> {
    /// Of all entities at once.
    pub(super) fn write_whole(
        &self,
        folds: &Folds,
        writer: &mut VersionWriter,
    ) -> Result<Written, Error> {
        let mut written = Written::default();
        folds.each(|states| {
            let folded = states.finalize(self.as_of)?;
            let columns = self.group.features.par_iter().zip(&folded.columns);
            let described: Vec<(Vec<ExpectationOutcome>, ColumnStatistics)> = columns
                .map(|(feature, column)| describe(feature, column))
                .collect::<Result<_, Error>>()?;
            let (outcomes, statistics): (Vec<_>, Vec<_>) = described.into_iter().unzip();
            written = Written {
                events: states.rows(),
                statistics,
                outcomes: outcomes.concat(),
                estimates: folded.estimates.clone(),
            };
            self.refuse_broken(&written.outcomes)?;
            writer.write(&self.batch(&folded)?, state_rows(&folded))?;
            Ok(())
        })?;
        Ok(written)
    }

    /// Of one range of keys after another. Features wait on disk: only together can they be
    /// checked, and only the last tells how long vectors are.
    pub(super) fn write_ranges(
        &self,
        job: &Job<'_>,
        folds: &Folds,
        writer: &mut VersionWriter,
    ) -> Result<Written, Error> {
        let mut written = Written {
            estimates: vec![0; self.group.features.len()],
            ..Written::default()
        };
        let mut ranges = Ranges {
            spill: Spill::create(job.data)?,
            blocks: Vec::new(),
            dimensions: vec![0; self.group.features.len()],
        };
        folds.each(|states| {
            let folded = states.finalize(self.as_of)?;
            written.events += states.rows();
            for (all, more) in written.estimates.iter_mut().zip(&folded.estimates) {
                *all += more;
            }
            for state in state_rows(&folded) {
                writer.append_state(state)?;
            }
            ranges.keep(&self.batch(&folded)?)
        })?;
        for (at, feature) in self.group.features.iter().enumerate() {
            let (mut outcomes, statistics) = describe(feature, &ranges.column(at)?)?;
            written.outcomes.append(&mut outcomes);
            written.statistics.push(statistics);
        }
        self.refuse_broken(&written.outcomes)?;
        for block in &ranges.blocks {
            writer.write_features(&ranges.batch(*block)?)?;
        }
        Ok(written)
    }

    fn batch(&self, folded: &Folded<'_>) -> Result<RecordBatch, Error> {
        let keys: ArrayRef = Arc::new(StringArray::from_iter_values(folded.keys.iter()));
        let mut fields = vec![Field::new(self.key, DataType::Utf8, false)];
        let features = self.group.features.iter().zip(&folded.columns);
        fields.extend(
            features.map(|(feature, column)| {
                Field::new(&*feature.name, column.data_type().clone(), true)
            }),
        );
        let columns = [keys].into_iter().chain(folded.columns.iter().cloned());
        let schema = Arc::new(Schema::new(fields));
        Ok(RecordBatch::try_new(schema, columns.collect())?)
    }

    /// A broken expectation of severity `error` stops the build.
    fn refuse_broken(&self, outcomes: &[ExpectationOutcome]) -> Result<(), Error> {
        let is_broken = |outcome: &&ExpectationOutcome| {
            !outcome.passed && outcome.severity == name(Severity::Error)
        };
        let broken: Vec<String> = outcomes
            .iter()
            .filter(is_broken)
            .map(|outcome| format!("{} {}: {}", outcome.feature, outcome.rule, outcome.detail))
            .collect();
        if broken.is_empty() {
            return Ok(());
        }
        Err(Error::Expectations {
            group: self.group.name.clone(),
            broken,
        })
    }
}

impl Ranges {
    fn keep(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let columns = batch.columns()[1..].iter();
        for (dimension, column) in self.dimensions.iter_mut().zip(columns) {
            if let Some(vectors) = column.as_fixed_size_list_opt() {
                *dimension = (*dimension).max(vectors.value_length() as usize);
            }
        }
        self.blocks.push(self.spill.append(batch)?);
        Ok(())
    }

    /// One feature of all ranges.
    fn column(&self, at: usize) -> Result<ArrayRef, Error> {
        let part = |block: &Spilled| {
            let batch = self.spill.read(*block, Some(vec![at + 1]))?;
            Ok(self.widened(at, batch.column(0)))
        };
        let parts: Vec<ArrayRef> = self.blocks.iter().map(part).collect::<Result<_, Error>>()?;
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(compute::concat(&parts)?)
    }

    /// All features of a range.
    fn batch(&self, block: Spilled) -> Result<RecordBatch, Error> {
        let batch = self.spill.read(block, None)?;
        let mut columns = vec![batch.column(0).clone()];
        let mut fields = vec![batch.schema().field(0).clone()];
        for at in 0..self.dimensions.len() {
            let column = self.widened(at, batch.column(at + 1));
            let field = batch.schema().field(at + 1).clone();
            fields.push(field.with_data_type(column.data_type().clone()));
            columns.push(column);
        }
        Ok(RecordBatch::try_new(
            Arc::new(Schema::new(fields)),
            columns,
        )?)
    }

    /// Where ranges differ in dimension, the shorter vectors become null.
    fn widened(&self, at: usize, column: &ArrayRef) -> ArrayRef {
        let dimension = self.dimensions[at];
        match column.as_fixed_size_list_opt() {
            Some(vectors) if vectors.value_length() as usize != dimension => {
                let mut nulls = ColumnBuilder::new(DType::Vector);
                for _ in 0..column.len() {
                    nulls.push(&granary_registry::Value::Null);
                }
                nulls.finish(dimension)
            }
            _ => column.clone(),
        }
    }
}

fn state_rows<'a>(folded: &'a Folded<'_>) -> impl Iterator<Item = StateRow<'a>> + Send {
    let row = |(key, state): (&'a Arc<str>, &'a Encoded<'_>)| StateRow {
        key: key.as_bytes(),
        row: &state.row,
        vectors: (!state.vectors.is_empty()).then_some(&state.vectors[..]),
        events: state.events,
    };
    folded.keys.iter().zip(&folded.states).map(row)
}

/// Checks a finished column and says what it holds.
fn describe(
    feature: &Feature,
    column: &ArrayRef,
) -> Result<(Vec<ExpectationOutcome>, ColumnStatistics), Error> {
    let outcomes = quality::check(feature, column).map_err(Error::Expression)?;
    let statistics = statistics(&feature.name, feature.dtype, column)?;
    Ok((outcomes.into_iter().map(expectation).collect(), statistics))
}

fn expectation(outcome: quality::Outcome) -> ExpectationOutcome {
    ExpectationOutcome {
        feature: outcome.feature.to_string(),
        rule: outcome.rule,
        severity: name(outcome.severity).to_owned(),
        passed: outcome.passed,
        detail: outcome.detail.to_string(),
    }
}

fn name(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warn => "warn",
    }
}

pub(super) fn statistics(
    name: &str,
    dtype: DType,
    column: &ArrayRef,
) -> Result<ColumnStatistics, Error> {
    let held = quality::statistics(name, dtype, column).map_err(Error::Expression)?;
    Ok(ColumnStatistics {
        name: held.name,
        dtype: dtype.to_string(),
        nulls: held.nulls as u64,
        min: json(&held.min),
        max: json(&held.max),
        mean: held.mean,
        distinct: held.distinct.map(|distinct| distinct as u64),
        dimension: held.dimension,
    })
}
