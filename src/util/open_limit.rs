//! `open_limit`: the maximum number of open files of this process.

use std::io;
use std::os::fd::RawFd;

use super::strerror::strerror;
use crate::msg_warn;

/// The limit if the system does not report one.
const ASSUMED_LIMIT: usize = 256;

/// Raises the limit on open files to the hard limit, and returns it. If the system
/// refuses, logs a warning and returns the old limit. If the system does not report the
/// limit, logs a warning and returns `ASSUMED_LIMIT`.
/// The original's `open_limit()`: always the hard limit.
pub fn open_limit() -> usize {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid rlimit to write to.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        let reason = strerror(&io::Error::last_os_error());
        msg_warn!("unable to determine open file limit: {reason}; using {ASSUMED_LIMIT}");
        return ASSUMED_LIMIT;
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
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}

/// Maximum number of descriptors to count. Inherited ones have low numbers.
const MAX_COUNTED: usize = 1024;

/// Number of open descriptors below `limit`. Fails as poll(2) does.
pub fn open_files(limit: usize) -> io::Result<usize> {
    let numbers = 0..limit.min(MAX_COUNTED) as RawFd;
    let mut polls: Vec<libc::pollfd> = numbers
        .map(|fd| libc::pollfd {
            fd,
            events: 0,
            revents: 0,
        })
        .collect();
    // SAFETY: the pointer and the length describe `polls`, which outlives the call.
    let result = unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as _, 0) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let is_open = |poll: &&libc::pollfd| poll.revents & libc::POLLNVAL == 0;
    Ok(polls.iter().filter(is_open).count())
}

/// Returns true if a call failed because there are too many open files, in this
/// process or in the system. Also returns true for `ErrorKind::Other`, with which
/// `unix_recv_fd` fails if the system does not report the reason.
pub fn is_out_of_fds(err: &io::Error) -> bool {
    matches!(err.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
        || err.kind() == io::ErrorKind::Other
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    #[test]
    fn open_files_are_counted_also_above_a_gap() {
        // Some systems allow 256 open files.
        const HIGH: RawFd = 200;
        const LIMIT: usize = 256;
        let file = File::open("/dev/null").unwrap();
        let duplicate = |_| {
            // SAFETY: F_DUPFD_CLOEXEC takes and returns plain numbers.
            let high = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, HIGH) };
            assert!(high >= HIGH);
            // SAFETY: it was just opened, and has no other owner.
            unsafe { OwnedFd::from_raw_fd(high) }
        };
        let high: Vec<OwnedFd> = (0..40).map(duplicate).collect();
        // Other tests open and close files meanwhile, at lower numbers.
        let (below, above) = (open_files(150).unwrap(), open_files(LIMIT).unwrap());
        assert!(below > 0 && above >= below + high.len() / 2);
    }
}
