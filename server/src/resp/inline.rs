//! A line typed by hand (`nc`, `telnet`) to arguments, with the quoting of `redis-cli`.
//! Called by `frame`.

/// Splits at blanks. `"…"` knows `\n \r \t \b \a \xHH` and takes any other escaped byte as it
/// is; `'…'` knows `\'` alone. None for a quote that is not closed or not followed by a blank.
pub(super) fn split(line: &[u8], out: &mut Vec<u8>, ends: &mut Vec<(usize, usize)>) -> Option<()> {
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let start = out.len();
        rest = argument(rest, out)?;
        ends.push((start, out.len()));
        rest = rest.trim_ascii_start();
    }
    Some(())
}

fn argument<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        rest = match rest {
            [] => return Some(rest),
            [b'"', inside @ ..] => return double_quoted(inside, out),
            [b'\'', inside @ ..] => return single_quoted(inside, out),
            [byte, ..] if byte.is_ascii_whitespace() => return Some(rest),
            [byte, after @ ..] => {
                out.push(*byte);
                after
            }
        };
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        rest = match rest {
            [] => return None,
            [b'"', after @ ..] => return closed(after),
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                out.push(hex(*high) * 16 + hex(*low));
                after
            }
            [b'\\', escaped, after @ ..] => {
                out.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                after
            }
            [byte, after @ ..] => {
                out.push(*byte);
                after
            }
        };
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        rest = match rest {
            [] => return None,
            [b'\\', b'\'', after @ ..] => {
                out.push(b'\'');
                after
            }
            [b'\'', after @ ..] => return closed(after),
            [byte, after @ ..] => {
                out.push(*byte);
                after
            }
        };
    }
}

/// What follows a closing quote: nothing or a blank.
fn closed(after: &[u8]) -> Option<&[u8]> {
    after
        .first()
        .is_none_or(u8::is_ascii_whitespace)
        .then_some(after)
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn arguments(line: &[u8]) -> Option<Vec<Vec<u8>>> {
        let (mut out, mut ends) = (Vec::new(), Vec::new());
        split(line, &mut out, &mut ends)?;
        Some(
            ends.iter()
                .map(|&(start, end)| out[start..end].to_vec())
                .collect(),
        )
    }

    #[test]
    fn quotes_and_escapes() {
        let read = arguments(br#"  set 'it\'s' "a\x41\n\q" "" x"#);
        let wanted: [&[u8]; 5] = [b"set", b"it's", b"aA\nq", b"", b"x"];
        assert_eq!(read, Some(wanted.map(<[u8]>::to_vec).to_vec()));
        assert_eq!(arguments(br#"set "a"b"#), None);
        assert_eq!(arguments(b"set 'a"), None);
        assert_eq!(arguments(br#"set "a\"#), None);
        assert_eq!(arguments(b" \t "), Some(vec![]));
    }

    proptest! {
        #[test]
        fn what_is_quoted_comes_back(words in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..12), 0..6)
        ) {
            let quote = |word: &Vec<u8>| {
                let escaped: Vec<String> = word.iter().map(|byte| format!("\\x{byte:02x}")).collect();
                format!("\"{}\"", escaped.concat())
            };
            let line: Vec<String> = words.iter().map(quote).collect();
            prop_assert_eq!(arguments(line.join(" ").as_bytes()), Some(words));
        }
    }
}
