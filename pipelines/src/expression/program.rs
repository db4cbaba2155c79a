//! The door: compile an expression once, evaluate it over batches or rows many times.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::buffer::BooleanBuffer;
use granary_registry::{DType, Expression, Value};

use super::batch::Batch;
use super::error::Error;
use super::lower::{Lowering, membership, plain};
use super::node::{Node, Op, type_name};
use crate::text::Embedder;

/// An expression with its types settled and its column names resolved to positions.
#[derive(Clone, Debug)]
pub struct Program {
    root: Node,
}

impl Program {
    /// Resolves names against `columns`; evaluation takes arrays or values in that order.
    pub fn compile(
        expression: &Expression,
        columns: &[&str],
        embedder: &Arc<dyn Embedder>,
    ) -> Result<Program, Error> {
        let root = Lowering { columns, embedder }.lower(expression)?;
        Ok(Program { root })
    }

    /// `column in (list)` over that column alone, for expectations.
    pub(crate) fn membership(column: &str, dtype: DType, list: &[Value]) -> Result<Program, Error> {
        let operand = Node::new(
            Op::Column {
                slot: 0,
                name: column.into(),
            },
            plain(dtype),
        );
        Ok(Program {
            root: membership(operand, list, false)?,
        })
    }

    /// The columns it reads, each once, in order of first use.
    pub fn columns_needed(expression: &Expression) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in expression.columns() {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        names
    }

    /// The type of its results; none for an expression that is nothing but null.
    pub fn dtype(&self) -> Option<DType> {
        self.root.dtype
    }

    /// One result per row. Ints come as `Int64`, floats as `Float64`, bools as `Boolean`,
    /// texts as `Utf8` or `Dictionary(Int32, Utf8)`, timestamps as `Timestamp(Microsecond)`,
    /// vectors as `FixedSizeList` or `List` of `Float32`.
    pub fn evaluate(&self, columns: &[ArrayRef], rows: usize) -> Result<ArrayRef, Error> {
        Batch { columns, rows }.array(&self.root)
    }

    /// The rows for which a condition is true; null counts as false.
    pub fn evaluate_mask(&self, columns: &[ArrayRef], rows: usize) -> Result<BooleanBuffer, Error> {
        match self.root.dtype {
            Some(DType::Bool) => {}
            None => return Ok(BooleanBuffer::new_unset(rows)),
            found => {
                return Err(Error::NotBoolean {
                    found: type_name(found),
                });
            }
        }
        let result = self.evaluate(columns, rows)?;
        let (values, nulls) = result.as_boolean().clone().into_parts();
        Ok(match nulls {
            Some(nulls) => &values & nulls.inner(),
            None => values,
        })
    }

    /// The result for one row of values, for derived features over finalized values. A
    /// value that is missing or of another type than the column's counts as null.
    pub fn evaluate_row(&self, values: &[Value]) -> Value {
        self.root.value(values)
    }
}
