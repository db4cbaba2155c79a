//! A column of texts, plain or by dictionary, seen as one thing. Called wherever a
//! function of a text is applied to a column: once per distinct text where that is less.

use arrow::array::{Array, AsArray, StringArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::Int32Type;
use arrow::error::ArrowError;
use rayon::prelude::*;

/// Rows below which handing work to other threads costs more than it saves.
const PARALLEL_ROWS: usize = 64;

/// Texts borrowed from an array of `Utf8` or `Dictionary(Int32, Utf8)`.
#[derive(Debug)]
pub struct TextColumn<'a> {
    values: &'a StringArray,
    codes: Option<&'a [i32]>,
    nulls: Option<NullBuffer>,
    rows: usize,
}

impl<'a> TextColumn<'a> {
    /// An error for an array of any other type.
    pub fn of(array: &'a dyn Array) -> Result<TextColumn<'a>, ArrowError> {
        TextColumn::try_of(array).ok_or_else(|| {
            ArrowError::InvalidArgumentError(format!(
                "read a column of texts: its type is {}",
                array.data_type()
            ))
        })
    }

    fn try_of(array: &'a dyn Array) -> Option<TextColumn<'a>> {
        let nulls = array.logical_nulls();
        let rows = array.len();
        if let Some(values) = array.as_string_opt::<i32>() {
            return Some(TextColumn {
                values,
                codes: None,
                nulls,
                rows,
            });
        }
        let dictionary = array.as_dictionary_opt::<Int32Type>()?;
        let values = dictionary.values().as_string_opt::<i32>()?;
        Some(TextColumn {
            values,
            codes: Some(dictionary.keys().values()),
            nulls,
            rows,
        })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Which rows are null, whether by their code or by the value it stands for.
    pub fn nulls(&self) -> Option<&NullBuffer> {
        self.nulls.as_ref()
    }

    /// The text of a row; empty for a null.
    pub fn text(&self, row: usize) -> &'a str {
        match self.codes {
            None => self.values.value(row),
            // The code below a null may be anything.
            Some(codes) => match usize::try_from(codes[row]) {
                Ok(code) if code < self.values.len() => self.values.value(code),
                _ => "",
            },
        }
    }

    /// The text of a row, none for a null.
    pub fn get(&self, row: usize) -> Option<&'a str> {
        let null = self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        (!null).then(|| self.text(row))
    }

    /// One bit per row; what stands below a null means nothing.
    pub fn test(&self, test: impl Fn(&str) -> bool) -> BooleanBuffer {
        match self.distinct() {
            Some((codes, values)) => {
                let passed: Vec<bool> = (0..values.len())
                    .map(|code| test(values.value(code)))
                    .collect();
                BooleanBuffer::collect_bool(self.rows, |row| {
                    passed.get(codes[row] as usize).copied().unwrap_or(false)
                })
            }
            None => BooleanBuffer::collect_bool(self.rows, |row| test(self.text(row))),
        }
    }

    /// One result per row, worked out in parallel; what stands below a null means nothing.
    pub fn map<T: Copy + Default + Send>(&self, function: impl Fn(&str) -> T + Sync) -> Vec<T> {
        match self.distinct() {
            Some((codes, values)) => {
                let results = parallel(values.len(), |code| function(values.value(code)));
                let result = |code: &i32| results.get(*code as usize).copied();
                codes
                    .iter()
                    .map(|code| result(code).unwrap_or_default())
                    .collect()
            }
            None => parallel(self.rows, |row| match self.get(row) {
                Some(text) => function(text),
                None => T::default(),
            }),
        }
    }

    /// The codes and the values, where there are fewer values than rows.
    pub(crate) fn distinct(&self) -> Option<(&'a [i32], &'a StringArray)> {
        self.codes
            .filter(|_| self.values.len() <= self.rows)
            .map(|codes| (codes, self.values))
    }
}

fn parallel<T: Send>(count: usize, function: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
    if count < PARALLEL_ROWS {
        return (0..count).map(function).collect();
    }
    (0..count)
        .into_par_iter()
        .with_min_len(PARALLEL_ROWS / 4)
        .map(function)
        .collect()
}
