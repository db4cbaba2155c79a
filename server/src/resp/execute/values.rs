//! Changes of an entity's values: `HSET`, `HSETNX`, `HINCRBY` and their kin on a row of features.
//! Called by `batch`, which logs what came together, and for one alone in a transaction.

use std::sync::Arc;

use granary_registry::Value;

use super::numbers::{self, SumError};
use super::{Context, entity_key, refuse};
use crate::resp::Reply;
use crate::resp::batch::Batch;
use crate::resp::command::HashWrite;
use crate::resp::command::hash_write::HashChange;
use crate::resp::text::write_text;
use crate::service::access::Sight;
use crate::service::{Catalog, CheckedValues, Outcome, ServiceError, ValueChange, ValueGate};

/// The form in which a change is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::resp) enum Form {
    /// How many fields are new.
    New,
    /// `OK`, which `HMSET` gives.
    Ok,
    /// The sum, as an integer or as a text.
    Sum,
}

/// One change alone.
pub(super) fn execute(command: &HashWrite<'_>, context: &mut Context<'_, '_>) -> Reply {
    let sight = context.session.sight(context.catalog);
    let mut batch = Batch::default();
    let service = context.service;
    batch.add_values(command, 0, (service, context.catalog), sight.as_ref());
    let answers = batch.log(service);
    if let Some(reader) = context.reader {
        reader.refresh(); // what follows sees the values
    }
    answers.into_iter().next_back().unwrap_or(Reply::Null)
}

/// The change that a command asks for, checked.
pub(in crate::resp) fn change(
    command: &HashWrite<'_>,
    gate: &ValueGate,
    catalog: &Catalog,
    sight: Option<&Arc<Sight>>,
) -> Result<(ValueChange, Form), Reply> {
    let key = entity_key(catalog, command.key);
    let key = key.ok_or_else(|| Reply::error("ERR the key names no entity"))?;
    let checked = |values: Result<CheckedValues, ServiceError>| {
        let values = values.map_err(|error| refuse(&error))?;
        seen(&values, catalog, sight).map(|()| values)
    };
    Ok(match &command.change {
        HashChange::Set { pairs, answers_ok } => {
            let form = if *answers_ok { Form::Ok } else { Form::New };
            (
                ValueChange::set(checked(gate.text(key, pairs.iter()))?),
                form,
            )
        }
        HashChange::SetNew { name, value } => {
            let pair = std::iter::once((*name, *value));
            let values = checked(gate.text(key, pair))?;
            let wanted = values.first().cloned();
            let rule = move |held: &Value| Ok(wanted.filter(|_| held.is_null()));
            (
                ValueChange::compute(gate, values, Box::new(rule)),
                Form::New,
            )
        }
        HashChange::Add { name, by } => {
            // The number alone is checked now, the sum when it is known.
            let by = *by;
            let values = checked(gate.undecided(key, name))?;
            let rule = move |held: &Value| sum(held, by).map(Some).map_err(in_hash);
            (
                ValueChange::compute(gate, values, Box::new(rule)),
                Form::Sum,
            )
        }
        HashChange::AddFloat { name, by } => {
            if !numbers::is_float(by) {
                return Err(Reply::error(SumError::NotAFloatToAdd.in_hash()));
            }
            let values = checked(gate.undecided(key, name))?;
            let by = by.to_vec();
            let rule = move |held: &Value| float_sum(held, &by).map(Some).map_err(in_hash);
            (
                ValueChange::compute(gate, values, Box::new(rule)),
                Form::Sum,
            )
        }
        _ => return Err(Reply::error("ERR features cannot be changed so")),
    })
}

/// What a change that is logged, or was not made, is answered with.
pub(in crate::resp) fn reply(form: Form, outcome: Outcome) -> Reply {
    match (form, outcome) {
        (_, Outcome::Refused(text)) => Reply::Error(text),
        (Form::Ok, _) => Reply::OK,
        (Form::New, Outcome::Written { new, .. }) => Reply::Integer(new as i64),
        (Form::Sum, Outcome::Written { value, .. }) => match value {
            Some(Value::Int(sum)) => Reply::Integer(sum),
            Some(value) => {
                let mut text = Vec::new();
                write_text(&mut text, (&value).into());
                Reply::Bulk(text)
            }
            None => Reply::Null,
        },
        (Form::New | Form::Sum, Outcome::Left) => Reply::Integer(0),
    }
}

/// Refuses features that the client's key may not see.
fn seen(
    values: &CheckedValues,
    catalog: &Catalog,
    sight: Option<&Arc<Sight>>,
) -> Result<(), Reply> {
    let Some(sight) = sight else {
        return Ok(());
    };
    let features = values.features();
    let features: Vec<usize> = features
        .filter_map(|name| catalog.features.position(&**name))
        .collect();
    sight
        .check(&features, catalog)
        .map_err(|error| refuse(&error))
}

fn in_hash(error: SumError) -> String {
    error.in_hash().to_owned()
}

fn sum(held: &Value, by: i64) -> Result<Value, SumError> {
    match held {
        Value::Null => Ok(Value::Int(by)),
        Value::Int(held) => held
            .checked_add(by)
            .map(Value::Int)
            .ok_or(SumError::Overflow),
        _ => Err(SumError::NotAnInteger),
    }
}

fn float_sum(held: &Value, by: &[u8]) -> Result<Value, SumError> {
    let text = match held {
        Value::Null => None,
        Value::Int(_) | Value::Float(_) => {
            let mut text = Vec::new();
            write_text(&mut text, held.into());
            Some(text)
        }
        _ => return Err(SumError::NotAFloat),
    };
    let sum = numbers::add_float(text.as_deref(), by)?;
    let sum: f64 = sum.parse().map_err(|_| SumError::NotFinite)?;
    match held {
        Value::Int(_) if sum.fract() == 0.0 && sum.abs() < 9e15 => Ok(Value::Int(sum as i64)),
        Value::Int(_) => Err(SumError::NotAnInteger),
        _ => Ok(Value::Float(sum)),
    }
}
