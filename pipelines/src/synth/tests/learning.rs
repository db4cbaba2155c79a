//! There is a truth, it shows in the data, and nothing gives it away.

use std::collections::HashMap;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;

use super::super::DEFAULT_END;
use super::super::calendar::DAY;
use super::super::truth::CHURN_PROBABILITY;
use super::{SAMPLE, events_by_user, texts, whole};

#[test]
fn churn_follows_the_score_with_the_promised_probabilities() {
    let scores = whole(&SAMPLE.targets, "satisfaction_score");
    let churned = whole(&SAMPLE.targets, "churned");
    let total = churned.iter().sum::<i64>() as f64 / churned.len() as f64;
    assert!((0.20..0.30).contains(&total), "{total}");
    for (score, probability) in (1..).zip(CHURN_PROBABILITY) {
        let of_score = scores.iter().zip(churned).filter(|pair| *pair.0 == score);
        let (users, gone) = of_score.fold((0.0, 0.0), |(n, g), pair| (n + 1.0, g + *pair.1 as f64));
        let spread = (probability * (1.0 - probability) / users).sqrt();
        assert!(users > 10.0, "score {score}: {users} users");
        assert!(
            (gone / users - probability).abs() <= 4.0 * spread,
            "score {score}: {gone}/{users}"
        );
    }
    let truth = &SAMPLE.truth;
    assert_eq!(
        truth["oracle_roc_auc"].as_f64(),
        SAMPLE.summary.oracle_roc_auc
    );
    assert_eq!(truth["label_instant"], "2026-01-01T00:00:00.000000Z");
    assert_eq!(truth["seed"], 42);
    let oracle: Vec<f64> = scores.iter().map(|&score| -score as f64).collect();
    let exact = roc_auc(&oracle, churned);
    assert!((exact - SAMPLE.summary.oracle_roc_auc.unwrap()).abs() < 1e-9);
}

/// What a model may see of each user, in the order of the target table.
fn features() -> Vec<[f64; 8]> {
    let events = events_by_user();
    let mut ratings: HashMap<&str, Vec<f64>> = HashMap::new();
    let stars = SAMPLE
        .reviews
        .column_by_name("rating")
        .unwrap()
        .as_primitive::<Int64Type>();
    for (user, stars) in texts(&SAMPLE.reviews, "user_id").zip(stars) {
        let of_user = ratings.entry(user).or_default();
        of_user.extend(stars.map(|stars| stars as f64));
    }
    let nothing = Vec::new();
    let users = texts(&SAMPLE.targets, "user_id");
    users
        .map(|user| {
            let events = events.get(user).unwrap_or(&nothing);
            let within = |days: i64| {
                let since = DEFAULT_END.0 - days * DAY;
                events.iter().filter(|event| event.0 >= since).count() as f64
            };
            let of = |kind: &str| events.iter().filter(|event| event.1 == kind).count() as f64;
            let total = events.len() as f64;
            let friction = of("ticket_created") + of("payment_failed") + of("order_cancelled");
            let quiet_days = events
                .last()
                .map_or(400, |last| (DEFAULT_END.0 - last.0) / DAY);
            let stars = ratings.get(user).map_or(&[][..], Vec::as_slice);
            let rating = (stars.iter().sum::<f64>() + 3.5) / (stars.len() as f64 + 1.0);
            [
                (quiet_days as f64).ln_1p(),
                within(30).ln_1p(),
                within(90).ln_1p(),
                (friction + 2.0) / (total + 30.0),
                (of("purchase") + 1.5) / (total + 30.0),
                -rating,
                -rating * (stars.len() as f64).min(6.0),
                total.ln_1p(),
            ]
        })
        .collect()
}

#[test]
fn the_unhappy_fade_out() {
    let scores = whole(&SAMPLE.targets, "satisfaction_score");
    let features = features();
    let mean_of_last_month = |wanted: std::ops::RangeInclusive<i64>| {
        let counts = scores
            .iter()
            .zip(&features)
            .filter(|pair| wanted.contains(pair.0));
        let counts: Vec<f64> = counts.map(|pair| pair.1[1].exp_m1()).collect();
        counts.iter().sum::<f64>() / counts.len() as f64
    };
    let (unhappy, happy) = (mean_of_last_month(1..=3), mean_of_last_month(8..=10));
    assert!(unhappy < 0.4 * happy, "{unhappy} {happy}");
    assert!(unhappy > 0.0);
}

#[test]
fn there_is_something_to_learn_and_no_leak() {
    let oracle = SAMPLE.summary.oracle_roc_auc.unwrap();
    let churned = whole(&SAMPLE.targets, "churned");
    let mut features = features();
    for (feature, name) in [(0, "quiet days"), (3, "friction"), (5, "rating")] {
        let values: Vec<f64> = features.iter().map(|row| row[feature]).collect();
        let auc = roc_auc(&values, churned);
        assert!(0.6 < auc && auc < oracle - 0.02, "{name}: {auc}");
    }
    standardize(&mut features);
    let half = churned.len() / 2;
    let weights = fit_logistic(&features[..half], &churned[..half]);
    let scores: Vec<f64> = features[half..]
        .iter()
        .map(|row| score(&weights, row))
        .collect();
    let auc = roc_auc(&scores, &churned[half..]);
    assert!(oracle - 0.12 < auc && auc < oracle, "{auc} {oracle}");
}

/// The share of pairs of a churned and a staying user that the scores order rightly.
fn roc_auc(scores: &[f64], churned: &[i64]) -> f64 {
    let mut users: Vec<(f64, i64)> = scores
        .iter()
        .copied()
        .zip(churned.iter().copied())
        .collect();
    users.sort_by(|a, b| a.0.total_cmp(&b.0));
    let gone = churned.iter().sum::<i64>() as f64;
    let stayed = churned.len() as f64 - gone;
    let (mut below, mut right) = (0.0, 0.0);
    for ties in users.chunk_by(|a, b| a.0 == b.0) {
        let gone_here = ties.iter().map(|user| user.1).sum::<i64>() as f64;
        let stay_here = ties.len() as f64 - gone_here;
        right += gone_here * (below + stay_here / 2.0);
        below += stay_here;
    }
    right / (gone * stayed)
}

fn standardize(rows: &mut [[f64; 8]]) {
    for feature in 0..8 {
        let n = rows.len() as f64;
        let mean = rows.iter().map(|row| row[feature]).sum::<f64>() / n;
        let variance = rows
            .iter()
            .map(|row| (row[feature] - mean).powi(2))
            .sum::<f64>()
            / n;
        for row in rows.iter_mut() {
            row[feature] = (row[feature] - mean) / variance.sqrt();
        }
    }
}

/// Weights and intercept by plain gradient descent.
fn fit_logistic(rows: &[[f64; 8]], churned: &[i64]) -> [f64; 9] {
    let mut weights = [0.0; 9];
    for _ in 0..400 {
        let mut gradient = [0.0; 9];
        for (row, &churned) in rows.iter().zip(churned) {
            let error = 1.0 / (1.0 + (-score(&weights, row)).exp()) - churned as f64;
            for (sum, value) in gradient.iter_mut().zip(row.iter().chain([&1.0])) {
                *sum += error * value;
            }
        }
        for (weight, sum) in weights.iter_mut().zip(gradient) {
            *weight -= 0.5 * sum / rows.len() as f64;
        }
    }
    weights
}

fn score(weights: &[f64; 9], row: &[f64; 8]) -> f64 {
    weights
        .iter()
        .zip(row.iter().chain([&1.0]))
        .map(|(w, x)| w * x)
        .sum()
}
