//! Types, faults and limits of SQL expressions.

use super::*;
use proptest::prelude::*;

fn scope() -> Scope<'static> {
    let columns = vec![
        ("event_type", Some(DType::Categorical)),
        ("timestamp", Some(DType::Timestamp)),
        ("rating", Some(DType::Float)),
        ("votes", Some(DType::Int)),
        ("premium", Some(DType::Bool)),
        ("embedding", Some(DType::Vector)),
        ("broken", None),
    ];
    Scope {
        columns,
        what: "a column of source `s`".to_owned(),
        text_models: false,
    }
}

fn dtype(text: &str) -> Option<DType> {
    match read(text, &scope()) {
        Ok(parsed) => parsed.dtype,
        Err(faults) => panic!("{text}: {} / {}", faults[0].found, faults[0].expected),
    }
}

fn faults(text: &str) -> Vec<Fault> {
    read(text, &scope())
        .err()
        .unwrap_or_else(|| panic!("{text} is no fault"))
}

#[test]
fn types_follow_from_the_operands() {
    assert_eq!(dtype("votes + 1"), Some(DType::Int));
    assert_eq!(dtype("votes / 2"), Some(DType::Float));
    assert_eq!(dtype("-votes * rating"), Some(DType::Float));
    assert_eq!(dtype("coalesce(votes, 0.5)"), Some(DType::Float));
    assert_eq!(dtype("nullif(event_type, 'x')"), Some(DType::Categorical));
    assert_eq!(
        dtype("length(lower(event_type)) > 3 and not premium"),
        Some(DType::Bool)
    );
    assert_eq!(dtype("timestamp > '2026-01-01'"), Some(DType::Bool));
    assert_eq!(
        dtype("timestamp between date '2026-01-01' and timestamp '2026-02-01T00:00:00Z'"),
        Some(DType::Bool)
    );
    assert_eq!(
        dtype("case event_type when 'a' then 1 when 'b' then 2.5 end"),
        Some(DType::Float)
    );
    assert_eq!(dtype("premium is null"), Some(DType::Bool));
    assert_eq!(dtype("floor(rating) = ceil(rating)"), Some(DType::Bool));
    assert_eq!(dtype("broken + 1"), Some(DType::Int));
    assert_eq!(dtype("embedding"), Some(DType::Vector));
}

#[test]
fn what_has_no_type_is_refused() {
    for text in [
        "rating = 'a'",
        "not rating",
        "premium + 1",
        "-event_type",
        "embedding = embedding",
        "event_type in (1)",
        "votes in (rating)",
        "abs(event_type)",
        "lower(votes)",
        "coalesce(votes, 'a')",
        "case when votes then 1 end",
        "timestamp > 'yesterday'",
        "votes and premium",
        "nullif(votes)",
        "case when premium then 1 else 'a' end",
    ] {
        assert_eq!(faults(text).len(), 1, "{text}");
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    for text in [
        "",
        "votes +",
        "votes votes",
        "select 1",
        "(select 1)",
        "sum(votes) over ()",
        "a.b",
        "count(*)",
        "votes like 'x'",
        "cast(votes as float)",
        "vader(event_type)",
        "'open",
        "votes || 'a'",
        "(1, 2)",
        "99999999999999999999",
        "1e999",
        "x'00'",
        "$1",
        "abs(distinct votes)",
    ] {
        assert!(!faults(text).is_empty(), "{text}");
    }
}

#[test]
fn every_fault_comes_back_with_its_place_and_the_nearest_name() {
    let faults = faults("ratin > 1 and evnt_type = 'a' or vots = 2 or abss(vote) = 1");
    let summary: Vec<_> = faults
        .iter()
        .map(|fault| (fault.found.as_str(), fault.suggestion.as_deref()))
        .collect();
    assert_eq!(
        summary,
        [
            ("`ratin` at character 1", Some("rating")),
            ("`evnt_type` at character 15", Some("event_type")),
            ("`vots` at character 34", Some("votes")),
            ("function `abss` at character 46", Some("abs")),
            ("`vote` at character 51", Some("votes")),
        ]
    );
}

#[test]
fn no_expression_is_too_deep_or_too_large_for_the_stack() {
    for (open, close) in [
        ("(", ")"),
        ("not ", ""),
        ("- ", ""),
        ("abs(", ")"),
        ("case when premium then ", " end"),
        ("case ", " when 1 then 1 end"),
        ("[", "]"),
    ] {
        let times = 1_900 / (open.len() + close.len());
        let _ = read(
            &format!("{}votes{}", open.repeat(times), close.repeat(times)),
            &scope(),
        );
    }
    for chain in ["1+", "1 between ", "premium or ", "1=", "votes is null = "] {
        let _ = read(&(chain.repeat(1_990 / chain.len()) + "1"), &scope());
    }
    let nested = (0..20).fold("votes".to_owned(), |text, _| {
        format!("case {text} when 1 then 1 end")
    });
    let _ = read(&nested, &scope());
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(
        text in "([a-z]{1,6}|votes|rating|[-+*/%=<>(),' ]|and|or|not|case|when|then|end|in|between|is null|[0-9.]{1,4}| ){0,30}|\\PC{0,60}",
    ) {
        if let Err(faults) = read(&text, &scope()) {
            prop_assert!(!faults.is_empty());
        }
    }
}
