//! Vectors of single texts and of whole columns. Called by `expression` for `embed(...)`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, FixedSizeListArray, Float32Array};
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;
use rayon::prelude::*;

use super::{Embedder, TextColumn};

/// Rows handed to one thread at a time.
const ROWS_PER_TASK: usize = 32;

/// The vector of one text.
pub fn of_text(embedder: &dyn Embedder, text: &str) -> Vec<f32> {
    let mut vector = vec![0.0; embedder.dimension()];
    embedder.embed(text, &mut vector);
    vector
}

/// The vector of each row as a `FixedSizeList` of `Float32`: null for null.
pub fn of_column(
    embedder: &dyn Embedder,
    texts: &ArrayRef,
) -> Result<FixedSizeListArray, ArrowError> {
    let column = TextColumn::of(texts)?;
    let dimension = embedder.dimension();
    let vectors = match column.distinct() {
        Some((codes, values)) => {
            let distinct = matrix(embedder, values.len(), |code| Some(values.value(code)));
            gathered(&distinct, codes, dimension)
        }
        None => matrix(embedder, column.len(), |row| column.get(row)),
    };
    let item = Arc::new(Field::new_list_field(DataType::Float32, true));
    let vectors = Arc::new(Float32Array::new(vectors.into(), None));
    FixedSizeListArray::try_new(item, dimension as i32, vectors, column.nulls().cloned())
}

/// The vectors of `count` texts one after the other, zeros where there is none.
fn matrix<'a>(
    embedder: &dyn Embedder,
    count: usize,
    text: impl Fn(usize) -> Option<&'a str> + Sync,
) -> Vec<f32> {
    let dimension = embedder.dimension();
    let mut vectors = vec![0.0; count * dimension];
    let fill = |task: usize, rows: &mut [f32]| {
        for (row, out) in rows.chunks_exact_mut(dimension).enumerate() {
            if let Some(text) = text(task * ROWS_PER_TASK + row) {
                embedder.embed(text, out);
            }
        }
    };
    let tasks = vectors
        .par_chunks_mut((dimension * ROWS_PER_TASK).max(1))
        .enumerate();
    if count <= ROWS_PER_TASK {
        fill(0, &mut vectors);
    } else {
        tasks.for_each(|(task, rows)| fill(task, rows));
    }
    vectors
}

fn gathered(distinct: &[f32], codes: &[i32], dimension: usize) -> Vec<f32> {
    let mut vectors = Vec::with_capacity(codes.len() * dimension);
    for code in codes {
        let start = *code as usize * dimension;
        match distinct.get(start..start + dimension) {
            Some(vector) => vectors.extend_from_slice(vector),
            // The code below a null may be anything.
            None => vectors.resize(vectors.len() + dimension, 0.0),
        }
    }
    vectors
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, DictionaryArray, Int32Array, StringArray};
    use arrow::datatypes::Float32Type;

    use super::*;
    use crate::text::HashedNgrams;

    #[test]
    fn columns_embed_as_single_texts_do() {
        let texts = ["good phone", "", "bad battery"];
        let codes: Vec<Option<i32>> = (0..150)
            .map(|row| (row % 5 != 0).then_some(row % 3))
            .collect();
        let plain: StringArray = codes
            .iter()
            .map(|code| code.map(|code| texts[code as usize]))
            .collect();
        let values = Arc::new(StringArray::from(texts.to_vec()));
        let coded: ArrayRef = Arc::new(DictionaryArray::new(
            Int32Array::from(codes.clone()),
            values,
        ));
        for column in [Arc::new(plain) as ArrayRef, coded] {
            let vectors = of_column(&HashedNgrams, &column).unwrap();
            assert_eq!(vectors.value_length(), 64);
            for (row, code) in codes.iter().enumerate() {
                assert_eq!(vectors.is_null(row), code.is_none());
                if let Some(code) = code {
                    let wanted = of_text(&HashedNgrams, texts[*code as usize]);
                    let found = vectors.value(row);
                    assert_eq!(found.as_primitive::<Float32Type>().values()[..], wanted[..]);
                }
            }
        }
    }
}
