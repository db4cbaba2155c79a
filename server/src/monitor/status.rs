//! The service's status as Prometheus gauges. Called by `metrics`.

use std::fmt::{self, Write};

use crate::service::{GroupStatus, Status};

pub(super) fn write_status(out: &mut String, status: &Status) -> fmt::Result {
    for (name, kind, help, value) in numbers(status) {
        head(out, name, kind, help)?;
        writeln!(out, "{name} {value}")?;
    }
    write_groups(out, &status.groups, &status.project)
}

/// A name, its kind, its help and its value.
type Sample = (&'static str, &'static str, &'static str, u64);

#[rustfmt::skip] // one a line
fn numbers(status: &Status) -> [Sample; 18] {
    let (gauge, counter) = ("gauge", "counter");
    [
        ("granary_ready", gauge, "Whether features are loaded.", u64::from(status.ready)),
        ("granary_generation", gauge, "Number of the generation served.", status.generation),
        ("granary_entities", gauge, "Entities served.", status.entities),
        ("granary_plain_keys", gauge, "Redis keys that are no entity's.", status.plain_keys),
        ("granary_staged_bytes", gauge, "Changed rows not yet flushed.", status.staged_bytes),
        ("granary_store_bytes", gauge, "The online store on disk.", status.store_bytes),
        ("granary_log_offset", gauge, "End of the log.", status.log_offset),
        ("granary_log_bytes", gauge, "The log's segments on disk.", status.log_bytes),
        ("granary_log_waiting", gauge, "Requests that wait for the log at the moment.", status.waiting),
        ("granary_serving_log_waiting", gauge, "Answers that wait to be written to the serving log.", status.answers_waiting),
        ("granary_events_total", counter, "Events accepted.", status.events_accepted),
        ("granary_duplicate_events_total", counter, "Events accepted that were copies.", status.events_duplicate),
        ("granary_late_events_total", counter, "Events accepted too late for the online state.", status.events_late),
        ("granary_written_values_total", counter, "Writes of values accepted.", status.values_written),
        ("granary_serving_log_answers_total", counter, "Answers written to the serving log.", status.answers_logged),
        ("granary_serving_log_dropped_total", counter, "Answers that the serving log was too slow for.", status.answers_dropped),
        ("granary_tail_lines_total", counter, "Lines read from tailed files.", status.tail_lines),
        ("granary_tail_bad_lines_total", counter, "Lines of tailed files written to bad_rows instead of taken.", status.tail_bad_lines),
    ]
}

fn write_groups(out: &mut String, groups: &[GroupStatus], project: &str) -> fmt::Result {
    let name = "granary_group_rows";
    head(out, name, "gauge", "Rows of the pushed version.")?;
    for group in groups {
        writeln!(out, "{name}{{group=\"{}\"}} {}", group.name, group.rows)?;
    }
    let name = "granary_group_age_seconds";
    head(
        out,
        name,
        "gauge",
        "Time from the newest event of the group to now.",
    )?;
    for group in groups {
        if let Some(age) = group.age {
            writeln!(
                out,
                "{name}{{group=\"{}\"}} {}",
                group.name,
                age as f64 / 1e6
            )?;
        }
    }
    let name = "feast_feature_freshness_seconds";
    head(out, name, "gauge", "The same under Feast's name.")?;
    for group in groups {
        if let Some(age) = group.age {
            writeln!(
                out,
                "{name}{{feature_view=\"{}\",project=\"{project}\"}} {}",
                group.name,
                age as f64 / 1e6
            )?;
        }
    }
    let name = "granary_group_fresh";
    head(
        out,
        name,
        "gauge",
        "Whether the age is within the registry's freshness.",
    )?;
    for group in groups {
        if let Some(fresh) = group.fresh {
            writeln!(
                out,
                "{name}{{group=\"{}\"}} {}",
                group.name,
                u8::from(fresh)
            )?;
        }
    }
    Ok(())
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_without_an_age_are_left_out() {
        let group = |name: &str, age| GroupStatus {
            name: name.to_owned(),
            description: String::new(),
            version: "1".to_owned(),
            rows: 7,
            features: 2,
            watermark: None,
            age,
            fresh: age.map(|_| true),
        };
        let groups = vec![group("a", Some(1_500_000)), group("b", None)];
        let status = Status {
            groups,
            ready: true,
            events_late: 3,
            answers_logged: 9,
            ..Status::default()
        };
        let mut out = String::new();
        write_status(&mut out, &status).unwrap();
        let samples: Vec<&str> = out.lines().filter(|line| !line.starts_with('#')).collect();
        for line in [
            "granary_ready 1",
            "granary_late_events_total 3",
            "granary_serving_log_answers_total 9",
            r#"granary_group_rows{group="b"} 7"#,
            r#"granary_group_age_seconds{group="a"} 1.5"#,
            r#"granary_group_fresh{group="a"} 1"#,
        ] {
            assert!(samples.contains(&line), "{line}\n{out}");
        }
        assert!(!out.contains(r#"age_seconds{group="b"}"#));
    }
}
