//! `open_limit`: how many descriptors this process may have.

use std::io;

use super::strerror::strerror;
use crate::msg_warn;

/// Raises the limit on open files as far as it goes and says what it is now.
/// Where that is refused, a warning says so, and it is what it was. The
/// original's `open_limit(INT_MAX)`.
pub fn open_limit() -> io::Result<usize> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid rlimit to write to.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let soft = limit.rlim_cur;
    if soft != limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: `limit` is a valid rlimit to read from.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } != 0 {
            let reason = strerror(&io::Error::last_os_error());
            let hard = limit.rlim_max;
            msg_warn!("cannot raise the limit on open files from {soft} to {hard}: {reason}");
            limit.rlim_cur = soft;
        }
    }
    Ok(usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX))
}
