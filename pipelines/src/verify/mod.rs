//! Served values against recomputations: what the server answered for an entity at an instant
//! is held against a point-in-time sweep over the whole sources and against the naive oracle.
//! Called by `granary verify`, which gathers the records: from the serving log, or drawn.

mod draw; // random entities and instants, edges of windows among them
mod group; // the records of one group
mod known; // which events had been seen when a record was served
mod report; // what came of it
mod standing; // whether a record can still be recomputed

use std::sync::Arc;

use granary_registry::{EventTime, Value};
use granary_storage::Offset;

use crate::error::Error;
use crate::job::Job;

pub use draw::{Draw, Drawn};
pub use report::{FeatureReport, Mismatch, Report, SHOWN};

/// One answer of the server.
#[derive(Clone, Debug, PartialEq)]
pub struct Served {
    /// The entity's key.
    pub key: Arc<str>,
    /// The instant that it was answered for.
    pub as_of: EventTime,
    /// Whether it came from the event log rather than from the online states.
    pub from_log: bool,
    /// Logged events before this are in it.
    pub known_from: Offset,
    /// Logged events from this on are not in it. Between the two, events were being folded
    /// in at that moment.
    pub known_until: Offset,
    /// Fingerprint of the registry that was served, in hex.
    pub registry: Arc<str>,
    /// The versions that were served, as group and version.
    pub versions: Arc<[(Arc<str>, Arc<str>)]>,
    /// Features by name.
    pub features: Vec<(Arc<str>, Value)>,
}

/// What is to be verified, and how.
#[derive(Clone, Copy, Debug)]
pub struct Verification<'a> {
    /// What was served.
    pub records: &'a [Served],
    /// Only these groups; all if empty.
    pub groups: &'a [String],
    /// Whether the naive oracle is asked too.
    pub oracle: bool,
}

/// Recomputes every value of the records and compares. The job's log must reach to what the
/// newest record knew.
pub fn verify(job: &Job<'_>, verification: Verification<'_>) -> Result<Report, Error> {
    let mut report = Report {
        records: verification.records.len() as u64,
        ..Report::default()
    };
    for name in verification.groups {
        job.group(name)?;
    }
    for group in &job.registry.groups {
        if verification.groups.is_empty() || verification.groups.contains(&group.name) {
            group::verify(job, group, verification, &mut report)?;
        }
    }
    standing::count_unknown(job.registry, verification, &mut report);
    report.finish();
    Ok(report)
}
