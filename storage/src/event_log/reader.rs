//! Reads a part: row group by row group, only the columns that are asked for.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;

use super::EventPart;
use super::sums::{Checked, Piece, SUMS};
use crate::{Error, Result};

/// An open part.
#[derive(Debug)]
pub struct PartReader {
    path: PathBuf,
    file: Arc<File>,
    length: u64,
    pieces: Arc<[Piece]>,
    metadata: ArrowReaderMetadata,
    groups: Vec<RowGroup>,
}

/// Rows that are read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowGroup {
    /// How many.
    pub rows: u64,
    /// The entity of the first.
    pub first: u32,
    /// The entity of the last.
    pub last: u32,
}

impl PartReader {
    pub(super) fn open(path: PathBuf, part: &EventPart) -> Result<PartReader> {
        let file = Arc::new(File::open(&path).map_err(Error::io("open", &path))?);
        let length = file.metadata().map_err(Error::io("look at", &path))?.len();
        if length != part.bytes {
            return Err(Error::TornPair {
                path,
                reason: format!("it has {length} bytes instead of {}", part.bytes),
            });
        }
        let footer = Piece {
            range: part.footer.0..length,
            sum: part.footer.1,
        };
        let checked = Checked::new(file.clone(), length, [footer].into());
        let metadata = ArrowReaderMetadata::load(&checked, ArrowReaderOptions::new())
            .map_err(Error::parquet("open", &path))?;
        let known = known(metadata.metadata()).ok_or_else(|| {
            let what = "its footer lacks checksums or the range of its entities";
            Error::parquet("open", &path)(ParquetError::General(what.to_owned()))
        })?;
        Ok(PartReader {
            path,
            file,
            length,
            pieces: known.0.into(),
            groups: known.1,
            metadata,
        })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its columns, as they are read if nothing else is asked for.
    pub fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// Its row groups, in order of entity.
    pub fn groups(&self) -> &[RowGroup] {
        &self.groups
    }

    /// Plans the reading of some columns, each as a type that its own can be read as. They
    /// come in the order of the part.
    pub fn plan(&self, columns: &[(String, DataType)]) -> Result<PartPlan> {
        let mut fields: Vec<Arc<Field>> = self.schema().fields().iter().cloned().collect();
        let mut roots = Vec::with_capacity(columns.len());
        for (name, dtype) in columns {
            let Some((root, field)) = self.schema().column_with_name(name) else {
                return Err(Error::NoColumn {
                    column: name.clone(),
                    path: self.path.clone(),
                    present: self
                        .schema()
                        .fields()
                        .iter()
                        .map(|held| held.name().clone())
                        .collect(),
                });
            };
            fields[root] = Arc::new(field.clone().with_data_type(dtype.clone()));
            roots.push(root);
        }
        let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
        let metadata = ArrowReaderMetadata::try_new(self.metadata.metadata().clone(), options)
            .map_err(Error::parquet("read", &self.path))?;
        let projection = ProjectionMask::roots(metadata.parquet_schema(), roots);
        Ok(PartPlan {
            metadata,
            projection,
        })
    }

    /// Reads a row group.
    pub fn read(
        &self,
        plan: &PartPlan,
        group: usize,
        batch_rows: usize,
    ) -> Result<ParquetRecordBatchReader> {
        let checked = Checked::new(self.file.clone(), self.length, self.pieces.clone());
        ParquetRecordBatchReaderBuilder::new_with_metadata(checked, plan.metadata.clone())
            .with_projection(plan.projection.clone())
            .with_row_groups(vec![group])
            .with_batch_size(batch_rows)
            .build()
            .map_err(Error::parquet("read", &self.path))
    }
}

/// How some columns of a part are read.
#[derive(Clone, Debug)]
pub struct PartPlan {
    metadata: ArrowReaderMetadata,
    projection: ProjectionMask,
}

/// Checksums of all columns, and the entities of the row groups.
fn known(metadata: &ParquetMetaData) -> Option<(Vec<Piece>, Vec<RowGroup>)> {
    let sums = metadata.file_metadata().key_value_metadata()?;
    let sums = sums.iter().find(|pair| pair.key == SUMS)?.value.as_ref()?;
    let mut sums = sums.as_bytes().chunks_exact(8);
    let mut pieces = Vec::new();
    let mut groups = Vec::new();
    for group in metadata.row_groups() {
        for column in group.columns() {
            let (start, length) = column.byte_range();
            let sum = std::str::from_utf8(sums.next()?).ok()?;
            pieces.push(Piece {
                range: start..start + length,
                sum: u32::from_str_radix(sum, 16).ok()?,
            });
        }
        let Some(Statistics::Int32(entities)) = group.columns().first()?.statistics() else {
            return None;
        };
        groups.push(RowGroup {
            rows: group.num_rows() as u64,
            first: *entities.min_opt()? as u32,
            last: *entities.max_opt()? as u32,
        });
    }
    Some((pieces, groups))
}
