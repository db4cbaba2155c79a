//! What `granary verify` prints: a table of the features, the first mismatches in full, what
//! was left out and why, and a line that sums up.

use std::time::Duration;

use granary_pipelines::verify::{Draw, FeatureReport, Mismatch, Report};
use granary_registry::Value;
use serde_json::json;

use super::show;

/// Entities named on the line of pending late events.
const NAMED: usize = 10;

/// Elements of a vector that are shown.
const ELEMENTS: usize = 6;

/// A finished verification.
pub(super) struct Outcome<'a> {
    pub report: &'a Report,
    /// The draw and how many of its instants are at an edge; none for a replay.
    pub drawn: Option<(Draw, u64)>,
    pub took: Duration,
}

/// Prints it, for people or for programs.
pub(super) fn print(outcome: &Outcome<'_>, as_json: bool) {
    if as_json {
        println!("{}", shape(outcome));
        return;
    }
    let report = outcome.report;
    let compared = report.features.iter().filter(|held| held.compared > 0);
    let header = [
        "feature",
        "compared",
        "equal",
        "mismatched",
        "largest difference",
    ];
    println!("{}", show::table(&header, &[1, 2, 3, 4], compared.map(row)));
    for mismatch in &report.mismatches {
        println!("{}", in_full(mismatch));
    }
    let more = report.mismatched() - report.mismatches.len() as u64;
    if more > 0 {
        println!("and {} more mismatches", show::count(more));
    }
    for (reason, values) in &report.skipped {
        println!("{} values left out: {reason}", show::count(*values));
    }
    if !report.pending_late.is_empty() {
        println!("{}", pending(report));
    }
    println!("{}", summary(outcome));
}

fn row(feature: &FeatureReport) -> Vec<String> {
    let difference = match feature.largest_difference {
        0.0 => "0".to_owned(),
        difference => format!("{difference:.1e}"),
    };
    vec![
        feature.feature.to_string(),
        show::count(feature.compared),
        show::count(feature.compared - feature.mismatched),
        show::count(feature.mismatched),
        difference,
    ]
}

fn in_full(mismatch: &Mismatch) -> String {
    let oracle = mismatch.oracle.as_ref();
    let oracle = oracle.map_or_else(String::new, |value| {
        format!(", the oracle {}", shown(value))
    });
    format!(
        "mismatch: {} as of {}, `{}` of group `{}`: served {}{}, recomputed {}{oracle}",
        mismatch.key,
        mismatch.as_of,
        mismatch.feature,
        mismatch.group,
        shown(&mismatch.served),
        if mismatch.from_log {
            " from the log"
        } else {
            ""
        },
        shown(&mismatch.recomputed),
    )
}

fn pending(report: &Report) -> String {
    let late = &report.pending_late;
    let names: Vec<&str> = late.iter().take(NAMED).map(|key| &**key).collect();
    let more = match late.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {} more", show::count(more as u64)),
    };
    format!(
        "pending late events, which count from the next build on: {}{more}",
        names.join(", ")
    )
}

fn summary(outcome: &Outcome<'_>) -> String {
    let report = outcome.report;
    let what = match outcome.drawn {
        None => "answers of the serving log".to_owned(),
        Some((draw, edges)) => format!(
            "drawn answers (seed {}, {} at edges)",
            draw.seed,
            show::count(edges)
        ),
    };
    let oracle = match report.against_oracle() {
        0 => "without the oracle".to_owned(),
        values => format!("{} of them by the oracle too", show::count(values)),
    };
    format!(
        "{} mismatches in {} values of {} {what}, recomputed at their instants, {oracle}, in {:.1} s",
        show::count(report.mismatched()),
        show::count(report.compared()),
        show::count(report.records),
        outcome.took.as_secs_f64()
    )
}

fn shape(outcome: &Outcome<'_>) -> serde_json::Value {
    let report = outcome.report;
    let feature = |feature: &FeatureReport| {
        json!({
            "group": feature.group,
            "feature": &*feature.feature,
            "compared": feature.compared,
            "equal": feature.compared - feature.mismatched,
            "mismatched": feature.mismatched,
            "against_oracle": feature.against_oracle,
            "largest_difference": feature.largest_difference,
        })
    };
    let mismatch = |mismatch: &Mismatch| {
        json!({
            "key": &*mismatch.key,
            "as_of": mismatch.as_of.to_string(),
            "from": if mismatch.from_log { "log" } else { "online" },
            "group": mismatch.group,
            "feature": &*mismatch.feature,
            "served": json_of(&mismatch.served),
            "recomputed": json_of(&mismatch.recomputed),
            "oracle": mismatch.oracle.as_ref().map(json_of),
        })
    };
    let late: Vec<&str> = report.pending_late.iter().map(|key| &**key).collect();
    json!({
        "from": if outcome.drawn.is_some() { "samples" } else { "serving_log" },
        "records": report.records,
        "edges": outcome.drawn.map(|(_, edges)| edges),
        "compared": report.compared(),
        "against_oracle": report.against_oracle(),
        "equal": report.compared() - report.mismatched(),
        "mismatched": report.mismatched(),
        "features": report.features.iter().map(feature).collect::<Vec<_>>(),
        "mismatches": report.mismatches.iter().map(mismatch).collect::<Vec<_>>(),
        "skipped": report.skipped,
        "pending_late": late,
        "seconds": outcome.took.as_secs_f64(),
    })
}

fn json_of(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Int(x) => json!(x),
        Value::Float(x) => json!(x),
        Value::Bool(x) => json!(x),
        Value::Text(text) => json!(&**text),
        Value::Timestamp(time) => json!(time.to_string()),
        Value::Vector(elements) => json!(&**elements),
    }
}

/// A value on the terminal; of a long vector the first elements.
fn shown(value: &Value) -> String {
    match value {
        Value::Vector(elements) if elements.len() > ELEMENTS => {
            let first: Vec<String> = elements[..ELEMENTS].iter().map(f32::to_string).collect();
            format!("[{}, … {} elements]", first.join(", "), elements.len())
        }
        value => json_of(value).to_string(),
    }
}
