//! Does the reads of a key's fields: those of a plain hash; of an entity's features `features`
//! does. Called by `execute`.

use crate::service::keys::{Fields, PlainValue};

use super::{Context, features, is_entity, random, wrong_type};
use crate::resp::command::hash::HashRead;
use crate::resp::command::{HashCommand, ScanOptions};
use crate::resp::glob::matches;
use crate::resp::{Reply, Writer};
use crate::service::ServiceError;

pub(super) fn execute(
    command: &HashCommand<'_>,
    context: &mut Context<'_, '_>,
) -> Result<Reply, ServiceError> {
    if is_entity(context.catalog, command.key) {
        return features::execute(command, context);
    }
    plain(command, context)
}

/// The answer is written while the key is looked at.
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
