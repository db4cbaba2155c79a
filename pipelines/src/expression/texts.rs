//! Functions of texts over columns. Called by `batch`; a dictionary is worked on once per
//! distinct text and stays a dictionary.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, Int64Array, StringArray};
use arrow::datatypes::Int32Type;
use arrow::error::ArrowError;

use super::scalar;
use crate::text::TextColumn;

pub(super) fn lengths(texts: &ArrayRef) -> Result<Int64Array, ArrowError> {
    let texts = TextColumn::of(texts)?;
    Ok(Int64Array::new(
        texts.map(scalar::length).into(),
        texts.nulls().cloned(),
    ))
}

pub(super) fn recased(texts: &ArrayRef, upper: bool) -> Result<ArrayRef, ArrowError> {
    if let Some(dictionary) = texts.as_dictionary_opt::<Int32Type>()
        && dictionary.values().len() <= dictionary.len()
    {
        let values = recased(dictionary.values(), upper)?;
        return Ok(Arc::new(DictionaryArray::new(
            dictionary.keys().clone(),
            values,
        )));
    }
    let texts = TextColumn::of(texts)?;
    let recased = |row| texts.get(row).map(|text| scalar::recase(text, upper));
    Ok(Arc::new(
        (0..texts.len()).map(recased).collect::<StringArray>(),
    ))
}
