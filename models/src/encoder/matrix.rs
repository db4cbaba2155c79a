//! Encoded rows: the slots and codes of many rows, one row after the other.
//! Made by the encoder, read by every trainer.

use rayon::prelude::*;

/// One encoded row; reuse it to predict without allocating.
#[derive(Clone, Debug, Default)]
pub(crate) struct EncodedRow {
    /// What trees read.
    pub(crate) slots: Vec<f32>,
    /// Category codes.
    pub(crate) codes: Vec<u16>,
}

/// Many encoded rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Encoded {
    rows: usize,
    width: usize,
    slots: Vec<f32>,
    code_width: usize,
    codes: Vec<u16>,
}

/// Rows that one thread encodes at a time.
const BLOCK: usize = 1024;

impl Encoded {
    /// Rows of zeros.
    pub(super) fn zeroed(rows: usize, width: usize, code_width: usize) -> Encoded {
        Encoded {
            rows,
            width,
            slots: vec![0.0; rows * width],
            code_width,
            codes: vec![0; rows * code_width],
        }
    }

    /// Writes every row, where `sources` says which row of the table it is.
    pub(super) fn fill(
        &mut self,
        sources: &[u32],
        write: impl Fn(u32, &mut [f32], &mut [u16]) + Sync,
    ) {
        let (width, code_width) = (self.width, self.code_width);
        // One more than needed where a width is 0, because a block may not be empty.
        let slots = self.slots.par_chunks_mut((BLOCK * width).max(1));
        let blocks = sources.par_chunks(BLOCK);
        if code_width == 0 {
            blocks.zip(slots).for_each(|(sources, slots)| {
                for (&source, slots) in sources.iter().zip(slots.chunks_exact_mut(width)) {
                    write(source, slots, &mut []);
                }
            });
        } else {
            let codes = self.codes.par_chunks_mut(BLOCK * code_width);
            blocks
                .zip(slots)
                .zip(codes)
                .for_each(|((sources, slots), codes)| {
                    let rows = slots
                        .chunks_exact_mut(width)
                        .zip(codes.chunks_exact_mut(code_width));
                    for (&source, (slots, codes)) in sources.iter().zip(rows) {
                        write(source, slots, codes);
                    }
                });
        }
    }

    /// Puts other values into one slot of every row.
    pub(super) fn replace_slot(&mut self, slot: usize, values: &[f32]) {
        for (row, &value) in self.slots.chunks_exact_mut(self.width).zip(values) {
            row[slot] = value;
        }
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Slots of a row.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The slots of a row.
    #[inline]
    pub(crate) fn slots(&self, row: usize) -> &[f32] {
        &self.slots[row * self.width..(row + 1) * self.width]
    }

    /// The codes of a row.
    #[inline]
    pub(crate) fn codes(&self, row: usize) -> &[u16] {
        &self.codes[row * self.code_width..(row + 1) * self.code_width]
    }

    /// One slot of every row.
    pub(crate) fn slot(&self, slot: usize) -> impl Iterator<Item = f32> {
        self.slots
            .chunks_exact(self.width)
            .map(move |row| row[slot])
    }
}

#[cfg(test)]
impl Encoded {
    /// Rows of slots without codes, for tests of the trees.
    pub(crate) fn from_slots(slots: Vec<f32>, width: usize) -> Encoded {
        Encoded {
            rows: slots.len() / width,
            width,
            slots,
            code_width: 0,
            codes: Vec::new(),
        }
    }
}
