//! `sane_accept`: accept(2) without the errors of a client that has gone.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};

/// Errors of the connection, not of the listener.
const CONNECTION_ERRORS: [libc::c_int; 10] = [
    libc::ECONNREFUSED,
    libc::ECONNRESET,
    libc::ECONNABORTED,
    libc::EHOSTDOWN,
    libc::EHOSTUNREACH,
    libc::ENETDOWN,
    libc::ENETUNREACH,
    libc::ENOTCONN,
    libc::ENOBUFS,
    libc::EPROTO,
];

/// Accepts a client, close-on-exec. Fails with `WouldBlock` if there is none, or
/// if it has gone, otherwise as accept(2) does. The original's `sane_accept()`.
pub fn sane_accept(listener: &UnixListener) -> io::Result<UnixStream> {
    match listener.accept() {
        Ok((client, _)) => Ok(client),
        Err(err) => match err.raw_os_error() {
            Some(errno) if CONNECTION_ERRORS.contains(&errno) => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            _ => Err(err),
        },
    }
}
