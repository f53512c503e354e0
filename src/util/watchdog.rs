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
//!
//! The end is in a signal handler, which may interrupt anything, also a message
//! that is being logged. So it makes only calls that are async-signal-safe, and
//! its own message is prepared by [`watchdog_output`].

use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::OnceLock;
use std::time::Duration;

use super::sigaction::{set_handler, unblock};

/// The message.
pub const WATCHDOG_TIMEOUT: &str = "fatal: watchdog timeout";

/// So many alarms make up the time allowed. The original's `WATCHDOG_STEPS`.
const WATCHDOG_STEPS: u32 = 3;

/// Time for the process to write that and to end, in seconds.
const TIME_TO_END: libc::c_uint = 5;

/// The pause after a fatal message, in seconds, so that master(8) does not spin.
const PAUSE: libc::c_uint = 1;

// A signal handler can be told nothing but by statics.
static TRIPS: AtomicU32 = AtomicU32::new(0);
static STEPS: AtomicU32 = AtomicU32::new(0);
static INTERVAL: AtomicU32 = AtomicU32::new(0);
static OUTPUT: OnceLock<Vec<(RawFd, Vec<u8>)>> = OnceLock::new();

/// Sets what the watchdog writes when it ends the program: lines, each to a
/// descriptor, which must stay open. Only the first call counts.
pub fn watchdog_output(lines: Vec<(RawFd, Vec<u8>)>) {
    let _ = OUTPUT.set(lines);
}

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

/// The handler. It changes errno only if it does not return. The original's
/// `watchdog_event()`.
extern "C" fn watchdog_event(_signal: libc::c_int) {
    if TRIPS.fetch_add(1, Ordering::Relaxed) < STEPS.load(Ordering::Relaxed) {
        // SAFETY: alarm() is async-signal-safe.
        unsafe { libc::alarm(INTERVAL.load(Ordering::Relaxed)) };
        return;
    }
    // Nobody may be reading stderr. If writing to it waits, the next alarm ends
    // the program.
    // SAFETY: the calls are async-signal-safe, and SIG_DFL is no handler.
    unsafe {
        libc::signal(libc::SIGALRM, libc::SIG_DFL);
        libc::alarm(TIME_TO_END);
    }
    unblock(libc::SIGALRM);
    for (fd, line) in OUTPUT.get().into_iter().flatten() {
        // SAFETY: write() is async-signal-safe, and `line` is never freed.
        unsafe { libc::write(*fd, line.as_ptr().cast(), line.len()) };
    }
    // SAFETY: the calls are async-signal-safe.
    unsafe {
        libc::sleep(PAUSE);
        libc::_exit(1)
    }
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
    use std::process::Command;
    use std::{env, thread};

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

    /// This program hangs, once more and by itself.
    #[test]
    fn a_program_that_hangs_ends_with_a_line_and_status_1() {
        const HANGS: &str = "WATCHDOG_HANGS";
        const NAME: &str =
            "util::watchdog::tests::a_program_that_hangs_ends_with_a_line_and_status_1";
        if env::var_os(HANGS).is_some() {
            watchdog_output(vec![(libc::STDERR_FILENO, b"the line".to_vec())]);
            let _watchdog = Watchdog::new(Duration::from_secs(1)).unwrap();
            loop {
                thread::park();
            }
        }
        let mut program = Command::new(env::current_exe().unwrap());
        program.args(["--exact", NAME, "--nocapture"]);
        let output = program.env(HANGS, "").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "the line");
        assert_eq!(output.status.code(), Some(1));
    }
}
