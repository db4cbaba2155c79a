//! Memory of this process, as the kernel tells it. Called by `INFO`.

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
    }
}
