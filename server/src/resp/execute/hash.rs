//! Does the reads of a key's fields: an entity's features. Null fields are absent, unknown
//! ones nil. Called by `execute`.

use granary_registry::Value;

use super::row;
use crate::resp::command::hash::HashRead;
use crate::resp::command::{HashCommand, ScanOptions};
use crate::resp::glob::matches;
use crate::resp::text::write_text;
use crate::resp::{Arguments, Part, Reply};
use crate::service::{Catalog, FeatureRow, Service, ServiceError};

pub(super) fn execute(command: &HashCommand<'_>, service: &Service) -> Result<Reply, ServiceError> {
    let catalog = service.catalog();
    let key = command.key;
    let whole = || row(service, &catalog, key, None);
    let one = |field: &[u8]| value(service, &catalog, key, field);
    Ok(match &command.read {
        HashRead::All => part(whole()?, Part::Map),
        HashRead::Names => part(whole()?, Part::Names),
        HashRead::Values => part(whole()?, Part::Values),
        HashRead::Length => Reply::Integer(whole()?.map_or(0, |row| length(&row))),
        HashRead::Field(field) => Reply::Value(one(field)?),
        HashRead::FieldExists(field) => Reply::Integer(i64::from(!one(field)?.is_null())),
        HashRead::FieldLength(field) => Reply::Integer(text_length(&one(field)?)),
        HashRead::Fields(arguments) => Reply::Values(values(service, &catalog, key, *arguments)?),
        HashRead::Scan(options) => scanned(whole()?, options),
    })
}

fn part(row: Option<FeatureRow>, part: Part) -> Reply {
    match row {
        Some(row) => Reply::Row(row, part),
        None if part == Part::Map => Reply::Map(Vec::new()),
        None => Reply::Array(Vec::new()),
    }
}

fn length(row: &FeatureRow) -> i64 {
    row.features
        .iter()
        .filter(|(_, value)| !value.is_null())
        .count() as i64
}

fn text_length(value: &Value) -> i64 {
    let mut text = Vec::new();
    write_text(&mut text, value);
    text.len() as i64
}

/// A hash is answered whole whatever the cursor, as Redis does with small ones.
fn scanned(row: Option<FeatureRow>, options: &ScanOptions<'_>) -> Reply {
    let shown = if options.no_values {
        Part::Names
    } else {
        Part::Pairs
    };
    let row = row.map(|mut row| {
        if let Some(pattern) = options.pattern {
            row.features
                .retain(|(name, _)| matches(pattern, name.as_bytes()));
        }
        row
    });
    Reply::Array(vec![Reply::text("0"), part(row, shown)])
}

fn position(catalog: &Catalog, field: &[u8]) -> Option<usize> {
    catalog
        .features
        .iter()
        .position(|feature| feature.name.as_bytes() == field)
}

fn value(
    service: &Service,
    catalog: &Catalog,
    key: &[u8],
    field: &[u8],
) -> Result<Value, ServiceError> {
    let Some(position) = position(catalog, field) else {
        return Ok(Value::Null);
    };
    let row = row(service, catalog, key, Some(&[position]))?;
    let found = row.and_then(|mut row| row.features.pop());
    Ok(found.map_or(Value::Null, |(_, value)| value))
}

fn values(
    service: &Service,
    catalog: &Catalog,
    key: &[u8],
    arguments: Arguments<'_>,
) -> Result<Vec<Value>, ServiceError> {
    let asked: Vec<Option<usize>> = arguments
        .from(2)
        .map(|field| position(catalog, field))
        .collect();
    let known: Vec<usize> = asked.iter().copied().flatten().collect();
    if known.is_empty() {
        return Ok(vec![Value::Null; asked.len()]);
    }
    let row = row(service, catalog, key, Some(&known))?;
    Ok(spread(&asked, row))
}

/// Puts the answers to the known fields where they were asked for, with null between.
fn spread(asked: &[Option<usize>], row: Option<FeatureRow>) -> Vec<Value> {
    let mut found = row.map(|row| row.features).unwrap_or_default().into_iter();
    let mut answer = |position: &Option<usize>| {
        let known = position.and_then(|_| found.next());
        known.map_or(Value::Null, |(_, value)| value)
    };
    asked.iter().map(&mut answer).collect()
}

#[cfg(test)]
mod tests {
    use granary_registry::EventTime;

    use super::*;
    use crate::resp::{Protocol, Writer};
    use crate::service::Origin;

    fn row_of(features: &[(&str, Value)]) -> FeatureRow {
        let features = features
            .iter()
            .map(|(name, value)| ((*name).into(), value.clone()));
        FeatureRow {
            key: "7".to_owned(),
            as_of: EventTime(0),
            from: Origin::Online,
            features: features.collect(),
        }
    }

    #[test]
    fn unknown_fields_are_null_between_known_ones() {
        let row = row_of(&[("age", Value::Int(27)), ("age", Value::Int(27))]);
        let asked = [None, Some(3), None, Some(3)];
        let wanted = [Value::Null, Value::Int(27), Value::Null, Value::Int(27)];
        assert_eq!(spread(&asked, Some(row)), wanted);
        assert_eq!(spread(&asked, None), vec![Value::Null; 4]);
    }

    #[test]
    fn lengths_are_of_what_is_there() {
        let row = row_of(&[("age", Value::Int(27)), ("income", Value::Null)]);
        assert_eq!(length(&row), 1);
        assert_eq!(text_length(&Value::Bool(true)), 4);
        assert_eq!(text_length(&Value::Null), 0);
    }

    #[test]
    fn scans_match_names_and_answer_whole() {
        let options = ScanOptions {
            pattern: Some(b"a*"),
            count: 1,
            kind: None,
            no_values: false,
        };
        let row = row_of(&[("age", Value::Int(27)), ("income", Value::Int(3))]);
        let mut writer = Writer::default();
        writer.write(&scanned(Some(row), &options), Protocol::Resp3);
        assert_eq!(
            writer.out,
            b"*2\r\n$1\r\n0\r\n*2\r\n$3\r\nage\r\n$2\r\n27\r\n"
        );
    }
}
