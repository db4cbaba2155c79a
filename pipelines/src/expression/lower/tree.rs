//! The way down the registry's tree: names become slots, operands are lowered before what
//! is done with them. Called by `Program::compile`.

use std::sync::Arc;

use granary_registry::{DType, Expression, Value};

use super::functions::call;
use super::membership::membership;
use super::operators::{binary, unary};
use super::types::{expect, literal, plain, unified};
use crate::expression::error::Error;
use crate::expression::node::{Node, Op};
use crate::text::Embedder;

/// What names and `embed` stand for.
pub(in crate::expression) struct Lowering<'a> {
    pub(in crate::expression) columns: &'a [&'a str],
    pub(in crate::expression) embedder: &'a Arc<dyn Embedder>,
}

impl Lowering<'_> {
    /// The lowered tree, constants folded.
    pub(in crate::expression) fn lower(&self, expression: &Expression) -> Result<Node, Error> {
        Ok(self.unfolded(expression)?.folded())
    }

    fn unfolded(&self, expression: &Expression) -> Result<Node, Error> {
        match expression {
            Expression::Column { name, dtype } => self.column(name, *dtype),
            Expression::Literal(value) => Ok(literal(value)),
            Expression::Unary { op, operand } => unary(*op, self.lower(operand)?),
            Expression::Binary { op, left, right } => {
                binary(*op, self.lower(left)?, self.lower(right)?)
            }
            Expression::In {
                operand,
                list,
                negated,
            } => membership(self.lower(operand)?, list, *negated),
            Expression::Case {
                branches,
                otherwise,
            } => self.case(branches, otherwise.as_deref()),
            Expression::Call {
                function,
                arguments,
            } => {
                let operands = arguments.iter().map(|argument| self.lower(argument));
                call(
                    *function,
                    operands.collect::<Result<_, _>>()?,
                    self.embedder,
                )
            }
        }
    }

    fn column(&self, name: &str, dtype: DType) -> Result<Node, Error> {
        let slot = self
            .columns
            .iter()
            .position(|column| *column == name)
            .ok_or_else(|| Error::UnknownColumn {
                column: name.to_owned(),
                known: self.columns.join(", "),
            })?;
        Ok(Node::new(
            Op::Column {
                slot,
                name: name.into(),
            },
            plain(dtype),
        ))
    }

    fn case(
        &self,
        branches: &[(Expression, Expression)],
        otherwise: Option<&Expression>,
    ) -> Result<Node, Error> {
        let mut conditions = Vec::with_capacity(branches.len());
        let mut results = Vec::with_capacity(branches.len() + 1);
        for (condition, result) in branches {
            conditions.push(expect(self.lower(condition)?, DType::Bool, "case when")?);
            results.push(self.lower(result)?);
        }
        results.push(match otherwise {
            Some(otherwise) => self.lower(otherwise)?,
            None => literal(&Value::Null),
        });
        let (mut results, dtype) = unified(results, "case")?;
        if dtype.is_none() {
            return Ok(literal(&Value::Null));
        }
        let otherwise = results
            .pop()
            .unwrap_or_else(|| literal(&Value::Null))
            .boxed();
        let branches = conditions.into_iter().zip(results).collect();
        Ok(Node::new(
            Op::Case {
                branches,
                otherwise,
            },
            dtype,
        ))
    }
}
