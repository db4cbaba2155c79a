//! What a stage of the pipeline did, or why there was nothing to do: one line for a person,
//! one object for a program.

use std::time::Duration;

use serde::Serialize;

use super::show;

/// A finished stage.
#[derive(Debug, Serialize)]
pub(super) struct Stage {
    /// `build user_activity_features`
    #[serde(rename = "stage")]
    pub name: String,
    /// Whether its inputs were unchanged, so that nothing was done.
    pub skipped: bool,
    /// Rows worked on.
    pub rows: u64,
    /// How long it took.
    pub seconds: f64,
    /// What came of it, in words.
    pub detail: String,
    /// Things that a person should know.
    pub warnings: Vec<String>,
}

impl Stage {
    /// A stage that did something.
    pub(super) fn done(
        stage: impl Into<String>,
        rows: u64,
        took: Duration,
        detail: String,
    ) -> Stage {
        Stage {
            name: stage.into(),
            skipped: false,
            rows,
            seconds: took.as_secs_f64(),
            detail,
            warnings: Vec::new(),
        }
    }

    /// A stage whose inputs were unchanged.
    pub(super) fn skipped(stage: impl Into<String>, detail: String) -> Stage {
        Stage {
            skipped: true,
            ..Stage::done(stage, 0, Duration::ZERO, detail)
        }
    }

    /// Prints it.
    pub(super) fn print(&self, json: bool) {
        if json {
            if let Ok(line) = serde_json::to_string(self) {
                println!("{line}");
            }
            return;
        }
        if self.skipped {
            println!("  {:<34} unchanged, skipped  {}", self.name, self.detail);
        } else {
            let took = Duration::from_secs_f64(self.seconds);
            println!(
                "  {:<34} {:>11} rows  {:>7.2} s  {:>10}  {}",
                self.name,
                show::count(self.rows),
                self.seconds,
                show::rate(self.rows, took),
                self.detail
            );
        }
        for warning in &self.warnings {
            println!("    warning: {warning}");
        }
    }
}
