//! What is kept of a source: the columns that the registry names and its files have, as the
//! registry's types. Computed columns are not: they are computed again by every build.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use granary_registry::{DType, Entity, Source, ValueColumns};
use granary_storage::{ENTITY, EventColumn, INPUT, POSITION, PartSchema};

use crate::error::Error;
use crate::fold::InputFrom;
use crate::intake::is_element;
use crate::job::Job;
use crate::source::{Format, SourceFiles, Wanted};

/// Position of the event time among the columns that are kept.
pub(super) const TIME: usize = 1;

/// The columns that are kept; the entity's key comes first, the event time second.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    wanted: Vec<Wanted>,
    /// Vectors that files may have as a column for each element.
    spread: Vec<String>,
}

impl Kept {
    /// Of a source with an event time.
    pub(super) fn of(job: &Job<'_>, source: &Source) -> Result<Kept, Error> {
        let entity: &Entity = job
            .registry
            .entity(&source.entity)
            .expect("checked: a source's entity exists");
        let time = source
            .event_time
            .as_deref()
            .ok_or_else(|| Error::NoEventTime {
                source_name: source.name.clone(),
            })?;
        let mut kept = Kept {
            wanted: vec![
                Wanted::required(&entity.key, entity.dtype),
                Wanted::required(time, DType::Timestamp),
            ],
            spread: Vec::new(),
        };
        for column in &source.columns {
            kept.add(&column.name, column.dtype);
        }
        for group in job
            .registry
            .groups
            .iter()
            .filter(|group| group.source == source.name)
        {
            for input in job.compile(group)?.inputs {
                let InputFrom::Value { columns, dtype, .. } = input.from else {
                    continue;
                };
                let (ValueColumns::One(names) | ValueColumns::Spread(names)) = &columns;
                for name in names {
                    kept.add(name, dtype);
                }
                if let ValueColumns::Spread(names) = columns {
                    kept.spread.extend(names);
                }
            }
        }
        Ok(kept)
    }

    /// The name of the entity's key.
    pub(super) fn key(&self) -> &str {
        &self.wanted[0].name
    }

    /// The name of the event time.
    pub(super) fn time(&self) -> &str {
        &self.wanted[1].name
    }

    /// What to decode.
    pub(super) fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    fn add(&mut self, name: &str, dtype: DType) {
        if !self.wanted.iter().any(|held| held.name == name) {
            self.wanted.push(Wanted::optional(name, dtype).plain());
        }
    }

    /// Which of the columns a raw file has. Any line of JSON may have any.
    pub(super) fn columns_of(&self, raw: &SourceFiles, file: usize) -> Vec<String> {
        let names = if raw.format() == Format::Jsonl {
            raw.columns().to_vec()
        } else {
            raw.columns_of(|held| held == raw.relative(&raw.files()[file]))
        };
        let is_kept = |name: &String| {
            self.wanted.iter().any(|wanted| wanted.name == *name)
                || self.spread.iter().any(|spread| is_element(name, spread))
        };
        names.into_iter().filter(is_kept).collect()
    }

    /// Of these columns alone, but always with key and time: a file without is refused.
    pub(super) fn with(&self, present: &[String]) -> Kept {
        let mut kept = self.clone();
        let is_there = |wanted: &Wanted| wanted.required || present.contains(&wanted.name);
        kept.wanted.retain(is_there);
        for name in present {
            kept.add(name, DType::Float);
        }
        kept
    }

    /// How rows of these columns are kept.
    pub(super) fn part_schema(&self, has_inputs: bool, has_positions: bool) -> PartSchema {
        let mut fields = vec![Field::new(ENTITY, DataType::Int32, false)];
        if has_inputs {
            fields.push(Field::new(INPUT, DataType::Int32, false));
        }
        if has_positions {
            fields.push(Field::new(POSITION, DataType::Int64, true));
        }
        let time = fields.len();
        let columns = &self.wanted[1..];
        fields.extend(
            columns.iter().map(|column| {
                Field::new(&column.name, stored_type(column.dtype), !column.required)
            }),
        );
        PartSchema {
            schema: Arc::new(Schema::new(fields)),
            time,
            columns: columns
                .iter()
                .map(|column| EventColumn {
                    name: column.name.clone(),
                    dtype: column.dtype.to_string(),
                })
                .collect(),
        }
    }
}

/// How a type is kept.
pub(super) fn stored_type(dtype: DType) -> DataType {
    match dtype {
        DType::Int => DataType::Int64,
        DType::Float => DataType::Float64,
        DType::Bool => DataType::Boolean,
        DType::Text | DType::Categorical => DataType::Utf8,
        DType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        DType::Vector => DataType::List(Arc::new(Field::new_list_field(DataType::Float32, true))),
    }
}
