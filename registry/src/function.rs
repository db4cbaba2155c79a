//! The folds of the registry by name, with their arguments. Compiled by `pipelines::fold`.

use std::sync::Arc;

use crate::Span;

/// The folds.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    missing_docs,
    reason = "the names are the aggregations of the registry"
)]
pub enum Function {
    Count,
    Sum,
    /// Of vectors element by element, like `Sum`, `Min` and `Max`.
    Mean,
    Min,
    Max,
    Variance,
    Stddev,
    First,
    Last,
    /// The earliest `k` inputs that are not null, oldest first.
    FirstK {
        k: usize,
    },
    /// The newest `k` inputs that are not null, newest first.
    LastK {
        k: usize,
    },
    /// Number of different inputs: exact up to `bound`, estimated beyond.
    CountDistinct {
        bound: usize,
    },
    /// The same with a bound of 64.
    ApproxCountDistinct,
    /// The input below which this share of inputs lies, within 1 % of its size.
    ApproxPercentile {
        /// 0 to 1.
        percentile: f64,
    },
    /// A vector of counts, one element per category in this order.
    CountBy {
        categories: Vec<Arc<str>>,
    },
    /// A vector of counts: below the first edge, from each edge to the next, from the last on.
    Histogram {
        edges: Vec<f64>,
    },
    /// Number of sessions.
    Sessions,
    /// Mean length of a session in minutes.
    SessionLength,
    /// Whole days from the newest event to the instant, rounded down.
    DaysSinceLast,
    /// The sum of the inputs (of ones without an input), each halved per `half_life` of age.
    DecayedSum {
        half_life: Span,
    },
    /// Events per span of the window; over a lifetime, since the first event.
    Rate {
        per: Span,
    },
    /// How much the input grows per span of event time: the slope of the least squares line.
    Trend {
        per: Span,
    },
}

impl Function {
    /// How many different inputs `count_distinct` counts exactly if nothing else is asked for.
    pub const DEFAULT_BOUND: usize = 1024;

    /// The aggregations by name.
    pub const NAMES: [&'static str; 22] = [
        "count",
        "sum",
        "mean",
        "min",
        "max",
        "variance",
        "stddev",
        "first",
        "last",
        "first_k",
        "last_k",
        "count_distinct",
        "approx_count_distinct",
        "approx_percentile",
        "count_by",
        "histogram",
        "sessions",
        "session_length",
        "days_since_last",
        "decayed_sum",
        "rate",
        "trend",
    ];

    /// The keys that hold arguments, with the aggregations that take them.
    pub const ARGUMENTS: [(&'static str, &'static [&'static str]); 7] = [
        ("categories", &["count_by"]),
        ("edges", &["histogram"]),
        ("k", &["first_k", "last_k"]),
        ("bound", &["count_distinct"]),
        ("percentile", &["approx_percentile"]),
        ("half_life", &["decayed_sum"]),
        ("per", &["rate", "trend"]),
    ];

    /// The aggregation's name in the registry.
    pub fn name(&self) -> &'static str {
        match self {
            Function::Count => "count",
            Function::Sum => "sum",
            Function::Mean => "mean",
            Function::Min => "min",
            Function::Max => "max",
            Function::Variance => "variance",
            Function::Stddev => "stddev",
            Function::First => "first",
            Function::Last => "last",
            Function::FirstK { .. } => "first_k",
            Function::LastK { .. } => "last_k",
            Function::CountDistinct { .. } => "count_distinct",
            Function::ApproxCountDistinct => "approx_count_distinct",
            Function::ApproxPercentile { .. } => "approx_percentile",
            Function::CountBy { .. } => "count_by",
            Function::Histogram { .. } => "histogram",
            Function::Sessions => "sessions",
            Function::SessionLength => "session_length",
            Function::DaysSinceLast => "days_since_last",
            Function::DecayedSum { .. } => "decayed_sum",
            Function::Rate { .. } => "rate",
            Function::Trend { .. } => "trend",
        }
    }

    /// Its arguments by key; numbers as the shortest text that gives them again.
    pub fn arguments(&self) -> Vec<(&'static str, String)> {
        match self {
            Function::FirstK { k } | Function::LastK { k } => vec![("k", k.to_string())],
            Function::CountDistinct { bound } => vec![("bound", bound.to_string())],
            Function::ApproxPercentile { percentile } => {
                vec![("percentile", percentile.to_string())]
            }
            Function::CountBy { categories } => vec![("categories", categories.join(", "))],
            Function::Histogram { edges } => {
                let edges: Vec<String> = edges.iter().map(f64::to_string).collect();
                vec![("edges", edges.join(", "))]
            }
            Function::DecayedSum { half_life } => vec![("half_life", half_life.to_string())],
            Function::Rate { per } | Function::Trend { per } => vec![("per", per.to_string())],
            _ => Vec::new(),
        }
    }
}
