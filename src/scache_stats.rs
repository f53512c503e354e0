//! The statistics of the service: how it was used since the last time they
//! were logged.

use std::time::{Duration, SystemTime};

use crate::global::scache_multi::ScacheSize;
use crate::util::local_time::LocalTime;
use crate::{msg_info, msg_warn};

/// What is counted in one interval.
#[derive(Debug)]
pub(crate) struct Statistics {
    start: SystemTime,
    pub(crate) endp_hits: u64,
    pub(crate) endp_miss: u64,
    pub(crate) dest_hits: u64,
    pub(crate) dest_miss: u64,
    /// Sessions closed before their time, to make room.
    pub(crate) evictions: u64,
    /// Sessions ended by the other side while they were cached.
    pub(crate) dead: u64,
    /// The longest time to live that was asked for and not granted.
    longest_ttl: Option<Duration>,
    most: ScacheSize,
}

impl Statistics {
    /// An interval starts now.
    pub(crate) fn new() -> Statistics {
        Statistics {
            start: SystemTime::now(),
            endp_hits: 0,
            endp_miss: 0,
            dest_hits: 0,
            dest_miss: 0,
            evictions: 0,
            dead: 0,
            longest_ttl: None,
            most: ScacheSize::default(),
        }
    }

    /// A session was saved, and now so much is cached.
    pub(crate) fn note_endp(&mut self, size: ScacheSize) {
        self.most.endp_count = self.most.endp_count.max(size.endp_count);
        self.most.sess_count = self.most.sess_count.max(size.sess_count);
    }

    /// A destination was bound, and now so much is cached.
    pub(crate) fn note_dest(&mut self, size: ScacheSize) {
        self.most.dest_count = self.most.dest_count.max(size.dest_count);
        self.most.endp_count = self.most.endp_count.max(size.endp_count);
    }

    /// A client asked for more time to live than it got.
    pub(crate) fn note_long_ttl(&mut self, asked: Duration) {
        self.longest_ttl = self.longest_ttl.max(Some(asked));
    }

    /// Logs what there is to say about the interval: the original's
    /// `scache_status_dump()`, and then why the cache was of less use than it
    /// could be. `ttl_limit` is what time to live is granted.
    pub(crate) fn log(&self, ttl_limit: Duration) {
        if self.evictions > 0 {
            let count = self.evictions;
            msg_warn!("out of file descriptors: {count} sessions closed before their time");
        }
        let lookups = [
            ("domain", self.dest_hits, self.dest_miss),
            ("address", self.endp_hits, self.endp_miss),
        ];
        let ScacheSize {
            dest_count,
            endp_count,
            sess_count,
        } = self.most;
        let any_lookup = lookups.iter().any(|(_, hits, miss)| hits + miss > 0);
        let any_size = dest_count + endp_count + sess_count > 0;
        if any_lookup || any_size {
            msg_info!(
                "statistics: start interval {}",
                LocalTime::at(self.start).ctime()
            );
        }
        for (what, hits, miss) in lookups {
            if let Some(success) = (hits * 100).checked_div(hits + miss) {
                msg_info!("statistics: {what} lookup hits={hits} miss={miss} success={success}%");
            }
        }
        if any_size {
            msg_info!(
                "statistics: max simultaneous domains={dest_count} addresses={endp_count} \
                 connection={sess_count}"
            );
        }
        if let Some(asked) = self.longest_ttl {
            let (asked, limit) = (asked.as_secs(), ttl_limit.as_secs());
            msg_info!("time to live: {asked}s asked for, connection_cache_ttl_limit is {limit}s");
        }
        if self.dead > 0 {
            let count = self.dead;
            msg_info!("sessions ended by the other side while cached: {count}");
        }
    }
}
