//! The statistics of [`service`](super), as they are logged.

use super::{Service, TTL_LIMIT};

#[derive(Debug, Default)]
pub(super) struct Statistics {
    /// Hits and misses.
    pub(super) domain: (u64, u64),
    pub(super) address: (u64, u64),
    /// Destinations, endpoints, sessions.
    pub(super) most: (usize, usize, usize),
    pub(super) longest_ttl: u64,
    pub(super) evicted: u64,
}

impl Service {
    /// Logs the statistics.
    pub(super) fn report(&mut self) {
        let statistics = std::mem::take(&mut self.statistics);
        let dead = self.cache.take_dead_count();
        if statistics.evicted > 0 {
            let count = statistics.evicted;
            self.warn(&format!(
                "out of file descriptors: {count} sessions closed before their time"
            ));
        }
        let lookups = [
            ("domain", statistics.domain),
            ("address", statistics.address),
        ];
        let (dests, endps, sessions) = statistics.most;
        let mut lines = Vec::new();
        for (what, (hits, misses)) in lookups.iter().filter(|(_, (h, m))| h + m > 0) {
            let success = hits * 100 / (hits + misses);
            lines.push(format!(
                "statistics: {what} lookup hits={hits} miss={misses} success={success}%"
            ));
        }
        if dests + endps + sessions > 0 {
            lines.push(format!(
                "statistics: max simultaneous domains={dests} addresses={endps} connection={sessions}"
            ));
        }
        if !lines.is_empty() {
            lines.insert(0, "statistics: start interval".into());
        }
        if statistics.longest_ttl > 0 {
            lines.push(format!(
                "time to live: {}s asked for, connection_cache_ttl_limit is {TTL_LIMIT}s",
                statistics.longest_ttl
            ));
        }
        if dead > 0 && dead >= statistics.domain.0 + statistics.address.0 {
            lines.push(format!(
                "sessions ended by the other side while cached: {dead}"
            ));
        }
        lines.iter().for_each(|line| self.info(line));
    }
}

/// Counts a lookup.
pub(super) fn note(count: &mut (u64, u64), found: bool) {
    match found {
        true => count.0 += 1,
        false => count.1 += 1,
    }
}
