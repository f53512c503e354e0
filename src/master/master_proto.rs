//! `master_proto`: descriptors from master(8), and reports to it. The original's
//! `master_proto`.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Write};
use std::mem::size_of_val;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;

use crate::msg_info;
use crate::util::close_on_exec::close_on_exec;
use crate::util::msg::msg_verbose;
use crate::util::strerror::strerror;

/// The read end of the flow-control pipe. The original's `MASTER_FLOW_READ`.
pub const MASTER_FLOW_READ: RawFd = 3;
/// The write end of the flow-control pipe. The original's `MASTER_FLOW_WRITE`.
pub const MASTER_FLOW_WRITE: RawFd = 4;
/// The status pipe to master(8). The original's `MASTER_STATUS_FD`.
pub const MASTER_STATUS_FD: RawFd = 5;
/// The first listening socket. The original's `MASTER_LISTEN_FD`.
pub const MASTER_LISTEN_FD: RawFd = 6;

/// The descriptors that this process inherits from master(8).
///
/// A file that this process opens gets the lowest free number, which may be that of
/// a missing descriptor. So the descriptors are checked before anything is opened,
/// and only those that were open then are used.
#[derive(Debug)]
pub struct MasterFds {
    /// The reason if the status pipe is missing.
    status: Result<(), String>,
    /// Number of listening sockets, from `MASTER_LISTEN_FD` on.
    sockets: usize,
    /// The reason why the next descriptor is not a listening socket.
    end: String,
}

impl MasterFds {
    /// Checks the descriptors; to be called before this process opens anything.
    pub fn check() -> MasterFds {
        let mut sockets = 0;
        let end = loop {
            match is_listening(socket_fd(sockets)) {
                Ok(()) => sockets += 1,
                Err(reason) => break reason,
            }
        };
        MasterFds {
            status: is_open(MASTER_STATUS_FD),
            sockets,
            end,
        }
    }

    /// Returns the status pipe and this number of sockets, close-on-exec. Fails with
    /// the text of a fatal message.
    pub fn take(self, sockets: usize) -> Result<(OwnedFd, Vec<UnixListener>), String> {
        self.status
            .map_err(|reason| missing(MASTER_STATUS_FD, &reason))?;
        if sockets > self.sockets {
            return Err(missing(socket_fd(self.sockets), &self.end));
        }
        for fd in [MASTER_FLOW_READ, MASTER_FLOW_WRITE] {
            // Not used by this program, so it may be missing.
            let _ = close_on_exec(fd);
        }
        let sockets = (0..sockets).map(|index| adopt(socket_fd(index)).map(UnixListener::from));
        Ok((adopt(MASTER_STATUS_FD)?, sockets.collect::<Result<_, _>>()?))
    }
}

fn socket_fd(index: usize) -> RawFd {
    MASTER_LISTEN_FD + index as RawFd
}

fn missing(fd: RawFd, reason: &str) -> String {
    format!("descriptor {fd} from master: {reason}")
}

/// Takes ownership of a descriptor that [`MasterFds::check`] has found. To be called
/// once for each descriptor.
fn adopt(fd: RawFd) -> Result<OwnedFd, String> {
    close_on_exec(fd).map_err(|err| missing(fd, &strerror(&err)))?;
    // SAFETY: it was open before this process opened anything, so it has no other
    // owner; and `take`, which consumes the record, adopts each number once.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Fails with the reason if a descriptor is not open.
fn is_open(fd: RawFd) -> Result<(), String> {
    // SAFETY: F_GETFD takes a plain number; a closed descriptor is an error.
    match unsafe { libc::fcntl(fd, libc::F_GETFD) } {
        ..=-1 => Err(strerror(&io::Error::last_os_error())),
        _ => Ok(()),
    }
}

/// Fails with the reason if a descriptor is not a listening socket.
fn is_listening(fd: RawFd) -> Result<(), String> {
    let mut listens: libc::c_int = 0;
    let mut size = size_of_val(&listens) as libc::socklen_t;
    // SAFETY: `size` is the size of `listens`, and both outlive the call.
    let result = unsafe {
        let listens = (&raw mut listens).cast();
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_ACCEPTCONN,
            listens,
            &mut size,
        )
    };
    if result == 0 {
        let reason = "not a listening socket".to_string();
        return (listens != 0).then_some(()).ok_or(reason);
    }
    let err = io::Error::last_os_error();
    match err.raw_os_error() {
        // It is a socket. macOS does not report whether it is a listener.
        Some(libc::ENOPROTOOPT) => Ok(()),
        _ => Err(strerror(&err)),
    }
}

/// The status of a child process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MasterStatus {
    /// Serving a client. The original's `MASTER_STAT_TAKEN`.
    Taken = 0,
    /// Waiting for a client. The original's `MASTER_STAT_AVAIL`.
    Available = 1,
}

/// The status pipe.
#[derive(Debug)]
pub struct MasterPipe {
    pipe: File,
    generation: u32,
    /// The last status that was reported.
    reported: Cell<Option<MasterStatus>>,
}

impl MasterPipe {
    /// A status pipe for a process of this generation.
    pub fn new(pipe: OwnedFd, generation: u32) -> MasterPipe {
        MasterPipe {
            pipe: File::from(pipe),
            generation,
            reported: Cell::new(None),
        }
    }

    /// Reports the status of this process to master(8): process ID, generation and
    /// status as 32-bit numbers in native byte order. Sends only the first "taken" and
    /// the first "available", which show that the process was of use: with a process
    /// limit of 1, master(8) needs no others. Those are only logged.
    /// The original's `master_notify()`: sends only the first two.
    pub fn master_notify(&self, status: MasterStatus) {
        if msg_verbose() > 0 {
            msg_info!("master_notify: status {}", status as u32);
        }
        match (self.reported.get(), status) {
            (None, MasterStatus::Taken) => {}
            (Some(MasterStatus::Taken), MasterStatus::Available) => {}
            _ => return,
        }
        self.reported.set(Some(status));
        let words = [std::process::id(), self.generation, status as u32];
        // It fails if master(8) has gone, which the event loop finds in its next round.
        let _ = (&self.pipe).write_all(words.map(u32::to_ne_bytes).as_flattened());
    }
}

impl AsFd for MasterPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
