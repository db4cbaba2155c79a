//! Events as columns, and one entity's events as a range of their rows: what every fold's
//! `update` reads. A batch hands over whole histories, a stream a single event; the folds
//! cannot tell them apart.

use std::ops::Range;

use arrow::array::{Array, ArrayRef};
use arrow::compute;
use arrow::datatypes::DataType;
use granary_registry::Value;

use crate::expression::value_at;

/// Rows of one source, as the folds of one group need them.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// Instants in microseconds; `i64::MIN` where the source has no event time.
    pub times: Vec<i64>,
    /// One bit per `where` of the group, 64 to a column.
    pub masks: Vec<Vec<u64>>,
    /// The inputs of the folds.
    pub inputs: Vec<Input>,
    /// Dedupe keys as hashes, [`NO_HASH`] for a null; empty when the source has none.
    pub ids: Vec<u64>,
    /// Where in the log a row stands, one past its offset; empty when all come from files.
    pub positions: Vec<u64>,
    /// When a row became known, its own instant at the earliest; empty when nobody asks.
    pub created: Vec<i64>,
}

/// One column of inputs.
#[derive(Clone, Debug)]
pub enum Input {
    /// Numbers; NaN is null.
    Numbers(Vec<f64>),
    /// Positions in a list of categories; [`NO_CATEGORY`] is null or none of them.
    Codes(Vec<u32>),
    /// Hashes of values; [`NO_HASH`] is null.
    Hashes(Vec<u64>),
    /// Anything, as Arrow holds it; text is plain.
    Values(ArrayRef),
    /// The same one by one, as live events bring them.
    Cells(Vec<Value>),
    /// Vectors of one dimension, one after another.
    Vectors(Vectors),
}

/// A column of vectors.
#[derive(Clone, Debug, Default)]
pub struct Vectors {
    /// Elements in each; 0 if no row has one.
    pub dimension: usize,
    /// `dimension` elements a row.
    pub elements: Vec<f32>,
    /// Whether the row has a vector.
    pub valid: Vec<bool>,
}

/// The hash of a null, which nothing else has: no row is a copy of one without a dedupe key.
pub const NO_HASH: u64 = 0;

/// The code of a category outside the list.
pub const NO_CATEGORY: u32 = u32::MAX;

/// One `where` of a group: a bit of a mask column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Filter {
    /// Which mask column.
    pub word: usize,
    /// Which bit of it.
    pub bit: u32,
}

/// One entity's events, in order of time.
#[derive(Clone, Debug)]
pub struct Events<'a> {
    /// The columns that hold them.
    pub columns: &'a Columns,
    /// Which rows.
    pub rows: Range<usize>,
    /// The entity's newest event, these included: nothing older than a window before it
    /// can be asked of a state again.
    pub newest: i64,
}

impl<'a> Events<'a> {
    /// These rows of the columns; they must be one entity's and in order of time.
    pub fn new(columns: &'a Columns, rows: Range<usize>) -> Self {
        let newest = columns.times[rows.clone()]
            .last()
            .copied()
            .unwrap_or(i64::MIN);
        Events {
            columns,
            rows,
            newest,
        }
    }

    /// Instants.
    pub fn times(&self) -> &'a [i64] {
        &self.columns.times[self.rows.clone()]
    }

    /// A part of the rows, counted from the first column row.
    pub fn part(&self, rows: Range<usize>) -> Events<'a> {
        Events {
            columns: self.columns,
            rows,
            newest: self.newest,
        }
    }

    /// The rows for which a filter holds; all of them without one.
    #[inline]
    pub fn selected(&self, filter: Option<Filter>) -> impl DoubleEndedIterator<Item = usize> + 'a {
        let mask = filter.map(|filter| (&self.columns.masks[filter.word][..], filter.bit));
        self.rows.clone().filter(move |&row| match mask {
            Some((words, bit)) => words[row] >> bit & 1 == 1,
            None => true,
        })
    }

    /// How many rows a filter lets through.
    #[inline]
    pub fn count(&self, filter: Option<Filter>) -> u64 {
        match filter {
            None => self.rows.len() as u64,
            Some(Filter { word, bit }) => {
                let words = &self.columns.masks[word][self.rows.clone()];
                words.iter().map(|word| word >> bit & 1).sum()
            }
        }
    }

    /// The numbers of an input column.
    pub fn numbers(&self, input: usize) -> &'a [f64] {
        match &self.columns.inputs[input] {
            Input::Numbers(numbers) => numbers,
            _ => &[],
        }
    }

    /// The category codes of an input column.
    pub fn codes(&self, input: usize) -> &'a [u32] {
        match &self.columns.inputs[input] {
            Input::Codes(codes) => codes,
            _ => &[],
        }
    }

    /// The hashes of an input column.
    pub fn hashes(&self, input: usize) -> &'a [u64] {
        match &self.columns.inputs[input] {
            Input::Hashes(hashes) => hashes,
            _ => &[],
        }
    }

    /// The vector of a row, if it has one.
    pub fn vector(&self, input: usize, row: usize) -> Option<&'a [f32]> {
        match &self.columns.inputs[input] {
            Input::Vectors(vectors) => vectors.get(row),
            _ => None,
        }
    }

    /// The value of a row of any input column.
    pub fn value(&self, input: usize, row: usize) -> Value {
        match &self.columns.inputs[input] {
            Input::Values(array) => value_at(array, row),
            Input::Cells(cells) => cells[row].clone(),
            Input::Numbers(numbers) => Value::float(numbers[row]),
            Input::Codes(_) | Input::Hashes(_) => Value::Null,
            Input::Vectors(_) => match self.vector(input, row) {
                Some(vector) => Value::Vector(vector.into()),
                None => Value::Null,
            },
        }
    }

    /// Where in the log a row stands: 0 for files, which come before it.
    pub fn position(&self, row: usize) -> u64 {
        self.columns.positions.get(row).copied().unwrap_or(0)
    }
}

impl Columns {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.times.len()
    }

    /// What they take in memory.
    pub fn bytes(&self) -> usize {
        let words = self.masks.iter().map(Vec::len).sum::<usize>()
            + self.times.len()
            + self.ids.len()
            + self.positions.len()
            + self.created.len();
        words * size_of::<u64>() + self.inputs.iter().map(Input::bytes).sum::<usize>()
    }

    /// Whether a row was known before an instant.
    #[inline]
    pub fn was_known(&self, row: usize, as_of: i64) -> bool {
        self.created.get(row).is_none_or(|&created| created < as_of)
    }

    /// These rows, in this order.
    pub fn take(&self, rows: &[u32]) -> Columns {
        Columns {
            times: gather(&self.times, rows),
            masks: self.masks.iter().map(|mask| gather(mask, rows)).collect(),
            inputs: self.inputs.iter().map(|input| input.take(rows)).collect(),
            ids: gather(&self.ids, rows),
            positions: gather(&self.positions, rows),
            created: gather(&self.created, rows),
        }
    }

    /// These rows, as they stand.
    pub fn slice(&self, rows: Range<usize>) -> Columns {
        Columns {
            times: part(&self.times, &rows),
            masks: self.masks.iter().map(|mask| part(mask, &rows)).collect(),
            inputs: self.inputs.iter().map(|input| input.slice(&rows)).collect(),
            ids: part(&self.ids, &rows),
            positions: part(&self.positions, &rows),
            created: part(&self.created, &rows),
        }
    }

    /// One after another. Parts without positions count as files.
    pub fn concat(mut parts: Vec<Columns>) -> Columns {
        if parts.len() < 2 {
            return parts.pop().unwrap_or_default();
        }
        if parts.iter().any(|part| !part.positions.is_empty()) {
            for part in &mut parts {
                part.positions.resize(part.rows(), 0);
            }
        }
        let masks = 0..parts[0].masks.len();
        let inputs = 0..parts[0].inputs.len();
        Columns {
            times: join(&mut parts, |part| &mut part.times),
            masks: masks
                .map(|at| join(&mut parts, |part| &mut part.masks[at]))
                .collect(),
            inputs: inputs
                .map(|at| Input::concat(parts.iter_mut().map(|part| part.inputs[at].leave())))
                .collect(),
            ids: join(&mut parts, |part| &mut part.ids),
            positions: join(&mut parts, |part| &mut part.positions),
            created: join(&mut parts, |part| &mut part.created),
        }
    }
}

/// Some of the values of a column that may be left out altogether.
fn part<T: Copy>(values: &[T], rows: &Range<usize>) -> Vec<T> {
    values
        .get(rows.clone())
        .map(<[T]>::to_vec)
        .unwrap_or_default()
}

/// One column of all parts, in memory of just its length: it may be kept for long.
fn join<T: Clone>(parts: &mut [Columns], column: impl Fn(&mut Columns) -> &mut Vec<T>) -> Vec<T> {
    let columns: Vec<Vec<T>> = parts
        .iter_mut()
        .map(|part| std::mem::take(column(part)))
        .collect();
    columns.concat()
}

fn gather<T: Copy>(values: &[T], rows: &[u32]) -> Vec<T> {
    if values.is_empty() {
        return Vec::new();
    }
    rows.iter().map(|&row| values[row as usize]).collect()
}

impl Input {
    fn bytes(&self) -> usize {
        match self {
            Input::Numbers(numbers) => size_of_val(&numbers[..]),
            Input::Codes(codes) => size_of_val(&codes[..]),
            Input::Hashes(hashes) => size_of_val(&hashes[..]),
            // Of an array that is part of another its part alone.
            Input::Values(array) => {
                let data = array.to_data();
                data.get_slice_memory_size()
                    .unwrap_or_else(|_| array.get_array_memory_size())
            }
            Input::Cells(cells) => size_of_val(&cells[..]),
            Input::Vectors(vectors) => size_of_val(&vectors.elements[..]) + vectors.valid.len(),
        }
    }

    fn take(&self, rows: &[u32]) -> Input {
        match self {
            Input::Numbers(numbers) => Input::Numbers(gather(numbers, rows)),
            Input::Codes(codes) => Input::Codes(gather(codes, rows)),
            Input::Hashes(hashes) => Input::Hashes(gather(hashes, rows)),
            Input::Values(array) => {
                let indices = arrow::array::UInt32Array::from(rows.to_vec());
                let taken = compute::take(array.as_ref(), &indices, None);
                Input::Values(taken.expect("rows lie within the column"))
            }
            Input::Cells(cells) => {
                let cell = |&row: &u32| cells[row as usize].clone();
                Input::Cells(rows.iter().map(cell).collect())
            }
            Input::Vectors(vectors) => Input::Vectors(vectors.take(rows)),
        }
    }

    fn slice(&self, rows: &Range<usize>) -> Input {
        match self {
            Input::Numbers(numbers) => Input::Numbers(part(numbers, rows)),
            Input::Codes(codes) => Input::Codes(part(codes, rows)),
            Input::Hashes(hashes) => Input::Hashes(part(hashes, rows)),
            Input::Values(array) => Input::Values(array.slice(rows.start, rows.len())),
            Input::Cells(cells) => Input::Cells(cells[rows.clone()].to_vec()),
            Input::Vectors(vectors) => Input::Vectors(vectors.slice(rows)),
        }
    }

    /// Moves the column out.
    fn leave(&mut self) -> Input {
        std::mem::replace(self, Input::Numbers(Vec::new()))
    }

    fn concat(parts: impl Iterator<Item = Input>) -> Input {
        let mut parts = parts;
        let Some(mut whole) = parts.next() else {
            return Input::Numbers(Vec::new());
        };
        let mut arrays = Vec::new();
        for part in parts {
            match (&mut whole, part) {
                (Input::Numbers(all), Input::Numbers(more)) => all.extend(more),
                (Input::Codes(all), Input::Codes(more)) => all.extend(more),
                (Input::Hashes(all), Input::Hashes(more)) => all.extend(more),
                (Input::Cells(all), Input::Cells(more)) => all.extend(more),
                (Input::Vectors(all), Input::Vectors(more)) => all.append(more),
                (_, Input::Values(more)) => arrays.push(more),
                _ => {}
            }
        }
        if let Input::Values(first) = &whole
            && !arrays.is_empty()
        {
            arrays.insert(0, first.clone());
            let all: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
            whole =
                Input::Values(compute::concat(&all).expect("parts of one column have one type"));
        }
        whole.shrink_to_fit();
        whole
    }

    fn shrink_to_fit(&mut self) {
        match self {
            Input::Numbers(numbers) => numbers.shrink_to_fit(),
            Input::Codes(codes) => codes.shrink_to_fit(),
            Input::Hashes(hashes) => hashes.shrink_to_fit(),
            Input::Values(_) => {}
            Input::Cells(cells) => cells.shrink_to_fit(),
            Input::Vectors(vectors) => vectors.elements.shrink_to_fit(),
        }
    }

    /// Any column as values, in a form in which parts can be joined.
    pub fn values(array: &ArrayRef) -> Result<Input, arrow::error::ArrowError> {
        Ok(Input::Values(match array.data_type() {
            DataType::Dictionary(_, values) => compute::cast(array, values)?,
            DataType::Utf8View => compute::cast(array, &DataType::Utf8)?,
            DataType::FixedSizeList(item, _) => {
                compute::cast(array, &DataType::List(item.clone()))?
            }
            _ => array.clone(),
        }))
    }
}

impl Vectors {
    /// One row each. Where they differ in dimension, the shorter ones are null.
    pub(super) fn of_rows(rows: &[Option<Vec<f32>>]) -> Vectors {
        let dimension = rows.iter().flatten().map(Vec::len).max().unwrap_or(0);
        let mut vectors = Vectors {
            dimension,
            elements: Vec::with_capacity(rows.len() * dimension),
            valid: Vec::with_capacity(rows.len()),
        };
        for row in rows {
            let row = row.as_ref().filter(|row| row.len() == dimension);
            vectors.valid.push(row.is_some());
            match row {
                Some(row) => vectors.elements.extend_from_slice(row),
                None => vectors.elements.extend((0..dimension).map(|_| 0.0)),
            }
        }
        vectors
    }

    pub(super) fn get(&self, row: usize) -> Option<&[f32]> {
        let vector = || &self.elements[row * self.dimension..][..self.dimension];
        self.valid[row].then(vector)
    }

    fn take(&self, rows: &[u32]) -> Vectors {
        let elements =
            |&row: &u32| &self.elements[row as usize * self.dimension..][..self.dimension];
        Vectors {
            dimension: self.dimension,
            elements: rows.iter().flat_map(elements).copied().collect(),
            valid: gather(&self.valid, rows),
        }
    }

    fn slice(&self, rows: &Range<usize>) -> Vectors {
        let elements = rows.start * self.dimension..rows.end * self.dimension;
        Vectors {
            dimension: self.dimension,
            elements: part(&self.elements, &elements),
            valid: part(&self.valid, rows),
        }
    }

    /// Where parts differ in dimension, the shorter vectors become null.
    fn append(&mut self, mut more: Vectors) {
        let dimension = self.dimension.max(more.dimension);
        self.widen(dimension);
        more.widen(dimension);
        self.elements.append(&mut more.elements);
        self.valid.append(&mut more.valid);
    }

    fn widen(&mut self, dimension: usize) {
        if self.dimension != dimension {
            self.dimension = dimension;
            self.elements = vec![0.0; self.valid.len() * dimension];
            self.valid.fill(false);
        }
    }
}
