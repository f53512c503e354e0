//! `poll_fd`: waits until a descriptor is ready, with a time limit. Functions fail
//! as poll(2) does.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Waits until a descriptor is readable. Returns false after `timeout`.
/// The original's `read_wait()`.
pub fn read_wait(fd: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
    poll_wait(fd, libc::POLLIN, timeout)
}

/// Waits until a descriptor is writable. Returns false after `timeout`.
/// The original's `write_wait()`.
pub fn write_wait(fd: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
    poll_wait(fd, libc::POLLOUT, timeout)
}

/// The original's `poll_fd_sysv()`.
fn poll_wait(fd: BorrowedFd<'_>, events: libc::c_short, timeout: Duration) -> io::Result<bool> {
    let mut poll = libc::pollfd {
        fd: fd.as_raw_fd(),
        events,
        revents: 0,
    };
    let timeout = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    loop {
        // SAFETY: `poll` is one pollfd that outlives the call.
        match unsafe { libc::poll(&mut poll, 1, timeout) } {
            0 => return Ok(false),
            1.. => return Ok(true),
            _ => match io::Error::last_os_error() {
                err if err.kind() == io::ErrorKind::Interrupted => {}
                err => return Err(err),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::sigaction::{set_handler, unblock};
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::os::unix::thread::JoinHandleExt;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    static HANDLED: AtomicU32 = AtomicU32::new(0);

    extern "C" fn handle(_signal: libc::c_int) {
        HANDLED.fetch_add(1, Ordering::Relaxed);
    }

    #[test]
    fn a_signal_does_not_end_the_wait() {
        let (mut a, b) = UnixStream::pair().unwrap();
        // SAFETY: `handle` only adds to an atomic.
        unsafe { set_handler(libc::SIGWINCH, handle) }.unwrap();
        let waiter = thread::spawn(move || {
            unblock(libc::SIGWINCH);
            read_wait(b.as_fd(), Duration::from_secs(3600))
        });
        for count in 1..=100 {
            // SAFETY: the thread has not been joined.
            unsafe { libc::pthread_kill(waiter.as_pthread_t() as _, libc::SIGWINCH) };
            while HANDLED.load(Ordering::Relaxed) < count && !waiter.is_finished() {
                thread::yield_now();
            }
        }
        a.write_all(b"x").unwrap();
        assert!(waiter.join().unwrap().unwrap());
    }
}
