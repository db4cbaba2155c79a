//! Which train rows may not see each other's labels. Called by `Encoder::fit`.

use crate::random::Random;

/// How many folds there are.
pub(super) const FOLDS: usize = 5;

/// The fold of every train row.
pub(super) struct Folds {
    of_row: Vec<u8>,
}

impl Folds {
    /// Deals the rows of each label out evenly: folds with unequal shares of 1 would
    /// show through in the encoded values.
    pub(super) fn stratified(labels: &[bool], random: &mut Random) -> Folds {
        let mut of_row = vec![0; labels.len()];
        let mut dealt = 0;
        for wanted in [false, true] {
            let mut rows: Vec<usize> = (0..labels.len())
                .filter(|&row| labels[row] == wanted)
                .collect();
            let count = rows.len();
            random.draw_to_front(&mut rows, count);
            for row in rows {
                of_row[row] = (dealt % FOLDS) as u8;
                dealt += 1;
            }
        }
        Folds { of_row }
    }

    /// The fold of the train row at this place.
    pub(super) fn of(&self, row: usize) -> usize {
        self.of_row[row] as usize
    }
}
