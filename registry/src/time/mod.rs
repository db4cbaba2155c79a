//! Instants and spans: UTC microseconds, read and written as ISO-8601. Called everywhere.

mod fixed; // digits in fixed places

use std::fmt;

use self::fixed::{Fixed, six_digits};

/// An instant in microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(pub i64);

/// A length of time in microseconds, never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub i64);

/// Why a text is no instant or no span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not ISO-8601.
    #[error("`{0}` is not an ISO-8601 instant such as 2026-01-31T12:00:00Z")]
    Instant(String),
    /// Not a number and a unit.
    #[error("`{0}` is not a span such as 30d, 12h, 5m, 10s or 250ms")]
    Span(String),
}

impl EventTime {
    /// Before every event.
    pub const MIN: EventTime = EventTime(i64::MIN);
    /// After every event.
    pub const MAX: EventTime = EventTime(i64::MAX);

    /// Reads ISO-8601: date alone, `T` or a space, with or without fraction and
    /// offset; a naive time is UTC. Digits behind the microsecond are cut off.
    pub fn parse(text: &str) -> Result<EventTime, TimeError> {
        EventTime::read(text.as_bytes()).ok_or_else(|| TimeError::Instant(shortened(text)))
    }

    /// The same of bytes, for those who tell of what is wrong in their own words.
    pub fn read(bytes: &[u8]) -> Option<EventTime> {
        read_fixed(bytes).or_else(|| read_general(bytes))
    }
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0.div_euclid(Span::DAY.0));
        // ISO 8601 wants a sign on years of more than four digits.
        if (0..=9999).contains(&year) {
            write!(f, "{year:04}")?;
        } else {
            write!(f, "{year:+05}")?;
        }
        let micros = self.0.rem_euclid(Span::DAY.0);
        let (seconds, fraction) = (micros / SECOND, micros % SECOND);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match fraction {
            0 => f.write_str("Z"),
            _ if fraction % 1000 == 0 => write!(f, ".{:03}Z", fraction / 1000),
            _ => write!(f, ".{fraction:06}Z"),
        }
    }
}

impl Span {
    /// One day.
    pub const DAY: Span = Span(86_400_000_000);
    /// One hour.
    pub const HOUR: Span = Span(3_600_000_000);
    /// One minute.
    pub const MINUTE: Span = Span(60_000_000);

    /// Units that `parse` reads, with their microseconds. `Display` writes the first that
    /// divides the span, so the ones it must not write (`w`, `min`) come after a shorter name
    /// or a divisor.
    pub(crate) const UNITS: [(&'static str, i64); 8] = [
        ("d", 86_400 * SECOND),
        ("h", 3_600 * SECOND),
        ("m", 60 * SECOND),
        ("s", SECOND),
        ("ms", 1_000),
        ("us", 1),
        ("w", 7 * 86_400 * SECOND),
        ("min", 60 * SECOND),
    ];

    /// Reads `2w`, `30d`, `12h`, `5m` or `5min`, `10s`, `250ms`, `1us`; `0` is the empty span.
    pub fn parse(text: &str) -> Result<Span, TimeError> {
        read_span(text).ok_or_else(|| TimeError::Span(shortened(text)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0");
        }
        for (unit, micros) in Self::UNITS {
            if self.0 % micros == 0 {
                return write!(f, "{}{unit}", self.0 / micros);
            }
        }
        Ok(())
    }
}

const SECOND: i64 = 1_000_000;

fn read_span(text: &str) -> Option<Span> {
    if text == "0" {
        return Some(Span(0));
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, micros) = Span::UNITS.into_iter().find(|(name, _)| *name == unit)?;
    number.parse::<i64>().ok()?.checked_mul(micros).map(Span)
}

/// Error texts quote outside data, which may be of any length.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

/// The layout of nearly every row: `YYYY-MM-DD?hh:mm:ss`, then fraction and offset.
fn read_fixed(bytes: &[u8]) -> Option<EventTime> {
    let (head, tail) = bytes.split_first_chunk::<19>()?;
    let fixed = Fixed::read(head)?;
    let days = days_of_date(fixed.year, fixed.month, fixed.day)?;
    let seconds = seconds_of_time(fixed.hour, fixed.minute, fixed.second)?;
    if let Some(fraction) = six_digits(tail) {
        // Four digits of a year are far from the last instant.
        return Some(EventTime((days * 86_400 + seconds) * SECOND + fraction));
    }
    let mut rest = Reader { rest: tail };
    let fraction = rest.fraction()?;
    rest.finish(days, seconds, fraction)
}

/// Every other form: signed years, a date alone, no seconds.
fn read_general(bytes: &[u8]) -> Option<EventTime> {
    let mut rest = Reader { rest: bytes };
    let year = rest.year()?;
    rest.expect(b'-')?;
    let month = rest.pair()?;
    rest.expect(b'-')?;
    let days = days_of_date(year, month, rest.pair()?)?;
    if rest.rest.is_empty() {
        return rest.finish(days, 0, 0);
    }
    rest.take(is_date_end)?;
    let hour = rest.pair()?;
    rest.expect(b':')?;
    let minute = rest.pair()?;
    let second = if rest.expect(b':').is_some() {
        rest.pair()?
    } else {
        0
    };
    let seconds = seconds_of_time(hour, minute, second)?;
    let fraction = rest.fraction()?;
    rest.finish(days, seconds, fraction)
}

fn is_date_end(byte: u8) -> bool {
    matches!(byte, b'T' | b't' | b' ')
}

fn seconds_of_time(hour: i64, minute: i64, second: i64) -> Option<i64> {
    (hour < 24 && minute < 60 && second < 60).then_some(hour * 3600 + minute * 60 + second)
}

/// What is left of a text while it is read from the front.
struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn take(&mut self, wanted: impl Fn(u8) -> bool) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        wanted(first).then(|| {
            self.rest = rest;
            first
        })
    }

    fn expect(&mut self, byte: u8) -> Option<u8> {
        self.take(|next| next == byte)
    }

    fn digit(&mut self) -> Option<i64> {
        self.take(|byte| byte.is_ascii_digit())
            .map(|byte| i64::from(byte - b'0'))
    }

    fn pair(&mut self) -> Option<i64> {
        Some(self.digit()? * 10 + self.digit()?)
    }

    /// Four digits, or a sign and four to six.
    fn year(&mut self) -> Option<i64> {
        let sign = self.take(|byte| matches!(byte, b'+' | b'-'));
        let mut year = self.pair()? * 100 + self.pair()?;
        if sign.is_some() {
            for _ in 0..2 {
                if let Some(digit) = self.digit() {
                    year = year * 10 + digit;
                }
            }
        }
        Some(if sign == Some(b'-') { -year } else { year })
    }

    /// Microseconds of `.123456789`; 0 without a fraction.
    fn fraction(&mut self) -> Option<i64> {
        if self.take(|byte| matches!(byte, b'.' | b',')).is_none() {
            return Some(0);
        }
        let mut micros = self.digit()? * SECOND / 10;
        let mut unit = SECOND / 100;
        for _ in 1..9 {
            let Some(digit) = self.digit() else { break };
            micros += digit * unit;
            unit /= 10;
        }
        Some(micros)
    }

    /// Seconds east of UTC: `Z`, `+hh:mm`, `+hhmm`, `+hh` or nothing.
    fn offset(&mut self) -> Option<i64> {
        let Some(mark) = self.take(|byte| matches!(byte, b'Z' | b'z' | b'+' | b'-')) else {
            return Some(0);
        };
        if mark.eq_ignore_ascii_case(&b'z') {
            return Some(0);
        }
        let hours = self.pair()?;
        let minutes = if self.expect(b':').is_some() {
            self.pair()?
        } else if self.rest.is_empty() {
            0
        } else {
            self.pair()?
        };
        let seconds = seconds_of_time(hours, minutes, 0)?;
        Some(if mark == b'-' { -seconds } else { seconds })
    }

    fn finish(mut self, days: i64, seconds: i64, fraction: i64) -> Option<EventTime> {
        let seconds = days * 86_400 + seconds - self.offset()?;
        if !self.rest.is_empty() {
            return None;
        }
        // The first instant that an i64 holds lies inside a second that it does not.
        let micros = i128::from(seconds) * i128::from(SECOND) + i128::from(fraction);
        i64::try_from(micros).ok().map(EventTime)
    }
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar, in years of six digits.
/// Years are counted from March, so that the leap day is the last of its year.
fn days_of_date(year: i64, month: i64, day: i64) -> Option<i64> {
    // In eras of 400 years, from so long ago that there is no year before.
    let year = (year + ERAS * 400) as u32;
    if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month as u32 + 9) % 12) + 2) / 5 + day as u32 - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some((i64::from(era) - ERAS) * 146_097 + i64::from(day_of_era) - 719_468)
}

/// Before year 0, in front of all that is written in six digits.
const ERAS: i64 = 2_500;

fn days_in_month(year: u32, month: i64) -> i64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The inverse of `days_of_date`.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let leaps = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leaps) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Instants with whole seconds, milliseconds and microseconds alike.
    fn instants() -> impl Strategy<Value = EventTime> {
        (
            any::<i64>(),
            prop::sample::select(vec![1, 1_000, SECOND, Span::DAY.0]),
        )
            .prop_map(|(micros, unit)| EventTime(micros / unit * unit))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(instant in instants()) {
            prop_assert_eq!(EventTime::parse(&instant.to_string()), Ok(instant));
        }

        #[test]
        fn the_fixed_layout_agrees_with_the_general_one(
            seconds in -62_000_000_000i64..253_000_000_000, fraction in "([.,][0-9]{1,9})?",
            separator in "[Tt ]", offset in "(Z|z|[+-][01][0-9](:?[0-5][0-9])?)?",
        ) {
            let written = EventTime(seconds * SECOND).to_string();
            let text = written[..19].replace('T', &separator) + &fraction + &offset;
            let fixed = read_fixed(text.as_bytes());
            prop_assert!(fixed.is_some());
            prop_assert_eq!(fixed, read_general(text.as_bytes()));
        }

        #[test]
        fn a_changed_byte_is_read_by_both_layouts_or_by_none(
            seconds in -62_000_000_000i64..253_000_000_000, fraction in "(\\.[0-9]{6})?",
            at: prop::sample::Index, byte in prop_oneof!["[0-9:.T -]", "."],
        ) {
            let mut text = EventTime(seconds * SECOND).to_string()[..19].to_owned().into_bytes();
            text.extend_from_slice(fraction.as_bytes());
            let at = at.index(text.len());
            text.splice(at..=at, byte.bytes());
            prop_assert_eq!(EventTime::read(&text), read_general(&text));
        }

        #[test]
        fn the_calendar_agrees_with_jiff(seconds in -377_000_000_000i64..253_000_000_000) {
            let ours = EventTime(seconds * SECOND).to_string();
            let theirs = jiff::Timestamp::from_second(seconds).unwrap();
            // jiff writes years before 0 with six digits.
            if !ours.starts_with('-') {
                prop_assert_eq!(ours, theirs.to_string());
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9TZ:., wdhmsu]{0,40}|.{0,60}") {
            let _ = (EventTime::parse(&text), Span::parse(&text));
        }

        #[test]
        fn spans_are_read_back(micros in 0i64.., unit in prop::sample::select(Span::UNITS.to_vec())) {
            let span = Span(micros / unit.1 * unit.1);
            prop_assert_eq!(Span::parse(&span.to_string()), Ok(span));
        }
    }

    #[test]
    fn the_ends_of_time_are_read_back() {
        for instant in [EventTime::MIN, EventTime::MAX, EventTime(0), EventTime(-1)] {
            assert_eq!(EventTime::parse(&instant.to_string()), Ok(instant));
        }
    }

    #[test]
    fn all_forms_of_one_instant() {
        let noon = EventTime(1_769_860_800 * SECOND);
        for text in [
            "2026-01-31T12:00:00Z",
            "2026-01-31 12:00:00",
            "2026-01-31t12:00",
            "2026-01-31T12:00:00.000000000",
            "2026-01-31T13:30:00+01:30",
            "2026-01-31T13:30:00,0+0130",
            "2026-01-31T02:00:00-10",
            "+002026-01-31T12:00:00z",
        ] {
            assert_eq!(EventTime::parse(text), Ok(noon), "{text}");
        }
        assert_eq!(
            EventTime::parse("2026-01-31"),
            Ok(EventTime(noon.0 - 12 * Span::HOUR.0))
        );
        let fraction = EventTime::parse("1969-12-31T23:59:59.9999999").unwrap();
        assert_eq!(fraction, EventTime(-1));
    }

    #[test]
    fn what_is_no_instant() {
        for text in [
            "",
            "2026",
            "2026-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-01-31T24:00:00",
            "2026-01-31T12:60:00",
            "2026-01-31T12:00:00.",
            "2026-01-31T12:00:00.1234567890",
            "2026-01-31T12:00:00Zjunk",
            "2026-01-31T12:00:00+1",
            "+999999-01-01",
            "26-01-31",
        ] {
            assert!(EventTime::parse(text).is_err(), "{text}");
        }
        assert!(EventTime::parse("2024-02-29").is_ok());
        assert!(EventTime::parse("1900-02-29").is_err());
    }

    #[test]
    fn units_of_spans() {
        assert_eq!(Span::parse("1w"), Span::parse("7d"));
        assert_eq!(Span::parse("5min"), Ok(Span(5 * Span::MINUTE.0)));
        assert_eq!(Span::parse("1w").unwrap().to_string(), "7d");
        assert_eq!(Span::parse("90s").unwrap().to_string(), "90s");
        for text in ["", "d", "-1d", "1.5h", "1 d", "30", "1D", "99999999999999d"] {
            assert!(Span::parse(text).is_err(), "{text}");
        }
    }
}
