//! Whether two values are equal: integers, texts and sketches exactly, floats as near as
//! their rounding. Called by `verify` and by the laws of the folds.

use granary_registry::Value;

use super::{RELATIVE, Wanted};

/// How near numbers must be to each other where they are near 0, or a small rest of terms of
/// this size.
const ABSOLUTE: f64 = 1e-12;

/// What came of a comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) equal: bool,
    /// How far two numbers, or the elements of two vectors, are apart; 0 where there are none.
    pub(crate) difference: f64,
}

/// Holds a value against what it must be.
pub(crate) fn compare(found: &Value, wanted: &Wanted) -> Verdict {
    let allowed = ABSOLUTE * (1.0 + wanted.terms);
    let estimate = wanted.relative > RELATIVE;
    match (found, &wanted.value) {
        (Value::Float(a), Value::Float(b)) => number(*a, *b, allowed, wanted.relative),
        // An estimate was rounded to a whole number.
        (Value::Int(a), Value::Int(b)) if estimate => {
            number(*a as f64, *b as f64, 1.0, wanted.relative)
        }
        (Value::Int(a), Value::Int(b)) => Verdict {
            equal: a == b,
            difference: a.abs_diff(*b) as f64,
        },
        (Value::Vector(a), Value::Vector(b)) if a.len() == b.len() => {
            // Both were added up as 64-bit floats, which agree as floats do. Rounded to 32
            // bits they may fall to either of two neighbours, which lie this far apart.
            let relative = f64::from(f32::EPSILON);
            let elements = a.iter().zip(b.iter());
            let verdicts = elements.map(|(a, b)| element(*a, *b, allowed, relative));
            let both = |a: Verdict, b: Verdict| Verdict {
                equal: a.equal && b.equal,
                difference: a.difference.max(b.difference),
            };
            verdicts.fold(Verdict::of(true), both)
        }
        (a, b) => Verdict::of(a == b),
    }
}

impl Verdict {
    fn of(equal: bool) -> Verdict {
        let difference = 0.0;
        Verdict { equal, difference }
    }
}

fn number(a: f64, b: f64, absolute: f64, relative: f64) -> Verdict {
    let difference = (a - b).abs();
    Verdict {
        equal: difference <= absolute + relative * a.abs().max(b.abs()),
        difference,
    }
}

/// A missing element is NaN.
fn element(a: f32, b: f32, absolute: f64, relative: f64) -> Verdict {
    if a.is_nan() || b.is_nan() || a == b {
        return Verdict::of(a == b || a.is_nan() && b.is_nan());
    }
    number(f64::from(a), f64::from(b), absolute, relative)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equal(found: &Value, wanted: Value) -> bool {
        compare(found, &Wanted::exactly(wanted)).equal
    }

    #[test]
    fn what_differs_by_more_than_rounding_is_not_equal() {
        let float = Value::Float;
        let vector = |elements: &[f32]| Value::Vector(elements.into());
        assert!(equal(&float(0.1 + 0.2), float(0.3)));
        assert!(!equal(&float(0.3), float(0.300_000_001)));
        assert!(equal(&float(0.0), float(1e-13)));
        assert!(!equal(&float(0.0), float(1e-11)));
        assert!(!equal(&Value::Int(1), Value::Int(2)));
        assert!(!equal(&Value::Null, Value::Int(0)));
        assert!(!equal(&Value::Text("a".into()), Value::Text("b".into())));
        let (one, next) = (1.0f32, 1.0 + f32::EPSILON);
        assert!(equal(&vector(&[one, f32::NAN]), vector(&[next, f32::NAN])));
        assert!(!equal(&vector(&[one]), vector(&[next + f32::EPSILON])));
        assert!(!equal(&vector(&[one]), vector(&[f32::NAN])));
        assert!(!equal(&vector(&[one]), vector(&[one, one])));
    }

    #[test]
    fn the_difference_is_told_whether_it_counts_or_not() {
        let verdict = compare(&Value::Int(5), &Wanted::exactly(Value::Int(-2)));
        assert_eq!((verdict.equal, verdict.difference), (false, 7.0));
        let terms = Wanted {
            value: Value::Float(0.0),
            terms: 1e6,
            relative: RELATIVE,
        };
        let verdict = compare(&Value::Float(1e-8), &terms);
        assert_eq!((verdict.equal, verdict.difference), (true, 1e-8));
    }
}
