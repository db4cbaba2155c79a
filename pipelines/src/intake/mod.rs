//! From the rows of a source to what the folds of one group read: evaluates derived
//! columns, conditions and inputs once per batch. The same code takes a row group of a
//! million events and a single event that has just arrived.

mod inputs; // columns of a batch -> the forms that folds read

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use granary_registry::{DType, Entity, Expression, Source, Value, ValueColumns};

use self::inputs::{hashes, input, spread};
use crate::error::Error;
use crate::expression::Program;
use crate::fold::{
    ColumnBuilder, Columns, Filter, GroupFold, InputFrom, InputKind, InputSpec, WrittenBits,
};
use crate::source::{TextAs, Wanted};
use crate::text::Embedder;
use crate::value_write::ValueWrite;

/// What to decode of a source for one group, and how to turn it into columns.
#[derive(Debug)]
pub(crate) struct Intake {
    wanted: Vec<Wanted>,
    time: Option<usize>,
    id: Option<usize>,
    created: Option<usize>,
    derived: Vec<Program>,
    filters: Vec<Program>,
    inputs: Vec<(Reader, InputKind)>,
    /// The inputs that are values, each with its feature.
    values: Vec<(usize, Arc<str>, DType)>,
    bits: WrittenBits,
}

/// Whether rows count that came after the instant asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hindsight {
    /// All rows count, as they are known now.
    Kept,
    /// Of a source that says when its rows became known, only those known at the instant.
    Cut,
}

/// Position of the key among the wanted columns.
pub(crate) const KEY: usize = 0;

#[derive(Debug)]
enum Reader {
    Program(Program),
    Column(usize),
    /// One element of a vector from each of these.
    Spread(Vec<usize>),
}

impl Intake {
    /// Plans for a group over files that have the columns `present`.
    pub(crate) fn new(
        fold: &GroupFold,
        source: &Source,
        entity: &Entity,
        present: &[String],
        embedder: &Arc<dyn Embedder>,
    ) -> Result<Intake, Error> {
        Intake::plan(
            (&fold.inputs, &fold.filters),
            source,
            entity,
            present,
            embedder,
            Hindsight::Kept,
        )
    }

    /// The same for any inputs and conditions.
    pub(crate) fn plan(
        (inputs, filters): (&[InputSpec], &[Expression]),
        source: &Source,
        entity: &Entity,
        present: &[String],
        embedder: &Arc<dyn Embedder>,
        hindsight: Hindsight,
    ) -> Result<Intake, Error> {
        let mut planner = Planner::new(source, entity, present);
        let time = source
            .event_time
            .as_ref()
            .map(|name| planner.required(name, DType::Timestamp));
        let id = source.id.as_ref().map(|name| planner.id(name));
        let created = source.created.as_ref();
        let created = created.filter(|_| hindsight == Hindsight::Cut);
        let created = created.map(|name| planner.column(name, DType::Timestamp));
        let expressions: Vec<&Expression> = inputs
            .iter()
            .filter_map(|input| match &input.from {
                InputFrom::Expression(expression) => Some(expression),
                InputFrom::Value { .. } => None,
            })
            .chain(filters)
            .collect();
        planner.expressions(&expressions);
        let readers: Vec<Result<Reader, &Expression>> = inputs
            .iter()
            .map(|input| match &input.from {
                InputFrom::Value { columns, dtype, .. } => planner.value(columns, *dtype).map(Ok),
                InputFrom::Expression(expression) => Ok(Err(expression)),
            })
            .collect::<Result<_, Error>>()?;
        let numbered = inputs.iter().enumerate();
        let values: Vec<_> = numbered
            .filter_map(|(at, input)| match &input.from {
                InputFrom::Value { feature, dtype, .. } => Some((at, feature.clone(), *dtype)),
                InputFrom::Expression(_) => None,
            })
            .collect();
        let names = planner.names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let compile = |expression: &Expression| {
            Program::compile(expression, &names, embedder).map_err(Error::Expression)
        };
        let inputs = readers.into_iter().zip(inputs).map(|(reader, input)| {
            let reader = reader.or_else(|expression| compile(expression).map(Reader::Program))?;
            Ok::<_, Error>((reader, input.kind.clone()))
        });
        Ok(Intake {
            bits: WrittenBits::new(filters.len(), values.len()),
            values,
            inputs: inputs.collect::<Result<_, _>>()?,
            derived: planner
                .derived
                .iter()
                .map(|column| compile(&column.expression))
                .collect::<Result<_, _>>()?,
            filters: filters.iter().map(compile).collect::<Result<_, _>>()?,
            time,
            id,
            created,
            wanted: planner.wanted,
        })
    }

    /// The columns to decode; the entity's key comes first.
    pub(crate) fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    /// Evaluates a batch of exactly the wanted columns.
    pub(crate) fn take(&self, batch: &RecordBatch) -> Result<Columns, Error> {
        let rows = batch.num_rows();
        let mut arrays = batch.columns().to_vec();
        for program in &self.derived {
            let array = program.evaluate(&arrays, rows).map_err(Error::Expression)?;
            arrays.push(array);
        }
        let mut masks = vec![vec![0u64; rows]; self.bits.words()];
        for (index, program) in self.filters.iter().enumerate() {
            let mask = program
                .evaluate_mask(&arrays, rows)
                .map_err(Error::Expression)?;
            let words = &mut masks[index / 64];
            for row in mask.set_indices() {
                words[row] |= 1 << (index % 64);
            }
        }
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for (reader, kind) in &self.inputs {
            inputs.push(match reader {
                Reader::Column(column) => input(&arrays[*column], kind)?,
                Reader::Spread(columns) => spread(columns.iter().map(|&at| &arrays[at]), rows)?,
                Reader::Program(program) => input(
                    &program.evaluate(&arrays, rows).map_err(Error::Expression)?,
                    kind,
                )?,
            });
        }
        let instants = |column: usize| arrays[column].as_primitive::<TimestampMicrosecondType>();
        let times = match self.time {
            Some(time) => instants(time).values().to_vec(),
            None => vec![i64::MIN; rows],
        };
        let created = self.created.map(|column| {
            let known = instants(column).iter().zip(&times);
            known
                .map(|(known, &time)| known.map_or(time, |known| known.max(time)))
                .collect()
        });
        let ids = self.id.map(|id| hashes(&arrays[id])).transpose()?;
        Ok(Columns {
            times,
            masks,
            inputs,
            ids: ids.unwrap_or_default(),
            positions: Vec::new(),
            created: created.unwrap_or_default(),
        })
    }
}

/// Values that were written, as the folds of one group take them.
impl Intake {
    /// Whether the group has values, which can be written.
    pub(crate) fn has_values(&self) -> bool {
        !self.values.is_empty()
    }

    /// Whether the group has one of the values of a write.
    pub(crate) fn has_any(&self, write: &ValueWrite) -> bool {
        let mut values = self.values.iter();
        values.any(|(_, feature, _)| write.value(feature).is_some())
    }

    /// The rows of writes, given a batch of the wanted columns that has their keys alone.
    pub(crate) fn take_writes(
        &self,
        batch: &RecordBatch,
        writes: &[&ValueWrite],
    ) -> Result<Columns, Error> {
        let mut columns = self.take(batch)?;
        columns.times = writes.iter().map(|write| write.time.0).collect();
        if self.created.is_some() {
            let known = writes.iter().map(|write| write.known.max(write.time).0);
            columns.created = known.collect();
        }
        for (at, (input, feature, dtype)) in self.values.iter().enumerate() {
            let written: Vec<Option<&Value>> =
                writes.iter().map(|write| write.value(feature)).collect();
            let Filter { word, bit } = self.bits.of(at);
            for (mask, value) in columns.masks[word].iter_mut().zip(&written) {
                *mask |= u64::from(value.is_some()) << bit;
            }
            let mut column = ColumnBuilder::new(*dtype);
            for value in written {
                column.push(value.unwrap_or(&Value::Null));
            }
            columns.inputs[*input] = inputs::input(&column.finish(0), &self.inputs[*input].1)?;
        }
        Ok(columns)
    }
}

/// Chooses the columns to decode.
struct Planner<'a> {
    source: &'a Source,
    present: &'a [String],
    wanted: Vec<Wanted>,
    derived: Vec<&'a granary_registry::DerivedColumn>,
}

impl<'a> Planner<'a> {
    fn new(source: &'a Source, entity: &Entity, present: &'a [String]) -> Self {
        let wanted = vec![Wanted::required(&entity.key, entity.dtype)];
        Planner {
            source,
            present,
            wanted,
            derived: Vec::new(),
        }
    }

    fn add(&mut self, wanted: Wanted) -> usize {
        if let Some(index) = self.wanted.iter().position(|held| held.name == wanted.name) {
            // Expressions read plain text and dictionaries; ids can be told in any form.
            if self.wanted[index].text == TextAs::View {
                self.wanted[index].text = wanted.text;
            }
            return index;
        }
        self.wanted.push(wanted);
        self.wanted.len() - 1
    }

    fn required(&mut self, name: &str, dtype: DType) -> usize {
        self.add(Wanted::required(name, dtype))
    }

    /// The dedupe key, in any form: only its hash and its order matter.
    fn id(&mut self, name: &str) -> usize {
        let mut columns = self.source.columns.iter();
        let column = columns.find(|column| column.name == *name);
        let dtype = column.map_or(DType::Text, |column| column.dtype);
        self.add(Wanted::optional(name, dtype).view())
    }

    fn column(&mut self, name: &str, dtype: DType) -> usize {
        let wanted = Wanted::optional(name, dtype);
        // Few distinct values are decoded as a dictionary; free text would only pay for one.
        self.add(if dtype == DType::Text {
            wanted.plain()
        } else {
            wanted
        })
    }

    /// Every source column that these need, through derived ones.
    fn expressions(&mut self, expressions: &[&Expression]) {
        let mut names: Vec<String> = expressions
            .iter()
            .flat_map(|expression| Program::columns_needed(expression))
            .collect();
        let source = self.source;
        // A derived column may read the ones before it, so needs are found from the last on.
        for column in source.derived.iter().rev() {
            if names.contains(&column.name) {
                names.extend(Program::columns_needed(&column.expression));
                self.derived.insert(0, column);
            }
        }
        for column in &source.columns {
            if names.contains(&column.name) {
                self.column(&column.name, column.dtype);
            }
        }
    }

    fn value(&mut self, columns: &ValueColumns, dtype: DType) -> Result<Reader, Error> {
        let names = match columns {
            ValueColumns::One(names) | ValueColumns::Spread(names) => names,
        };
        if let Some(name) = names.iter().find(|name| self.present.contains(name)) {
            return Ok(Reader::Column(self.column(name, dtype)));
        }
        if matches!(columns, ValueColumns::Spread(_)) {
            let mut elements: Vec<&String> = self
                .present
                .iter()
                .filter(|held| names.iter().any(|name| is_element(held, name)))
                .collect();
            elements.sort();
            if !elements.is_empty() {
                let elements = elements.iter().map(|name| self.column(name, DType::Float));
                return Ok(Reader::Spread(elements.collect()));
            }
        }
        Err(Error::NoColumn {
            source_name: self.source.name.clone(),
            wanted: names.join("` or `"),
            present: self.present.join(", "),
        })
    }

    fn names(&self) -> Vec<String> {
        let wanted = self.wanted.iter().map(|wanted| wanted.name.clone());
        wanted
            .chain(self.derived.iter().map(|column| column.name.clone()))
            .collect()
    }
}

/// Whether a column is `<name>_<suffix>`.
pub(crate) fn is_element(column: &str, name: &str) -> bool {
    column
        .strip_prefix(name)
        .is_some_and(|rest| rest.len() > 1 && rest.starts_with('_'))
}
