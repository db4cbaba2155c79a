//! From the features of a group to folds: features that differ only in their ending share a
//! state, equal conditions share a mask bit, equal inputs a column. Called once per group.

use std::collections::HashMap;
use std::sync::Arc;

use granary_registry::{
    Aggregation, BinaryOp, DType, Expression, Feature, FeatureGroup, FeatureKind, Function, Span,
    UnaryOp, ValueColumns, Window,
};

use super::group::{Answer, InputFrom, InputKind, InputSpec, Slot};
use super::{
    Count, CountBy, Edge, Extreme, Filter, Fold, Latest, Moments, Recency, Sessions, Sum,
    VectorSum, Windowed,
};
use crate::expression::{self, Program};
use crate::text::Embedder;

/// Why a group cannot be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// An expression of a derived feature.
    #[error("compile feature `{feature}`: {source}")]
    Derived {
        /// The feature.
        feature: String,
        /// What is wrong.
        source: expression::Error,
    },
    /// An aggregation that needs an input has none.
    #[error("compile feature `{feature}`: its aggregation needs an `input`")]
    NoInput {
        /// The feature.
        feature: String,
    },
}

/// What a group compiles to.
pub(super) struct Compiled {
    pub(super) filters: Vec<Expression>,
    pub(super) inputs: Vec<InputSpec>,
    pub(super) slots: Vec<Slot>,
    pub(super) states: Vec<Fold>,
}

/// Compiles every feature of a group.
pub(super) fn compile(
    group: &FeatureGroup,
    embedder: &Arc<dyn Embedder>,
) -> Result<Compiled, CompileError> {
    let mut compiler = Compiler::new(group);
    let mut slots = Vec::with_capacity(group.features.len());
    for feature in &group.features {
        let answer = match &feature.kind {
            FeatureKind::Value { columns } => compiler.value(feature, columns, group.max_age),
            FeatureKind::Aggregate(aggregation) => compiler.aggregate(feature, aggregation)?,
            FeatureKind::Derived(expression) => derived(group, feature, expression, embedder)?,
        };
        slots.push(Slot {
            name: feature.name.clone(),
            dtype: feature.dtype,
            answer,
        });
    }
    Ok(Compiled {
        filters: compiler.filters,
        inputs: compiler.inputs,
        slots,
        states: compiler.states,
    })
}

/// Collects distinct states, inputs and filters while the features are walked.
struct Compiler<'a> {
    group: &'a FeatureGroup,
    filters: Vec<Expression>,
    inputs: Vec<InputSpec>,
    states: Vec<Fold>,
    /// What distinguishes a state: everything but the ending and the window's length.
    known: HashMap<StateKey, usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct StateKey {
    class: &'static str,
    input: Option<usize>,
    filter: Option<Filter>,
    hop: Option<Span>,
}

/// What the folds of one feature have in common.
#[derive(Clone, Copy)]
struct Shape {
    filter: Option<Filter>,
    input: Option<usize>,
    window: Option<Window>,
}

impl<'a> Compiler<'a> {
    fn new(group: &'a FeatureGroup) -> Self {
        Compiler {
            group,
            filters: Vec::new(),
            inputs: Vec::new(),
            states: Vec::new(),
            known: HashMap::new(),
        }
    }

    fn value(
        &mut self,
        feature: &Feature,
        columns: &ValueColumns,
        max_age: Option<Span>,
    ) -> Answer {
        let vector = feature.dtype == DType::Vector;
        let input = self.input(InputSpec {
            from: InputFrom::Value(columns.clone(), feature.dtype),
            kind: if vector {
                InputKind::Vectors
            } else {
                InputKind::Values
            },
        });
        let fold = Fold::Latest(Latest { input, max_age });
        let key = StateKey {
            class: "latest",
            input: Some(input),
            filter: None,
            hop: None,
        };
        self.state(key, fold)
    }

    fn aggregate(
        &mut self,
        feature: &Feature,
        aggregation: &Aggregation,
    ) -> Result<Answer, CompileError> {
        let filter = condition(aggregation).map(|filter| self.filter(&filter));
        let vector = feature.dtype == DType::Vector;
        let kind = match &aggregation.function {
            Function::First | Function::Last => InputKind::Values,
            Function::CountBy { categories } => InputKind::Codes(categories.clone()),
            _ if vector => InputKind::Vectors,
            _ => InputKind::Numbers,
        };
        let folded = aggregation
            .input
            .as_ref()
            .filter(|_| aggregation.function != Function::Count);
        let input = folded.map(|input| {
            let from = InputFrom::Expression(input.clone());
            self.input(InputSpec { from, kind })
        });
        let shape = Shape {
            filter,
            input,
            window: aggregation.window,
        };
        let gap = self.group.session_gap.0;
        match (&aggregation.function, input) {
            (Function::Count, _) => {
                let fold = Count { filter };
                Ok(self.place("count", shape, fold, Fold::Count, Fold::WindowedCount))
            }
            (Function::DaysSinceLast, _) => {
                let (plain, windowed) = (Fold::Recency, Fold::WindowedRecency);
                Ok(self.place("recency", shape, Recency { filter }, plain, windowed))
            }
            (Function::Sessions | Function::SessionLength, _) => {
                let length = aggregation.function == Function::SessionLength;
                let fold = Sessions {
                    filter,
                    gap,
                    length,
                };
                let (plain, windowed) = (Fold::Sessions, Fold::WindowedSessions);
                Ok(self.place("sessions", shape, fold, plain, windowed))
            }
            (function, Some(input)) => Ok(self.with_input(function, shape, input, vector)),
            (_, None) => Err(CompileError::NoInput {
                feature: feature.name.to_string(),
            }),
        }
    }

    /// The folds that read a column.
    fn with_input(
        &mut self,
        function: &Function,
        shape: Shape,
        input: usize,
        vector: bool,
    ) -> Answer {
        let filter = shape.filter;
        match function {
            Function::Min | Function::Max => {
                let max = *function == Function::Max;
                let class = if max { "max" } else { "min" };
                let fold = Extreme { filter, input, max };
                self.place(class, shape, fold, Fold::Extreme, Fold::WindowedExtreme)
            }
            Function::Variance | Function::Stddev => {
                let fold = Moments {
                    filter,
                    input,
                    deviation: *function == Function::Stddev,
                };
                self.place("moments", shape, fold, Fold::Moments, Fold::WindowedMoments)
            }
            Function::First | Function::Last => {
                let last = *function == Function::Last;
                let class = if last { "last" } else { "first" };
                let fold = Edge {
                    filter,
                    input,
                    last,
                };
                self.place(class, shape, fold, Fold::Edge, Fold::WindowedEdge)
            }
            Function::CountBy { categories } => {
                let fold = CountBy {
                    filter,
                    input,
                    categories: categories.len(),
                };
                let (plain, windowed) = (Fold::CountBy, Fold::WindowedCountBy);
                self.place("count_by", shape, fold, plain, windowed)
            }
            _ if vector => {
                let mean = *function == Function::Mean;
                let fold = VectorSum {
                    filter,
                    input,
                    mean,
                };
                let (plain, windowed) = (Fold::VectorSum, Fold::WindowedVectorSum);
                self.place("vector_sum", shape, fold, plain, windowed)
            }
            _ => {
                let mean = *function == Function::Mean;
                let fold = Sum {
                    filter,
                    input,
                    mean,
                };
                self.place("sum", shape, fold, Fold::Sum, Fold::WindowedSum)
            }
        }
    }

    /// Gives a fold a state, over its window if it has one.
    fn place<A>(
        &mut self,
        class: &'static str,
        shape: Shape,
        inner: A,
        plain: fn(A) -> Fold,
        windowed: fn(Windowed<A>) -> Fold,
    ) -> Answer {
        let key = StateKey {
            class,
            input: shape.input,
            filter: shape.filter,
            hop: shape.window.map(|window| window.hop),
        };
        let Some(window) = shape.window else {
            return self.state(key, plain(inner));
        };
        let keep = self.longest(window.hop);
        let fold = windowed(Windowed {
            inner,
            window,
            keep,
        });
        self.state(key, fold)
    }

    /// The longest window of the group with this hop: states of one hop are shared, and
    /// each keeps enough for any of them.
    fn longest(&self, hop: Span) -> i64 {
        let windows = self
            .group
            .features
            .iter()
            .filter_map(|feature| match &feature.kind {
                FeatureKind::Aggregate(aggregation) => aggregation.window,
                _ => None,
            });
        let lengths = windows
            .filter(|window| window.hop == hop)
            .map(|window| window.length.0);
        lengths.max().unwrap_or(0)
    }

    fn state(&mut self, key: StateKey, fold: Fold) -> Answer {
        let next = self.states.len();
        let state = *self.known.entry(key).or_insert(next);
        if state == next {
            self.states.push(fold.clone());
        }
        Answer::Fold { fold, state }
    }

    fn filter(&mut self, filter: &Expression) -> Filter {
        let index = position_or_push(&mut self.filters, filter.clone());
        Filter {
            word: index / 64,
            bit: (index % 64) as u32,
        }
    }

    fn input(&mut self, input: InputSpec) -> usize {
        position_or_push(&mut self.inputs, input)
    }
}

/// The condition of an aggregation. `count` of a column skips nulls, as in SQL, by one.
fn condition(aggregation: &Aggregation) -> Option<Expression> {
    let filter = aggregation.filter.clone();
    let Some(input) = &aggregation.input else {
        return filter;
    };
    if aggregation.function != Function::Count {
        return filter;
    }
    let present = Expression::Unary {
        op: UnaryOp::IsNotNull,
        operand: Box::new(input.clone()),
    };
    Some(match filter {
        None => present,
        Some(filter) => Expression::Binary {
            op: BinaryOp::And,
            left: Box::new(filter),
            right: Box::new(present),
        },
    })
}

fn position_or_push<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    if let Some(index) = list.iter().position(|held| *held == item) {
        return index;
    }
    list.push(item);
    list.len() - 1
}

fn derived(
    group: &FeatureGroup,
    feature: &Feature,
    expression: &Expression,
    embedder: &Arc<dyn Embedder>,
) -> Result<Answer, CompileError> {
    let names = Program::columns_needed(expression);
    let needs = names.iter().filter_map(|name| {
        group
            .features
            .iter()
            .position(|feature| *feature.name == **name)
    });
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let program =
        Program::compile(expression, &names, embedder).map_err(|source| CompileError::Derived {
            feature: feature.name.to_string(),
            source,
        })?;
    Ok(Answer::Derived {
        program,
        needs: needs.collect(),
    })
}
