//! What changes of the shipped file mean for what is stored.

use granary_registry::{Registry, diff};

const SHIPPED: &str = include_str!("../../registry.yaml");

fn parse(text: &str) -> Registry {
    Registry::parse(text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The changes from the shipped file to an edited one, as text.
fn changes(old: &str, new: &str) -> Vec<String> {
    assert!(SHIPPED.contains(old), "{old}");
    let edited = parse(&SHIPPED.replacen(old, new, 1));
    diff(&parse(SHIPPED), &edited)
        .iter()
        .map(ToString::to_string)
        .collect()
}

const BUILD: &str = "build and push are due; models are not affected";
const TRAIN: &str = "materialize and train are due";
const NOTHING: &str = "nothing stored is affected";
const DROPPED: &str = "no longer served; models that use it are refused";
const REBUILD: &str = "stored states are unreadable under it: build and push are due; models that use it are refused until trained again";

#[track_caller]
fn assert_changes(old: &str, new: &str, expected: &[(&str, &str)]) {
    let expected: Vec<String> = expected
        .iter()
        .map(|(what, then)| format!("{what}: {then}"))
        .collect();
    assert_eq!(changes(old, new), expected);
}

#[test]
fn no_change_is_no_change() {
    assert!(diff(&parse(SHIPPED), &parse(SHIPPED)).is_empty());
}

#[test]
fn words_for_people_change_nothing() {
    assert_changes(
        "description: Behaviour",
        "description: Clicks",
        &[(
            "group user_activity_features changed (description)",
            NOTHING,
        )],
    );
    assert_changes(
        "freshness: 30d",
        "freshness: 7d",
        &[("group user_profile_features changed (freshness)", NOTHING)],
    );
}

#[test]
fn when_rows_became_known_is_a_matter_of_training_sets() {
    assert_changes(
        "    id: event_id # copies of an event count once\n    allowed_lateness: 2d\n    columns:\n",
        "    id: event_id\n    created: seen_at\n    allowed_lateness: 2d\n    columns:\n      seen_at: timestamp\n",
        &[
            ("source event_logs changed (columns)", NOTHING),
            ("source event_logs changed (created)", TRAIN),
        ],
    );
}

#[test]
fn a_new_feature_leaves_models_alone() {
    assert_changes(
        "      - {name: min_rating",
        "      - {name: max_rating, dtype: float, aggregation: max, input: rating}\n      - {name: min_rating",
        &[
            ("feature user_review_features:max_rating added", BUILD),
            ("service churn changed (features)", TRAIN),
        ],
    );
}

#[test]
fn a_changed_definition_takes_its_derived_features_along() {
    assert_changes(
        "where: \"event_type = 'payment_failed'\"",
        "where: \"event_type = 'search'\"",
        &[
            (
                "feature user_activity_features:payment_failures changed (where)",
                REBUILD,
            ),
            (
                "feature user_activity_features:payment_failure_rate changed (what it is computed from)",
                REBUILD,
            ),
        ],
    );
}

#[test]
fn a_session_gap_changes_what_counts_sessions() {
    let changes = changes("session_gap: 30m", "session_gap: 20m");
    assert_eq!(changes.len(), 6, "{changes:#?}");
    assert!(
        changes
            .iter()
            .all(|change| change.contains("session") && change.contains("unreadable"))
    );
}

#[test]
fn a_removed_group_is_dropped() {
    let without =
        SHIPPED.find("  user_review_features:").unwrap()..SHIPPED.find("labels:").unwrap();
    let mut text = SHIPPED.replace(", user_review_features]", "]");
    text.replace_range(without, "");
    let changes: Vec<_> = diff(&parse(SHIPPED), &parse(&text))
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        changes,
        [
            format!("group user_review_features removed: {DROPPED}"),
            format!("service churn changed (features): {TRAIN}"),
        ]
    );
}

#[test]
fn labels_rules_and_clocks() {
    assert_changes(
        "instant: \"2026-01-01T00:00:00Z\"",
        "instant: \"2026-02-01\"",
        &[("label churn_label changed (instant)", TRAIN)],
    );
    assert_changes(
        "imputation: median\n",
        "imputation: mean\n",
        &[(
            "feature user_profile_features:age changed (imputation)",
            TRAIN,
        )],
    );
    assert_changes(
        "{range: {min: 0, max: 120}}",
        "{range: {min: 0, max: 130}}",
        &[(
            "feature user_profile_features:age changed (expect)",
            "checked from the next build on; nothing stored is affected",
        )],
    );
    assert_changes(
        "clock: data",
        "clock: wall",
        &[(
            "clock changed (clock)",
            "answers differ at once; nothing stored is affected",
        )],
    );
    assert_changes(
        "path: raw/event_logs",
        "path: raw/clicks",
        &[("source event_logs changed (path)", BUILD)],
    );
}

#[test]
fn the_order_of_features_is_the_order_of_states() {
    let (first, second) = (
        "      - {name: avg_helpful_ratio, dtype: float, aggregation: mean, input: helpful_ratio}\n",
        "      - {name: avg_text_length, dtype: float, aggregation: mean, input: text_length}\n",
    );
    assert_changes(
        &format!("{second}{first}"),
        &format!("{first}{second}"),
        &[
            (
                "group user_review_features changed (the order of features)",
                BUILD,
            ),
            ("service churn changed (features)", TRAIN),
        ],
    );
}
