//! `rate_limit`: limits how often a warning is logged.

use std::time::{Duration, Instant};

/// A limit of one event in an interval.
#[derive(Debug)]
pub struct RateLimit {
    interval: Duration,
    last: Option<Instant>,
}

impl RateLimit {
    /// Allows one event in `interval`.
    pub fn new(interval: Duration) -> RateLimit {
        RateLimit {
            interval,
            last: None,
        }
    }

    /// Returns true, and starts an interval, if an event is allowed now.
    pub fn allows(&mut self, now: Instant) -> bool {
        let allows = self.last.is_none_or(|last| last + self.interval <= now);
        if allows {
            self.last = Some(now);
        }
        allows
    }
}
