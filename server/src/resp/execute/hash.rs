//! Does the reads of a key's fields: an entity's features, or those of a plain hash. Null
//! features are absent, unknown ones nil. Called by `execute`.

use crate::service::keys::{Fields, PlainValue};
use granary_registry::Value;

use super::{Context, is_entity, random, row, wrong_type};
use crate::resp::command::hash::HashRead;
use crate::resp::command::{HashCommand, ScanOptions};
use crate::resp::glob::matches;
use crate::resp::text::write_text;
use crate::resp::{Arguments, Part, Reply, Writer};
use crate::service::{Catalog, FeatureRow, Service, ServiceError};

pub(super) fn execute(
    command: &HashCommand<'_>,
    context: &mut Context<'_, '_>,
) -> Result<Reply, ServiceError> {
    if !is_entity(context.catalog, command.key) {
        return plain(command, context);
    }
    let (service, catalog, key) = (context.service, context.catalog, command.key);
    let whole = || row(service, catalog, key, None);
    let one = |field: &[u8]| value(service, catalog, key, field);
    Ok(match &command.read {
        HashRead::All => part(whole()?, Part::Map),
        HashRead::Names => part(whole()?, Part::Names),
        HashRead::Values => part(whole()?, Part::Values),
        HashRead::Length => Reply::Integer(whole()?.map_or(0, |row| length(&row))),
        HashRead::Field(field) => Reply::Value(one(field)?),
        HashRead::FieldExists(field) => Reply::Integer(i64::from(!one(field)?.is_null())),
        HashRead::FieldLength(field) => Reply::Integer(text_length(&one(field)?)),
        HashRead::Fields(arguments) => Reply::Values(values(service, catalog, key, *arguments)?),
        HashRead::Scan { options, .. } => scanned(whole()?, options),
        HashRead::Random(draw) => {
            let row = whole()?.map(|row| row.features).unwrap_or_default();
            let present = row.into_iter().filter(|(_, value)| !value.is_null());
            let pairs = present.map(|(name, value)| (Reply::text(&*name), Reply::Value(value)));
            random::drawn(*draw, &pairs.collect::<Vec<_>>(), context.session.protocol)
        }
    })
}

/// The same of a plain key, written while it is looked at.
fn plain(command: &HashCommand<'_>, context: &mut Context<'_, '_>) -> Result<Reply, ServiceError> {
    let (writer, protocol) = (&mut *context.writer, context.session.protocol);
    Ok(context.turn.read(command.key, |found| {
        let empty = Fields::default();
        let fields = match found {
            None => &empty,
            Some((PlainValue::Hash(fields), _)) => fields,
            Some((PlainValue::Text(_), _)) => return wrong_type(),
        };
        let bulk = |value: Option<&[u8]>, writer: &mut Writer| match value {
            Some(value) => writer.bulk(value),
            None => writer.null(protocol),
        };
        match &command.read {
            HashRead::All => {
                writer.map(fields.len(), protocol);
                for field in fields.iter() {
                    writer.bulk(field.name);
                    writer.bulk(field.value);
                }
            }
            HashRead::Names => {
                writer.array(fields.len());
                fields.iter().for_each(|field| writer.bulk(field.name));
            }
            HashRead::Values => {
                writer.array(fields.len());
                fields.iter().for_each(|field| writer.bulk(field.value));
            }
            HashRead::Length => return Reply::Integer(fields.len() as i64),
            HashRead::Field(name) => bulk(fields.get(name), writer),
            HashRead::FieldExists(name) => {
                return Reply::Integer(i64::from(fields.get(name).is_some()));
            }
            HashRead::FieldLength(name) => {
                return Reply::Integer(fields.get(name).map_or(0, <[u8]>::len) as i64);
            }
            HashRead::Fields(arguments) => {
                writer.array(arguments.len() - 2);
                for name in arguments.from(2) {
                    bulk(fields.get(name), writer);
                }
            }
            HashRead::Scan { cursor, options } => return scanned_plain(fields, *cursor, options),
            HashRead::Random(draw) => {
                let pair = |field: crate::service::keys::Field<'_>| {
                    let [name, value] =
                        [field.name, field.value].map(|it| Reply::Bulk(it.to_vec()));
                    (name, value)
                };
                return random::drawn_plain(*draw, fields, pair, protocol);
            }
        }
        Reply::Written
    })?)
}

/// From the last field to the first: a removal moves a field forward only, so that none is
/// missed. A small hash is answered whole.
fn scanned_plain(fields: &Fields, cursor: u64, options: &ScanOptions<'_>) -> Reply {
    let length = fields.len();
    let until = match usize::try_from(cursor) {
        Ok(0) | Err(_) => length,
        Ok(cursor) => cursor.min(length),
    };
    let from = if fields.is_packed() {
        0
    } else {
        until.saturating_sub(options.count)
    };
    let mut found = Vec::new();
    let fits = |name: &[u8]| options.pattern.is_none_or(|pattern| matches(pattern, name));
    let in_range = (from..until).rev().filter_map(|index| fields.at(index));
    for field in in_range.filter(|field| fits(field.name)) {
        found.push(Reply::Bulk(field.name.to_vec()));
        if !options.no_values {
            found.push(Reply::Bulk(field.value.to_vec()));
        }
    }
    Reply::Array(vec![Reply::Text(from.to_string()), Reply::Array(found)])
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
