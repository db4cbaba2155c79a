//! From the features of a group to folds: features that differ only in their ending share a
//! state, equal conditions share a mask bit, equal inputs a column. Called once per group.

mod choose; // which fold an aggregation is

use std::collections::HashMap;
use std::sync::Arc;

use std::borrow::Cow;

use granary_registry::{
    DType, Expression, Feature, FeatureGroup, FeatureKind, Source, Span, ValueColumns, Window,
};

use super::group::{Answer, InputFrom, InputKind, InputSpec, Slot};
use super::written::ValueState;
use super::{Filter, Fold, Latest, Windowed};
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
    pub(super) values: Vec<ValueState>,
}

/// Compiles every feature of a group.
pub(super) fn compile(
    group: &FeatureGroup,
    source: &Source,
    embedder: &Arc<dyn Embedder>,
) -> Result<Compiled, CompileError> {
    let mut compiler = Compiler::new(group, source);
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
        values: compiler.values,
    })
}

/// Collects distinct states, inputs and filters while the features are walked.
struct Compiler<'a> {
    group: &'a FeatureGroup,
    source: &'a Source,
    filters: Vec<Expression>,
    inputs: Vec<InputSpec>,
    states: Vec<Fold>,
    values: Vec<ValueState>,
    /// What distinguishes a state: everything but the ending and the window's length.
    known: HashMap<StateKey, usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct StateKey {
    /// The kind of fold, with the arguments that shape its state.
    class: Cow<'static, str>,
    input: Option<usize>,
    filter: Option<Filter>,
    hop: Option<Span>,
}

/// What a fold reads, and over which window.
#[derive(Clone, Copy)]
struct Place {
    filter: Option<Filter>,
    input: Option<usize>,
    window: Option<Window>,
}

impl<'a> Compiler<'a> {
    fn new(group: &'a FeatureGroup, source: &'a Source) -> Self {
        Compiler {
            group,
            source,
            filters: Vec::new(),
            inputs: Vec::new(),
            states: Vec::new(),
            values: Vec::new(),
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
            from: InputFrom::Value {
                feature: feature.name.clone(),
                columns: columns.clone(),
                dtype: feature.dtype,
            },
            kind: if vector {
                InputKind::Vectors
            } else {
                InputKind::Values
            },
        });
        let fold = Latest { input, max_age };
        let state = self.states.len();
        self.values.push(ValueState {
            fold: fold.clone(),
            state,
        });
        self.states.push(Fold::Latest(fold.clone()));
        Answer::Fold {
            fold: Fold::Latest(fold),
            state,
        }
    }

    /// Gives a fold a state, over its window if it has one.
    fn place<A>(
        &mut self,
        class: impl Into<Cow<'static, str>>,
        place: Place,
        inner: A,
        plain: fn(A) -> Fold,
        windowed: fn(Windowed<A>) -> Fold,
    ) -> Answer {
        let key = StateKey {
            class: class.into(),
            input: place.input,
            filter: place.filter,
            hop: place.window.map(|window| window.hop),
        };
        let Some(window) = place.window else {
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
