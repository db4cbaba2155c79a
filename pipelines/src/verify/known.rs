//! Which events of an entity had been seen when a record was served. A live state is a fold
//! of the version that was pushed, of what was logged after it, and of nothing that came
//! later than the allowed lateness.

use granary_registry::Span;
use granary_storage::Offset;

use super::Served;

/// Events of an entity that a live state leaves for the next build, by their positions in
/// the log; rows are given as instant and position, 0 for files.
pub(super) fn late(
    rows: impl Iterator<Item = (i64, u64)>,
    built_until: Offset,
    lateness: Span,
) -> Vec<u64> {
    let mut newest = i64::MIN;
    let mut live = Vec::new();
    for (time, position) in rows {
        if position <= built_until.0 {
            newest = newest.max(time);
        } else {
            live.push((position, time));
        }
    }
    live.sort_unstable();
    live.retain(|&(_, time)| {
        let late = newest != i64::MIN && time < newest.saturating_sub(lateness.0);
        newest = newest.max(time);
        late
    });
    live.into_iter().map(|(position, _)| position).collect()
}

/// The events that were not in an answer although the log has them by now, by position.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Unknown(Vec<u64>);

impl Unknown {
    /// Of a record, given the entity's positions in the log, and which of them were late.
    pub(super) fn of(record: &Served, positions: &[u64], late: &[u64]) -> Unknown {
        let is_later = |position: u64| position > record.known_until.0;
        let is_late = |position: u64| !record.from_log && late.contains(&position);
        let positions = positions.iter().copied();
        let mut unknown: Vec<u64> = positions
            .filter(|&position| is_later(position) || is_late(position))
            .collect();
        unknown.sort_unstable();
        Unknown(unknown)
    }

    /// Whether an event was in the answer.
    pub(super) fn has(&self, position: u64) -> bool {
        self.0.binary_search(&position).is_ok()
    }

    /// Whether every event was in it.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Span = Span::DAY;

    #[test]
    fn an_event_is_late_by_the_newest_one_before_it() {
        let day = DAY.0;
        // In the order of the log: the build has read up to 11.
        let rows = [
            (0, 0),
            (3 * day, 11),
            (day, 21),
            (2 * day, 31),
            (9 * day, 41),
            (3 * day, 51),
        ];
        let late = |until| late(rows.into_iter().rev(), Offset(until), DAY);
        assert_eq!(late(11), [21, 51]);
        assert_eq!(late(30), [51], "a build takes late events in");
        assert_eq!(late(99), [0u64; 0]);
        let unknown = late_without_a_build();
        assert_eq!(unknown, [0u64; 0], "the first event is never late");
    }

    fn late_without_a_build() -> Vec<u64> {
        late([(5, 7), (6, 9)].into_iter(), Offset(0), Span(0))
    }
}
