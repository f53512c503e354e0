//! The door: the listening sockets, and when nobody is let in.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use super::tag::Tag;
use crate::msg_warn;
use crate::util::event::Events;
use crate::util::poller::Interest;
use crate::util::strerror::strerror;

/// The listening sockets of a server.
#[derive(Debug)]
pub(super) struct Door {
    listeners: Vec<UnixListener>,
    /// Nobody else is let in before; nothing when the door is open.
    closed_until: Option<Instant>,
    /// How long a warning is not logged again.
    warn_time: Duration,
    crowd_warning: Seldom,
    error_warning: Seldom,
}

/// A warning that is logged once in a while.
#[derive(Debug, Default)]
struct Seldom(Option<Instant>);

/// How long to wait before it is tried again to let a client in, if none has
/// gone: descriptors become free in other ways, too.
const CLOSED_TIME: Duration = Duration::from_secs(1);

impl Door {
    /// Lets clients of these sockets in. A warning is logged once in
    /// `warn_time`.
    pub fn new(
        listeners: Vec<UnixListener>,
        warn_time: Duration,
        events: &Events<Tag>,
    ) -> io::Result<Door> {
        for (index, listener) in listeners.iter().enumerate() {
            events.enable_read(listener.as_fd(), Tag::Listener(index as u32))?;
        }
        Ok(Door {
            listeners,
            closed_until: None,
            warn_time,
            crowd_warning: Seldom::default(),
            error_warning: Seldom::default(),
        })
    }

    /// The next client of a socket. Fails as accept(2) does.
    pub fn accept(&self, index: u32) -> io::Result<UnixStream> {
        match self.listeners.get(index as usize) {
            Some(listener) => listener.accept().map(|(socket, _)| socket),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// When the door is to be opened again, if it is closed.
    pub fn closed_until(&self) -> Option<Instant> {
        self.closed_until
    }

    /// Lets nobody else in for a while, or before a client has gone.
    pub fn close(&mut self, events: &Events<Tag>, now: Instant) {
        self.closed_until = Some(now + CLOSED_TIME);
        self.watch(events, Interest::Nothing);
    }

    /// The same after accept(2) has failed, which is logged.
    pub fn close_after(&mut self, err: &io::Error, events: &Events<Tag>, now: Instant) {
        if self.error_warning.is_time(self.warn_time, now) {
            msg_warn!("accept connection: {}, clients have to wait", strerror(err));
        }
        self.close(events, now);
    }

    /// Logs that there are as many clients as can be had.
    pub fn warn_of_crowd(&mut self, clients: usize, now: Instant) {
        if self.crowd_warning.is_time(self.warn_time, now) {
            msg_warn!("out of file descriptors: {clients} clients, others have to wait");
        }
    }

    /// Lets clients in again, if the door is closed.
    pub fn open(&mut self, events: &Events<Tag>) {
        if self.closed_until.take().is_some() {
            self.watch(events, Interest::Read);
        }
    }

    /// Lets nobody in any more: who waits there is for the next process.
    pub fn close_for_good(&mut self, events: &Events<Tag>) {
        self.closed_until = None;
        for listener in self.listeners.drain(..) {
            if let Err(err) = events.disable(listener.as_fd()) {
                msg_warn!("cannot forget a socket: {}", strerror(&err));
            }
        }
    }

    fn watch(&self, events: &Events<Tag>, interest: Interest) {
        for (index, listener) in self.listeners.iter().enumerate() {
            let tag = Tag::Listener(index as u32);
            if let Err(err) = events.change(listener.as_fd(), interest, tag) {
                msg_warn!("cannot watch for clients: {}", strerror(&err));
            }
        }
    }
}

impl Seldom {
    fn is_time(&mut self, warn_time: Duration, now: Instant) -> bool {
        let is_time = self.0.is_none_or(|last| last + warn_time <= now);
        if is_time {
            self.0 = Some(now);
        }
        is_time
    }
}
