//! `event`: which descriptor to look at next.
//!
//! The original's `events(3)` without its callbacks: a descriptor is enabled
//! together with a small value that says whose it is, and [`Events::wait`]
//! hands that value back when there is something to do. Deadlines are the
//! caller's, see [`timer`](super::timer).

use std::io;
use std::marker::PhantomData;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use super::poller::{Interest, Poller};

/// A value that says whose descriptor it is, packed into one word.
pub trait EventTag {
    /// Packs the value.
    fn pack(self) -> usize;
    /// What `pack` made of it.
    fn unpack(word: usize) -> Self;
}

/// The descriptors that are watched, and those found ready.
#[derive(Debug)]
pub struct Events<T> {
    poller: Poller,
    ready: Vec<usize>,
    served: usize,
    tags: PhantomData<T>,
}

impl<T: EventTag> Events<T> {
    /// Watches nothing yet. The original's `event_init()`.
    pub fn new() -> io::Result<Self> {
        Ok(Events {
            poller: Poller::new()?,
            ready: Vec::new(),
            served: 0,
            tags: PhantomData,
        })
    }

    /// Watches a descriptor for input. The original's `event_enable_read()`.
    pub fn enable_read(&self, fd: BorrowedFd<'_>, tag: T) -> io::Result<()> {
        self.poller.add(fd, Interest::Read, tag.pack())
    }

    /// Watches an enabled descriptor for something else from now on.
    pub fn change(&self, fd: BorrowedFd<'_>, interest: Interest, tag: T) -> io::Result<()> {
        self.poller.modify(fd, interest, tag.pack())
    }

    /// Stops to watch a descriptor. The original's `event_disable_readwrite()`.
    pub fn disable(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.poller.remove(fd)
    }

    /// Waits until something is ready, `deadline` has come, or a signal.
    pub fn wait(&mut self, deadline: Option<Instant>, now: Instant) -> io::Result<()> {
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(now));
        self.served = 0;
        self.poller.wait(timeout, &mut self.ready)
    }

    /// The next that was found ready by the last wait.
    pub fn next_ready(&mut self) -> Option<T> {
        let &word = self.ready.get(self.served)?;
        self.served += 1;
        Some(T::unpack(word))
    }
}
