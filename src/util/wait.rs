//! `wait`: a request waits for its client without delaying other clients.
//!
//! The C program blocks where a client has to do something first. Here a request
//! is an `async fn` with `.await` at the same places. There is no runtime: the
//! event loop owns the future of each client and runs it until it waits. The future
//! stores the event that it waits for where the loop can see it, and the loop runs the
//! future again when the wait is over.

use std::cell::Cell;
use std::future::{poll_fn, Future};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// The event that a client's task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Input that begins a request. There is no time limit.
    Request,
    /// More input of a request.
    Input,
    /// Space for output.
    Output,
    /// Its turn: the client has yielded to others, and is in the run queue.
    Yield,
}

/// The work for one client, from its connection to its end.
pub type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Stores the event to wait for in `wait`, and returns to the caller of [`run`].
/// The next call of [`run`] ends the wait.
pub async fn wait_for(wait: &Cell<Wait>, event: Wait) {
    wait.set(event);
    let mut has_waited = false;
    poll_fn(|_| match std::mem::replace(&mut has_waited, true) {
        false => Poll::Pending,
        true => Poll::Ready(()),
    })
    .await
}

/// Runs a task until it waits. Returns true if it has finished.
pub fn run(task: &mut Task<'_>) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    task.as_mut().poll(&mut context).is_ready()
}
