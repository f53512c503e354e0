//! `close_on_exec`: descriptors that child processes do not inherit.

use std::io;
use std::os::fd::RawFd;

/// Sets close-on-exec; fails as fcntl(2) does.
/// The original's `close_on_exec()`: cannot clear it.
pub fn close_on_exec(fd: RawFd) -> io::Result<()> {
    // SAFETY: F_SETFD takes plain numbers; a closed descriptor is an error.
    match unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
