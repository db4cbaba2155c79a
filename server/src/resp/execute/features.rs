//! Does the reads of an entity's features: they are a hash whose null features are absent.
//! Called by `hash` and `expiry`.

use granary_registry::ValueRef;

use super::{Context, entity_key, random};
use crate::resp::command::HashCommand;
use crate::resp::command::hash::{Draw, HashRead};
use crate::resp::glob::matches;
use crate::resp::{Arguments, Protocol, Reply, Writer};
use crate::service::access::Sight;
use crate::service::{Catalog, ServiceError};

/// What of a row is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Names and values: a map under RESP3.
    Map,
    /// Names and values as a flat list under both protocols, as `HSCAN` has it.
    Pairs,
    Names,
    Values,
}

/// The features that a request names; its memory serves the next.
#[derive(Debug, Default)]
pub(in crate::resp) struct Named {
    /// Their positions, none for one that is not served.
    places: Vec<Option<usize>>,
    known: Vec<usize>,
}

pub(super) fn execute(
    command: &HashCommand<'_>,
    context: &mut Context<'_, '_>,
) -> Result<Reply, ServiceError> {
    let start = context.writer.out.len();
    let done = read(command, context);
    if done.is_err() {
        context.writer.out.truncate(start);
    }
    done
}

fn read(command: &HashCommand<'_>, context: &mut Context<'_, '_>) -> Result<Reply, ServiceError> {
    let key = command.key;
    let every = |_: &str| true;
    let number = |number: Option<i64>| Reply::Integer(number.unwrap_or(0));
    Ok(match &command.read {
        HashRead::All => row(context, key, Part::Map, every)?,
        HashRead::Names => row(context, key, Part::Names, every)?,
        HashRead::Values => row(context, key, Part::Values, every)?,
        HashRead::Length => number(length(context, key)?),
        HashRead::Field(name) => {
            let protocol = context.session.protocol;
            let write = |value: ValueRef<'_>, writer: &mut Writer| writer.value(value, protocol);
            let written = look(context, key, name, write)?;
            written.map_or(Reply::Null, |()| Reply::Written)
        }
        HashRead::FieldExists(name) => {
            let is_there = |value: ValueRef<'_>, _: &mut Writer| i64::from(!value.is_null());
            number(look(context, key, name, is_there)?)
        }
        HashRead::FieldLength(name) => {
            let length = |value: ValueRef<'_>, writer: &mut Writer| writer.length_of(value) as i64;
            number(look(context, key, name, length)?)
        }
        HashRead::Fields(arguments) => fields(context, key, *arguments)?,
        HashRead::Scan { options, .. } => {
            // A hash is answered whole whatever the cursor, as Redis does with small ones.
            context.writer.array(2);
            context.writer.bulk(b"0");
            let part = if options.no_values {
                Part::Names
            } else {
                Part::Pairs
            };
            let pattern = options.pattern;
            let fits = |name: &str| pattern.is_none_or(|it| matches(it, name.as_bytes()));
            row(context, key, part, fits)?
        }
        HashRead::Random(draw) => drawn(context, key, *draw)?,
    })
}

/// Writes the features that are there and whose names fit.
fn row(
    context: &mut Context<'_, '_>,
    key: &[u8],
    part: Part,
    fits: impl Fn(&str) -> bool,
) -> Result<Reply, ServiceError> {
    let protocol = context.session.protocol;
    let width = if matches!(part, Part::Map | Part::Pairs) {
        2
    } else {
        1
    };
    let sight = context.session.sight(context.catalog);
    let seen = sight.as_ref().and_then(|sight| sight.all());
    let (writer, labels) = (&mut *context.writer, &mut *context.labels);
    labels.renew(context.catalog);
    let features = &context.catalog.features;
    let gap = writer.open(features.len() * width);
    let mut count = 0;
    if let Some(key) = entity_key(context.catalog, key)
        && let Some(reader) = context.reader
    {
        reader.show(key, seen, |shown| {
            shown.each(|at, value| {
                if value.is_null() || !fits(&features[at].name) {
                    return;
                }
                count += 1;
                if part != Part::Values {
                    writer.raw(labels.get(at));
                }
                if part != Part::Names {
                    writer.value(value, protocol);
                }
            })
        })?;
    }
    match (part, protocol) {
        (Part::Map, Protocol::Resp3) => writer.close(&gap, b'%', count),
        _ => writer.close(&gap, b'*', count * width),
    }
    Ok(Reply::Written)
}

/// Shows one feature of an entity that has a row.
fn look<T>(
    context: &mut Context<'_, '_>,
    key: &[u8],
    name: &[u8],
    mut take: impl FnMut(ValueRef<'_>, &mut Writer) -> T,
) -> Result<Option<T>, ServiceError> {
    let sight = context.session.sight(context.catalog);
    let writer = &mut *context.writer;
    if let Some(at) = context.catalog.features.position(name)
        && let Some(key) = entity_key(context.catalog, key)
        && let Some(reader) = context.reader
    {
        check(sight.as_deref(), &[at], context.catalog)?;
        let mut taken = None;
        reader.show(key, Some(&[at]), |shown| {
            shown.each(|_, value| taken = Some(take(value, writer)))
        })?;
        return Ok(taken);
    }
    Ok(None)
}

/// How many features are there; none if the entity has no row.
fn length(context: &mut Context<'_, '_>, key: &[u8]) -> Result<Option<i64>, ServiceError> {
    let sight = context.session.sight(context.catalog);
    let seen = sight.as_ref().and_then(|sight| sight.all());
    let (Some(key), Some(reader)) = (entity_key(context.catalog, key), &mut context.reader) else {
        return Ok(None);
    };
    reader.show(key, seen, |shown| {
        let mut length = 0;
        shown.each(|_, value| length += i64::from(!value.is_null()))?;
        Ok(length)
    })
}

/// Writes the features asked for, null for those that are not there.
fn fields(
    context: &mut Context<'_, '_>,
    key: &[u8],
    arguments: Arguments<'_>,
) -> Result<Reply, ServiceError> {
    let (protocol, catalog) = (context.session.protocol, context.catalog);
    let sight = context.session.sight(catalog);
    let writer = &mut *context.writer;
    let Named { places, known } = &mut context.session.named;
    places.clear();
    places.extend(
        arguments
            .from(2)
            .map(|name| catalog.features.position(name)),
    );
    known.clear();
    known.extend(places.iter().flatten());
    check(sight.as_deref(), known, catalog)?;
    writer.array(places.len());
    if let Some(key) = entity_key(catalog, key)
        && let Some(reader) = context.reader
        && !known.is_empty()
    {
        let shown = reader.show(key, Some(known), |shown| {
            let mut places = places.iter();
            let mut skip = |writer: &mut Writer| {
                while places.next().is_some_and(Option::is_none) {
                    writer.null(protocol);
                }
            };
            shown.each(|_, value| {
                skip(writer);
                writer.value(value, protocol);
            })?;
            skip(writer);
            Ok(())
        })?;
        if shown.is_some() {
            return Ok(Reply::Written);
        }
    }
    for _ in places {
        writer.null(protocol);
    }
    Ok(Reply::Written)
}

fn drawn(context: &mut Context<'_, '_>, key: &[u8], draw: Draw) -> Result<Reply, ServiceError> {
    let sight = context.session.sight(context.catalog);
    let seen = sight.as_ref().and_then(|sight| sight.all());
    let features = &context.catalog.features;
    let mut pairs = Vec::new();
    if let Some(key) = entity_key(context.catalog, key)
        && let Some(reader) = context.reader
    {
        reader.show(key, seen, |shown| {
            shown.each(|at, value| {
                if !value.is_null() {
                    let name = Reply::text(&*features[at].name);
                    pairs.push((name, Reply::Value(value.to_value())));
                }
            })
        })?;
    }
    Ok(random::drawn(draw, &pairs, context.session.protocol))
}

/// Whether an entity has a feature that is not null.
pub(super) fn is_there(
    context: &mut Context<'_, '_>,
    key: &[u8],
    name: &[u8],
) -> Result<bool, ServiceError> {
    let found = look(context, key, name, |value, _| !value.is_null())?;
    Ok(found.unwrap_or(false))
}

/// Refuses features that whoever is connected may not see.
fn check(sight: Option<&Sight>, features: &[usize], catalog: &Catalog) -> Result<(), ServiceError> {
    sight.map_or(Ok(()), |sight| sight.check(features, catalog))
}
