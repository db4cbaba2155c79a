//! Row groups of a Parquet file as Arrow batches. Called by `files`.
//!
//! The footer is read once per file. Strings stay the dictionaries that they are on disk, and
//! only the wanted columns are unpacked.

use std::fs::File;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Schema, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;
use granary_registry::DType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};

use super::records::without_rows;
use super::wanted::schema;
use super::{BadRow, BadRows, Error, Reason, Wanted, cast};

/// Rows per batch when vectors are among the columns: a row of them takes kilobytes.
const ROWS_WITH_VECTORS: usize = 8 << 10;

/// The footer of one file.
#[derive(Clone, Debug)]
pub(super) struct Footer {
    metadata: ArrowReaderMetadata,
}

/// How the wanted columns are read from one file.
pub(super) struct Plan {
    metadata: ArrowReaderMetadata,
    projection: ProjectionMask,
    /// For every wanted column its place among the projected ones.
    places: Vec<usize>,
    schema: SchemaRef,
}

/// A row group that one thread decodes.
pub(super) struct RowGroup<'a> {
    pub(super) source: &'a str,
    pub(super) path: &'a Path,
    pub(super) index: usize,
    pub(super) columns: &'a [Wanted],
    pub(super) bad: &'a BadRows,
    pub(super) batch_rows: usize,
}

impl Footer {
    /// Reads the footer of a file.
    pub(super) fn read(path: &Path) -> Result<Footer, Error> {
        let file = open(path)?;
        guarded(path, || {
            let metadata =
                ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|error| {
                    Error::Parquet {
                        path: path.to_owned(),
                        error,
                    }
                })?;
            Ok(Footer { metadata })
        })
    }

    /// Names of the columns.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.metadata
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().as_str())
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> u64 {
        self.metadata
            .metadata()
            .row_groups()
            .iter()
            .map(|group| group.num_rows() as u64)
            .sum()
    }

    /// Compressed size of each row group.
    pub(super) fn row_groups(&self) -> impl Iterator<Item = u64> {
        self.metadata
            .metadata()
            .row_groups()
            .iter()
            .map(|group| group.compressed_size() as u64)
    }

    /// The newest instant in a row group, if its statistics know.
    pub(super) fn newest(&self, path: &Path, index: usize, column: &str) -> Option<i64> {
        guarded(path, || Ok(self.newest_known(index, column)))
            .ok()
            .flatten()
    }

    fn newest_known(&self, index: usize, column: &str) -> Option<i64> {
        let metadata = self.metadata.metadata();
        let schema = metadata.file_metadata().schema_descr();
        let converter =
            StatisticsConverter::try_new(column, self.metadata.schema(), schema).ok()?;
        let newest = converter
            .row_group_maxes([metadata.row_groups().get(index)?])
            .ok()?;
        // The greatest text need not be the newest instant.
        let known = matches!(
            newest.data_type(),
            DataType::Timestamp(..) | DataType::Date32
        );
        let newest = known.then_some(newest)?;
        let newest = cast::to_wanted(&newest, &Wanted::required(column, DType::Timestamp)).ok()?;
        let newest = newest.as_primitive_opt::<TimestampMicrosecondType>()?;
        newest.is_valid(0).then(|| newest.value(0))
    }

    /// Rows of the file before a row group.
    fn rows_before(&self, index: usize) -> u64 {
        let groups = self.metadata.metadata().row_groups();
        groups[..index]
            .iter()
            .map(|group| group.num_rows() as u64)
            .sum()
    }

    /// Finds the wanted columns and checks their types. The columns must be there.
    pub(super) fn plan(&self, path: &Path, columns: &[Wanted]) -> Result<Plan, Error> {
        let found = self.metadata.schema();
        let mut fields: Vec<_> = found.fields().iter().cloned().collect();
        let (mut roots, mut types) = (Vec::new(), Vec::new());
        for column in columns {
            let Some((root, field)) = found.column_with_name(&column.name) else {
                continue;
            };
            let read =
                cast::readable_as(field.data_type(), column).ok_or_else(|| Error::ColumnType {
                    path: path.to_owned(),
                    column: column.name.clone(),
                    found: field.data_type().to_string(),
                    wanted: column.dtype,
                })?;
            types.push(cast::type_after(&read, column));
            fields[root] = Arc::new(field.clone().with_data_type(read));
            roots.push(root);
        }
        let hint = Arc::new(Schema::new(fields));
        let options = ArrowReaderOptions::new().with_schema(hint);
        let metadata = ArrowReaderMetadata::try_new(self.metadata.metadata().clone(), options)
            .map_err(|error| Error::Parquet {
                path: path.to_owned(),
                error,
            })?;
        let projection = ProjectionMask::roots(metadata.parquet_schema(), roots.iter().copied());
        let mut projected = roots.clone();
        projected.sort_unstable();
        projected.dedup();
        let places = roots
            .iter()
            .map(|root| projected.partition_point(|other| other < root));
        let places = places.collect();
        Ok(Plan {
            metadata,
            projection,
            places,
            schema: schema(columns, types),
        })
    }
}

/// Decodes one row group.
pub(super) fn decode(
    footer: &Footer,
    group: &RowGroup<'_>,
    sink: &mut dyn FnMut(RecordBatch) -> ControlFlow<()>,
) -> Result<(), Error> {
    let path = group.path;
    let (plan, mut reader) = guarded(path, || {
        let plan = footer.plan(path, group.columns)?;
        let reader = open_row_group(&plan, group)?;
        Ok((plan, reader))
    })?;
    let mut row = footer.rows_before(group.index) + 1;
    loop {
        let Some(read) = guarded(path, || Ok(reader.next()))? else {
            return Ok(());
        };
        let failed = |error| Error::Arrow {
            path: path.to_owned(),
            error,
        };
        let read = read.map_err(failed)?;
        let rows = read.num_rows();
        let arrays = guarded(path, || {
            cast_columns(&plan, &read, group.columns).map_err(failed)
        })?;
        let dropped = report_bad_rows(&plan, &read, &arrays, group, row)?;
        let batch = without_rows(plan.schema.clone(), arrays, rows, &dropped).map_err(failed)?;
        row += rows as u64;
        if batch.num_rows() > 0 && sink(batch).is_break() {
            return Ok(());
        }
    }
}

fn open_row_group(plan: &Plan, group: &RowGroup<'_>) -> Result<ParquetRecordBatchReader, Error> {
    let vectors = group
        .columns
        .iter()
        .any(|column| column.dtype == DType::Vector);
    let most = if vectors {
        ROWS_WITH_VECTORS
    } else {
        usize::MAX
    };
    // Its own handle: clones of one share their position, which threads would fight over.
    ParquetRecordBatchReaderBuilder::new_with_metadata(open(group.path)?, plan.metadata.clone())
        .with_projection(plan.projection.clone())
        .with_row_groups(vec![group.index])
        .with_batch_size(group.batch_rows.clamp(1, most))
        .build()
        .map_err(|error| Error::Parquet {
            path: group.path.to_owned(),
            error,
        })
}

fn cast_columns(
    plan: &Plan,
    read: &RecordBatch,
    columns: &[Wanted],
) -> Result<Vec<ArrayRef>, ArrowError> {
    let arrays = plan.places.iter().map(|place| read.column(*place));
    arrays
        .zip(columns)
        .map(|(array, column)| cast::to_wanted(array, column))
        .collect()
}

/// Reports every row in which a cast lost a value or a required one is missing; returns them,
/// numbered within the batch.
fn report_bad_rows(
    plan: &Plan,
    read: &RecordBatch,
    arrays: &[ArrayRef],
    group: &RowGroup<'_>,
    first_row: u64,
) -> Result<Vec<usize>, Error> {
    let mut bad: Vec<(usize, usize, Reason)> = Vec::new();
    for (index, column) in group.columns.iter().enumerate() {
        let (before, after) = (read.column(plan.places[index]), &arrays[index]);
        if after.logical_null_count() == 0 {
            continue;
        }
        let (had, has) = (before.logical_nulls(), after.logical_nulls());
        for row in 0..after.len() {
            if has.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                continue;
            }
            let had_value = had.as_ref().is_none_or(|nulls| nulls.is_valid(row));
            if had_value && !cast::means_null(before, row) {
                bad.push((row, index, Reason::NotA(column.dtype)));
            } else if column.required {
                bad.push((row, index, Reason::Missing));
            }
        }
    }
    bad.sort_by_key(|(row, column, _)| (*row, *column));
    bad.dedup_by_key(|(row, ..)| *row);
    for (row, column, reason) in &bad {
        let found = read.column(plan.places[*column]);
        let bad_row = BadRow {
            path: group.path.to_owned(),
            line: first_row + *row as u64,
            column: Some(group.columns[*column].name.clone()),
            value: value_as_text(found, *row),
            reason: reason.clone(),
            raw: None,
        };
        group.bad.report(group.source, bad_row)?;
    }
    Ok(bad.into_iter().map(|(row, ..)| row).collect())
}

fn value_as_text(array: &ArrayRef, row: usize) -> String {
    if array.data_type() == &DataType::Null {
        return String::new();
    }
    array_value_to_string(array, row).unwrap_or_default()
}

fn open(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(|error| Error::Io {
        path: path.to_owned(),
        error,
    })
}

/// Turns a panic of the Parquet reader into an error: on damaged files it panics about once
/// in three hundred, as the fuzzing shows.
fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("its reader gave up");
        Err(Error::Damaged {
            path: path.to_owned(),
            message: message.to_owned(),
        })
    })
}
