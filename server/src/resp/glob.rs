//! Patterns of `KEYS`, `SCAN MATCH` and `CONFIG GET`, matched as Redis matches them: `*`, `?`,
//! `[a-z]`, `[^a]`, `\x`. Called by `execute`.

/// Whether the whole text fits the pattern. Time is bounded by pattern times text: only the
/// last star is ever tried again, so `*a*a*a*b` cannot explode.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern_at, mut text_at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while text_at < text.len() {
        if pattern.get(pattern_at) == Some(&b'*') {
            retry = Some((pattern_at + 1, text_at));
            pattern_at += 1;
        } else if let Some(length) = one(&pattern[pattern_at..], text[text_at]) {
            pattern_at += length;
            text_at += 1;
        } else if let Some((after_star, from)) = retry {
            retry = Some((after_star, from + 1));
            (pattern_at, text_at) = (after_star, from + 1);
        } else {
            return false;
        }
    }
    pattern[pattern_at..].iter().all(|byte| *byte == b'*')
}

/// The length of the pattern's first element, if it takes this byte.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', class @ ..] => {
            let (length, found) = in_class(class, byte);
            found.then_some(length + 1)
        }
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [literal, ..] => (*literal == byte).then_some(1),
    }
}

/// The length of a class after its `[`, its `]` included, and whether the byte is in it. As in
/// Redis, a class that is not closed ends with the pattern.
fn in_class(class: &[u8], byte: u8) -> (usize, bool) {
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    loop {
        match &class[at.min(class.len())..] {
            [] => return (class.len(), found != negated),
            [b']', ..] => return (at + 1, found != negated),
            [b'\\', escaped, ..] => {
                found |= *escaped == byte;
                at += 2;
            }
            [low, b'-', high, ..] => {
                found |= (*low.min(high)..=*low.max(high)).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                found |= *literal == byte;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_redis() {
        let yes = [
            "*",
            "user:*",
            "u?er:[0-9]",
            "user:[^a]",
            "user:[9-0]",
            "*:7",
            "user:\\7",
            "***r:*",
        ];
        for pattern in yes {
            assert!(matches(pattern.as_bytes(), b"user:7"), "{pattern}");
        }
        for pattern in [
            "",
            "user",
            "user:?7",
            "user:[^7]",
            "User:7",
            "\\*",
            "user:[",
            "*8",
        ] {
            assert!(!matches(pattern.as_bytes(), b"user:7"), "{pattern}");
        }
        assert!(matches(b"", b""));
        assert!(matches(b"a[b-", b"ab"));
        assert!(!matches(&b"a*".repeat(40), &b"a".repeat(39)));
    }

    /// The same rule by plain recursion.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
            (_, [byte, after @ ..]) => {
                one(pattern, *byte).is_some_and(|length| naive(&pattern[length..], after))
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn equals_plain_recursion(pattern in "[ab*?\\[\\]^\\\\-]{0,8}", text in "[ab\\]-]{0,8}") {
            let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(matches(pattern, text), naive(pattern, text));
        }
    }
}
