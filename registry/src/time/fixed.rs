//! Digits in fixed places, eight bytes at a time: `YYYY-MM-DD?hh:mm:ss`, and `.123456`, which
//! is what other engines write. Called for every row of a text file.

use super::is_date_end;

/// What stands in `YYYY-MM-DD?hh:mm:ss`; none of it is checked but that it is digits.
pub(super) struct Fixed {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
}

/// Where digits and other bytes stand.
struct Layout {
    /// With zeros for the digits.
    zeros: u64,
    /// All bits of the bytes that are no digits.
    others: u64,
}

const MONTH: Layout = Layout::of(*b"0000-00-");
const TIME: Layout = Layout::of(*b"00:00:00");
const FRACTION: Layout = Layout::of(*b"0.000000");

impl Fixed {
    pub(super) fn read(text: &[u8; 19]) -> Option<Fixed> {
        let (month, rest) = text.split_first_chunk()?;
        let (day, time) = (&rest[..3], text.last_chunk()?);
        let [century, _, year, _, _, month, _, _] = MONTH.pairs(*month)?;
        let [hour, _, _, minute, _, _, second, _] = TIME.pairs(*time)?;
        let [tens, ones, end] = *day.first_chunk()?;
        let is_day = tens.is_ascii_digit() && ones.is_ascii_digit() && is_date_end(end);
        is_day.then(|| Fixed {
            year: i64::from(century) * 100 + i64::from(year),
            month: i64::from(month),
            day: i64::from(tens - b'0') * 10 + i64::from(ones - b'0'),
            hour: i64::from(hour),
            minute: i64::from(minute),
            second: i64::from(second),
        })
    }
}

/// Microseconds of `.123456` and nothing else.
pub(super) fn six_digits(text: &[u8]) -> Option<i64> {
    let digits: &[u8; 7] = text.try_into().ok()?;
    let mut eight = *b"0.000000";
    eight[1..].copy_from_slice(digits);
    let [_, _, first, _, second, _, third, _] = FRACTION.pairs(eight)?;
    Some((i64::from(first) * 100 + i64::from(second)) * 100 + i64::from(third))
}

impl Layout {
    const fn of(layout: [u8; 8]) -> Layout {
        let mut others = [0; 8];
        let mut at = 0;
        while at < 8 {
            if layout[at] != b'0' {
                others[at] = u8::MAX;
            }
            at += 1;
        }
        Layout {
            zeros: u64::from_le_bytes(layout),
            others: u64::from_le_bytes(others),
        }
    }

    /// For every place the number of the two digits that begin there; none if anything is
    /// not as it should be.
    #[inline]
    fn pairs(&self, text: [u8; 8]) -> Option<[u8; 8]> {
        const HIGHEST: u64 = 0x8080_8080_8080_8080;
        const PAST_NINE: u64 = 0x7676_7676_7676_7676;
        let digits = u64::from_le_bytes(text) ^ self.zeros;
        let wrong = (digits | digits.wrapping_add(PAST_NINE)) & HIGHEST | digits & self.others;
        (wrong == 0).then(|| (digits * 10 + (digits >> 8)).to_le_bytes())
    }
}
