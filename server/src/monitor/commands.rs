//! How long commands take, by name. Every thread counts for itself, so that counting is a load and
//! a store of memory that no other core writes; whoever asks adds the threads up.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Upper ends of the buckets in nanoseconds, and as Prometheus writes them: a field is read in about
/// a microsecond, an event waits for the disk.
const BUCKETS: [(u64, &str); 16] = [
    (1_000, "0.000001"),
    (2_000, "0.000002"),
    (5_000, "0.000005"),
    (10_000, "0.00001"),
    (25_000, "0.000025"),
    (50_000, "0.00005"),
    (100_000, "0.0001"),
    (250_000, "0.00025"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (50_000_000, "0.05"),
    (250_000_000, "0.25"),
    (1_000_000_000, "1"),
];

/// What is counted of a command: its buckets, the one beyond them, nanoseconds, errors.
const BEYOND: usize = BUCKETS.len();
const NANOS: usize = BEYOND + 1;
const ERRORS: usize = BEYOND + 2;
const CELLS: usize = BEYOND + 3;

/// The commands of all threads.
#[derive(Debug)]
pub struct CommandMetrics {
    names: Vec<&'static str>,
    threads: Mutex<Vec<Arc<Counts>>>,
    /// What was counted when it was asked to begin anew.
    before: Mutex<Vec<u64>>,
}

/// The commands of one thread, which alone adds to them.
#[derive(Debug)]
pub struct Counts {
    cells: Box<[AtomicU64]>,
}

/// What was counted of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandCount {
    /// Its name.
    pub name: &'static str,
    /// How often it was answered.
    pub calls: u64,
    /// Of these, with an error.
    pub errors: u64,
    /// How long all of them took.
    pub took: Duration,
}

impl CommandMetrics {
    /// Of these commands, whose places are their numbers.
    pub fn new(names: Vec<&'static str>) -> CommandMetrics {
        CommandMetrics {
            before: Mutex::new(vec![0; names.len() * CELLS]),
            threads: Mutex::default(),
            names,
        }
    }

    /// Where one more thread counts.
    pub fn of_thread(&self) -> Arc<Counts> {
        let cells = (0..self.names.len() * CELLS).map(|_| AtomicU64::new(0));
        let counts = Arc::new(Counts {
            cells: cells.collect(),
        });
        lock(&self.threads).push(Arc::clone(&counts));
        counts
    }

    /// Whether a thread counts here.
    pub fn has(&self, counts: &Arc<Counts>) -> bool {
        let threads = lock(&self.threads);
        threads.iter().any(|held| Arc::ptr_eq(held, counts))
    }

    /// Begins anew for [`counted`](CommandMetrics::counted); Prometheus goes on.
    pub fn reset(&self) {
        let all = self.sums();
        *lock(&self.before) = all;
    }

    /// What was called since it began anew.
    pub fn counted(&self) -> Vec<CommandCount> {
        let before = lock(&self.before).clone();
        let mut since = self.sums();
        for (now, before) in since.iter_mut().zip(before) {
            *now = now.saturating_sub(before);
        }
        let commands = self.names.iter().zip(since.chunks(CELLS));
        let counted = commands.map(|(&name, cells)| CommandCount {
            name,
            calls: cells[..=BEYOND].iter().sum(),
            errors: cells[ERRORS],
            took: Duration::from_nanos(cells[NANOS]),
        });
        counted.filter(|counted| counted.calls > 0).collect()
    }

    pub(super) fn write(&self, out: &mut String) -> fmt::Result {
        let name = "granary_resp_command_duration_seconds";
        writeln!(
            out,
            "# HELP {name} Time from reading a command to its reply; of events and values, until they are durable.\n# TYPE {name} histogram"
        )?;
        for (command, cells) in self.names.iter().zip(self.sums().chunks(CELLS)) {
            let calls: u64 = cells[..=BEYOND].iter().sum();
            if calls == 0 {
                continue;
            }
            let mut below = 0;
            for ((_, end), count) in BUCKETS.iter().zip(cells) {
                below += count;
                writeln!(
                    out,
                    "{name}_bucket{{command=\"{command}\",le=\"{end}\"}} {below}"
                )?;
            }
            writeln!(
                out,
                "{name}_bucket{{command=\"{command}\",le=\"+Inf\"}} {calls}"
            )?;
            let seconds = cells[NANOS] as f64 / 1e9;
            writeln!(out, "{name}_sum{{command=\"{command}\"}} {seconds}")?;
            writeln!(out, "{name}_count{{command=\"{command}\"}} {calls}")?;
        }
        Ok(())
    }

    fn sums(&self) -> Vec<u64> {
        let mut sums = vec![0; self.names.len() * CELLS];
        for counts in lock(&self.threads).iter() {
            for (sum, cell) in sums.iter_mut().zip(&counts.cells) {
                *sum += cell.load(Ordering::Relaxed);
            }
        }
        sums
    }
}

impl Counts {
    /// Counts an answer to the command of this number.
    #[inline]
    pub fn observe(&self, command: usize, took: Duration, is_error: bool) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|(end, _)| nanos <= *end);
        let Some(cells) = self.cells.get(command * CELLS..(command + 1) * CELLS) else {
            return; // not counted, as in tests that know no commands
        };
        add(&cells[bucket.unwrap_or(BEYOND)], 1);
        add(&cells[NANOS], nanos);
        if is_error {
            add(&cells[ERRORS], 1);
        }
    }
}

/// No other thread writes here, so nothing is lost between the load and the store.
fn add(cell: &AtomicU64, more: u64) {
    let sum = cell.load(Ordering::Relaxed).wrapping_add(more);
    cell.store(sum, Ordering::Relaxed);
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_added_up_and_a_reset_is_not_for_prometheus() {
        let metrics = CommandMetrics::new(vec!["get", "hget", "xadd"]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let counts = metrics.of_thread();
                    for _ in 0..1_000 {
                        counts.observe(1, Duration::from_nanos(1_500), false);
                    }
                    counts.observe(2, Duration::from_secs(3), true);
                });
            }
        });
        let hget = CommandCount {
            name: "hget",
            calls: 4_000,
            errors: 0,
            took: Duration::from_millis(6),
        };
        let xadd = CommandCount {
            name: "xadd",
            calls: 4,
            errors: 4,
            took: Duration::from_secs(12),
        };
        assert_eq!(metrics.counted(), [hget, xadd]);
        metrics.reset();
        assert_eq!(metrics.counted(), []);
        metrics.of_thread().observe(0, Duration::ZERO, false);
        assert_eq!(metrics.counted().len(), 1);
        let mut text = String::new();
        metrics.write(&mut text).unwrap();
        for line in [
            r#"granary_resp_command_duration_seconds_bucket{command="hget",le="0.000001"} 0"#,
            r#"granary_resp_command_duration_seconds_bucket{command="hget",le="0.000002"} 4000"#,
            r#"granary_resp_command_duration_seconds_bucket{command="xadd",le="1"} 0"#,
            r#"granary_resp_command_duration_seconds_bucket{command="xadd",le="+Inf"} 4"#,
            r#"granary_resp_command_duration_seconds_sum{command="xadd"} 12"#,
            r#"granary_resp_command_duration_seconds_count{command="get"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
