//! epoll(7), level-triggered: for `floor`, and for the clients in
//! [`load`](super::load).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Maximum number of events that one call returns, as in the daemon.
const EVENTS: usize = 100;

/// A set of descriptors, with the events that the last call returned.
pub struct Epoll {
    fd: OwnedFd,
    events: [libc::epoll_event; EVENTS],
}

impl Epoll {
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: takes a plain number; the result is checked below.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Epoll {
            // SAFETY: the descriptor is new and has no other owner.
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
            events: [libc::epoll_event { events: 0, u64: 0 }; EVENTS],
        })
    }

    /// Adds a descriptor; `token` is returned when it can be read.
    pub fn add(&self, fd: BorrowedFd<'_>, token: usize) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: token as u64,
        };
        let (epoll, fd) = (self.fd.as_raw_fd(), fd.as_raw_fd());
        // SAFETY: both descriptors are open, `event` outlives the call.
        match unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Waits for at most `time` milliseconds, or without limit if it is -1. Returns
    /// the number of events, 0 if the time is over; their tokens come from
    /// [`Epoll::token`].
    pub fn wait(&mut self, time: libc::c_int) -> io::Result<usize> {
        let (epoll, count) = (self.fd.as_raw_fd(), EVENTS as libc::c_int);
        // SAFETY: `events` has space for `count` events.
        let count = unsafe { libc::epoll_wait(epoll, self.events.as_mut_ptr(), count, time) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// The token of one of the events that [`Epoll::wait`] returned.
    pub fn token(&self, event: usize) -> usize {
        self.events[event].u64 as usize
    }
}
