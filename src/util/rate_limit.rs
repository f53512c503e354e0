//! `rate_limit`: a warning that is not logged each time.

use std::time::{Duration, Instant};

/// Allows something once in an interval.
#[derive(Debug)]
pub struct RateLimit {
    interval: Duration,
    last: Option<Instant>,
}

impl RateLimit {
    /// Allows it once in `interval`.
    pub fn new(interval: Duration) -> RateLimit {
        RateLimit {
            interval,
            last: None,
        }
    }

    /// Whether it is allowed now.
    pub fn allows(&mut self, now: Instant) -> bool {
        let allows = self.last.is_none_or(|last| last + self.interval <= now);
        if allows {
            self.last = Some(now);
        }
        allows
    }
}
