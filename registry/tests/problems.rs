//! Every kind of mistake is found, at its line and path, with the nearest valid name.

use granary_registry::{Problem, Registry};

const SHIPPED: &str = include_str!("../../registry.yaml");

/// The problems of the shipped file after an edit.
fn problems(old: &str, new: &str) -> Vec<Problem> {
    assert!(SHIPPED.contains(old), "{old}");
    match Registry::parse(&SHIPPED.replacen(old, new, 1)) {
        Ok(_) => panic!("`{new}` is no problem"),
        Err(problems) => problems.0,
    }
}

/// The one problem of the shipped file after an edit, without its line.
fn problem(old: &str, new: &str) -> String {
    let problems = problems(old, new);
    assert_eq!(problems.len(), 1, "{new}: {problems:#?}");
    let shown = problems[0].to_string();
    let without_line = shown.split_once(": ").map(|(_, rest)| rest.to_owned());
    without_line.expect("a problem begins with its line")
}

#[track_caller]
fn assert_problem(old: &str, new: &str, path: &str, found: &str) {
    let shown = problem(old, new);
    let start = format!("{path}: found {found}; expected ");
    assert!(
        shown.starts_with(&start),
        "\n{shown}\nshould begin\n{start}"
    );
}

#[test]
fn a_problem_names_its_line_and_what_was_meant() {
    let text = "project: p\nentities:\n  user: {key: user_id, typ: text}\nsources: {}\nfeature_groups: {}\n";
    let problems = Registry::parse(text).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "3: entities.user.typ: found the unknown key `typ`; expected `key`, `type` or `prefix` (did you mean `type`?)",
    );
}

#[test]
fn all_problems_come_at_once_in_the_order_of_lines() {
    let text = SHIPPED
        .replace(
            "aggregation: sessions, windows",
            "aggregation: sesions, windows",
        )
        .replace("source: review_table", "source: reviews_table")
        .replace("input: rating, expect", "input: ratng, expect")
        .replace("freshness: 30d", "freshness: 30 days")
        .replace("label: churn_label", "label: churn_labl")
        .replace("nullif(session_count, 0)", "nullif(sesion_count, 0)");
    let problems = Registry::parse(&text).unwrap_err().0;
    let suggestions: Vec<_> = problems.iter().map(|p| p.suggestion.as_deref()).collect();
    assert_eq!(
        suggestions,
        [
            None,
            Some("sessions"),
            Some("session_count"),
            Some("review_table"),
            Some("churn_label"),
        ]
    );
    assert!(problems.is_sorted_by_key(|problem| problem.line));
}

#[test]
fn keys() {
    assert_problem(
        "owner: crm",
        "ownr: crm",
        "feature_groups.user_profile_features.ownr",
        "the unknown key `ownr`",
    );
    assert_problem(
        "owner: crm",
        "owner: crm\n    owner: me",
        "feature_groups.user_profile_features.owner",
        "`owner` a second time (first on line 74)",
    );
    assert_eq!(
        problem("project: churn\n", ""),
        "found no `project`; expected the key `project`"
    );
    assert_problem("project: churn", "project: .churn", "project", "`.churn`");
    assert_problem("project: churn", "project: [churn]", "project", "a list");
    assert_problem("clock: data", "clock: dta", "clock", "`dta`");
    assert_problem(
        "  churn:\n",
        "  churn risk:\n",
        "feature_services.churn risk",
        "the key `churn risk`",
    );
}

#[test]
fn sources() {
    assert_problem(
        "    event_time: timestamp",
        "    event_time: tmestamp",
        "sources.event_logs.event_time",
        "`tmestamp`",
    );
    assert_problem(
        "    event_time: timestamp",
        "    event_time: metadata",
        "sources.event_logs.event_time",
        "`metadata` of type text",
    );
    for (created, found) in [
        ("seen_at", "`seen_at`"),
        ("metadata", "`metadata` of type text"),
        ("timestamp", "`timestamp`"),
    ] {
        assert_problem(
            "    event_time: timestamp",
            &format!("    event_time: timestamp\n    created: {created}"),
            "sources.event_logs.created",
            found,
        );
    }
    assert_problem(
        "    path: raw/user_table",
        "    path: raw/user_table\n    created: user_id",
        "sources.user_table.created",
        "`created` without `event_time`",
    );
    assert_problem(
        "id: event_id #",
        "id: evnt_id #",
        "sources.event_logs.id",
        "`evnt_id`",
    );
    assert_problem(
        "allowed_lateness: 2d",
        "allowed_lateness: 2 days",
        "sources.event_logs.allowed_lateness",
        "`2 days`",
    );
    assert_problem(
        "      user_id: text\n      age",
        "      age",
        "sources.user_table.columns",
        "no `user_id`",
    );
    assert_problem(
        "      user_id: text\n      age",
        "      user_id: int\n      age",
        "sources.user_table.columns",
        "`user_id: int`",
    );
    assert_problem(
        "path: raw/event_logs",
        "path: []\n    entty: user",
        "sources.event_logs.entty",
        "the unknown key `entty`",
    );
    assert_problem(
        "vader(review_text)",
        "vader(rating)",
        "sources.review_table.derived.sentiment",
        "`vader(rating)` at character 1 with float",
    );
    assert_problem(
        "      embedding: embed",
        "      rating: embed(summary)\n      embedding: embed",
        "sources.review_table.derived.rating",
        "`rating`, which is a column of the file",
    );
}

#[test]
fn names_of_other_sections() {
    let shown = problem("    source: event_logs", "    source: event_log");
    assert!(shown.ends_with("(did you mean `event_logs`?)"), "{shown}");
    assert_problem(
        "    entity: user\n    source: event_logs",
        "    entity: usr\n    source: event_logs",
        "feature_groups.user_activity_features.entity",
        "`usr`",
    );
    assert_problem(
        "label: churn_label",
        "label: churn",
        "feature_services.churn.label",
        "`churn`",
    );
    assert_problem(
        "features: [user_profile_features,",
        "features: [user_profil_features,",
        "feature_services.churn.features[0]",
        "`user_profil_features`",
    );
    assert_problem(
        "features: [user_profile_features,",
        "features: [\"user_profile_features:agee\",",
        "feature_services.churn.features[0]",
        "`user_profile_features:agee`",
    );
    assert_problem(
        "features: [user_profile_features,",
        "features: [user_review_features,",
        "feature_services.churn.features[2]",
        "`user_review_features:avg_rating` a second time",
    );
}

#[test]
fn features() {
    let at = "feature_groups.user_profile_features.features[8]";
    let device = "{name: device, dtype: categorical}";
    assert_problem(
        device,
        "{name: divice, dtype: categorical}",
        &format!("{at}.name"),
        "no column `divice`",
    );
    assert_problem(
        device,
        "{name: device, dtype: int}",
        &format!("{at}.dtype"),
        "`int` for column `device`",
    );
    assert_problem(
        device,
        "{name: device, dtype: category}",
        &format!("{at}.dtype"),
        "`category`",
    );
    assert_problem(
        device,
        "{name: age, dtype: int}",
        at,
        "feature `age` a second time (first on line 79)",
    );
    assert_problem(
        device,
        "{name: d, column: device, dtype: categorical, window: 7d}",
        &format!("{at}.window"),
        "`window` on a value",
    );
    assert_problem(
        device,
        "{name: device, dtype: categorical, imputation: median}",
        &format!("{at}.imputation"),
        "`median` on categorical",
    );
    assert_problem(
        device,
        "{name: device, dtype: categorical, imputation: {constant: 1}}",
        &format!("{at}.imputation.constant"),
        "the number 1",
    );
    assert_problem(
        device,
        "{name: device, dtype: categorical, imputation: mdian}",
        &format!("{at}.imputation"),
        "`mdian`",
    );
    assert_problem(
        device,
        "{name: device, dtype: categorical, expect: [{in: [a, 1]}]}",
        &format!("{at}.expect[0].in[1]"),
        "the number 1",
    );
    assert_problem(
        device,
        "{name: device, dtype: categorical, expect: [{unique: true, not_null: true}]}",
        &format!("{at}.expect[0]"),
        "`not_null` or `unique`",
    );
    assert_problem(
        device,
        "{name: device, dtype: categorical, expect: [{null_share: 2}]}",
        &format!("{at}.expect[0].null_share"),
        "the number 2",
    );
    assert_problem(
        device,
        "{name: device, dtype: categorical, aggregation: last, input: device}",
        at,
        "an aggregation over source `user_table` without `event_time`",
    );
}

#[test]
fn aggregations() {
    let at = "feature_groups.user_review_features.features[1]";
    let min = "{name: min_rating, dtype: float, aggregation: min, input: rating}";
    let edit = |new: &str| min.replace("aggregation: min, input: rating", new);
    for (new, path, found) in [
        ("aggregation: min", "", "`min` without `input`"),
        ("aggregation: mn, input: rating", ".aggregation", "`mn`"),
        (
            "aggregation: min, input: category",
            ".input",
            "`category` of type categorical",
        ),
        (
            "aggregation: min, input: total_votes",
            ".dtype",
            "`float` for `min` of int",
        ),
        ("aggregation: count", ".dtype", "`float` for `count`"),
        (
            "aggregation: session_length, input: rating",
            ".input",
            "`input` on `session_length`",
        ),
        (
            "aggregation: min, input: rating, where: rating",
            ".where",
            "`rating` of type float",
        ),
        (
            "aggregation: min, input: rating, where: \"ratin > 1\"",
            ".where",
            "`ratin` at character 1",
        ),
        (
            "aggregation: min, input: embed(summary)",
            ".input",
            "`embed(summary)`",
        ),
        (
            "aggregation: min, input: rating, window: 1d, hop: 2d",
            ".hop",
            "a hop of 2d in a window of 1d",
        ),
        (
            "aggregation: min, input: rating, hop: 2d",
            ".hop",
            "`hop` without a window",
        ),
        (
            "aggregation: min, input: rating, window: 0",
            ".window",
            "the number 0",
        ),
        (
            "aggregation: min, input: rating, window: 1d, windows: [2d]",
            ".window",
            "`window` beside `windows`",
        ),
        (
            "aggregation: min, input: rating, windows: []",
            ".windows",
            "an empty list",
        ),
        (
            "aggregation: min, input: rating, categories: [a]",
            ".categories",
            "`categories` on `min`",
        ),
        (
            "aggregation: min, column: rating, input: rating",
            ".column",
            "`column` on an aggregation",
        ),
    ] {
        assert_problem(min, &edit(new), &format!("{at}{path}"), found);
    }
    let vector = "{name: topic_vector, dtype: vector, aggregation: mean, input: embedding}";
    let at = "feature_groups.user_review_features.features[6]";
    assert_problem(
        vector,
        "{name: v, dtype: vector, aggregation: count_by, input: category}",
        at,
        "`count_by` without categories",
    );
    assert_problem(
        vector,
        "{name: v, dtype: vector, aggregation: count_by, input: category, categories: [a, a]}",
        &format!("{at}.categories[1]"),
        "`a` a second time",
    );
}

#[test]
fn arguments_of_aggregations() {
    let at = "feature_groups.user_review_features.features[1]";
    let min = "{name: min_rating, dtype: float, aggregation: min, input: rating}";
    for (new, path, found) in [
        (
            "aggregation: first_k, input: rating",
            "",
            "`first_k` without `k`",
        ),
        (
            "aggregation: approx_percentile, input: rating, percentile: 95",
            ".percentile",
            "the number 95",
        ),
        (
            "aggregation: approx_percentile, input: category, percentile: 0.5",
            ".input",
            "`category` of type categorical",
        ),
        (
            "aggregation: decayed_sum, half_life: 0d",
            ".half_life",
            "`0d`",
        ),
        (
            "aggregation: min, input: rating, k: 3",
            ".k",
            "`k` on `min`",
        ),
        (
            "aggregation: rate, input: rating",
            ".input",
            "`input` on `rate`",
        ),
        ("aggregation: trend, per: 1d", "", "`trend` without `input`"),
    ] {
        let new = min.replace("aggregation: min, input: rating", new);
        assert_problem(min, &new, &format!("{at}{path}"), found);
    }
    assert_problem(
        min,
        "{name: n, dtype: int, aggregation: count_distinct, input: rating, bound: 100000}",
        &format!("{at}.bound"),
        "the number 100000",
    );
    let vector = "{name: topic_vector, dtype: vector, aggregation: mean, input: embedding}";
    let at = "feature_groups.user_review_features.features[6]";
    assert_problem(
        vector,
        "{name: v, dtype: vector, aggregation: histogram, input: rating, edges: [3, 1]}",
        &format!("{at}.edges[0]"),
        "edges out of order",
    );
}

#[test]
fn derived_features() {
    let ratio = "{name: events_per_session, dtype: float, expression: \"total_events / nullif(session_count, 0)\"}";
    let at = "feature_groups.user_activity_features.features[13].expression";
    let edit = |new: &str| ratio.replace("total_events / nullif(session_count, 0)", new);
    for (new, found) in [
        (
            "1.0 * events_per_session",
            "the circle events_per_session -> events_per_session",
        ),
        (
            "1.0 * recent_activity_share",
            "`recent_activity_share`, which stands further down",
        ),
        ("1.0 * total_event", "`total_event` at character 7"),
        (
            "total_events + ",
            "`total_events + ` (Expected: an expression, found: EOF)",
        ),
        (
            "total_events like 'a'",
            "`total_events LIKE 'a'` at character 1",
        ),
    ] {
        let problems = problems(ratio, &edit(new));
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert_eq!(
            (problems[0].path.as_str(), problems[0].found.as_str()),
            (at, found)
        );
    }
    let circle = problems(
        "nullif(add_to_cart_count, 0)",
        "nullif(payment_failure_rate, 0)",
    );
    assert_eq!(
        circle[0].found,
        "`payment_failure_rate`, which stands further down"
    );
    let text = SHIPPED
        .replace(
            "nullif(add_to_cart_count, 0)",
            "nullif(payment_failure_rate, 0)",
        )
        .replace(
            "nullif(payment_failures + purchase_count, 0)",
            "nullif(cart_to_purchase, 0)",
        );
    let circle = Registry::parse(&text).unwrap_err().0;
    assert_eq!(circle.len(), 1);
    assert_eq!(
        circle[0].found,
        "the circle cart_to_purchase -> payment_failure_rate -> cart_to_purchase"
    );
    assert_problem(
        ratio,
        &ratio.replace("float", "int"),
        "feature_groups.user_activity_features.features[13].dtype",
        "`int` for `total_events / nullif(session_count, 0)`",
    );
    assert_problem(
        ratio,
        &ratio.replace("dtype: float", "dtype: float, where: \"true\""),
        "feature_groups.user_activity_features.features[13].where",
        "`where` beside `expression`",
    );
}

#[test]
fn groups() {
    assert_problem(
        "    session_gap: 30m",
        "    max_age: 30d",
        "feature_groups.user_activity_features.max_age",
        "`max_age` on a group with the aggregation `total_events`",
    );
    assert_problem(
        "    session_gap: 30m",
        "    session_gap: 0",
        "feature_groups.user_activity_features.session_gap",
        "the number 0",
    );
    let name = problems("  churn_label:\n", "  user_profile_features:\n");
    assert_eq!(
        name[0].found,
        "the label `user_profile_features` beside a feature group of that name"
    );
}

#[test]
fn labels() {
    let column = "    column: churned\n";
    assert_problem(
        column,
        "    column: churnd\n",
        "labels.churn_label.column",
        "`churnd`",
    );
    assert_problem(
        column,
        "    column: satisfaction_score\n    name: churned\n",
        "labels.churn_label.column",
        "`satisfaction_score` of type float",
    );
    assert_problem(column, "", "labels.churn_label", "none");
    assert_problem(
        column,
        "    column: churned\n    inactivity: {horizon: 30d}\n",
        "labels.churn_label",
        "`column` or `inactivity`",
    );
    assert_problem(
        column,
        "    inactivity: {horizon: 30d}\n",
        "labels.churn_label.inactivity",
        "source `target_table` without `event_time`",
    );
    assert_problem(
        column,
        "    draw: {from: satisfaction_score, p: {3: 2}, seed: 1}\n",
        "labels.churn_label.draw.p.3",
        "the number 2",
    );
    assert_problem(
        column,
        "    draw: {from: user_id, p: {3: 1}, seed: 1}\n",
        "labels.churn_label.draw",
        "`user_id` of type text",
    );
    assert_problem(
        "instant: \"2026-01-01T00:00:00Z\"",
        "instant: {column: churned}",
        "labels.churn_label.instant",
        "`churned` of type int",
    );
    assert_problem(
        "instant: \"2026-01-01T00:00:00Z\"",
        "instant: tomorrow",
        "labels.churn_label.instant",
        "`tomorrow`",
    );
    assert_problem(
        "test: 0.15",
        "test: 0.2",
        "labels.churn_label.split",
        "shares that add up to 1.05",
    );
}

#[test]
fn the_answer_is_no_feature() {
    let device = "{name: device, dtype: categorical}";
    let at = "feature_groups.user_profile_features.features[8]";
    let text = SHIPPED.replace(
        "      device: categorical",
        "      device: categorical\n      satisfaction_score: float",
    );
    for (new, found) in [
        (
            "{name: satisfaction_score, dtype: float}",
            "`satisfaction_score`, a column of label `churn_label`",
        ),
        (
            "{name: mood, column: satisfaction_score, dtype: float}",
            "`mood` reading `satisfaction_score`, a column of label `churn_label`",
        ),
        (
            "{name: churned, column: device, dtype: categorical}",
            "`churned`, a column of label `churn_label`",
        ),
    ] {
        let problems = Registry::parse(&text.replace(device, new)).unwrap_err().0;
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert_eq!(
            (problems[0].path.as_str(), problems[0].found.as_str()),
            (at, found)
        );
    }
    let group = "  g:\n    entity: user\n    source: target_table\n    features: [{name: x, column: churned, dtype: int}]\n\nlabels:";
    let found = problems("labels:", group);
    assert!(
        found[0].found.contains("the source of label `churn_label`"),
        "{found:#?}"
    );
}

#[test]
fn a_label_of_inactivity_may_share_its_source_with_features() {
    let text = SHIPPED
        .replace("    source: target_table\n    column: churned\n", "    source: event_logs\n    inactivity: {where: \"event_type = 'purchase'\", horizon: 30d}\n");
    let registry = Registry::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(registry.label("churn_label").unwrap().column, "churn_label");
}

#[test]
fn what_is_no_registry_at_all() {
    for text in [
        "",
        "a",
        "[]",
        "a: b: c",
        "\t",
        "{",
        "%YAML",
        "---\n---\na: b",
        "*a",
        "? [a]\n: b",
    ] {
        assert!(Registry::parse(text).is_err(), "{text}");
    }
}
