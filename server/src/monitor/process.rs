//! Memory and time of this process, as the kernel tells them. Called by `INFO` and `/metrics`.

use std::fmt::{self, Write};

/// Bytes of memory; zero where the kernel does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident now.
    pub resident: u64,
    /// Resident at most, since the start.
    pub peak: u64,
}

impl Memory {
    /// Of this process, now.
    pub fn now() -> Memory {
        std::fs::read_to_string("/proc/self/status")
            .map(|text| parse(&text))
            .unwrap_or_default()
    }
}

/// Under the names that Prometheus's own clients use.
pub(super) fn write_process(out: &mut String) -> fmt::Result {
    let memory = Memory::now();
    let name = "process_resident_memory_bytes";
    writeln!(out, "# HELP {name} Resident memory.\n# TYPE {name} gauge")?;
    writeln!(out, "{name} {}", memory.resident)?;
    if let Some(seconds) = cpu_seconds() {
        let name = "process_cpu_seconds_total";
        writeln!(
            out,
            "# HELP {name} User and system time.\n# TYPE {name} counter"
        )?;
        writeln!(out, "{name} {seconds}")?;
    }
    Ok(())
}

/// User and system time so far, where the kernel tells.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    ticks(&stat).map(|ticks| ticks as f64 / TICKS)
}

/// Of Linux, whatever the machine.
const TICKS: f64 = 100.0;

fn ticks(stat: &str) -> Option<u64> {
    // Behind the program's name, which may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let mut time = || times.next()?.parse::<u64>().ok();
    Some(time()? + time()?)
}

fn parse(text: &str) -> Memory {
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kilobytes * 1024)
    };
    Memory {
        resident: bytes("VmRSS:").unwrap_or_default(),
        peak: bytes("VmHWM:").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_lines() {
        let text = "Name:\tgranary\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(
            parse(text),
            Memory {
                resident: 1024 * 1024,
                peak: 2048 * 1024
            }
        );
        assert_eq!(parse("VmRSS: lots"), Memory::default());
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0";
        assert_eq!(ticks(stat), Some(300));
    }
}
