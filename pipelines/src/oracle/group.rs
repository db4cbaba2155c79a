//! The features of a group over rows read for the oracle alone: it brings them together,
//! orders them and leaves out copies by itself. Called by `verify`, one entity at a time.

use std::sync::Arc;

use granary_registry::{
    Aggregation, DType, EventTime, Expression, Feature, FeatureGroup, FeatureKind, Source, Span,
    Value,
};

use super::{Question, Row, Wanted, latest, order, typed};
use crate::error::Error;
use crate::expression::Program;
use crate::fold::{CompileError, Events, Filter, InputFrom, InputKind, InputSpec, WrittenBits};
use crate::job::Job;
use crate::piece::Piece;
use crate::reading::{Reading, Rows};
use crate::text::Embedder;

/// The features of a group, and what they read.
pub(crate) struct GroupOracle {
    features: Vec<(DType, Plan)>,
    inputs: Vec<InputSpec>,
    filters: Vec<Expression>,
    /// The input that holds the dedupe key.
    id: Option<usize>,
    /// How many features are values.
    values: usize,
    /// What aggregations see of a row: equal conditions and inputs share a list.
    lists: Vec<(Option<usize>, Option<usize>)>,
}

enum Plan {
    Value {
        input: usize,
        /// Its place among the values.
        place: usize,
        max_age: Option<Span>,
    },
    Aggregate {
        question: Question,
        list: usize,
    },
    Derived {
        program: Program,
        needs: Vec<usize>,
    },
}

/// The rows of some entities, in order of file, then log.
pub(crate) struct OracleRows {
    rows: Piece,
    bits: WrittenBits,
    /// The rows of each entity.
    of: Vec<Vec<u32>>,
}

/// The rows of one entity as its features see them.
pub(crate) struct EntityRows {
    lists: Vec<Vec<Row>>,
    /// Those of values, by feature.
    values: Vec<Vec<(i64, u64, Value)>>,
}

impl GroupOracle {
    /// Plans what to read for a group.
    pub(crate) fn new(
        group: &FeatureGroup,
        source: &Source,
        embedder: &Arc<dyn Embedder>,
    ) -> Result<GroupOracle, Error> {
        let mut oracle = GroupOracle {
            features: Vec::with_capacity(group.features.len()),
            inputs: Vec::new(),
            filters: Vec::new(),
            id: None,
            values: 0,
            lists: Vec::new(),
        };
        let named = |name: &String| source.columns.iter().find(|column| column.name == *name);
        if let Some(column) = source.id.as_ref().and_then(named) {
            oracle.id = Some(oracle.input(&Expression::Column {
                name: column.name.clone(),
                dtype: column.dtype,
            }));
        }
        for feature in &group.features {
            let plan = oracle.plan(group, feature, embedder)?;
            oracle.features.push((feature.dtype, plan));
        }
        Ok(oracle)
    }

    fn plan(
        &mut self,
        group: &FeatureGroup,
        feature: &Feature,
        embedder: &Arc<dyn Embedder>,
    ) -> Result<Plan, Error> {
        Ok(match &feature.kind {
            FeatureKind::Value { columns } => {
                let input = self.inputs.len();
                self.inputs.push(InputSpec {
                    from: InputFrom::Value {
                        feature: feature.name.clone(),
                        columns: columns.clone(),
                        dtype: feature.dtype,
                    },
                    kind: kind(Some(feature.dtype)),
                });
                self.values += 1;
                Plan::Value {
                    input,
                    place: self.values - 1,
                    max_age: group.max_age,
                }
            }
            FeatureKind::Aggregate(aggregation) => Plan::Aggregate {
                list: self.list(aggregation),
                question: Question {
                    aggregation: aggregation.clone(),
                    dtype: feature.dtype,
                    session_gap: group.session_gap,
                },
            },
            FeatureKind::Derived(expression) => derived(group, feature, expression, embedder)?,
        })
    }

    fn list(&mut self, aggregation: &Aggregation) -> usize {
        let filter = aggregation.filter.as_ref();
        let filter = filter.map(|filter| place(&mut self.filters, filter.clone()));
        let input = aggregation.input.as_ref().map(|input| self.input(input));
        place(&mut self.lists, (filter, input))
    }

    fn input(&mut self, expression: &Expression) -> usize {
        let spec = InputSpec {
            from: InputFrom::Expression(expression.clone()),
            kind: kind(expression.dtype()),
        };
        place(&mut self.inputs, spec)
    }

    /// Reads the rows of these entities.
    pub(crate) fn read(
        &self,
        job: &Job<'_>,
        group: &FeatureGroup,
        keys: &[Arc<str>],
    ) -> Result<OracleRows, Error> {
        let reading = Reading::open_for(job, group, &self.inputs, &self.filters)?;
        reading.number(keys);
        let rows = Piece::concat(reading.pieces(Rows::Known)?);
        let mut of = vec![Vec::new(); keys.len()];
        for (row, &entity) in rows.entities.iter().enumerate() {
            of[entity as usize].push(row as u32);
        }
        let bits = self.bits();
        Ok(OracleRows { rows, bits, of })
    }

    /// Where a row says which values it brings.
    fn bits(&self) -> WrittenBits {
        WrittenBits::new(self.filters.len(), self.values)
    }

    /// The rows of an entity that were known, copies left out.
    pub(crate) fn entity(
        &self,
        all: &OracleRows,
        entity: usize,
        known: impl Fn(u64) -> bool,
    ) -> EntityRows {
        let columns = &all.rows.columns;
        let events = Events::new(columns, 0..0);
        let id = |row: usize| self.id.map_or(Value::Null, |id| events.value(id, row));
        let rows = all.of[entity].iter().map(|&row| row as usize);
        let mut rows: Vec<(usize, Value)> = rows
            .filter(|&row| known(events.position(row)))
            .map(|row| (row, id(row)))
            .collect();
        let time = |row: usize| columns.times[row];
        // Stable: of copies the first in file or log order comes first.
        rows.sort_by(|a, b| {
            let times = time(a.0).cmp(&time(b.0));
            times.then_with(|| order(&a.1, &b.1))
        });
        rows.dedup_by(|copy, first| {
            !first.1.is_null() && time(copy.0) == time(first.0) && copy.1 == first.1
        });
        let passes = |filter: Option<usize>, row: usize| {
            filter.is_none_or(|filter| columns.masks[filter / 64][row] >> (filter % 64) & 1 == 1)
        };
        let bits = self.bits();
        let list = |&(filter, input): &(Option<usize>, Option<usize>)| {
            let passing = rows
                .iter()
                .filter(|(row, _)| passes(filter, *row) && !bits.is_written(columns, *row));
            let row = |(row, id): &(usize, Value)| Row {
                time: time(*row),
                created: i64::MIN,
                id: id.clone(),
                input: input.map_or(Value::Null, |input| events.value(input, *row)),
            };
            passing.map(row).collect()
        };
        // A written row counts for the values that it brings, any other for all.
        let brings = |value: usize, row: usize| {
            let Filter { word, bit } = bits.of(value);
            !bits.is_written(columns, row) || columns.masks[word][row] >> bit & 1 == 1
        };
        let values = |(_, plan): &(DType, Plan)| match plan {
            Plan::Value { input, place, .. } => rows
                .iter()
                .filter(|(row, _)| brings(*place, *row))
                .map(|&(row, _)| (time(row), events.position(row), events.value(*input, row)))
                .collect(),
            _ => Vec::new(),
        };
        EntityRows {
            lists: self.lists.iter().map(list).collect(),
            values: self.features.iter().map(values).collect(),
        }
    }

    /// A feature as of an instant; none for what is derived from an estimate, of which no
    /// bound is promised.
    pub(crate) fn answer(
        &self,
        feature: usize,
        rows: &EntityRows,
        as_of: EventTime,
    ) -> Option<Wanted> {
        let (dtype, plan) = &self.features[feature];
        match plan {
            Plan::Value { max_age, .. } => {
                let value = latest(&rows.values[feature], *max_age, as_of);
                Some(Wanted::exactly(typed(value, *dtype)))
            }
            Plan::Aggregate { question, list } => {
                Some(question.answer(&rows.lists[*list], as_of.0))
            }
            Plan::Derived { program, needs } => {
                let needed = needs
                    .iter()
                    .map(|&need| self.answer(need, rows, as_of).filter(Wanted::is_exact))
                    .collect::<Option<Vec<Wanted>>>()?;
                let size =
                    |wanted: &Wanted| wanted.terms + wanted.value.as_f64().map_or(0.0, f64::abs);
                let terms = needed.iter().map(size).sum();
                let values: Vec<Value> = needed.into_iter().map(|wanted| wanted.value).collect();
                let value = typed(program.evaluate_row(&values), *dtype);
                Some(Wanted::near(value, terms))
            }
        }
    }
}

impl OracleRows {
    /// Instants and positions in the log of all rows of an entity; `events_alone` leaves out
    /// those that were written.
    pub(crate) fn times(
        &self,
        entity: usize,
        events_alone: bool,
    ) -> impl Iterator<Item = (i64, u64)> {
        let columns = &self.rows.columns;
        let events = Events::new(columns, 0..0);
        let rows = self.of[entity].iter().map(|&row| row as usize);
        let counts = move |row: &usize| !(events_alone && self.bits.is_written(columns, *row));
        rows.filter(counts)
            .map(move |row| (columns.times[row], events.position(row)))
    }
}

impl Wanted {
    pub(crate) fn is_exact(&self) -> bool {
        self.relative <= super::RELATIVE
    }
}

fn derived(
    group: &FeatureGroup,
    feature: &Feature,
    expression: &Expression,
    embedder: &Arc<dyn Embedder>,
) -> Result<Plan, Error> {
    let names = Program::columns_needed(expression);
    let needs = names.iter().filter_map(|name| {
        let mut features = group.features.iter();
        features.position(|feature| *feature.name == **name)
    });
    let needs = needs.collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let compiled = Program::compile(expression, &names, embedder);
    let program = compiled.map_err(|source| CompileError::Derived {
        feature: feature.name.to_string(),
        source,
    })?;
    Ok(Plan::Derived { program, needs })
}

fn kind(dtype: Option<DType>) -> InputKind {
    match dtype {
        Some(DType::Vector) => InputKind::Vectors,
        _ => InputKind::Values,
    }
}

fn place<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    let found = list.iter().position(|held| *held == item);
    found.unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}
