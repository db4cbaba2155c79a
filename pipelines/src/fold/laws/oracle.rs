//! The oracle of `verify`, over the laws' made-up events: without the reading of sources, the
//! expressions and the columns that the folds are fed with.

use granary_registry::{Expression, Feature, FeatureGroup, FeatureKind, Value};

use super::{KINDS, Raw};
use crate::intake::Hindsight;
use crate::oracle::{Question, Row, Wanted};

/// The feature as of an instant.
pub(super) fn naive(
    group: &FeatureGroup,
    feature: &Feature,
    raws: &[Raw],
    as_of: i64,
    hindsight: Hindsight,
) -> Wanted {
    let FeatureKind::Aggregate(aggregation) = &feature.kind else {
        return Wanted::exactly(Value::Null);
    };
    let is_purchase = |raw: &&Raw| KINDS[raw.kind] == "purchase";
    let rows: Vec<Row> = raws
        .iter()
        .filter(|raw| aggregation.filter.is_none() || is_purchase(raw))
        .map(|raw| Row {
            time: raw.time,
            created: raw
                .created
                .filter(|_| hindsight == Hindsight::Cut)
                .unwrap_or(i64::MIN),
            id: Value::Text(raw.id.to_string().into()),
            input: input(aggregation.input.as_ref(), raw),
        })
        .collect();
    let question = Question {
        aggregation: aggregation.clone(),
        dtype: feature.dtype,
        session_gap: group.session_gap,
    };
    question.answer(&rows, as_of)
}

fn input(input: Option<&Expression>, raw: &Raw) -> Value {
    let Some(Expression::Column { name, .. }) = input else {
        return Value::Null;
    };
    let amount = raw.amount.map(|amount| Value::Int(amount.into()));
    match name.as_str() {
        "kind" => Value::Text(KINDS[raw.kind].into()),
        "vector" => raw.vector().unwrap_or(Value::Null),
        _ => amount.unwrap_or(Value::Null),
    }
}
