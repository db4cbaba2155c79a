//! The cells of one column, block after block, as one Arrow array. Called by `records`.
//! The type is looked at once per block; the loops inside know theirs.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float32Builder, ListBuilder, PrimitiveBuilder, StringBuilder,
    StringViewBuilder,
};
use arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use granary_registry::DType;

use super::cells::{Cells, Flaw};
use super::dictionary::DictionaryBuilder;
use super::scalar::{self, Parsed};
use super::wanted::vector_element;
use super::{Reason, TextAs, Wanted};

/// Grows the array of one wanted column.
pub(super) struct ColumnBuilder {
    column: usize,
    required: bool,
    values: Values,
}

enum Values {
    Int(PrimitiveBuilder<Int64Type>),
    Float(PrimitiveBuilder<Float64Type>),
    Bool(BooleanBuilder),
    Timestamp(PrimitiveBuilder<TimestampMicrosecondType>),
    Text(StringBuilder),
    View(StringViewBuilder),
    Dictionary(DictionaryBuilder),
    Vector {
        list: ListBuilder<Float32Builder>,
        elements: Vec<f32>,
    },
}

impl ColumnBuilder {
    /// For the wanted column of this index.
    pub(super) fn new(column: usize, wanted: &Wanted) -> ColumnBuilder {
        let values = match (wanted.dtype, wanted.text) {
            (DType::Int, _) => Values::Int(PrimitiveBuilder::new()),
            (DType::Float, _) => Values::Float(PrimitiveBuilder::new()),
            (DType::Bool, _) => Values::Bool(BooleanBuilder::new()),
            (DType::Timestamp, _) => Values::Timestamp(PrimitiveBuilder::new()),
            (DType::Text | DType::Categorical, TextAs::Plain) => Values::Text(StringBuilder::new()),
            (DType::Text | DType::Categorical, TextAs::View) => {
                Values::View(StringViewBuilder::new())
            }
            (DType::Text | DType::Categorical, TextAs::Dictionary) => {
                Values::Dictionary(DictionaryBuilder::new())
            }
            (DType::Vector, _) => Values::Vector {
                list: ListBuilder::new(Float32Builder::new()).with_field(vector_element()),
                elements: Vec::new(),
            },
        };
        ColumnBuilder {
            column,
            required: wanted.required,
            values,
        }
    }

    /// Appends the cells of a block: one value each, null where a flaw is noted.
    pub(super) fn append(&mut self, cells: &Cells, block: &[u8], flaws: &mut Vec<Flaw>) {
        let mut input = Input {
            column: self.column,
            required: self.required,
            cells,
            block,
            flaws,
        };
        match &mut self.values {
            Values::Int(to) => input.read(scalar::int, |value| to.append_option(value)),
            Values::Float(to) => input.read(scalar::float, |value| to.append_option(value)),
            Values::Bool(to) => input.read(scalar::bool, |value| to.append_option(value)),
            Values::Timestamp(to) => input.read(scalar::timestamp, |value| to.append_option(value)),
            Values::Text(to) => input.read(utf8, |value| to.append_option(value)),
            Values::View(to) => input.read(utf8, |value| to.append_option(value)),
            Values::Dictionary(to) => input.each(|text| append_key(to, text)),
            Values::Vector { list, elements } => {
                input.each(|text| append_vector(list, elements, text));
            }
        }
    }

    /// The array so far; the builder is empty again.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match &mut self.values {
            Values::Int(from) => Arc::new(from.finish()),
            Values::Float(from) => Arc::new(from.finish()),
            Values::Bool(from) => Arc::new(from.finish()),
            Values::Timestamp(from) => Arc::new(from.finish()),
            Values::Text(from) => Arc::new(from.finish()),
            Values::View(from) => Arc::new(from.finish()),
            Values::Dictionary(from) => from.finish()?,
            Values::Vector { list, .. } => Arc::new(list.finish()),
        })
    }
}

/// One column of a block, with the place for its flaws.
struct Input<'a> {
    column: usize,
    required: bool,
    cells: &'a Cells,
    block: &'a [u8],
    flaws: &'a mut Vec<Flaw>,
}

impl<'a> Input<'a> {
    /// Parses every cell and pushes the value, or a null for a flaw.
    fn read<T>(&mut self, parse: impl Fn(&'a [u8]) -> Parsed<T>, mut push: impl FnMut(Option<T>)) {
        self.each(|text| match text.map_or(Ok(None), &parse) {
            Ok(value) => {
                let present = value.is_some();
                push(value);
                Ok(present)
            }
            Err(reason) => {
                push(None);
                Err(reason)
            }
        });
    }

    /// Hands on every cell; the answer is whether it holds a value.
    fn each(&mut self, mut append: impl FnMut(Option<&'a [u8]>) -> Result<bool, Reason>) {
        for (record, text) in self.cells.column(self.column, self.block).enumerate() {
            let reason = match append(text) {
                Ok(true) => continue,
                Ok(false) if !self.required => continue,
                Ok(false) => Reason::Missing,
                Err(reason) => reason,
            };
            self.flaws.push(Flaw {
                record,
                column: Some(self.column),
                reason,
            });
        }
    }
}

fn utf8(text: &[u8]) -> Parsed<&str> {
    std::str::from_utf8(text)
        .map(Some)
        .map_err(|_| Reason::NotUtf8)
}

fn append_key(to: &mut DictionaryBuilder, text: Option<&[u8]>) -> Result<bool, Reason> {
    let Some(text) = text else {
        to.append_null();
        return Ok(false);
    };
    if to.append(text) {
        Ok(true)
    } else {
        Err(Reason::NotUtf8)
    }
}

fn append_vector(
    to: &mut ListBuilder<Float32Builder>,
    elements: &mut Vec<f32>,
    text: Option<&[u8]>,
) -> Result<bool, Reason> {
    elements.clear();
    let parsed = text.map_or(Ok(false), |text| scalar::vector(text, elements));
    let present = parsed.as_ref().is_ok_and(|present| *present);
    if present {
        to.values().append_slice(elements);
    }
    to.append(present);
    parsed
}
