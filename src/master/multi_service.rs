//! What a service for many clients in one process is to the event loop that
//! runs it.

use std::time::{Duration, Instant};

use crate::util::stream::Stream;

/// What a client has to do before the service can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Send the next request; nothing is half done.
    Request,
    /// Send the rest.
    Input,
    /// Take what is written to it.
    Output,
    /// Nothing: what it has sent is there, and others have their turn first.
    Nothing,
}

/// What the service may know about the moment at which it is called.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// The time.
    pub now: Instant,
    /// How many descriptors may still be opened.
    pub free_fds: usize,
}

/// A service for many clients.
pub trait MultiService {
    /// What is remembered of one client.
    type Client: Default;

    /// A client has connected.
    fn connected(&mut self, stream: &mut Stream);

    /// A client can go on: does one piece of what it asks for, as far as can
    /// be done without waiting.
    fn service(&mut self, client: &mut Self::Client, stream: &mut Stream, turn: Turn) -> Wait;

    /// A client took longer than `ipc_timeout` for what it had to do.
    fn timeout(&mut self, client: &mut Self::Client, stream: &mut Stream, turn: Turn) -> Wait;

    /// A client has gone.
    fn disconnected(&mut self, client: Self::Client);

    /// How many descriptors the service holds.
    fn descriptors(&self) -> usize;

    /// Gives up the descriptor that can best be spared; false when there is none.
    fn make_room(&mut self) -> bool;

    /// How often it says how it is used. What goes wrong all the time is not
    /// logged more often either.
    fn status_update_time(&self) -> Duration;

    /// When [`MultiService::timers`] is to be called next.
    fn next_deadline(&self) -> Option<Instant>;

    /// Does what is due, or some of it.
    fn timers(&mut self, now: Instant);

    /// The process ends.
    fn exit(&mut self);
}
