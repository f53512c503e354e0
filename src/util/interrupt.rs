//! `interrupt`: an end to the wait of a system call that should not wait.
//!
//! The last close of a socket waits as long as somebody has said, and the system
//! closes descriptors on its own as well, in the middle of other calls. Such a wait
//! ends when a signal comes; what the socket has to send is sent all the same. So
//! here is a timer that sends one, and goes on while such a call does.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use super::sigaction::{set_handler, unblock};

/// The signal: who does not expect it does not notice it.
pub const INTERRUPT: libc::c_int = libc::SIGURG;

// A signal handler can be told nothing but by statics.
static IN_CALL: AtomicBool = AtomicBool::new(false);
/// Whether the timer runs, or there is none.
static RUNS: AtomicBool = AtomicBool::new(true);

/// From now on [`may_wait`] takes no longer than it should. Fails when there is no
/// such signal; without a timer a call waits as long as it does.
pub fn interrupt_init() -> io::Result<()> {
    set_handler(INTERRUPT, interrupted)?;
    unblock(INTERRUPT);
    RUNS.store(!timer::create(), Ordering::Relaxed);
    Ok(())
}

/// Makes a call of the system that should not wait, and sees to it that it does
/// not for long. For the thread that called [`interrupt_init`].
pub fn may_wait<T>(call: impl FnOnce() -> T) -> T {
    IN_CALL.store(true, Ordering::Relaxed);
    if !RUNS.load(Ordering::Relaxed) {
        RUNS.store(true, Ordering::Relaxed);
        timer::start();
    }
    let result = call();
    IN_CALL.store(false, Ordering::Relaxed);
    result
}

/// The signal alone has ended the wait, if it was one. It may have come a moment
/// before that, so there is another one.
extern "C" fn interrupted(_signal: libc::c_int) {
    match IN_CALL.load(Ordering::Relaxed) {
        true => timer::start(),
        false => RUNS.store(false, Ordering::Relaxed),
    }
}

#[cfg(target_os = "linux")]
mod timer {
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, Ordering};

    /// So long a call waits at most, or twice as long, in nanoseconds.
    const TIME_TO_WAIT: libc::c_long = 5_000_000;

    static TIMER: AtomicPtr<libc::c_void> = AtomicPtr::new(ptr::null_mut());

    /// Makes the timer, for the thread that calls; false when there is none.
    pub(super) fn create() -> bool {
        let mut timer: libc::timer_t = ptr::null_mut();
        // SAFETY: all-zero is a valid sigevent; both are there during the call.
        let result = unsafe {
            let mut event: libc::sigevent = std::mem::zeroed();
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = super::INTERRUPT;
            event.sigev_notify_thread_id = libc::gettid();
            libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer)
        };
        TIMER.store(timer, Ordering::Relaxed);
        result == 0
    }

    /// Lets it send one signal.
    pub(super) fn start() {
        // SAFETY: all-zero is a valid itimerspec. The timer is there when this is
        // called, and the call is async-signal-safe.
        unsafe {
            let mut time: libc::itimerspec = std::mem::zeroed();
            time.it_value.tv_nsec = TIME_TO_WAIT;
            libc::timer_settime(TIMER.load(Ordering::Relaxed), 0, &time, ptr::null_mut());
        }
    }
}

/// Not every other system has one that can be told which thread is meant.
#[cfg(not(target_os = "linux"))]
mod timer {
    pub(super) fn create() -> bool {
        false
    }

    pub(super) fn start() {}
}
