//! The aggregations that give a number, each in the words of its definition.

use granary_registry::{Function, Span, Value};
use simple_hll::HyperLogLog;
use twox_hash::XxHash3_64;

use super::{Question, Row, Wanted, order};

/// How near `approx_percentile` promises to be.
const SKETCH: f64 = 0.01;

/// `approx_count_distinct` is exact up to here.
const APPROXIMATE_BOUND: usize = 64;

impl Question {
    /// Rows come in order of time.
    pub(super) fn number(&self, inside: &[&Row], as_of: i64) -> Wanted {
        let numbers: Vec<f64> = inside
            .iter()
            .filter_map(|row| as_number(&row.input))
            .collect();
        let count = numbers.len() as f64;
        let sum = numbers.iter().sum::<f64>();
        let size = numbers.iter().map(|x| x.abs()).sum::<f64>();
        match &self.aggregation.function {
            Function::Count if self.aggregation.input.is_some() => {
                let present = inside.iter().filter(|row| !row.input.is_null());
                Wanted::exactly(Value::Int(present.count() as i64))
            }
            Function::Count => Wanted::exactly(Value::Int(inside.len() as i64)),
            Function::Sum => Wanted::near(Value::float(sum), size),
            Function::Mean => Wanted::near(Value::float(sum / count), size / count.max(1.0)),
            Function::Min => Wanted::exactly(best(&numbers, f64::min)),
            Function::Max => Wanted::exactly(best(&numbers, f64::max)),
            Function::Variance => Wanted::exactly(variance(&numbers).map_or(Value::Null, float)),
            Function::Stddev => {
                let variance = variance(&numbers);
                Wanted::exactly(variance.map_or(Value::Null, |x| float(x.sqrt())))
            }
            Function::CountDistinct { bound } => distinct(inside, *bound),
            Function::ApproxCountDistinct => distinct(inside, APPROXIMATE_BOUND),
            Function::ApproxPercentile { percentile } => self::percentile(numbers, *percentile),
            Function::Sessions | Function::SessionLength => self.sessions(inside),
            Function::DaysSinceLast => {
                let newest = inside.last();
                Wanted::exactly(newest.map_or(Value::Null, |row| {
                    Value::Int(as_of.saturating_sub(row.time).div_euclid(Span::DAY.0))
                }))
            }
            Function::DecayedSum { half_life } => self.decayed(inside, as_of, *half_life),
            Function::Rate { per } => self.rate(inside, as_of, *per),
            Function::Trend { per } => trend(inside, *per),
            _ => Wanted::exactly(Value::Null),
        }
    }

    fn sessions(&self, inside: &[&Row]) -> Wanted {
        let sessions = inside.chunk_by(|a, b| b.time.saturating_sub(a.time) <= self.session_gap.0);
        let lengths: Vec<i64> = sessions
            .map(|session| {
                session[session.len() - 1]
                    .time
                    .saturating_sub(session[0].time)
            })
            .collect();
        if self.aggregation.function == Function::Sessions {
            return Wanted::exactly(Value::Int(lengths.len() as i64));
        }
        let minutes = lengths.iter().sum::<i64>() as f64 / Span::MINUTE.0 as f64;
        Wanted::exactly(Value::float(minutes / lengths.len() as f64))
    }

    fn decayed(&self, inside: &[&Row], as_of: i64, half_life: Span) -> Wanted {
        let counts = self.aggregation.input.is_none();
        let weighed = inside.iter().filter_map(|row| {
            let number = if counts {
                Some(1.0)
            } else {
                as_number(&row.input)
            };
            let halvings = as_of.saturating_sub(row.time) as f64 / half_life.0 as f64;
            number.map(|number| number * 0.5f64.powf(halvings))
        });
        let weighed: Vec<f64> = weighed.collect();
        // Added to 0, or the sum of nothing would be -0.
        let sum = weighed.iter().fold(0.0, |sum, x| sum + x);
        Wanted::near(Value::float(sum), weighed.iter().map(|x| x.abs()).sum())
    }

    fn rate(&self, inside: &[&Row], as_of: i64, per: Span) -> Wanted {
        let since_first = inside.first().map(|row| as_of.saturating_sub(row.time));
        let span = self.aggregation.window.map(|window| window.length.0);
        Wanted::exactly(span.or(since_first).map_or(Value::Null, |span| {
            Value::float(inside.len() as f64 / (span as f64 / per.0 as f64))
        }))
    }
}

/// The number that an input stands for.
pub(super) fn as_number(input: &Value) -> Option<f64> {
    match input {
        Value::Timestamp(time) => Some(time.0 as f64),
        input => input.as_f64(),
    }
}

fn float(number: f64) -> Value {
    Value::float(number)
}

fn best(numbers: &[f64], better: fn(f64, f64) -> f64) -> Value {
    let best = numbers.iter().copied().reduce(better);
    best.map_or(Value::Null, Value::float)
}

/// Of the sample. Numbers are taken from the first one, so that equal ones give exactly 0.
fn variance(numbers: &[f64]) -> Option<f64> {
    let first = *numbers.first().filter(|_| numbers.len() > 1)?;
    let count = numbers.len() as f64;
    let mean = numbers.iter().map(|x| x - first).sum::<f64>() / count;
    let squares = numbers.iter().map(|x| (x - first - mean).powi(2));
    Some(squares.sum::<f64>() / (count - 1.0))
}

/// Beyond the bound what the library estimates for the set.
fn distinct(inside: &[&Row], bound: usize) -> Wanted {
    let mut inputs: Vec<&Value> = inside.iter().map(|row| &row.input).collect();
    inputs.retain(|input| !input.is_null());
    inputs.sort_by(|a, b| order(a, b));
    inputs.dedup();
    if inputs.len() <= bound {
        return Wanted::exactly(Value::Int(inputs.len() as i64));
    }
    let mut sketch = HyperLogLog::<12>::new();
    for input in inputs {
        sketch.add_hash(hash(input));
    }
    Wanted::exactly(Value::Int(sketch.count() as i64))
}

fn hash(input: &Value) -> u64 {
    match input {
        Value::Text(text) => XxHash3_64::oneshot(text.as_bytes()),
        Value::Float(x) => XxHash3_64::oneshot(&(x + 0.0).to_le_bytes()),
        Value::Bool(x) => XxHash3_64::oneshot(&i64::from(*x).to_le_bytes()),
        Value::Int(x) => XxHash3_64::oneshot(&x.to_le_bytes()),
        Value::Timestamp(time) => XxHash3_64::oneshot(&time.0.to_le_bytes()),
        Value::Null | Value::Vector(_) => 0,
    }
}

fn percentile(mut numbers: Vec<f64>, share: f64) -> Wanted {
    numbers.sort_by(f64::total_cmp);
    let rank = share * numbers.len().saturating_sub(1) as f64;
    let number = numbers.get(rank as usize);
    Wanted {
        value: number.map_or(Value::Null, |number| Value::float(*number)),
        // The sketch takes numbers below 1e-9 for 0.
        terms: 1e3,
        relative: SKETCH + super::RELATIVE,
    }
}

/// The slope of the least squares line, about the means of times and numbers.
fn trend(inside: &[&Row], per: Span) -> Wanted {
    let points: Vec<(i64, f64)> = inside
        .iter()
        .filter_map(|row| Some((row.time, as_number(&row.input)?)))
        .collect();
    let Some(&(origin, first)) = points.first() else {
        return Wanted::exactly(Value::Null);
    };
    let count = points.len() as f64;
    let moved = points
        .iter()
        .map(|(time, x)| (time.saturating_sub(origin) as f64, x - first));
    let moved: Vec<(f64, f64)> = moved.collect();
    let mean_time = moved.iter().map(|point| point.0).sum::<f64>() / count;
    let mean = moved.iter().map(|point| point.1).sum::<f64>() / count;
    let about = moved.iter().map(|(t, x)| (t - mean_time, x - mean));
    let about: Vec<(f64, f64)> = about.collect();
    let below = about.iter().map(|(t, _)| t * t).sum::<f64>();
    if points.iter().all(|(time, _)| *time == origin) {
        return Wanted::exactly(Value::Null);
    }
    let slope = |terms: f64| terms / below * per.0 as f64;
    Wanted::near(
        Value::float(slope(about.iter().map(|(t, x)| t * x).sum())),
        slope(about.iter().map(|(t, x)| (t * x).abs()).sum()),
    )
}
