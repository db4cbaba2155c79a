//! No text makes the parser panic, run long or eat memory.

use granary_registry::Registry;
use proptest::prelude::*;

const SHIPPED: &str = include_str!("../../registry.yaml");
const ORIGINAL: &str = include_str!("original_feature_registry.yaml");

/// Pieces that mean something to YAML or to the registry.
const PIECES: [&str; 40] = [
    ":",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"",
    "'",
    "#",
    "&a ",
    "*a",
    "!!int ",
    "|\n",
    ">\n",
    "? ",
    "---\n",
    "...\n",
    "%",
    "null",
    "true",
    "-1",
    "0",
    "1e999",
    ".nan",
    ".inf",
    "99999999999999999999",
    "7d",
    "windows",
    "expression",
    "keys",
    "name",
    "\t",
    "\u{feff}",
    "\0",
    "ä",
    "\r",
];

/// A piece put in place of some characters of a text.
fn mutate(text: &str, edits: &[(prop::sample::Index, usize, usize)]) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for (at, removed, piece) in edits {
        let start = at.index(text.len().max(1)).min(text.len());
        let end = (start + removed).min(text.len());
        text.splice(start..end, PIECES[*piece].chars());
    }
    text.into_iter().collect()
}

proptest! {
    #[test]
    fn mutated_files_are_read_or_refused(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..40, 0..PIECES.len()), 1..8),
        original in any::<bool>(),
    ) {
        let text = mutate(if original { ORIGINAL } else { SHIPPED }, &edits);
        if let Err(problems) = Registry::parse(&text) {
            prop_assert!(!problems.0.is_empty());
            prop_assert!(problems.0.iter().all(|problem| problem.line >= 1));
            prop_assert!(!problems.to_string().is_empty());
        }
    }

    #[test]
    fn any_text_is_refused(
        pieces in prop::collection::vec((0..PIECES.len(), "\\PC{0,5}"), 0..60),
    ) {
        let text: String =
            pieces.iter().flat_map(|(piece, text)| [PIECES[*piece], text.as_str()]).collect();
        prop_assert!(Registry::parse(&text).is_err());
    }
}

#[test]
fn nesting_is_limited() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", "")] {
        let text = open.repeat(50_000) + &close.repeat(50_000);
        assert!(Registry::parse(&text).is_err());
    }
    let mut indented = String::new();
    for depth in 0..2_000 {
        indented.extend([&" ".repeat(depth), "a:\n"]);
    }
    assert!(Registry::parse(&indented).is_err());
}

#[test]
fn aliases_do_not_multiply() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        text.extend([format!("a{level}: &a{level} [{before}]\n")]);
    }
    let problems = Registry::parse(&text).unwrap_err().to_string();
    assert!(
        problems.contains("at most 200000 values in all"),
        "{problems}"
    );
}

#[test]
fn aliases_repeat_what_they_name() {
    let text = SHIPPED
        .replace(
            "where: \"event_type = 'purchase'\"}",
            "where: &bought \"event_type = 'purchase'\"}",
        )
        .replace(
            "where: \"event_type = 'purchase'\", windows",
            "where: *bought, windows",
        );
    assert_ne!(text, SHIPPED);
    assert_eq!(Registry::parse(&text), Registry::parse(SHIPPED));
}

#[test]
fn a_huge_file_is_refused() {
    let problems = Registry::parse(&" ".repeat(5 << 20))
        .unwrap_err()
        .to_string();
    assert!(problems.contains("at most 4194304 bytes"), "{problems}");
}
