//! Where "now" comes from: the machine, or the data. Nothing left of this crate reads a clock.

use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use granary_registry::{Clock, EventTime};

use super::{Inner, Service};

/// The machine's clock, or an instant that tests choose.
#[derive(Clone, Copy, Debug, Default)]
pub enum WallClock {
    /// The machine's.
    #[default]
    System,
    /// Always this instant.
    Fixed(EventTime),
}

impl WallClock {
    /// The instant it shows.
    pub fn now(self) -> EventTime {
        match self {
            WallClock::Fixed(instant) => instant,
            WallClock::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH);
                EventTime(since.map_or(0, |since| since.as_micros() as i64))
            }
        }
    }
}

impl Service {
    /// "Now" by the registry's clock.
    pub fn now(&self) -> EventTime {
        self.inner.now()
    }
}

impl Inner {
    /// "Now" by the registry's clock.
    pub(super) fn now(&self) -> EventTime {
        match self.definition().registry.clock {
            Clock::Wall => self.wall.now(),
            Clock::Data => self.data_clock(),
        }
    }

    /// Moves the data clock forward, never back.
    pub(super) fn advance_clock(&self, instant: EventTime) {
        self.data_clock.fetch_max(instant.0, Ordering::AcqRel);
    }

    pub(super) fn data_clock(&self) -> EventTime {
        EventTime(self.data_clock.load(Ordering::Acquire))
    }
}
