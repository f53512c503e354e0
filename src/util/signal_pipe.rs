//! `signal_pipe`: a signal, for a loop that waits for descriptors.
//!
//! A signal handler may do next to nothing. This one writes a byte that the
//! loop finds when it comes round; what the signal means is decided there. An
//! alarm ends a process that does not end by itself: it may be waiting for a log
//! that nobody reads.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use super::sigaction::set_handler;

/// Time for the process to end once the signal has come, in seconds.
const TIME_TO_END: libc::c_uint = 5;

// A signal handler can be told nothing but by statics.
static WRITE_END: AtomicI32 = AtomicI32::new(-1);
static HAS_COME: AtomicBool = AtomicBool::new(false);

/// The end of the pipe that is readable once the signal has come.
#[derive(Debug)]
pub struct SignalPipe(UnixStream);

impl SignalPipe {
    /// From now on this signal makes the pipe readable, and the process has a few
    /// seconds to end. A process has one such pipe. Fails when no descriptor is left, or when
    /// there is no such signal.
    pub fn new(signal: libc::c_int) -> io::Result<SignalPipe> {
        // A pair of sockets, because std makes those close-on-exec.
        let (read_end, write_end) = UnixStream::pair()?;
        // Open as long as the process: the handler may run at any time.
        WRITE_END.store(write_end.into_raw_fd(), Ordering::Relaxed);
        set_handler(signal, note_signal)?;
        Ok(SignalPipe(read_end))
    }
}

impl AsFd for SignalPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether the signal has come, even if the loop has not come round to it.
pub fn signal_has_come() -> bool {
    HAS_COME.load(Ordering::Relaxed)
}

/// The first time is enough; so the pipe is never full, and errno stays as the
/// program that was interrupted has it.
extern "C" fn note_signal(_signal: libc::c_int) {
    if !HAS_COME.swap(true, Ordering::Relaxed) {
        let fd = WRITE_END.load(Ordering::Relaxed);
        // SAFETY: the calls are async-signal-safe, there is one byte to write, and
        // SIG_DFL is no handler.
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
    fn it_is_readable_once_the_signal_has_come_and_the_process_lives() {
        let pipe = SignalPipe::new(libc::SIGUSR2).unwrap();
        assert!(!read_wait(pipe.as_fd(), Duration::ZERO).unwrap());
        assert!(!signal_has_come());
        for _ in 0..2 {
            unblock(libc::SIGUSR2);
            // SAFETY: the signal has a handler.
            unsafe { libc::raise(libc::SIGUSR2) };
            assert!(read_wait(pipe.as_fd(), Duration::ZERO).unwrap());
            assert!(signal_has_come());
        }
        // SAFETY: alarm() takes and returns plain numbers.
        assert!(unsafe { libc::alarm(0) } > 0);
    }
}
