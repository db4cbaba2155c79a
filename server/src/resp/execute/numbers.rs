//! The arithmetic of `INCRBY`, `HINCRBYFLOAT` and their kin. Called by `string` and
//! `hash_write`.

use crate::resp::frame::integer;

/// Why there is no sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SumError {
    NotAnInteger,
    Overflow,
    /// What was there.
    NotAFloat,
    /// What was to be added.
    NotAFloatToAdd,
    NotFinite,
}

impl SumError {
    /// In Redis's words, for a string.
    pub(super) fn in_text(self) -> &'static str {
        match self {
            SumError::NotAnInteger => "ERR value is not an integer or out of range",
            SumError::Overflow => "ERR increment or decrement would overflow",
            SumError::NotAFloat | SumError::NotAFloatToAdd => "ERR value is not a valid float",
            SumError::NotFinite => "ERR increment would produce NaN or Infinity",
        }
    }

    /// In Redis's words, for a field of a hash.
    pub(super) fn in_hash(self) -> &'static str {
        match self {
            SumError::NotAnInteger => "ERR hash value is not an integer",
            SumError::NotAFloat => "ERR hash value is not a float",
            other => other.in_text(),
        }
    }
}

/// Whether a text is a number that can be added; Redis finds that out before it looks at the
/// key.
pub(super) fn is_float(text: &[u8]) -> bool {
    float(text).is_some()
}

/// What was there, or 0, and a number more.
pub(super) fn add(text: Option<&[u8]>, by: i64) -> Result<i64, SumError> {
    let before = match text {
        Some(text) => integer(text).ok_or(SumError::NotAnInteger)?,
        None => 0,
    };
    before.checked_add(by).ok_or(SumError::Overflow)
}

/// The same with fractions; as text, since 0.1 and 0.2 shall give 0.3.
pub(super) fn add_float(text: Option<&[u8]>, by: &[u8]) -> Result<String, SumError> {
    let text = text.unwrap_or(b"0");
    // In the order in which Redis looks at them.
    let more = float(by).ok_or(SumError::NotAFloatToAdd)?;
    let before = float(text).ok_or(SumError::NotAFloat)?;
    if let (Some(before), Some(more)) = (decimal(text), decimal(by))
        && let Some(sum) = before.checked_add(more)
    {
        return Ok(shown(sum));
    }
    let sum = before + more;
    if !sum.is_finite() {
        return Err(SumError::NotFinite);
    }
    Ok(sum.to_string())
}

/// Decimal places that are kept exactly: those of Redis's own texts.
const PLACES: usize = 17;
const SCALE: i128 = 10_i128.pow(PLACES as u32);

fn float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let is_plain = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    let may_be_infinite = text.eq_ignore_ascii_case("inf") || text.eq_ignore_ascii_case("-inf");
    if !may_be_infinite && !text.bytes().all(is_plain) {
        return None;
    }
    text.parse().ok()
}

/// A number in units of the last place, if it has no exponent and fits.
fn decimal(text: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let fits = whole.len() <= 20 && fraction.len() <= PLACES;
    if !fits || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let whole: i128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let padded = format!("{fraction:0<PLACES$}");
    let magnitude = whole * SCALE + padded.parse::<i128>().ok()?;
    Some(if text.starts_with('-') {
        -magnitude
    } else {
        magnitude
    })
}

fn shown(sum: i128) -> String {
    let sign = if sum < 0 { "-" } else { "" };
    let (whole, fraction) = (sum.abs() / SCALE, sum.abs() % SCALE);
    if fraction == 0 {
        return format!("{sign}{whole}");
    }
    let fraction = format!("{fraction:0PLACES$}");
    format!("{sign}{whole}.{}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_redis() {
        assert_eq!(add(None, 5), Ok(5));
        assert_eq!(add(Some(b"-7"), 5), Ok(-2));
        assert_eq!(add(Some(b" 1"), 5), Err(SumError::NotAnInteger));
        assert_eq!(
            add(Some(b"9223372036854775807"), 1),
            Err(SumError::Overflow)
        );
        let sum = |text: &[u8], by: &[u8]| add_float(Some(text), by);
        assert_eq!(sum(b"10.50", b"0.1"), Ok("10.6".to_owned()));
        assert_eq!(sum(b"0.1", b"0.2"), Ok("0.3".to_owned()));
        assert_eq!(sum(b"5.0e3", b"2.0e2"), Ok("5200".to_owned()));
        assert_eq!(sum(b"3", b"-3.25"), Ok("-0.25".to_owned()));
        assert_eq!(add_float(None, b"1.5"), Ok("1.5".to_owned()));
        assert_eq!(sum(b"abc", b"1"), Err(SumError::NotAFloat));
        assert_eq!(sum(b"1", b" 1"), Err(SumError::NotAFloatToAdd));
        assert_eq!(sum(b"1", b"inf"), Err(SumError::NotFinite));
        assert_eq!(sum(b"1", b"nan"), Err(SumError::NotAFloatToAdd));
        assert_eq!(sum(b"1e300", b"1e300").map(|text| text.len()), Ok(301));
    }
}
