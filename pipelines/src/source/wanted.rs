//! Which columns to decode, and as what. Given by the callers of `SourceFiles::decode`.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use granary_registry::DType;
use std::sync::Arc;

/// One column to decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name in the file.
    pub name: String,
    /// The registry's type.
    pub dtype: DType,
    /// How text arrives; of no meaning for other types.
    pub text: TextAs,
    /// Whether a null makes the row a bad one: entity keys and event times.
    pub required: bool,
}

/// How text arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextAs {
    /// `Dictionary(Int32, Utf8)`: for keys and categories, which repeat.
    Dictionary,
    /// `Utf8`: for texts that hardly repeat.
    Plain,
    /// `Utf8View`: for texts that are looked at once. Nothing is copied out of a Parquet page.
    View,
}

impl Wanted {
    /// A column whose nulls are kept; text arrives as a dictionary.
    pub fn optional(name: &str, dtype: DType) -> Wanted {
        Wanted {
            name: name.to_owned(),
            dtype,
            text: TextAs::Dictionary,
            required: false,
        }
    }

    /// A column in which a null makes the row a bad one; text arrives as a dictionary.
    pub fn required(name: &str, dtype: DType) -> Wanted {
        Wanted {
            required: true,
            ..Wanted::optional(name, dtype)
        }
    }

    /// The same column with its text as `Utf8`.
    #[must_use]
    pub fn plain(self) -> Wanted {
        Wanted {
            text: TextAs::Plain,
            ..self
        }
    }

    /// The same column with its text as `Utf8View`.
    #[must_use]
    pub fn view(self) -> Wanted {
        Wanted {
            text: TextAs::View,
            ..self
        }
    }

    /// The Arrow type of the text: of no meaning for other types.
    pub(super) fn text_type(&self) -> DataType {
        match self.text {
            TextAs::Dictionary => {
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
            }
            TextAs::Plain => DataType::Utf8,
            TextAs::View => DataType::Utf8View,
        }
    }

    /// The Arrow type of the decoded column. Vectors are lists here; Parquet files that hold
    /// lists of one length keep that length.
    pub(super) fn arrow_type(&self) -> DataType {
        match self.dtype {
            DType::Int => DataType::Int64,
            DType::Float => DataType::Float64,
            DType::Bool => DataType::Boolean,
            DType::Text | DType::Categorical => self.text_type(),
            DType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            DType::Vector => DataType::List(vector_element()),
        }
    }
}

/// The element of every vector column.
pub(super) fn vector_element() -> Arc<Field> {
    Arc::new(Field::new_list_field(DataType::Float32, true))
}

/// The schema of decoded batches, with the columns in the order in which they were wanted.
pub(super) fn schema(columns: &[Wanted], types: impl IntoIterator<Item = DataType>) -> SchemaRef {
    let fields: Vec<Field> = columns
        .iter()
        .zip(types)
        .map(|(column, found)| Field::new(&column.name, found, !column.required))
        .collect();
    Arc::new(Schema::new(fields))
}
