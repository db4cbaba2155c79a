//! `approx_percentile`: a DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable
//! quantile sketch", 2019). Counts of inputs in bins whose bounds grow by 2 %, so that an
//! answer is within 1 % of an input of that rank, whatever the order of the inputs.

use std::sync::LazyLock;

use granary_registry::{EventTime, Value};
use sketches_ddsketch::Config;

use super::{Aggregate, Bytes, DecodeError, Events, Filter, Sink};

/// Relative accuracy.
const ALPHA: f64 = 0.01;
/// Bins of one sign; smaller inputs than they span go into the smallest bin.
const MOST_BINS: i32 = 2048;
/// Inputs nearer to 0 count as 0.
const LEAST: f64 = 1e-9;

static MAPPING: LazyLock<Config> = LazyLock::new(|| Config::new(ALPHA, MOST_BINS as u32, LEAST));

/// Counts numbers by bin.
#[derive(Clone, Debug)]
pub(crate) struct Percentile {
    /// Only these events.
    pub filter: Option<Filter>,
    /// The column of numbers.
    pub input: usize,
    /// The share of numbers that lie below the answer, 0 to 1.
    pub share: f64,
}

/// Some numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Quantiles {
    least: f64,
    most: f64,
    zeros: u64,
    negative: Bins,
    positive: Bins,
}

/// Counts by bin, in order of the bins.
#[derive(Clone, Debug, Default, PartialEq)]
struct Bins(Vec<(i32, u64)>);

impl Bins {
    fn add(&mut self, bin: i32, count: u64) {
        match self.0.binary_search_by_key(&bin, |held| held.0) {
            Ok(place) => self.0[place].1 += count,
            Err(place) => {
                self.0.insert(place, (bin, count));
                self.limit();
            }
        }
    }

    /// Depends on the largest bin alone, so the order of inputs does not matter.
    fn limit(&mut self) {
        let Some(&(largest, _)) = self.0.last() else {
            return;
        };
        let smallest = largest.saturating_sub(MOST_BINS - 1);
        let below = self.0.partition_point(|held| held.0 < smallest);
        if below > 0 {
            let count = self.0.drain(..below).map(|(_, count)| count).sum();
            self.add(smallest, count);
        }
    }

    fn merge(&mut self, from: &Bins) {
        for &(bin, count) in &from.0 {
            self.add(bin, count);
        }
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// The bin of the input with this many smaller ones before it.
    fn at(&self, mut rank: u64) -> Option<i32> {
        for &(bin, count) in &self.0 {
            if rank < count {
                return Some(bin);
            }
            rank -= count;
        }
        None
    }

    fn encode(&self, out: &mut Sink) {
        out.unsigned(self.0.len() as u64);
        let mut before = 0;
        for &(bin, count) in &self.0 {
            out.signed(i64::from(bin) - before);
            out.unsigned(count);
            before = i64::from(bin);
        }
    }

    fn decode(bytes: &mut Bytes<'_>) -> Result<Bins, DecodeError> {
        let length = bytes.length()?;
        let mut bins = Vec::with_capacity(length.min(MOST_BINS as usize));
        let mut before = 0i64;
        for _ in 0..length {
            before = before.saturating_add(bytes.signed()?);
            let bin = i32::try_from(before).map_err(|_| DecodeError::Invalid {
                what: "bin",
                found: before as u64,
            })?;
            bins.push((bin, bytes.unsigned()?));
        }
        if bins.is_sorted_by(|a: &(i32, u64), b| a.0 < b.0) {
            Ok(Bins(bins))
        } else {
            Err(DecodeError::Invalid {
                what: "order of bins",
                found: length as u64,
            })
        }
    }
}

impl Quantiles {
    fn of(number: f64) -> Quantiles {
        let mut one = Quantiles {
            least: number,
            most: number,
            zeros: 0,
            negative: Bins::default(),
            positive: Bins::default(),
        };
        one.add(number);
        one
    }

    fn add(&mut self, number: f64) {
        self.least = self.least.min(number);
        self.most = self.most.max(number);
        if number.abs() < LEAST {
            self.zeros += 1;
        } else if number < 0.0 {
            self.negative.add(MAPPING.key(-number), 1);
        } else {
            self.positive.add(MAPPING.key(number), 1);
        }
    }

    fn merge(&mut self, from: &Quantiles) {
        self.least = self.least.min(from.least);
        self.most = self.most.max(from.most);
        self.zeros += from.zeros;
        self.negative.merge(&from.negative);
        self.positive.merge(&from.positive);
    }

    /// The number of this rank, by its bin.
    fn at(&self, rank: u64) -> f64 {
        let negative = self.negative.count();
        if rank < negative {
            let bin = self.negative.at(negative - 1 - rank);
            return bin.map_or(0.0, |bin| -MAPPING.value(bin));
        }
        let Some(rank) = (rank - negative).checked_sub(self.zeros) else {
            return 0.0;
        };
        let bin = self.positive.at(rank);
        bin.map_or(0.0, |bin| MAPPING.value(bin))
    }
}

impl Aggregate for Percentile {
    /// Boxed, because every state of every fold takes the room of the largest.
    type State = Option<Box<Quantiles>>;

    fn update(&self, state: &mut Self::State, events: &Events<'_>) {
        let numbers = events.numbers(self.input);
        for row in events.selected(self.filter) {
            match state {
                _ if numbers[row].is_nan() => {}
                Some(held) => held.add(numbers[row]),
                None => *state = Some(Box::new(Quantiles::of(numbers[row]))),
            }
        }
    }

    fn merge(&self, into: &mut Self::State, from: &Self::State) {
        match (into, from) {
            (Some(into), Some(from)) => into.merge(from),
            (into @ None, from) => into.clone_from(from),
            (Some(_), None) => {}
        }
    }

    fn finalize(&self, state: &Self::State, _: EventTime) -> Value {
        let Some(held) = state else {
            return Value::Null;
        };
        if self.share >= 1.0 {
            return Value::float(held.most);
        }
        let count = held.negative.count() + held.zeros + held.positive.count();
        let rank = self.share * count.saturating_sub(1) as f64;
        Value::float(held.at(rank as u64).clamp(held.least, held.most))
    }

    fn encode(&self, state: &Self::State, _: i64, out: &mut Sink) {
        out.unsigned(u64::from(state.is_some()));
        if let Some(held) = state {
            out.float(held.least);
            out.float(held.most);
            out.unsigned(held.zeros);
            held.negative.encode(out);
            held.positive.encode(out);
        }
    }

    fn decode(&self, _: i64, bytes: &mut Bytes<'_>) -> Result<Self::State, DecodeError> {
        if bytes.unsigned()? == 0 {
            return Ok(None);
        }
        let (least, most) = (bytes.float()?, bytes.float()?);
        if least.is_nan() || most.is_nan() || least > most {
            return Err(DecodeError::Invalid {
                what: "span of numbers",
                found: least.to_bits(),
            });
        }
        Ok(Some(Box::new(Quantiles {
            least,
            most,
            zeros: bytes.unsigned()?,
            negative: Bins::decode(bytes)?,
            positive: Bins::decode(bytes)?,
        })))
    }

    fn filter(&self) -> Option<Filter> {
        self.filter
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sketches_ddsketch::DDSketch;

    use super::*;

    fn quantiles(numbers: impl IntoIterator<Item = f64>) -> Quantiles {
        let mut numbers = numbers.into_iter();
        let mut held = Quantiles::of(numbers.next().unwrap());
        numbers.for_each(|number| held.add(number));
        held
    }

    proptest! {
        /// The library keeps every bin between the least and the greatest; this keeps those
        /// that are taken. They answer alike.
        #[test]
        fn answers_are_those_of_a_full_sketch(numbers in prop::collection::vec(prop_oneof![-1e6..1e6, -1.0..1.0, Just(0.0)], 1..200), share in 0.0..=1.0) {
            let mut full = DDSketch::new(*MAPPING);
            for number in &numbers {
                full.add(*number);
            }
            let wanted = full.quantile(share).unwrap().unwrap();
            let wanted = wanted.clamp(full.min().unwrap(), full.max().unwrap());
            let fold = Percentile { filter: None, input: 0, share };
            let found = fold.finalize(&Some(Box::new(quantiles(numbers))), EventTime(0));
            prop_assert_eq!(found, Value::float(wanted));
        }

        /// However far apart the inputs are, and in whatever order they come.
        #[test]
        fn bins_are_bounded_and_know_no_order(exponents in prop::collection::vec(-300.0..300.0f64, 2..100), at in any::<prop::sample::Index>()) {
            let numbers: Vec<f64> = exponents.iter().map(|x| 10f64.powf(*x)).collect();
            let forth = quantiles(numbers.iter().copied());
            prop_assert_eq!(&forth, &quantiles(numbers.iter().rev().copied()));
            let (left, right) = numbers.split_at(1 + at.index(numbers.len() - 1));
            let mut merged = quantiles(right.iter().copied());
            merged.merge(&quantiles(left.iter().copied()));
            prop_assert_eq!(&forth, &merged);
            if let [(least, _), .., (most, _)] = forth.positive.0[..] {
                prop_assert!(most - least < MOST_BINS);
            }
        }
    }
}
