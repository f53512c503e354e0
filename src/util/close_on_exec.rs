//! `close_on_exec`: what a child's child must not inherit.

use std::io;
use std::os::fd::RawFd;

/// Sets close-on-exec. The original's `close_on_exec(fd, CLOSE_ON_EXEC)`.
pub fn close_on_exec(fd: RawFd) -> io::Result<()> {
    // SAFETY: F_SETFD only changes a flag, of a descriptor that may be closed.
    match unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
