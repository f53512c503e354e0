//! `timer`: a queue of timer requests. The part of the original's `events.c` that
//! deals with time.
//!
//! The C program has a sorted list of callbacks, which each request walks. Here a
//! request has a value instead of a callback, and a search tree makes each operation
//! O(log n). The clock is monotonic: setting the time of day has no effect.

use std::collections::BTreeMap;
use std::time::Instant;

/// Identifies a request in a [`TimerQueue`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerId {
    deadline: Instant,
    serial: u64,
}

/// Requests in the order of their deadlines; requests with the same deadline are in
/// the order in which they were made.
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
    /// Adds a request. The original's `event_request_timer()`.
    pub fn request(&mut self, deadline: Instant, event: T) -> TimerId {
        self.serial += 1;
        let id = TimerId {
            deadline,
            serial: self.serial,
        };
        self.queue.insert(id, event);
        id
    }

    /// Removes a request, if it is still there.
    /// The original's `event_cancel_timer()`: does not return the time left.
    pub fn cancel(&mut self, id: TimerId) {
        self.queue.remove(&id);
    }

    /// The deadline of the first request. None if there is none.
    pub fn first_deadline(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|(id, _)| id.deadline)
    }

    /// Removes the first request if it is due at `now`, and returns its event.
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
        queue.cancel(gone);
        queue.cancel(gone);
        assert_eq!(queue.pop_due(at(9)), None);
        assert_eq!(queue.pop_due(at(10)), Some("first"));
        assert_eq!(queue.pop_due(at(10)), Some("second"));
        assert_eq!(queue.pop_due(at(19)), None);
        assert_eq!(queue.first_deadline(), Some(at(20)));
        assert_eq!(queue.pop_due(at(21)), Some("later"));
        assert_eq!(queue.first_deadline(), None);
    }
}
