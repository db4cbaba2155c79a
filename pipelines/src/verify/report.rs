//! What came of a verification: per feature how many values were compared, and the first
//! that differ in full.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use granary_registry::{EventTime, FeatureGroup, Value};

use super::Served;
use crate::oracle::{Verdict, Wanted, compare};

/// How many mismatches are told in full.
pub const SHOWN: usize = 10;

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Answers of the server.
    pub records: u64,
    /// One a feature, in order of the registry.
    pub features: Vec<FeatureReport>,
    /// The first mismatches, at most [`SHOWN`].
    pub mismatches: Vec<Mismatch>,
    /// Values that were not compared, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Entities whose live states lacked events that came too late: these take effect at the
    /// next build.
    pub pending_late: BTreeSet<Arc<str>>,
}

/// What came of one feature.
#[derive(Clone, Debug, Default)]
pub struct FeatureReport {
    /// Its group.
    pub group: String,
    /// Its name.
    pub feature: Arc<str>,
    /// Values held against the point-in-time recomputation.
    pub compared: u64,
    /// Of these, held against the oracle too.
    pub against_oracle: u64,
    /// Values that differ from either.
    pub mismatched: u64,
    /// The largest difference of two numbers, within rounding or not.
    pub largest_difference: f64,
}

/// A value that is not what it must be.
#[derive(Clone, Debug)]
pub struct Mismatch {
    /// Which of the records.
    pub record: usize,
    /// The entity's key.
    pub key: Arc<str>,
    /// The instant that was asked for.
    pub as_of: EventTime,
    /// Whether it was served from the event log.
    pub from_log: bool,
    /// The group.
    pub group: String,
    /// The feature.
    pub feature: Arc<str>,
    /// What was served.
    pub served: Value,
    /// What the point-in-time sweep gives.
    pub recomputed: Value,
    /// What the oracle gives, if it was asked.
    pub oracle: Option<Value>,
}

impl Report {
    /// Values compared.
    pub fn compared(&self) -> u64 {
        self.sum(|feature| feature.compared)
    }

    /// Of these, held against the oracle too.
    pub fn against_oracle(&self) -> u64 {
        self.sum(|feature| feature.against_oracle)
    }

    /// Values that differ.
    pub fn mismatched(&self) -> u64 {
        self.sum(|feature| feature.mismatched)
    }

    fn sum(&self, of: impl Fn(&FeatureReport) -> u64) -> u64 {
        self.features.iter().map(of).sum()
    }

    pub(super) fn skip(&mut self, reason: &str, values: u64) {
        if values > 0 {
            *self.skipped.entry(reason.to_owned()).or_default() += values;
        }
    }

    /// Adds what the parts of a group found.
    pub(super) fn add(&mut self, group: &FeatureGroup, tallies: Vec<Tally>) {
        let named = |feature: &granary_registry::Feature| FeatureReport {
            group: group.name.clone(),
            feature: feature.name.clone(),
            ..FeatureReport::default()
        };
        let mut features: Vec<FeatureReport> = group.features.iter().map(named).collect();
        for tally in tallies {
            for (feature, counts) in features.iter_mut().zip(&tally.counts) {
                feature.compared += counts.compared;
                feature.against_oracle += counts.against_oracle;
                feature.mismatched += counts.mismatched;
                feature.largest_difference = feature.largest_difference.max(counts.largest);
            }
            for (reason, values) in tally.skipped {
                self.skip(reason, values);
            }
            self.mismatches.extend(tally.mismatches);
            self.pending_late.extend(tally.pending_late);
        }
        self.features.append(&mut features);
    }

    pub(super) fn finish(&mut self) {
        self.mismatches.sort_by_key(|mismatch| mismatch.record);
        self.mismatches.truncate(SHOWN);
    }
}

/// What one thread found in a group.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: Vec<Counts>,
    mismatches: Vec<Mismatch>,
    skipped: BTreeMap<&'static str, u64>,
    pub(super) pending_late: BTreeSet<Arc<str>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    compared: u64,
    against_oracle: u64,
    mismatched: u64,
    largest: f64,
}

/// A served value beside what it must be.
pub(super) struct Comparison<'a> {
    pub(super) group: &'a str,
    pub(super) slot: usize,
    pub(super) record: usize,
    pub(super) served: &'a Served,
    pub(super) feature: &'a Arc<str>,
    pub(super) value: &'a Value,
    pub(super) recomputed: Value,
    pub(super) oracle: Option<Wanted>,
}

impl Tally {
    pub(super) fn new(features: usize) -> Tally {
        Tally {
            counts: vec![Counts::default(); features],
            ..Tally::default()
        }
    }

    pub(super) fn skip(&mut self, reason: &'static str, values: u64) {
        *self.skipped.entry(reason).or_default() += values;
    }

    pub(super) fn compare(&mut self, comparison: Comparison<'_>) {
        let oracle = comparison.oracle.as_ref();
        let swept = Wanted {
            terms: oracle.map_or(0.0, |wanted| wanted.terms),
            ..Wanted::exactly(comparison.recomputed.clone())
        };
        let swept = compare(comparison.value, &swept);
        let naive = oracle.map(|wanted| (compare(comparison.value, wanted), wanted));
        let counts = &mut self.counts[comparison.slot];
        counts.compared += 1;
        counts.largest = counts.largest.max(swept.difference);
        let mut equal = swept.equal;
        if let Some((
            Verdict {
                equal: same,
                difference,
            },
            wanted,
        )) = naive
        {
            counts.against_oracle += 1;
            equal &= same;
            // How far a sketch is off is no difference of two computations.
            if wanted.is_exact() {
                counts.largest = counts.largest.max(difference);
            }
        }
        if !equal {
            counts.mismatched += 1;
            if self.mismatches.len() < SHOWN {
                self.mismatches.push(comparison.into_mismatch());
            }
        }
    }
}

impl Comparison<'_> {
    fn into_mismatch(self) -> Mismatch {
        Mismatch {
            record: self.record,
            key: self.served.key.clone(),
            as_of: self.served.as_of,
            from_log: self.served.from_log,
            group: self.group.to_owned(),
            feature: self.feature.clone(),
            served: self.value.clone(),
            recomputed: self.recomputed,
            oracle: self.oracle.map(|wanted| wanted.value),
        }
    }
}
