//! Draws fields of a hash: `HRANDFIELD`. Called by `hash`.

use std::hash::{BuildHasher, RandomState};

use crate::service::keys::{Field, Fields};

use crate::resp::command::hash::Draw;
use crate::resp::{Protocol, Reply};

/// Draws from pairs of names and values.
pub(super) fn drawn(draw: Draw, pairs: &[(Reply, Reply)], protocol: Protocol) -> Reply {
    let at = |index: usize| pairs[index].clone();
    answer(draw, pairs.len(), at, protocol)
}

/// Draws from the fields of a plain hash.
pub(super) fn drawn_plain(
    draw: Draw,
    fields: &Fields,
    pair: impl Fn(Field<'_>) -> (Reply, Reply),
    protocol: Protocol,
) -> Reply {
    let at = |index: usize| fields.at(index).map_or((Reply::Null, Reply::Null), &pair);
    answer(draw, fields.len(), at, protocol)
}

fn answer(
    draw: Draw,
    length: usize,
    at: impl Fn(usize) -> (Reply, Reply),
    protocol: Protocol,
) -> Reply {
    let mut random = Random::new();
    let (count, with_values) = match draw {
        Draw::One if length == 0 => return Reply::Null,
        Draw::One => return at(random.below(length)).0,
        Draw::Some { count, with_values } => (count, with_values),
    };
    let indices = if length == 0 {
        Vec::new()
    } else if count < 0 {
        let repeated = (0..count.unsigned_abs()).map(|_| random.below(length));
        repeated.collect()
    } else {
        random.distinct(length, count as usize)
    };
    let pairs = indices.into_iter().map(at);
    if !with_values {
        return Reply::Array(pairs.map(|(name, _)| name).collect());
    }
    Reply::Array(match protocol {
        Protocol::Resp2 => pairs.flat_map(|(name, value)| [name, value]).collect(),
        Protocol::Resp3 => pairs
            .map(|(name, value)| Reply::Array(vec![name, value]))
            .collect(),
    })
}

/// Good enough to draw with, seeded anew each time.
struct Random {
    seed: RandomState,
    drawn: u64,
}

impl Random {
    fn new() -> Random {
        Random {
            seed: RandomState::new(),
            drawn: 0,
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.drawn += 1;
        (self.seed.hash_one(self.drawn) % limit as u64) as usize
    }

    /// Each at most once, in random order.
    fn distinct(&mut self, length: usize, count: usize) -> Vec<usize> {
        let mut indices: Vec<usize> = (0..length).collect();
        let count = count.min(length);
        for place in 0..count {
            let other = place + self.below(length - place);
            indices.swap(place, other);
        }
        indices.truncate(count);
        indices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positive_counts_draw_each_once_and_negative_ones_repeat() {
        let pairs: Vec<(Reply, Reply)> = (0..5)
            .map(|number| (Reply::Integer(number), Reply::Integer(-number)))
            .collect();
        let names = |count, with_values| {
            let draw = Draw::Some { count, with_values };
            let Reply::Array(names) = drawn(draw, &pairs, Protocol::Resp2) else {
                panic!("no list")
            };
            let number = |reply: Reply| match reply {
                Reply::Integer(number) => number,
                other => panic!("{other:?}"),
            };
            names.into_iter().map(number).collect::<Vec<i64>>()
        };
        let mut all = names(10, false);
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4]);
        assert_eq!(names(-20, false).len(), 20);
        assert_eq!(names(2, true).len(), 4);
        assert!(names(0, false).is_empty());
        assert!(matches!(
            drawn(Draw::One, &[], Protocol::Resp2),
            Reply::Null
        ));
    }
}
