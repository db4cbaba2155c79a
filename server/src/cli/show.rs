//! What a person sees: tables, figures with units, and progress bars.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use comfy_table::{Cell, CellAlignment, Table, presets};
use granary_pipelines::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// Prints a line of a server, which goes on if nobody reads it.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// A table with a header; columns listed in `right` are numbers.
pub(super) fn table(
    header: &[&str],
    right: &[usize],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_header(header.iter().map(Cell::new));
    table.add_rows(rows);
    for &column in right {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// `2,450,123`
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `13.6 M/s`
pub(super) fn rate(number: u64, took: Duration) -> String {
    let per_second = number as f64 / took.as_secs_f64().max(1e-9);
    match per_second {
        rate if rate >= 1e6 => format!("{:.1} M/s", rate / 1e6),
        rate if rate >= 1e3 => format!("{:.0} k/s", rate / 1e3),
        rate => format!("{rate:.0} /s"),
    }
}

/// `1.2 MB`
pub(super) fn bytes(number: u64) -> String {
    match number as f64 {
        size if size >= 1e9 => format!("{:.1} GB", size / 1e9),
        size if size >= 1e6 => format!("{:.1} MB", size / 1e6),
        size if size >= 1e3 => format!("{:.0} kB", size / 1e3),
        size => format!("{size} B"),
    }
}

/// A progress bar that follows a job's stages; invisible where no person watches.
pub(super) struct Bar {
    bar: ProgressBar,
    started: Instant,
}

impl Bar {
    /// A bar for a stage.
    pub(super) fn new(what: &str) -> Bar {
        let bar = ProgressBar::new_spinner();
        bar.set_prefix(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Bar {
            bar,
            started: Instant::now(),
        }
    }

    /// Follows a job.
    pub(super) fn follow(&self, progress: Progress<'_>) {
        match progress {
            Progress::Begin { what, rows } => self.begin(what, rows),
            Progress::Rows(rows) => self.bar.inc(rows),
        }
    }

    /// Begins a stage with so many units ahead.
    pub(super) fn begin(&self, what: &str, units: Option<u64>) {
        let template = match units {
            Some(_) => "{prefix:30} {bar:30} {human_pos}/{human_len} {per_sec} {eta}",
            None => "{prefix:30} {spinner} {human_pos} {per_sec}",
        };
        let style = ProgressStyle::with_template(template);
        self.bar
            .set_style(style.expect("the templates above are valid"));
        self.bar.set_prefix(what.to_owned());
        self.bar.set_position(0);
        self.bar.set_length(units.unwrap_or(0));
    }

    /// Sets how far it is.
    pub(super) fn at(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// Time since the bar was made.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Takes the bar away and says how long it was there.
    pub(super) fn finish(self) -> Duration {
        self.bar.finish_and_clear();
        self.started.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(count(7), "7");
        assert_eq!(count(2_450_123), "2,450,123");
        assert_eq!(bytes(12_300_000), "12.3 MB");
        assert_eq!(rate(2_400_000, Duration::from_millis(200)), "12.0 M/s");
    }
}
