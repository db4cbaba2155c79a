//! A column of vectors, of fixed or free length, seen as one thing. Called by the rules
//! and by the statistics.

use arrow::array::{Array, AsArray};
use arrow::datatypes::Float32Type;

/// Vectors borrowed from an array of `FixedSizeList` or `List` of `Float32`.
pub(super) struct Vectors<'a> {
    items: &'a [f32],
    bounds: Bounds<'a>,
}

enum Bounds<'a> {
    Fixed(usize),
    Free(&'a [i32]),
}

impl<'a> Vectors<'a> {
    /// None for an array of any other type.
    pub(super) fn of(array: &'a dyn Array) -> Option<Vectors<'a>> {
        let (items, bounds) = if let Some(fixed) = array.as_fixed_size_list_opt() {
            (fixed.values(), Bounds::Fixed(fixed.value_length() as usize))
        } else {
            let free = array.as_list_opt::<i32>()?;
            (free.values(), Bounds::Free(free.value_offsets()))
        };
        Some(Vectors {
            items: items.as_primitive_opt::<Float32Type>()?.values(),
            bounds,
        })
    }

    /// The vector of a row; what stands below a null means nothing.
    pub(super) fn row(&self, row: usize) -> &'a [f32] {
        match self.bounds {
            Bounds::Fixed(width) => &self.items[row * width..(row + 1) * width],
            Bounds::Free(offsets) => &self.items[offsets[row] as usize..offsets[row + 1] as usize],
        }
    }
}
