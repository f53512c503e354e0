//! `signal_pipe`: reports a signal to an event loop.
//!
//! The signal handler writes a byte into a pipe that the loop watches, and the loop
//! handles the signal. An alarm ends a process that does not end in time: it may be
//! waiting for a log that is not read.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use super::sigaction::set_handler;

/// Maximum time for the process to end after the signal, in seconds.
const TIME_TO_END: libc::c_uint = 5;

// A signal handler has no argument but the signal.
static WRITE_END: AtomicI32 = AtomicI32::new(-1);
static CAUGHT: AtomicBool = AtomicBool::new(false);

/// The read end of the pipe, which is readable after the signal.
#[derive(Debug)]
pub struct SignalPipe(UnixStream);

impl SignalPipe {
    /// Installs the handler. A process has one such pipe. Fails if there are too
    /// many open files, or if the signal is not valid.
    pub fn new(signal: libc::c_int) -> io::Result<SignalPipe> {
        // Sockets, because std makes them close-on-exec.
        let (read_end, write_end) = UnixStream::pair()?;
        // Never closed: the handler may run at any time.
        WRITE_END.store(write_end.into_raw_fd(), Ordering::Relaxed);
        // SAFETY: `note_signal` makes only async-signal-safe calls.
        unsafe { set_handler(signal, note_signal) }?;
        Ok(SignalPipe(read_end))
    }
}

impl AsFd for SignalPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Returns true if the signal was caught, even if the loop has not handled it yet.
pub fn signal_caught() -> bool {
    CAUGHT.load(Ordering::Relaxed)
}

/// The handler. It writes only once, to a pipe whose other end stays open while there
/// are requests: its calls do not fail, and do not change errno.
extern "C" fn note_signal(_signal: libc::c_int) {
    if !CAUGHT.swap(true, Ordering::Relaxed) {
        let fd = WRITE_END.load(Ordering::Relaxed);
        // SAFETY: the calls are async-signal-safe, the byte is readable, and SIG_DFL
        // is a valid disposition.
        unsafe {
            libc::write(fd, [0u8].as_ptr().cast(), 1);
            libc::signal(libc::SIGALRM, libc::SIG_DFL);
            libc::alarm(TIME_TO_END);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::poll_fd::read_wait;
    use crate::util::sigaction::unblock;
    use std::time::Duration;

    #[test]
    fn the_pipe_is_readable_after_the_signal_and_the_process_lives() {
        let pipe = SignalPipe::new(libc::SIGUSR2).unwrap();
        assert!(!read_wait(pipe.as_fd(), Duration::ZERO).unwrap());
        assert!(!signal_caught());
        for _ in 0..2 {
            unblock(libc::SIGUSR2);
            // SAFETY: the signal has a handler.
            unsafe { libc::raise(libc::SIGUSR2) };
            assert!(read_wait(pipe.as_fd(), Duration::ZERO).unwrap());
            assert!(signal_caught());
        }
        // SAFETY: alarm() takes and returns plain numbers.
        assert!(unsafe { libc::alarm(0) } > 0);
    }
}
