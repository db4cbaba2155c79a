//! VADER sentiment, as version 3.3.2 of the Python package computes it. Called by
//! `expression` for `vader(...)`.

use std::sync::LazyLock;

use arrow::array::{ArrayRef, Float64Array};
use arrow::error::ArrowError;
use vader_parity::SentimentIntensityAnalyzer;

use super::TextColumn;

/// The four scores of one text.
pub use vader_parity::SentimentScores;

// Reading the lexicon takes milliseconds, scoring a text microseconds.
static ANALYZER: LazyLock<SentimentIntensityAnalyzer> =
    LazyLock::new(SentimentIntensityAnalyzer::new);

/// All four scores; a text without words has compound 0.
pub fn scores(text: &str) -> SentimentScores {
    ANALYZER.polarity_scores(text)
}

/// The compound score of each row, in [-1, 1]: null for null.
pub fn compound(texts: &ArrayRef) -> Result<Float64Array, ArrowError> {
    let texts = TextColumn::of(texts)?;
    let compound = texts.map(|text| scores(text).compound);
    Ok(Float64Array::new(compound.into(), texts.nulls().cloned()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, DictionaryArray, Int32Array, StringArray};

    use super::*;

    #[test]
    fn null_is_null_and_empty_is_neutral() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![
            Some("I love it"),
            None,
            Some(""),
            Some("I hate it"),
        ]));
        let scores = compound(&texts).unwrap();
        assert!(scores.value(0) > 0.5 && scores.is_null(1) && scores.value(3) < -0.5);
        assert_eq!(scores.value(2), 0.0);
    }

    #[test]
    fn a_dictionary_scores_as_its_texts() {
        let texts = ["good", "bad", "VERY good!!!"];
        let codes: Vec<Option<i32>> = (0..200)
            .map(|row| (row % 7 != 0).then_some(row % 3))
            .collect();
        let plain: StringArray = codes
            .iter()
            .map(|code| code.map(|code| texts[code as usize]))
            .collect();
        let values = Arc::new(StringArray::from(texts.to_vec()));
        let coded: ArrayRef = Arc::new(DictionaryArray::new(Int32Array::from(codes), values));
        let plain: ArrayRef = Arc::new(plain);
        assert_eq!(compound(&coded).unwrap(), compound(&plain).unwrap());
    }

    #[test]
    fn other_arrays_are_refused() {
        let ints: ArrayRef = Arc::new(Int32Array::from(vec![1]));
        assert!(compound(&ints).is_err());
    }
}
