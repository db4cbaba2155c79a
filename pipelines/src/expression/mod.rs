//! The one evaluator of registry expressions. Called by the folds (`where`, `input`), by
//! sources (derived columns) and by derived features over finalized values.
//!
//! An expression is lowered once: types settled, casts explicit, names turned into slots,
//! constants folded. The lowered tree is then walked over Arrow arrays (a batch of any
//! length, one event included) or over the values of one row; both use the arithmetic of
//! `scalar`, so they agree.
//!
//! Semantics: SQL's three-valued logic; `+ - * %` of ints stay ints and an overflow is
//! null; `/` is always float; a zero divisor is null, and so is every result that is NaN
//! or infinite; an int meets a float as a float; texts compare by their bytes; `round`
//! rounds halves away from zero; `length` counts characters; `least` and `greatest`
//! skip nulls.

mod program; // the door
mod error; // what can be wrong with an expression or its columns

mod node; // the lowered tree
mod lower; // Expression -> node
mod scalar; // arithmetic of single values
mod row; // the walk over the values of one row

mod batch; // the walk over columns
mod load; // columns as callers hold them -> columns as the walk wants them
mod operand; // what a node yields over a batch
mod numbers; // arithmetic over columns
mod compare; // comparisons and `in` over columns
mod texts; // functions of texts over columns
mod select; // one column out of several, row by row
mod cell; // one cell of a column as a value

#[cfg(test)]
mod tests;

pub use cell::value_at;
pub use error::Error;
pub(crate) use load::load;
pub use program::Program;
