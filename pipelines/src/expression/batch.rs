//! The walk over columns. Called by `Program::evaluate`; what a node does is decided once
//! per batch, and the loops below it see slices.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{and_kleene, is_not_null, is_null, not, nullif, or_kleene};
use granary_registry::DType;

use super::compare::{compare, contained};
use super::error::Error;
use super::load::load;
use super::node::{Comparison, Node, Op};
use super::numbers::{float_binary, float_unary, int_binary, int_to_float, int_unary};
use super::operand::Operand;
use super::select::Choice;
use super::texts::{lengths, recased};
use crate::text::{embedding, sentiment};

/// The columns of a batch.
pub(super) struct Batch<'a> {
    pub(super) columns: &'a [ArrayRef],
    pub(super) rows: usize,
}

impl Batch<'_> {
    /// The results as an array.
    pub(super) fn array(&self, node: &Node) -> Result<ArrayRef, Error> {
        Ok(self.operand(node)?.into_array(node.dtype, self.rows))
    }

    fn operand(&self, node: &Node) -> Result<Operand, Error> {
        if let Op::Literal(value) = &node.op {
            return Ok(Operand::One(value.clone()));
        }
        Ok(Operand::Many(self.computed(node)?))
    }

    fn computed(&self, node: &Node) -> Result<ArrayRef, Error> {
        let rows = self.rows;
        Ok(match &node.op {
            Op::Literal(_) => self.array(node)?,
            Op::Column { slot, name } => self.column(*slot, name, node.dtype)?,
            Op::IntToFloat(operand) => Arc::new(int_to_float(&self.array(operand)?)),
            Op::Not(operand) => Arc::new(not(self.array(operand)?.as_boolean())?),
            Op::IsNull {
                operand,
                negated: false,
            } => Arc::new(is_null(&self.array(operand)?)?),
            Op::IsNull {
                operand,
                negated: true,
            } => Arc::new(is_not_null(&self.array(operand)?)?),
            Op::And(left, right) => {
                let (left, right) = (self.array(left)?, self.array(right)?);
                Arc::new(and_kleene(left.as_boolean(), right.as_boolean())?)
            }
            Op::Or(left, right) => {
                let (left, right) = (self.array(left)?, self.array(right)?);
                Arc::new(or_kleene(left.as_boolean(), right.as_boolean())?)
            }
            Op::Compare { op, left, right } => {
                let (a, b) = (self.operand(left)?, self.operand(right)?);
                Arc::new(compare(*op, left.dtype, &a, &b, rows)?)
            }
            Op::In {
                operand,
                members,
                with_null,
                negated,
            } => Arc::new(contained(
                &self.array(operand)?,
                members,
                *with_null,
                *negated,
            )?),
            Op::IntBinary { op, left, right } => Arc::new(int_binary(
                *op,
                &self.operand(left)?,
                &self.operand(right)?,
                rows,
            )),
            Op::FloatBinary { op, left, right } => Arc::new(float_binary(
                *op,
                &self.operand(left)?,
                &self.operand(right)?,
                rows,
            )),
            Op::IntUnary { op, operand } => Arc::new(int_unary(*op, &self.array(operand)?)),
            Op::FloatUnary { op, operand } => Arc::new(float_unary(*op, &self.array(operand)?)),
            Op::Case {
                branches,
                otherwise,
            } => self.case(branches, otherwise, node.dtype)?,
            Op::Coalesce(operands) => self.coalesce(operands, node.dtype)?,
            Op::NullIf {
                operand,
                left,
                right,
            } => {
                let (a, b) = (self.operand(left)?, self.operand(right)?);
                let equal = compare(Comparison::Equal, left.dtype, &a, &b, rows)?;
                nullif(&self.array(operand)?, &equal)?
            }
            Op::Extreme { op, operands } => self.extreme(*op, operands, node.dtype)?,
            Op::Length(operand) => Arc::new(lengths(&self.array(operand)?)?),
            Op::Recase { operand, upper } => recased(&self.array(operand)?, *upper)?,
            Op::Vader(operand) => Arc::new(sentiment::compound(&self.array(operand)?)?),
            Op::Embed { operand, embedder } => Arc::new(embedding::of_column(
                embedder.0.as_ref(),
                &self.array(operand)?,
            )?),
        })
    }

    fn column(&self, slot: usize, name: &str, dtype: Option<DType>) -> Result<ArrayRef, Error> {
        let array = self.columns.get(slot).ok_or_else(|| {
            let (column, given) = (name.to_owned(), self.columns.len());
            Error::MissingColumn {
                column,
                slot,
                given,
            }
        })?;
        if array.len() != self.rows {
            let (column, rows) = (name.to_owned(), self.rows);
            return Err(Error::ColumnLength {
                column,
                rows,
                found: array.len(),
            });
        }
        match dtype {
            Some(dtype) => load(array, dtype, name),
            None => Ok(Arc::clone(array)),
        }
    }

    /// The first branch whose condition is true.
    fn case(
        &self,
        branches: &[(Node, Node)],
        otherwise: &Node,
        dtype: Option<DType>,
    ) -> Result<ArrayRef, Error> {
        let mut choice = Choice::all(branches.len(), self.rows);
        for (branch, (condition, _)) in branches.iter().enumerate().rev() {
            let condition = self.array(condition)?;
            let (holds, nulls) = condition.as_boolean().clone().into_parts();
            match nulls {
                Some(nulls) => {
                    choice.set_where(branch, |row| holds.value(row) && nulls.is_valid(row));
                }
                None => choice.set_where(branch, |row| holds.value(row)),
            }
        }
        let results = branches.iter().map(|(_, result)| result).chain([otherwise]);
        let results = results
            .map(|result| self.operand(result))
            .collect::<Result<Vec<_>, _>>()?;
        choice.take(&results, dtype)
    }

    /// The first operand that is not null; the last if all are.
    fn coalesce(&self, operands: &[Node], dtype: Option<DType>) -> Result<ArrayRef, Error> {
        let operands = operands
            .iter()
            .map(|operand| self.operand(operand))
            .collect::<Result<Vec<_>, _>>()?;
        let mut choice = Choice::all(operands.len() - 1, self.rows);
        for (index, operand) in operands.iter().enumerate().rev().skip(1) {
            match operand.nulls(self.rows) {
                Some(nulls) => choice.set_where(index, |row| nulls.is_valid(row)),
                None => choice.set_where(index, |_| true),
            }
        }
        choice.take(&operands, dtype)
    }

    /// The best operand that is not null: each challenger in turn against the best so far.
    fn extreme(
        &self,
        op: Comparison,
        operands: &[Node],
        dtype: Option<DType>,
    ) -> Result<ArrayRef, Error> {
        let mut best = Operand::One(granary_registry::Value::Null);
        for operand in operands {
            let next = self.operand(operand)?;
            let wins = compare(op, dtype, &next, &best, self.rows)?;
            let best_nulls = best.nulls(self.rows);
            let mut choice = Choice::all(0, self.rows);
            choice.set_where(1, |row| {
                let none_yet = best_nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
                none_yet || (wins.is_valid(row) && wins.value(row))
            });
            best = Operand::Many(choice.take(&[best, next], dtype)?);
        }
        Ok(best.into_array(dtype, self.rows))
    }
}
