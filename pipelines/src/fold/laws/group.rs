//! A group of every function over every window, with and without a `where`.

use std::sync::Arc;

use granary_registry::{
    Aggregation, BinaryOp, Column, DType, Entity, Expression, Feature, FeatureGroup, FeatureKind,
    Fingerprint, Function, Source, Span, Value, Window,
};

use super::{DAY, GAP, HOUR, KINDS, LATENESS, MINUTE};

fn windows() -> Vec<Option<Window>> {
    let window = |length, hop| {
        Some(Window {
            length: Span(length),
            hop: Span(hop),
        })
    };
    vec![
        None,
        window(HOUR, 5 * MINUTE),
        window(7 * DAY, HOUR),
        window(30 * DAY, DAY),
        window(14 * DAY, DAY),
        window(3 * HOUR, 1),
    ]
}

/// Every function with its input and what it gives.
fn functions() -> Vec<(Function, Option<&'static str>, DType)> {
    let categories = KINDS.iter().map(|kind| Arc::from(*kind)).collect();
    let half_life = Span(3 * DAY);
    vec![
        (Function::Count, None, DType::Int),
        (Function::Count, Some("amount"), DType::Int),
        (Function::Sum, Some("amount"), DType::Int),
        (Function::Mean, Some("amount"), DType::Float),
        (Function::Min, Some("amount"), DType::Int),
        (Function::Max, Some("amount"), DType::Int),
        (Function::Variance, Some("amount"), DType::Float),
        (Function::Stddev, Some("amount"), DType::Float),
        (Function::First, Some("amount"), DType::Int),
        (Function::Last, Some("amount"), DType::Int),
        (Function::First, Some("vector"), DType::Vector),
        (Function::FirstK { k: 3 }, Some("amount"), DType::Vector),
        (Function::LastK { k: 3 }, Some("amount"), DType::Vector),
        (Function::LastK { k: 2 }, Some("kind"), DType::Text),
        (
            Function::CountDistinct { bound: 8 },
            Some("amount"),
            DType::Int,
        ),
        (Function::ApproxCountDistinct, Some("kind"), DType::Int),
        (
            Function::ApproxPercentile { percentile: 0.9 },
            Some("amount"),
            DType::Float,
        ),
        (
            Function::CountBy { categories },
            Some("kind"),
            DType::Vector,
        ),
        (
            Function::Histogram {
                edges: vec![-500.0, 0.0, 250.5],
            },
            Some("amount"),
            DType::Vector,
        ),
        (Function::Min, Some("vector"), DType::Vector),
        (Function::Max, Some("vector"), DType::Vector),
        (Function::Sum, Some("vector"), DType::Vector),
        (Function::Mean, Some("vector"), DType::Vector),
        (Function::Sessions, None, DType::Int),
        (Function::SessionLength, None, DType::Float),
        (Function::DaysSinceLast, None, DType::Int),
        (Function::DecayedSum { half_life }, None, DType::Float),
        (
            Function::DecayedSum { half_life },
            Some("amount"),
            DType::Float,
        ),
        (Function::Rate { per: Span::DAY }, None, DType::Float),
        (
            Function::Trend { per: Span::DAY },
            Some("amount"),
            DType::Float,
        ),
    ]
}

fn column(name: &str, dtype: DType) -> Expression {
    Expression::Column {
        name: name.to_owned(),
        dtype,
    }
}

fn is_purchase() -> Expression {
    Expression::Binary {
        op: BinaryOp::Equal,
        left: Box::new(column("kind", DType::Categorical)),
        right: Box::new(Expression::Literal(Value::Text("purchase".into()))),
    }
}

/// The group, its source and its entity.
pub(super) fn group() -> (FeatureGroup, Source, Entity) {
    let mut features = Vec::new();
    for (function, input, dtype) in functions() {
        for window in windows() {
            for filter in [None, Some(is_purchase())] {
                let input = input.map(|name| match name {
                    "kind" => column(name, DType::Categorical),
                    "vector" => column(name, DType::Vector),
                    _ => column(name, DType::Int),
                });
                features.push(Feature {
                    name: format!("f{}", features.len()).into(),
                    dtype,
                    kind: FeatureKind::Aggregate(Aggregation {
                        function: function.clone(),
                        input,
                        filter,
                        window,
                    }),
                    description: String::new(),
                    imputation: None,
                    expectations: Vec::new(),
                });
            }
        }
    }
    let source = Source {
        name: "events".into(),
        paths: Vec::new(),
        entity: "user".into(),
        event_time: Some("at".into()),
        created: Some("seen_at".into()),
        id: Some("id".into()),
        allowed_lateness: Span(LATENESS),
        columns: [
            ("user_id", DType::Text),
            ("at", DType::Timestamp),
            ("seen_at", DType::Timestamp),
            ("id", DType::Text),
            ("kind", DType::Categorical),
            ("amount", DType::Int),
            ("vector", DType::Vector),
        ]
        .map(|(name, dtype)| Column {
            name: name.into(),
            dtype,
        })
        .into(),
        derived: Vec::new(),
    };
    let entity = Entity {
        name: "user".into(),
        key: "user_id".into(),
        dtype: DType::Text,
        prefix: "user:".into(),
    };
    let group = FeatureGroup {
        name: "all".into(),
        entity: "user".into(),
        source: "events".into(),
        description: String::new(),
        owner: String::new(),
        tags: Vec::new(),
        freshness: None,
        max_age: None,
        session_gap: Span(GAP),
        features,
        fingerprint: Fingerprint(1),
    };
    (group, source, entity)
}
