//! `timer`: what is to happen, and when.
//!
//! The original keeps one sorted list of callbacks and walks it at each
//! request; here a queue is a search tree of small values that say what to do,
//! and every operation costs O(log n). The clock is the monotonic one: setting
//! the wall clock changes nothing.

use std::collections::BTreeMap;
use std::time::Instant;

/// Names one request in a [`TimerQueue`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerId {
    deadline: Instant,
    serial: u64,
}

/// Requests in the order of their deadlines; those with the same deadline in
/// the order they were made.
#[derive(Debug)]
pub struct TimerQueue<T> {
    queue: BTreeMap<TimerId, T>,
    serial: u64,
}

impl<T> Default for TimerQueue<T> {
    fn default() -> Self {
        TimerQueue {
            queue: BTreeMap::new(),
            serial: 0,
        }
    }
}

impl<T> TimerQueue<T> {
    /// Asks for `what` at `deadline`. The original's `event_request_timer()`.
    pub fn request(&mut self, deadline: Instant, what: T) -> TimerId {
        self.serial += 1;
        let id = TimerId {
            deadline,
            serial: self.serial,
        };
        self.queue.insert(id, what);
        id
    }

    /// Takes a request back; false when it was no longer there. The original's
    /// `event_cancel_timer()`.
    pub fn cancel(&mut self, id: TimerId) -> bool {
        self.queue.remove(&id).is_some()
    }

    /// When the first request is due.
    pub fn first_deadline(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|(id, _)| id.deadline)
    }

    /// Takes the first request out, provided it is due at `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<T> {
        let entry = self.queue.first_entry()?;
        (entry.key().deadline <= now).then(|| entry.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn requests_come_out_in_the_order_of_their_deadlines() {
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        let mut queue = TimerQueue::default();
        queue.request(at(20), "later");
        let gone = queue.request(at(5), "cancelled");
        queue.request(at(10), "first");
        queue.request(at(10), "second");
        assert!(queue.cancel(gone) && !queue.cancel(gone));
        assert_eq!(queue.pop_due(at(9)), None);
        assert_eq!(queue.pop_due(at(10)), Some("first"));
        assert_eq!(queue.pop_due(at(10)), Some("second"));
        assert_eq!(queue.pop_due(at(19)), None);
        assert_eq!(queue.first_deadline(), Some(at(20)));
        assert_eq!(queue.pop_due(at(21)), Some("later"));
        assert_eq!(queue.first_deadline(), None);
    }
}
