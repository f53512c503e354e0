//! `scache_stats`: the statistics of the service. A part of the original's
//! `scache.c`. No function fails.

use std::time::{Duration, SystemTime};

use crate::global::scache_multi::ScacheSize;
use crate::util::local_time::LocalTime;
use crate::util::msg::msg_verbose;
use crate::{msg_info, msg_warn};

/// The counters of one interval.
#[derive(Debug)]
pub(crate) struct Statistics {
    start: SystemTime,
    pub(crate) endp_hits: u64,
    pub(crate) endp_miss: u64,
    pub(crate) dest_hits: u64,
    pub(crate) dest_miss: u64,
    /// Number of sessions that were evicted to free a descriptor.
    pub(crate) evictions: u64,
    /// Number of cached sessions whose peer closed the connection or sent something.
    pub(crate) dead: u64,
    /// The longest requested time to live that exceeded the limit.
    longest_ttl: Option<Duration>,
    max_size: ScacheSize,
}

impl Statistics {
    /// Starts an interval.
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
            max_size: ScacheSize::default(),
        }
    }

    /// Updates the maximum sizes after a session was saved.
    pub(crate) fn note_endp(&mut self, size: ScacheSize) {
        self.max_size.endp_count = self.max_size.endp_count.max(size.endp_count);
        self.max_size.sess_count = self.max_size.sess_count.max(size.sess_count);
    }

    /// Updates the maximum sizes after a destination was bound.
    pub(crate) fn note_dest(&mut self, size: ScacheSize) {
        self.max_size.dest_count = self.max_size.dest_count.max(size.dest_count);
        self.max_size.endp_count = self.max_size.endp_count.max(size.endp_count);
    }

    /// Records a requested time to live that exceeds the limit.
    pub(crate) fn note_long_ttl(&mut self, requested: Duration) {
        self.longest_ttl = self.longest_ttl.max(Some(requested));
    }

    /// Logs the lines of the C program, except those in which all numbers are zero. Also
    /// logs evictions and times to live above `ttl_limit`, if there were any. Logs dead
    /// sessions if lookups did not find more sessions that were alive, or with -v.
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
        } = self.max_size;
        let any_lookup = lookups.iter().any(|(_, hits, miss)| hits + miss > 0);
        let any_size = dest_count + endp_count + sess_count > 0;
        if any_lookup || any_size {
            msg_info!(
                "statistics: start interval {}",
                LocalTime::at(self.start).ctime()
            );
        }
        for (kind, hits, miss) in lookups {
            if let Some(success) = (hits * 100).checked_div(hits + miss) {
                msg_info!("statistics: {kind} lookup hits={hits} miss={miss} success={success}%");
            }
        }
        if any_size {
            msg_info!(
                "statistics: max simultaneous domains={dest_count} addresses={endp_count} \
                 connection={sess_count}"
            );
        }
        if let Some(requested) = self.longest_ttl {
            let (requested, limit) = (requested.as_secs(), ttl_limit.as_secs());
            msg_info!(
                "time to live: {requested}s asked for, connection_cache_ttl_limit is {limit}s"
            );
        }
        let hits = self.dest_hits + self.endp_hits;
        if self.dead > 0 && (self.dead >= hits || msg_verbose() > 0) {
            let count = self.dead;
            msg_info!("sessions ended by the other side while cached: {count}");
        }
    }
}
