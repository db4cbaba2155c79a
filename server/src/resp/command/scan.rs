//! The cursor and the options of `SCAN` and `HSCAN`. Called by `keys` and `hash`.

use super::{Arguments, Refusal, number};

/// `[MATCH pattern] [COUNT count] [TYPE type] [NOVALUES]`
#[derive(Clone, Copy, Debug)]
pub struct ScanOptions<'a> {
    /// Only names that fit.
    pub pattern: Option<&'a [u8]>,
    /// How many to look at.
    pub count: usize,
    /// Only keys of this type.
    pub kind: Option<&'a [u8]>,
    /// Without the values.
    pub no_values: bool,
}

/// Which options a command takes beside `MATCH` and `COUNT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Keys,
    Hash,
}

/// Of one `SCAN`: as many as a client may ask for, without starving others on its thread.
const MAX_COUNT: i64 = 100_000;

impl<'a> ScanOptions<'a> {
    /// Reads the options from a position on.
    pub(super) fn parse(
        arguments: Arguments<'a>,
        from: usize,
        dialect: Dialect,
    ) -> Result<Self, Refusal> {
        let mut options = ScanOptions {
            pattern: None,
            count: 10,
            kind: None,
            no_values: false,
        };
        let mut words = arguments.from(from);
        while let Some(word) = words.next() {
            if word.eq_ignore_ascii_case(b"novalues") && dialect == Dialect::Hash {
                options.no_values = true;
                continue;
            }
            let value = words.next().ok_or(Refusal::Syntax)?;
            if word.eq_ignore_ascii_case(b"match") {
                options.pattern = Some(value);
            } else if word.eq_ignore_ascii_case(b"count") {
                options.count = count(value)?;
            } else if word.eq_ignore_ascii_case(b"type") && dialect == Dialect::Keys {
                options.kind = Some(value);
            } else {
                return Err(Refusal::Syntax);
            }
        }
        Ok(options)
    }
}

fn count(value: &[u8]) -> Result<usize, Refusal> {
    let count = number(value)?;
    if count < 1 {
        return Err(Refusal::Syntax);
    }
    Ok(count.min(MAX_COUNT) as usize)
}

/// Any unsigned number of 64 bits.
pub(super) fn cursor(argument: &[u8]) -> Result<u64, Refusal> {
    let digits = std::str::from_utf8(argument).map_err(|_| Refusal::Cursor)?;
    if digits.starts_with('+') {
        return Err(Refusal::Cursor);
    }
    digits.parse().map_err(|_| Refusal::Cursor)
}
