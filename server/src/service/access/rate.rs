//! How often a key may ask. Called by `access`, once for each request.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

type Limiter =
    RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<std::time::Instant>>;

/// Requests a second, of which as many may come at once.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    pub(super) per_second: NonZeroU32,
    limiter: Arc<Limiter>,
}

impl Rate {
    pub(super) fn new(per_second: NonZeroU32) -> Rate {
        let quota = Quota::per_second(per_second);
        Rate {
            per_second,
            limiter: Arc::new(RateLimiter::direct_with_clock(quota, MonotonicClock)),
        }
    }

    /// Takes one request in; else how long the next one has to wait.
    pub(super) fn take(&self) -> Result<(), Duration> {
        self.limiter
            .check()
            .map_err(|early| early.wait_time_from(MonotonicClock.now()))
    }
}
