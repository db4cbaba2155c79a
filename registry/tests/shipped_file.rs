//! The churn project's registry.yaml: it parses, holds what the rest of the workspace expects,
//! and its fingerprints stay what they are from release to release.

use granary_registry::{
    Clock, EventTime, FeatureKind, Function, Instant, LabelTarget, Registry, Span, Window,
};

const SHIPPED: &str = include_str!("../../registry.yaml");

fn shipped() -> Registry {
    Registry::parse(SHIPPED).unwrap_or_else(|problems| panic!("{problems}"))
}

fn feature_names(registry: &Registry, group: &str) -> Vec<String> {
    registry
        .group(group)
        .expect("the group is there")
        .features
        .iter()
        .map(|f| f.name.to_string())
        .collect()
}

#[test]
fn its_features_have_the_names_that_people_know() {
    let registry = shipped();
    assert_eq!(
        (registry.project.as_str(), registry.clock),
        ("churn", Clock::Data)
    );
    assert_eq!(
        feature_names(&registry, "user_profile_features"),
        [
            "age",
            "gender",
            "location",
            "income",
            "education",
            "loyalty_status",
            "account_age_days",
            "premium",
            "device",
        ]
    );
    assert_eq!(
        feature_names(&registry, "user_activity_features"),
        [
            "total_events",
            "purchase_count",
            "add_to_cart_count",
            "payment_failures",
            "session_count",
            "avg_session_length",
            "last_active_days",
            "event_vector",
            "purchases_7d",
            "purchases_30d",
            "purchases_90d",
            "sessions_7d",
            "sessions_30d",
            "sessions_90d",
            "tickets_7d",
            "tickets_30d",
            "tickets_90d",
            "events_7d",
            "events_30d",
            "events_90d",
            "cart_to_purchase",
            "events_per_session",
            "recent_activity_share",
            "payment_failure_rate",
        ]
    );
    assert_eq!(
        feature_names(&registry, "user_review_features"),
        [
            "avg_rating",
            "min_rating",
            "total_reviews",
            "avg_text_length",
            "avg_helpful_ratio",
            "avg_sentiment_score",
            "topic_vector",
            "last_review_days",
        ]
    );
    assert_eq!(registry.service("churn").unwrap().features.len(), 41);
}

#[test]
fn windows_get_the_hop_of_their_length() {
    let registry = shipped();
    let group = registry.group("user_activity_features").unwrap();
    let window = |name: &str| match &group.feature(name).unwrap().kind {
        FeatureKind::Aggregate(aggregation) => aggregation.window,
        _ => None,
    };
    let days = |days: i64| Span(days * Span::DAY.0);
    assert_eq!(
        window("purchases_7d"),
        Some(Window {
            length: days(7),
            hop: Span::HOUR
        })
    );
    assert_eq!(
        window("purchases_30d"),
        Some(Window {
            length: days(30),
            hop: Span::DAY
        })
    );
    assert_eq!(window("purchase_count"), None);
}

#[test]
fn its_categories_are_sorted_by_name() {
    let registry = shipped();
    let group = registry.group("user_activity_features").unwrap();
    let FeatureKind::Aggregate(aggregation) = &group.feature("event_vector").unwrap().kind else {
        panic!("event_vector is an aggregation");
    };
    let Function::CountBy { categories } = &aggregation.function else {
        panic!("event_vector counts by category");
    };
    assert_eq!(categories.len(), 17);
    assert!(categories.is_sorted());
}

#[test]
fn its_label_is_a_column_at_a_fixed_instant() {
    let registry = shipped();
    let label = registry.label("churn_label").unwrap();
    assert_eq!(label.target, LabelTarget::Column("churned".to_owned()));
    let instant = EventTime::parse("2026-01-01T00:00:00Z").unwrap();
    assert_eq!(
        (label.column.as_str(), &label.instant),
        ("churned", &Instant::Fixed(instant))
    );
}

#[test]
fn columns_read_reach_through_derived_columns() {
    let registry = shipped();
    let source = registry.source("review_table").unwrap();
    let read = registry
        .group("user_review_features")
        .unwrap()
        .columns_read(source);
    assert_eq!(
        read,
        [
            "rating",
            "text_length",
            "helpful_ratio",
            "sentiment",
            "review_text",
            "embedding",
        ]
    );
}

/// A changed fingerprint makes the stored states of every installation unreadable: these
/// numbers change with registry.yaml and for no other reason.
#[test]
fn fingerprints_are_the_same_in_every_release() {
    let registry = shipped();
    let of_groups: Vec<String> = registry
        .groups
        .iter()
        .map(|group| group.fingerprint.to_string())
        .collect();
    assert_eq!(
        of_groups,
        ["0a23ca82763989ea", "e0767c2d6a18ee42", "70b1b03297ee5bb7"]
    );
    assert_eq!(registry.fingerprint().to_string(), "ada3d62b520ac2d5");
}

#[test]
fn what_is_for_people_or_filled_later_is_not_in_a_groups_fingerprint() {
    let same = [
        (
            "description: Behaviour aggregated",
            "description: Clicks aggregated",
        ),
        ("owner: growth", "owner: crm"),
        ("tags: [behaviour]", "tags: [clicks]"),
        ("freshness: 1d", "freshness: 2d"),
        ("path: raw/event_logs", "path: raw/clicks"),
        ("expect: [{not_null: true}]", "imputation: mean"),
        ("metadata: text", "metadata: text\n      unused: int"),
    ];
    let before = shipped();
    for (old, new) in same {
        let after = Registry::parse(&edited(old, new)).unwrap_or_else(|p| panic!("{new}: {p}"));
        assert!(before != after, "{new}");
        assert_eq!(fingerprint(&before), fingerprint(&after), "{new}");
    }
}

#[test]
fn what_decides_states_is_in_a_groups_fingerprint() {
    let different = [
        ("session_gap: 30m", "session_gap: 31m"),
        ("allowed_lateness: 2d", "allowed_lateness: 3d"),
        ("id: event_id # copies", "# copies"),
        ("'ticket_created'\", windows", "'ticket_closed'\", windows"),
        (
            "windows: [7d, 30d, 90d]}\n      - {name: sessions",
            "windows: [7d, 30d, 90d], hop: 1h}\n      - {name: sessions",
        ),
        ("          - app_open\n", ""),
        ("event_type: categorical", "event_type: text"),
        ("user_id", "customer"),
        (
            "events_30d / nullif(events_90d, 0)",
            "events_7d / nullif(events_90d, 0)",
        ),
    ];
    let before = shipped();
    for (old, new) in different {
        let after = Registry::parse(&edited(old, new)).unwrap_or_else(|p| panic!("{new}: {p}"));
        assert_ne!(fingerprint(&before), fingerprint(&after), "{new}");
    }
}

fn edited(old: &str, new: &str) -> String {
    assert!(SHIPPED.contains(old), "{old}");
    SHIPPED.replace(old, new)
}

fn fingerprint(registry: &Registry) -> granary_registry::Fingerprint {
    registry
        .group("user_activity_features")
        .expect("the group is there")
        .fingerprint
}
