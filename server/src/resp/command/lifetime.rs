//! How long a key or a field is to live: `EX`, `PX`, `EXAT`, `PXAT` and their kin. Called by
//! `string`, `hash_write` and `expiry`.

use super::{Refusal, number};

/// When something is to expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// So many milliseconds from now.
    In(i64),
    /// At this instant, in milliseconds since 1970.
    At(i64),
}

/// A lifetime as a client asks for it. Whether its number makes sense is found out when it is
/// needed, since Redis does that after it has read all options, or looked at the key.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub(super) unit: Unit,
    pub(super) number: &'a [u8],
    pub(super) command: &'static str,
}

impl Asked<'_> {
    /// The lifetime, which must lie ahead.
    pub fn ahead(&self) -> Result<Lifetime, Refusal> {
        self.unit.ahead(self.number, self.command)
    }
}

/// How a number of a lifetime is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Millis,
    AtSecond,
    AtMilli,
}

/// Longest lifetime: what is left of time, with now so far as clocks will ever show.
const LONGEST: i64 = i64::MAX - (1 << 46);

impl Lifetime {
    /// The instant, in milliseconds since 1970. The last of all means never, and is not it.
    pub fn instant(self, now: i64) -> i64 {
        let instant = match self {
            Lifetime::In(millis) => now.saturating_add(millis),
            Lifetime::At(instant) => instant,
        };
        instant.min(crate::service::keys::NEVER - 1)
    }
}

impl Unit {
    /// The unit of an option of `SET` and its kin.
    pub(super) fn of_option(word: &[u8]) -> Option<Unit> {
        let units: [(&[u8], Unit); 4] = [
            (b"ex", Unit::Seconds),
            (b"px", Unit::Millis),
            (b"exat", Unit::AtSecond),
            (b"pxat", Unit::AtMilli),
        ];
        let fits = |(name, _): &&(&[u8], Unit)| word.eq_ignore_ascii_case(name);
        units.iter().find(fits).map(|(_, unit)| *unit)
    }

    /// A lifetime that must lie ahead, as with `SET`.
    fn ahead(self, argument: &[u8], command: &str) -> Result<Lifetime, Refusal> {
        let invalid = || Refusal::ExpireTime(command.to_owned());
        let count = number(argument)?;
        if count <= 0 {
            return Err(invalid());
        }
        self.of(count).ok_or_else(invalid)
    }

    /// Any lifetime; one that lies behind removes at once, as with `EXPIRE`.
    pub(super) fn any(self, argument: &[u8], command: &str) -> Result<Lifetime, Refusal> {
        let invalid = || Refusal::ExpireTime(command.to_owned());
        self.of(number(argument)?).ok_or_else(invalid)
    }

    fn of(self, count: i64) -> Option<Lifetime> {
        let millis = match self {
            Unit::Seconds | Unit::AtSecond => count.checked_mul(1_000)?,
            Unit::Millis | Unit::AtMilli => count,
        };
        match self {
            Unit::Seconds | Unit::Millis if millis > LONGEST => None,
            Unit::Seconds | Unit::Millis => Some(Lifetime::In(millis)),
            Unit::AtSecond | Unit::AtMilli => Some(Lifetime::At(millis)),
        }
    }
}
