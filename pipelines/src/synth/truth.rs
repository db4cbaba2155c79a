//! The truth behind the demo data: satisfaction, the churn drawn from it, and the
//! best that any model can hope for. Called by `customer` and `generate`.

use serde::Serialize;

use super::plan::Plan;
use super::random::Random;

/// P(churn) for the scores 1 to 10.
pub(super) const CHURN_PROBABILITY: [f64; 10] = [1.0, 1.0, 1.0, 0.7, 0.5, 0.3, 0.0, 0.0, 0.0, 0.0];

/// Mean and spread of satisfaction, before it is cut to 1..=10.
const SATISFACTION_MEAN: f64 = 6.7;
const SATISFACTION_SPREAD: f64 = 2.0;

/// Who fades out: `FLOOR + RISE / (1 + exp((satisfaction - TURN) / WIDTH))`.
const FADE_FLOOR: f64 = 0.05;
const FADE_RISE: f64 = 0.88;
const FADE_TURN: f64 = 5.2;
const FADE_WIDTH: f64 = 0.8;

/// What a user really thinks, from 1 to 10.
#[derive(Clone, Copy, Debug)]
pub(super) struct Satisfaction(pub(super) f64);

impl Satisfaction {
    /// Draws one; older accounts are a little happier, for the unhappy have left.
    pub(super) fn draw(random: &mut Random, account_age_days: i64) -> Satisfaction {
        let tenure = match account_age_days {
            0..=60 => -0.15,
            61..=365 => 0.0,
            _ => 0.2,
        };
        let value = SATISFACTION_MEAN + tenure + SATISFACTION_SPREAD * random.normal();
        Satisfaction(value.clamp(1.0, 10.0))
    }

    /// The whole-numbered score of the target table.
    pub(super) fn score(self) -> u8 {
        self.0.round() as u8
    }

    /// Draws whether the user churns; it depends on nothing but the score.
    pub(super) fn churns(self, random: &mut Random) -> bool {
        random.chance(CHURN_PROBABILITY[usize::from(self.score()) - 1])
    }

    /// How likely the user stops coming before the label instant.
    pub(super) fn fade_probability(self) -> f64 {
        FADE_FLOOR + FADE_RISE / (1.0 + ((self.0 - FADE_TURN) / FADE_WIDTH).exp())
    }
}

/// Users by score, stayed and churned.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally([[u64; 2]; 10]);

impl Tally {
    pub(super) fn add(&mut self, score: u8, churned: bool) {
        self.0[usize::from(score) - 1][usize::from(churned)] += 1;
    }

    pub(super) fn merge(&mut self, other: &Tally) {
        for (mine, theirs) in self.0.iter_mut().flatten().zip(other.0.iter().flatten()) {
            *mine += theirs;
        }
    }

    /// Share of churned users, if there are users.
    pub(super) fn churn_share(&self) -> Option<f64> {
        let (stayed, churned) = self.totals();
        (stayed + churned > 0.0).then(|| churned / (stayed + churned))
    }

    /// Exact ROC-AUC of ranking users by falling score: the share of pairs of a
    /// churned and a staying user in the right order, ties counting half.
    pub(super) fn oracle_roc_auc(&self) -> Option<f64> {
        let (stayed, churned) = self.totals();
        let mut happier = stayed;
        let mut right = 0.0;
        for [stay, churn] in self.0 {
            happier -= stay as f64;
            right += churn as f64 * (happier + stay as f64 / 2.0);
        }
        (stayed > 0.0 && churned > 0.0).then(|| right / (stayed * churned))
    }

    fn totals(&self) -> (f64, f64) {
        self.0.iter().fold((0.0, 0.0), |(stayed, churned), [s, c]| {
            (stayed + *s as f64, churned + *c as f64)
        })
    }
}

/// The contents of `truth.json`.
#[derive(Serialize)]
pub(super) struct Truth {
    seed: u64,
    users: u64,
    label_instant: String,
    label_instant_us: i64,
    oracle_roc_auc: Option<f64>,
    churn_share: Option<f64>,
    parameters: Parameters,
    users_by_score: Vec<Scored>,
    rows: Vec<Rows>,
}

#[derive(Serialize)]
struct Parameters {
    satisfaction_mean: f64,
    satisfaction_spread: f64,
    fade_probability: Fading,
}

#[derive(Serialize)]
struct Fading {
    formula: &'static str,
    floor: f64,
    rise: f64,
    turn: f64,
    width: f64,
}

#[derive(Serialize)]
struct Scored {
    satisfaction_score: usize,
    churn_probability: f64,
    stayed: u64,
    churned: u64,
}

#[derive(Serialize)]
struct Rows {
    table: &'static str,
    rows: u64,
}

impl Truth {
    /// Gathers it; `label_instant` is the plan's end as ISO-8601.
    pub(super) fn new(
        plan: &Plan,
        label_instant: String,
        tally: &Tally,
        rows: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> Truth {
        let users_by_score = (tally.0.iter().zip(CHURN_PROBABILITY).enumerate())
            .map(|(index, (&[stayed, churned], churn_probability))| Scored {
                satisfaction_score: index + 1,
                churn_probability,
                stayed,
                churned,
            })
            .collect();
        Truth {
            seed: plan.seed,
            users: plan.users,
            label_instant,
            label_instant_us: plan.end.0,
            oracle_roc_auc: tally.oracle_roc_auc(),
            churn_share: tally.churn_share(),
            parameters: Parameters {
                satisfaction_mean: SATISFACTION_MEAN,
                satisfaction_spread: SATISFACTION_SPREAD,
                fade_probability: Fading {
                    formula: "floor + rise / (1 + exp((satisfaction - turn) / width))",
                    floor: FADE_FLOOR,
                    rise: FADE_RISE,
                    turn: FADE_TURN,
                    width: FADE_WIDTH,
                },
            },
            users_by_score,
            rows: (rows.into_iter())
                .map(|(table, rows)| Rows { table, rows })
                .collect(),
        }
    }

    /// The text of the file.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self)
            .expect("plain structs of numbers and text have a JSON form");
        text.push(b'\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn oracle_auc_is_the_share_of_ordered_pairs(
            users in prop::collection::vec((1_u8..=10, any::<bool>()), 0..60)
        ) {
            let mut tally = Tally::default();
            for &(score, churned) in &users {
                tally.add(score, churned);
            }
            let (mut pairs, mut right) = (0.0, 0.0);
            for &(churner, _) in users.iter().filter(|user| user.1) {
                for &(stayer, _) in users.iter().filter(|user| !user.1) {
                    pairs += 1.0;
                    right += match churner.cmp(&stayer) {
                        std::cmp::Ordering::Less => 1.0,
                        std::cmp::Ordering::Equal => 0.5,
                        std::cmp::Ordering::Greater => 0.0,
                    };
                }
            }
            match tally.oracle_roc_auc() {
                Some(auc) => prop_assert!((auc - right / pairs).abs() < 1e-12),
                None => prop_assert!(pairs == 0.0),
            }
        }
    }
}
