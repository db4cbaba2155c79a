//! Changes of values that look at what stands there: `HSETNX`, `HINCRBY` and the like. Worked out
//! by `group_commit` one at a time, so that no other write comes between the look and the write.

use std::fmt;
use std::sync::Arc;

use granary_pipelines::ValueWrite;
use granary_registry::Value;

use super::Inner;
use super::error::ServiceError;
use super::writable::{CheckedValues, ValueGate, Writable};

/// A change of an entity's values.
#[derive(Debug)]
pub struct ValueChange(pub(super) Change);

#[derive(Debug)]
pub(super) enum Change {
    /// These values, whatever stands there.
    Set(ValueWrite),
    /// What is worked out of the value that stands there.
    Compute(Box<Computed>),
}

/// What becomes of a value, given the one that stands there: none to leave it, or why not, in the
/// words of the door.
pub(crate) type Rule = Box<dyn FnOnce(&Value) -> Result<Option<Value>, String> + Send>;

/// One feature's next value, still to be worked out.
pub(super) struct Computed {
    write: ValueWrite,
    writable: Arc<Writable>,
    rule: Rule,
}

/// What a change of values did.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It was written; so many features had no value before.
    Written {
        /// Features that had none.
        new: u64,
        /// The value written, if it was worked out.
        value: Option<Value>,
    },
    /// What stands there was left.
    Left,
    /// It could not be worked out, and why, in the words of the door.
    Refused(String),
}

impl ValueChange {
    /// Values to be set.
    pub fn set(CheckedValues(write): CheckedValues) -> ValueChange {
        ValueChange(Change::Set(write))
    }

    /// A value to be worked out, in the place of the first of `values`.
    pub fn compute(gate: &ValueGate, values: CheckedValues, rule: Rule) -> ValueChange {
        let CheckedValues(write) = values;
        let writable = gate.writable().clone();
        ValueChange(Change::Compute(Box::new(Computed {
            write,
            writable,
            rule,
        })))
    }
}

impl fmt::Debug for Computed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Computed")
            .field("write", &self.write)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Works a value out; the caller holds the writer.
    pub(super) fn work_out(
        &self,
        computed: Computed,
    ) -> Result<Result<ValueWrite, Outcome>, ServiceError> {
        let Computed {
            mut write,
            writable,
            rule,
        } = computed;
        let before = self.values_now(&write)?.into_iter().next();
        let before = before.unwrap_or(Value::Null);
        match rule(&before) {
            Ok(Some(value)) => {
                if let Some((name, held)) = write.values.first_mut() {
                    writable.check(name, &value)?;
                    *held = value;
                }
                Ok(Ok(write))
            }
            Ok(None) => Ok(Err(Outcome::Left)),
            Err(refusal) => Ok(Err(Outcome::Refused(refusal))),
        }
    }
}
