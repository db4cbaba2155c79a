//! Which fold an aggregation is, over which column. Called once per aggregated feature.

use granary_registry::{
    Aggregation, BinaryOp, DType, Expression, Feature, Function, Span, UnaryOp,
};

use super::{CompileError, Compiler, Place};
use crate::fold::edges::EdgesAnswer;
use crate::fold::group::{Answer, InputFrom, InputKind, InputSpec};
use crate::fold::{
    Count, CountBy, Decayed, Distinct, Edges, Extreme, Fold, Moments, Percentile, Rate, Recency,
    Sessions, Sum, Trend, VectorExtreme, VectorSum,
};

/// How many different inputs `approx_count_distinct` counts before it estimates.
const APPROXIMATE_BOUND: usize = 64;

impl Compiler<'_> {
    /// Gives an aggregation its state.
    pub(super) fn aggregate(
        &mut self,
        feature: &Feature,
        aggregation: &Aggregation,
    ) -> Result<Answer, CompileError> {
        let filter = condition(aggregation).map(|filter| self.filter(&filter));
        let function = &aggregation.function;
        let folded = aggregation.input.as_ref();
        let folded = folded.filter(|_| *function != Function::Count);
        let input = folded.map(|input| {
            let from = InputFrom::Expression(input.clone());
            let kind = input_kind(function, feature.dtype);
            self.input(InputSpec { from, kind })
        });
        let place = Place {
            filter,
            input,
            window: aggregation.window,
        };
        match (function, input) {
            (Function::Count, _) => {
                let fold = Count { filter };
                Ok(self.place("count", place, fold, Fold::Count, Fold::WindowedCount))
            }
            (Function::DaysSinceLast, _) => {
                let (plain, windowed) = (Fold::Recency, Fold::WindowedRecency);
                Ok(self.place("recency", place, Recency { filter }, plain, windowed))
            }
            (Function::Sessions | Function::SessionLength, _) => {
                let fold = Sessions {
                    filter,
                    gap: self.group.session_gap.0,
                    length: *function == Function::SessionLength,
                };
                let (plain, windowed) = (Fold::Sessions, Fold::WindowedSessions);
                Ok(self.place("sessions", place, fold, plain, windowed))
            }
            (Function::Rate { per }, _) => {
                let fold = Rate {
                    filter,
                    per: *per,
                    window: place.window.map(|window| window.length),
                };
                Ok(self.place("rate", place, fold, Fold::Rate, Fold::WindowedRate))
            }
            (Function::DecayedSum { half_life }, input) => {
                Ok(self.decayed(place, input, *half_life))
            }
            (function, Some(input)) if feature.dtype == DType::Vector => {
                Ok(self.of_vectors(function, place, input))
            }
            (function, Some(input)) => Ok(self.of_scalars(function, place, input)),
            (_, None) => Err(CompileError::NoInput {
                feature: feature.name.to_string(),
            }),
        }
    }

    /// The folds that give a vector.
    fn of_vectors(&mut self, function: &Function, place: Place, input: usize) -> Answer {
        let filter = place.filter;
        match function {
            Function::First | Function::Last | Function::FirstK { .. } | Function::LastK { .. } => {
                self.edges(function, place, input)
            }
            Function::CountBy { categories } => self.count_by(place, input, categories.len()),
            Function::Histogram { edges } => self.count_by(place, input, edges.len() + 1),
            Function::Min | Function::Max => {
                let max = *function == Function::Max;
                let class = if max { "vector_max" } else { "vector_min" };
                let fold = VectorExtreme { filter, input, max };
                let (plain, windowed) = (Fold::VectorExtreme, Fold::WindowedVectorExtreme);
                self.place(class, place, fold, plain, windowed)
            }
            _ => {
                let fold = VectorSum {
                    filter,
                    input,
                    mean: *function == Function::Mean,
                };
                let (plain, windowed) = (Fold::VectorSum, Fold::WindowedVectorSum);
                self.place("vector_sum", place, fold, plain, windowed)
            }
        }
    }

    /// The folds that give a number or a text.
    fn of_scalars(&mut self, function: &Function, place: Place, input: usize) -> Answer {
        let filter = place.filter;
        match function {
            Function::First | Function::Last | Function::FirstK { .. } | Function::LastK { .. } => {
                self.edges(function, place, input)
            }
            Function::CountDistinct { bound } => self.distinct(place, input, *bound),
            Function::ApproxCountDistinct => self.distinct(place, input, APPROXIMATE_BOUND),
            Function::ApproxPercentile { percentile } => {
                let fold = Percentile {
                    filter,
                    input,
                    share: *percentile,
                };
                let (plain, windowed) = (Fold::Percentile, Fold::WindowedPercentile);
                self.place("percentile", place, fold, plain, windowed)
            }
            Function::Trend { per } => {
                let fold = Trend {
                    filter,
                    input,
                    per: *per,
                };
                self.place("trend", place, fold, Fold::Trend, Fold::WindowedTrend)
            }
            Function::Min | Function::Max => {
                let max = *function == Function::Max;
                let class = if max { "max" } else { "min" };
                let fold = Extreme { filter, input, max };
                self.place(class, place, fold, Fold::Extreme, Fold::WindowedExtreme)
            }
            Function::Variance | Function::Stddev => {
                let fold = Moments {
                    filter,
                    input,
                    deviation: *function == Function::Stddev,
                };
                self.place("moments", place, fold, Fold::Moments, Fold::WindowedMoments)
            }
            _ => {
                let fold = Sum {
                    filter,
                    input,
                    mean: *function == Function::Mean,
                };
                self.place("sum", place, fold, Fold::Sum, Fold::WindowedSum)
            }
        }
    }

    fn edges(&mut self, function: &Function, place: Place, input: usize) -> Answer {
        let is_text = matches!(
            &self.inputs[input].from,
            InputFrom::Expression(input) if matches!(input.dtype(), Some(DType::Text | DType::Categorical))
        );
        let (last, k) = match function {
            Function::FirstK { k } => (false, Some(*k)),
            Function::LastK { k } => (true, Some(*k)),
            _ => (*function == Function::Last, None),
        };
        let answer = match k {
            None => EdgesAnswer::One,
            Some(_) if is_text => EdgesAnswer::Texts,
            Some(_) => EdgesAnswer::Numbers,
        };
        let k = k.unwrap_or(1);
        let fold = Edges {
            filter: place.filter,
            input,
            id: self.id(),
            last,
            k,
            answer,
        };
        let class = format!("{} {k}", if last { "last" } else { "first" });
        self.place(class, place, fold, Fold::Edges, Fold::WindowedEdges)
    }

    fn distinct(&mut self, place: Place, input: usize, bound: usize) -> Answer {
        let fold = Distinct {
            filter: place.filter,
            input,
            bound,
        };
        let class = format!("distinct {bound}");
        self.place(class, place, fold, Fold::Distinct, Fold::WindowedDistinct)
    }

    fn count_by(&mut self, place: Place, input: usize, categories: usize) -> Answer {
        let fold = CountBy {
            filter: place.filter,
            input,
            categories,
        };
        let (plain, windowed) = (Fold::CountBy, Fold::WindowedCountBy);
        self.place("count_by", place, fold, plain, windowed)
    }

    fn decayed(&mut self, place: Place, input: Option<usize>, half_life: Span) -> Answer {
        let fold = Decayed {
            filter: place.filter,
            input,
            half_life,
        };
        let class = format!("decayed {}", half_life.0);
        self.place(class, place, fold, Fold::Decayed, Fold::WindowedDecayed)
    }

    /// The column of dedupe keys, which order events of one instant.
    fn id(&mut self) -> Option<usize> {
        let name = self.source.id.as_ref()?;
        let mut columns = self.source.columns.iter();
        let column = columns.find(|column| column.name == *name)?;
        let from = InputFrom::Expression(Expression::Column {
            name: column.name.clone(),
            dtype: column.dtype,
        });
        let kind = InputKind::Values;
        Some(self.input(InputSpec { from, kind }))
    }
}

fn input_kind(function: &Function, gives: DType) -> InputKind {
    match function {
        Function::First | Function::Last | Function::FirstK { .. } | Function::LastK { .. } => {
            InputKind::Values
        }
        Function::CountDistinct { .. } | Function::ApproxCountDistinct => InputKind::Hashes,
        Function::CountBy { categories } => InputKind::Codes(categories.clone()),
        Function::Histogram { edges } => InputKind::Buckets(edges.clone()),
        _ if gives == DType::Vector => InputKind::Vectors,
        _ => InputKind::Numbers,
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
