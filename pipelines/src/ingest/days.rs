//! Which part a row goes to: parts cover consecutive days, and no day is in two of them.

use std::collections::BTreeMap;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;
/// Parts that a load makes at most, however large it is: readers open all of them.
const MOST_PARTS: u64 = 16;

/// How many rows each day has.
#[derive(Debug, Default)]
pub(super) struct Days {
    rows: BTreeMap<i64, u64>,
}

/// The first day of every part.
#[derive(Debug)]
pub(super) struct Borders(Vec<i64>);

impl Days {
    /// Counts the rows at these instants.
    pub(super) fn count(&mut self, times: &[i64]) {
        let day = |time: &i64| time.div_euclid(DAY);
        for same in times.chunk_by(|a, b| day(a) == day(b)) {
            *self.rows.entry(day(&same[0])).or_default() += same.len() as u64;
        }
    }

    /// Borders such that a part has so many rows at least, but for what is left at the end.
    pub(super) fn borders(&self, part_rows: u64) -> Borders {
        let total: u64 = self.rows.values().sum();
        let wanted = part_rows.max(total.div_ceil(MOST_PARTS)).max(1);
        let mut firsts = Vec::new();
        let mut held = wanted;
        let mut left = total;
        for (&day, rows) in &self.rows {
            // A last part that would be small is not begun.
            if firsts.is_empty() || (held >= wanted && left >= wanted / 2) {
                firsts.push(day);
                held = 0;
            }
            held += rows;
            left -= rows;
        }
        Borders(firsts)
    }
}

impl Borders {
    /// How many parts there are.
    pub(super) fn parts(&self) -> usize {
        self.0.len()
    }

    /// The part of an instant.
    pub(super) fn part_of(&self, time: i64) -> usize {
        let day = time.div_euclid(DAY);
        self.0
            .partition_point(|&first| first <= day)
            .saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// No day is in two parts, and days follow each other through the parts.
        #[test]
        fn parts_follow_the_days(days in prop::collection::vec(-40i64..40, 1..200), part_rows in 1u64..50) {
            let times: Vec<i64> = days.iter().map(|day| day * DAY + day.rem_euclid(7)).collect();
            let mut counted = Days::default();
            counted.count(&times);
            let borders = counted.borders(part_rows);
            prop_assert!(borders.parts() as u64 <= MOST_PARTS);
            let mut sorted = times.clone();
            sorted.sort_unstable();
            let parts: Vec<usize> = sorted.iter().map(|&time| borders.part_of(time)).collect();
            prop_assert!(parts.is_sorted());
            prop_assert_eq!(parts[0], 0);
            prop_assert_eq!(parts[parts.len() - 1], borders.parts() - 1);
        }
    }
}
