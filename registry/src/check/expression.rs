//! SQL at a place of the file: its faults become problems of that place.

use crate::place::Place;
use crate::sql::{self, Parsed, Scope};
use crate::{DType, Expression, Problems, Source};

/// The names that expressions over a source's rows may use.
pub(super) fn source_scope(source: &Source, text_models: bool) -> Scope<'_> {
    let columns = source
        .columns
        .iter()
        .map(|column| (column.name.as_str(), Some(column.dtype)));
    let derived = source
        .derived
        .iter()
        .map(|column| (column.name.as_str(), Some(column.dtype)));
    Scope {
        columns: columns.chain(derived).collect(),
        what: format!("a column of source `{}`", source.name),
        text_models,
    }
}

/// The expression that stands at a place.
pub(super) fn parse(
    place: &Place<'_>,
    scope: &Scope<'_>,
    problems: &mut Problems,
) -> Option<Parsed> {
    match sql::read(place.text()?, scope) {
        Ok(parsed) => Some(parsed),
        Err(faults) => {
            for fault in faults {
                let mut problem = place.problem(fault.found, fault.expected);
                problem.suggestion = fault.suggestion;
                problems.push(problem);
            }
            None
        }
    }
}

/// The expression under a key, which must be a condition.
pub(super) fn condition(
    place: &Place<'_>,
    key: &str,
    scope: &Scope<'_>,
    problems: &mut Problems,
) -> Option<Expression> {
    let place = place.get(key)?;
    let parsed = parse(&place, scope, problems)?;
    match parsed.dtype {
        None | Some(DType::Bool) => Some(parsed.expression),
        Some(other) => {
            let found = format!("{} of type {other}", place.found());
            problems.push(place.problem(found, "a condition, such as `event_type = 'purchase'`"));
            None
        }
    }
}
