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

impl TimerId {
    /// When it is due.
    pub fn deadline(self) -> Instant {
        self.deadline
    }

    /// How many requests the queue had seen when it was made.
    pub fn serial(self) -> u64 {
        self.serial
    }
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

impl<T: Copy> TimerQueue<T> {
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

    /// Makes a cancelled request again, as if it had never been cancelled.
    pub fn put_back(&mut self, id: TimerId, what: T) {
        self.queue.insert(id, what);
    }

    /// Takes a request back; false when it was no longer there. The original's
    /// `event_cancel_timer()`.
    pub fn cancel(&mut self, id: TimerId) -> bool {
        self.queue.remove(&id).is_some()
    }

    /// The request that is due first.
    pub fn first(&self) -> Option<(TimerId, T)> {
        self.queue.first_key_value().map(|(&id, &what)| (id, what))
    }

    /// When the first request is due.
    pub fn first_deadline(&self) -> Option<Instant> {
        self.first().map(|(id, _)| id.deadline)
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

    #[test]
    fn what_is_put_back_has_its_old_place() {
        let now = Instant::now();
        let mut queue = TimerQueue::default();
        let first = queue.request(now, "first");
        queue.request(now, "second");
        assert!(queue.cancel(first));
        queue.put_back(first, "first");
        assert_eq!(queue.pop_due(now), Some("first"));
        assert_eq!(queue.pop_due(now), Some("second"));
    }
}
