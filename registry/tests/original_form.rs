//! The original system's registry loads through the same door into the same types.

use granary_registry::{
    Clock, DType, FeatureKind, Instant, LabelTarget, Problems, Registry, Span, ValueColumns,
};

const ORIGINAL: &str = include_str!("original_feature_registry.yaml");

fn original() -> Registry {
    Registry::parse(ORIGINAL).unwrap_or_else(|problems| panic!("{problems}"))
}

fn problems(text: &str) -> Problems {
    Registry::parse(text).expect_err("the file has a problem")
}

#[test]
fn entities_sources_and_groups_follow_from_the_keys() {
    let registry = original();
    assert_eq!(registry.clock, Clock::Wall);
    assert_eq!(registry.entities.len(), 1);
    let user = registry.entity("user").unwrap();
    assert_eq!(
        (user.key.as_str(), user.prefix.as_str()),
        ("user_id", "user:")
    );
    let names: Vec<_> = registry
        .groups
        .iter()
        .map(|group| group.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "user_profile_features",
            "user_activity_features",
            "user_review_features"
        ]
    );
    let profile = registry.group("user_profile_features").unwrap();
    assert_eq!(profile.freshness, Some(Span(30 * Span::DAY.0)));
    let source = registry.source("user_profile_features").unwrap();
    assert_eq!(
        source.paths,
        ["raw/user_profile_features", "raw/user_table"]
    );
    assert_eq!(source.event_time, None);
    assert_eq!(source.columns.len(), 10);
    assert_eq!(
        (source.columns[0].name.as_str(), source.columns[0].dtype),
        ("user_id", DType::Text)
    );
}

#[test]
fn every_feature_is_a_value_under_all_its_names() {
    let registry = original();
    let columns = |group: &str, feature: &str| match &registry
        .group(group)
        .unwrap()
        .feature(feature)
        .unwrap()
        .kind
    {
        FeatureKind::Value { columns } => columns.clone(),
        other => panic!("{feature} is {other:?}"),
    };
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        columns("user_profile_features", "age"),
        ValueColumns::One(names(&["age"]))
    );
    assert_eq!(
        columns("user_review_features", "sentiment_score"),
        ValueColumns::One(names(&["sentiment_score", "avg_sentiment_score"])),
    );
    assert_eq!(
        columns("user_activity_features", "categorical_event_vector"),
        ValueColumns::Spread(names(&["categorical_event_vector", "event_vector"])),
    );
}

#[test]
fn the_group_churn_label_is_the_label() {
    for text in [
        ORIGINAL.to_owned(),
        ORIGINAL.replace("churn_label:", "churn_labels:"),
    ] {
        let registry = Registry::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
        let label = registry.label("churn_label").unwrap();
        assert_eq!(label.target, LabelTarget::Column("churned".to_owned()));
        assert_eq!(
            (&label.instant, label.column.as_str()),
            (&Instant::DataClock, "churned")
        );
        let mut paths = registry.source("churn_label").unwrap().paths.clone();
        paths.sort();
        assert_eq!(
            paths,
            ["raw/churn_label", "raw/churn_labels", "raw/target_table"]
        );
        let service = registry.service("churn").unwrap();
        assert_eq!(service.label.as_deref(), Some("churn_label"));
        assert_eq!(service.features.len(), 22);
        assert!(
            service
                .features
                .iter()
                .all(|(_, feature)| &**feature != "churned")
        );
    }
}

#[test]
fn its_mistakes_are_named() {
    for (old, new, found) in [
        ("name: age,", "nmae: age,", "the unknown key `nmae`"),
        (
            "keys: [\"user_id\"]\n    source: \"user_table\"",
            "keys: [a, b]",
            "2 keys",
        ),
        (
            "{name: churned, dtype: int}",
            "{name: churned, dtype: text}",
            "no `churned` of type int or bool",
        ),
        (
            "name: age,",
            "name: churned,",
            "`churned`, a column of label `churn_label`",
        ),
        (
            "name: age,",
            "name: total_events,",
            "feature `total_events` a second time (first on line 10)",
        ),
        (
            "name: age,",
            "name: user_id,",
            "`user_id`, the key of entity `user`",
        ),
        ("freshness: \"30d\"", "freshness: statik", "`statik`"),
    ] {
        assert!(ORIGINAL.contains(old), "{old}");
        let problems = problems(&ORIGINAL.replacen(old, new, 1));
        assert!(
            problems.0.iter().any(|problem| problem.found == found),
            "{new}: {problems}"
        );
    }
}

#[test]
fn services_of_its_own_take_the_place_of_the_default_one() {
    let with = |features: &str| {
        format!(
            "{ORIGINAL}\nfeature_services:\n  mine: {{label: churn_label, features: [{features}]}}\n"
        )
    };
    let registry = Registry::parse(&with(
        "user_profile_features, \"user_review_features:avg_rating\"",
    ));
    let registry = registry.unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(registry.services.len(), 1);
    assert_eq!(registry.service("mine").unwrap().features.len(), 10);
    assert_eq!(
        problems(&with("churn_label")).0[0].found,
        "the label `churn_label`"
    );
}
