//! `watchdog`: ends a program whose event loop has stopped.
//!
//! An alarm goes off three times in the time allowed; when the loop does not
//! come round while that time passes from one alarm on, the program logs and
//! exits. Several alarms instead of one, so that a machine that was suspended
//! does not count as a loop that hangs. The alarm runs on by itself: coming
//! round costs no system call, and an idle loop is woken by it and so comes
//! round.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::msg::{msg_print, Severity};
use super::sigaction::set_handler;

/// So many alarms make up the time allowed. The original's `WATCHDOG_STEPS`.
const WATCHDOG_STEPS: u32 = 3;

/// How long the last message may take, in seconds.
const LAST_WORD_TIME: libc::c_uint = 5;

// Older versions of the libc crate (Debian 13) lack it for Linux.
extern "C" {
    fn setitimer(
        which: libc::c_int,
        new: *const libc::itimerval,
        old: *mut libc::itimerval,
    ) -> libc::c_int;
}

// A signal handler can be told nothing but by statics.
static TRIPS: AtomicU32 = AtomicU32::new(0);

/// The alarm that is running.
#[derive(Debug)]
pub struct Watchdog(());

impl Watchdog {
    /// Starts the alarm. The original's `watchdog_create()`.
    pub fn new(timeout: Duration) -> io::Result<Watchdog> {
        set_handler(libc::SIGALRM, watchdog_event)?;
        start_alarm(timeout / WATCHDOG_STEPS)?;
        Ok(Watchdog(()))
    }

    /// Notes that the loop has come round. The original's `watchdog_pat()`.
    pub fn pat(&self) {
        TRIPS.store(0, Ordering::Relaxed);
    }
}

extern "C" fn watchdog_event(_signal: libc::c_int) {
    if TRIPS.fetch_add(1, Ordering::Relaxed) < WATCHDOG_STEPS {
        return;
    }
    // The loop may hang while it holds what logging needs; then the message is
    // given up and the next alarm ends the program.
    // SAFETY: the calls are async-signal-safe, and the set is initialised
    // before it is used.
    unsafe {
        libc::signal(libc::SIGALRM, libc::SIG_DFL);
        libc::alarm(LAST_WORD_TIME);
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGALRM);
        libc::sigprocmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
    }
    msg_print(Severity::Fatal, format_args!("watchdog timeout"));
}

fn start_alarm(interval: Duration) -> io::Result<()> {
    let time = libc::timeval {
        tv_sec: interval.as_secs() as _,
        tv_usec: interval.subsec_micros() as _,
    };
    let timer = libc::itimerval {
        it_interval: time,
        it_value: time,
    };
    // SAFETY: `timer` is initialised; the old one is not asked for.
    match unsafe { setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
