//! `wait`: how a request waits for its client and holds up nobody else.
//!
//! The original blocks where a client has to do something first. Here a request
//! is an `async fn` with `.await` at the same places. There is no runtime: the
//! event loop owns the future of each client and runs it until it waits. What it
//! waits for is noted where both can see it, and the loop runs it again when that
//! has come.

use std::cell::Cell;
use std::future::{poll_fn, Future};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// What a client's request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The next request: nothing is half done, and there is no hurry.
    Request,
    /// More input.
    Input,
    /// That output can be written.
    Output,
    /// Only that the others have had their turn.
    Turn,
}

/// What is done for one client, from its beginning to its end.
pub type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Notes what is waited for, and lets the caller of [`run`] go on. The next call
/// of [`run`] ends the wait.
pub async fn wait_for(noted: &Cell<Wait>, what: Wait) {
    noted.set(what);
    let mut has_waited = false;
    poll_fn(|_| match std::mem::replace(&mut has_waited, true) {
        false => Poll::Pending,
        true => Poll::Ready(()),
    })
    .await
}

/// Runs a task until it waits. Returns true when it has come to its end.
pub fn run(task: &mut Task<'_>) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    task.as_mut().poll(&mut context).is_ready()
}
