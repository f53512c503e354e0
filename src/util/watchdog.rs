//! `watchdog`: ends a program whose event loop hangs. The original's `watchdog`.
//!
//! An alarm goes off three times in the time allowed. If the loop makes no round
//! from one alarm until that time has passed, the program logs a message and exits.
//! There are several alarms so that a machine that was suspended does not count as a
//! loop that hangs. Each alarm sets the next: a round costs no system call, and an
//! idle loop is woken by the alarm and makes a round.
//!
//! alarm(2) has a resolution of a second, but the same interface on every system.
//!
//! The signal handler may interrupt anything, even the logging of a message. So it
//! makes only async-signal-safe calls, and [`watchdog_output`] prepares its message.

use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::OnceLock;
use std::time::Duration;

use super::sigaction::{set_handler, unblock};

/// The message.
pub const WATCHDOG_TIMEOUT: &str = "fatal: watchdog timeout";

/// Number of alarms in the time allowed. The original's `WATCHDOG_STEPS`.
const WATCHDOG_STEPS: u32 = 3;

/// Maximum time to write the message and to end, in seconds.
const TIME_TO_END: libc::c_uint = 5;

/// Pause before the process ends, in seconds, as after a fatal message.
const PAUSE: libc::c_uint = 1;

// A signal handler has no argument but the signal.
static TRIPS: AtomicU32 = AtomicU32::new(0);
static INTERVAL: AtomicU32 = AtomicU32::new(0);
static OUTPUT: OnceLock<Vec<(RawFd, Vec<u8>)>> = OnceLock::new();

/// Sets the lines that the watchdog writes when it ends the program, each with its
/// descriptor, which must stay open. Only the first call has an effect.
pub fn watchdog_output(lines: Vec<(RawFd, Vec<u8>)>) {
    let _ = OUTPUT.set(lines);
}

/// The alarm that is running.
#[derive(Debug)]
pub struct Watchdog(());

impl Watchdog {
    /// Starts the alarm. The timeout is at least [`WATCHDOG_STEPS`] seconds. Fails as
    /// sigaction(2) does.
    /// The original's `watchdog_create()` and `watchdog_start()`.
    pub fn new(timeout: Duration) -> io::Result<Watchdog> {
        let timeout = u32::try_from(timeout.as_secs()).unwrap_or(u32::MAX);
        let interval = timeout / WATCHDOG_STEPS;
        INTERVAL.store(interval, Ordering::Relaxed);
        // SAFETY: `watchdog_event` makes only async-signal-safe calls.
        unsafe { set_handler(libc::SIGALRM, watchdog_event) }?;
        // SAFETY: alarm() takes and returns plain numbers.
        unsafe { libc::alarm(interval) };
        Ok(Watchdog(()))
    }

    /// Reports a round of the loop. The original's `watchdog_pat()`.
    pub fn pat(&self) {
        TRIPS.store(0, Ordering::Relaxed);
    }
}

/// The handler. It changes errno only if it does not return.
/// The original's `watchdog_event()`.
extern "C" fn watchdog_event(_signal: libc::c_int) {
    if TRIPS.fetch_add(1, Ordering::Relaxed) < WATCHDOG_STEPS {
        // SAFETY: alarm() is async-signal-safe and takes a plain number.
        unsafe { libc::alarm(INTERVAL.load(Ordering::Relaxed)) };
        return;
    }
    // Writing to stderr may block. The next alarm then ends the program.
    // SAFETY: the calls are async-signal-safe, and SIG_DFL is a valid disposition.
    unsafe {
        libc::signal(libc::SIGALRM, libc::SIG_DFL);
        libc::alarm(TIME_TO_END);
    }
    unblock(libc::SIGALRM);
    for (fd, line) in OUTPUT.get().into_iter().flatten() {
        // SAFETY: write() is async-signal-safe; `line` is readable for its length
        // and never freed.
        unsafe { libc::write(*fd, line.as_ptr().cast(), line.len()) };
    }
    // SAFETY: the calls are async-signal-safe and take plain numbers.
    unsafe {
        libc::sleep(PAUSE);
        libc::_exit(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::env;
    use std::process::Command;

    /// Starts this test program again, as one whose loop hangs.
    #[test]
    fn the_fourth_alarm_without_a_round_ends_the_program_with_a_line_and_status_1() {
        const HANGS: &str = "WATCHDOG_HANGS";
        const NAME: &str = "util::watchdog::tests::\
            the_fourth_alarm_without_a_round_ends_the_program_with_a_line_and_status_1";
        if env::var_os(HANGS).is_some() {
            watchdog_output(vec![(libc::STDERR_FILENO, b"the line".to_vec())]);
            let watchdog = Watchdog::new(Duration::from_secs(18000)).unwrap();
            unblock(libc::SIGALRM);
            // SAFETY: the signal has a handler.
            let alarm = || unsafe { libc::raise(libc::SIGALRM) };
            for _ in 0..2 {
                watchdog.pat();
                for _ in 0..WATCHDOG_STEPS {
                    alarm();
                }
            }
            eprint!("three alarms, ");
            alarm();
            unreachable!();
        }
        let mut program = Command::new(env::current_exe().unwrap());
        program.args(["--exact", NAME, "--nocapture"]);
        let output = program.env(HANGS, "").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said, "three alarms, the line");
        assert_eq!(output.status.code(), Some(1));
    }
}
