//! `watchdog`: ends a program whose event loop has stopped.
//!
//! An alarm goes off three times in the time allowed; when the loop does not
//! come round while that time passes from one alarm on, the program logs and
//! exits. Several alarms instead of one, so that a machine that was suspended
//! does not count as a loop that hangs. Each alarm sets the next: coming round
//! costs no system call, and an idle loop is woken by it and so comes round.
//!
//! alarm(2) counts whole seconds, which is fine enough, and is the same on every
//! system; a timer with a structure for its time is not.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::msg::{msg_die, Severity};
use super::sigaction::{set_handler, unblock};

/// So many alarms make up the time allowed. The original's `WATCHDOG_STEPS`.
const WATCHDOG_STEPS: u32 = 3;

/// How long the process has to log that and to end, in seconds.
const TIME_TO_END: libc::c_uint = 5;

// A signal handler can be told nothing but by statics.
static TRIPS: AtomicU32 = AtomicU32::new(0);
static STEPS: AtomicU32 = AtomicU32::new(0);
static INTERVAL: AtomicU32 = AtomicU32::new(0);

/// The alarm that is running.
#[derive(Debug)]
pub struct Watchdog(());

impl Watchdog {
    /// Starts the alarm. The original's `watchdog_create()`.
    pub fn new(timeout: Duration) -> io::Result<Watchdog> {
        let (interval, steps) = alarms(timeout);
        INTERVAL.store(interval, Ordering::Relaxed);
        STEPS.store(steps, Ordering::Relaxed);
        set_handler(libc::SIGALRM, watchdog_event)?;
        // SAFETY: alarm() takes and returns plain numbers.
        unsafe { libc::alarm(interval) };
        Ok(Watchdog(()))
    }

    /// Notes that the loop has come round. The original's `watchdog_pat()`.
    pub fn pat(&self) {
        TRIPS.store(0, Ordering::Relaxed);
    }
}

extern "C" fn watchdog_event(_signal: libc::c_int) {
    if TRIPS.fetch_add(1, Ordering::Relaxed) < STEPS.load(Ordering::Relaxed) {
        // SAFETY: alarm() is async-signal-safe.
        unsafe { libc::alarm(INTERVAL.load(Ordering::Relaxed)) };
        return;
    }
    // The loop may hang while it holds what logging needs; then the message is
    // given up and the next alarm ends the program.
    // SAFETY: the calls are async-signal-safe.
    unsafe {
        libc::signal(libc::SIGALRM, libc::SIG_DFL);
        libc::alarm(TIME_TO_END);
    }
    unblock(libc::SIGALRM);
    msg_die(Severity::Fatal, format_args!("watchdog timeout"))
}

/// The seconds from one alarm to the next, and how many of them make up the
/// time allowed, or as little more as can be. Not three where that would be
/// much more.
fn alarms(timeout: Duration) -> (u32, u32) {
    let timeout = u32::try_from(timeout.as_secs()).unwrap_or(u32::MAX);
    let interval = (timeout / WATCHDOG_STEPS).max(1);
    (interval, timeout.div_ceil(interval).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alarms_make_up_the_time_allowed() {
        for (timeout, expected) in [
            (18000, (6000, 3)),
            (3, (1, 3)),
            (0, (1, 1)),
            (1, (1, 1)),
            (2, (1, 2)),
            (5, (1, 5)),
            (11, (3, 4)),
        ] {
            assert_eq!(alarms(Duration::from_secs(timeout)), expected, "{timeout}");
        }
        let (interval, steps) = alarms(Duration::MAX);
        assert!(u64::from(interval) * u64::from(steps) >= u64::from(u32::MAX));
    }
}
