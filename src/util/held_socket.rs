//! `held_socket`: a socket that is kept for other processes.
//!
//! The functions never wait for the peer, and ignore errors. They leave a
//! descriptor that is not a socket as it is.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Returns false if the peer is known to have sent something or closed the
/// connection. Returns true also for a socket that is not connected, and for a
/// descriptor that is not a socket.
pub fn is_silent(socket: BorrowedFd<'_>) -> bool {
    let mut byte = 0u8;
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    // SAFETY: `byte` is one writable byte and outlives the call.
    let count = unsafe { libc::recv(socket.as_raw_fd(), (&raw mut byte).cast(), 1, flags) };
    count < 0 && is_unrelated(&io::Error::last_os_error())
}

/// Returns true if an error does not concern the connection.
fn is_unrelated(err: &io::Error) -> bool {
    const UNRELATED: [libc::c_int; 10] = [
        libc::EAGAIN,
        libc::EINTR,
        libc::ENOTSOCK,
        libc::ENOTCONN,
        libc::EINVAL,
        libc::EOPNOTSUPP,
        libc::EACCES,
        libc::EPERM,
        libc::ENOMEM,
        libc::ENOBUFS,
    ];
    err.raw_os_error()
        .is_some_and(|number| UNRELATED.contains(&number))
}

/// Sends a text if that does not block.
pub fn send_at_once(socket: BorrowedFd<'_>, text: &[u8]) {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: `text` is readable for its length.
    unsafe { libc::send(socket.as_raw_fd(), text.as_ptr().cast(), text.len(), flags) };
}

/// Closes a descriptor that may be the last one of a socket, without waiting for
/// unsent data (SO_LINGER): the system sends that in the background.
pub fn close_at_once(fd: OwnedFd) {
    let off = libc::linger {
        l_onoff: 0,
        l_linger: 0,
    };
    let size = size_of_val(&off) as libc::socklen_t;
    // An error is ignored: the descriptor is then not a socket, and close(2) does not
    // wait for a peer.
    // SAFETY: `off` is readable for its size.
    unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const off).cast(),
            size,
        )
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::{UnixDatagram, UnixStream};
    use std::time::Duration;

    use crate::util::poll_fd::read_wait;

    /// Maximum time until another process that is just starting has closed what it has
    /// inherited.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn a_socket_is_silent_until_the_peer_sends_something_or_closes() {
        let (socket, mut other) = UnixStream::pair().unwrap();
        assert!(is_silent(socket.as_fd()));
        other.write_all(b"421 bye").unwrap();
        assert!(!is_silent(socket.as_fd()));
        assert!(!is_silent(socket.as_fd()), "nothing was consumed");
        let (socket, other) = UnixStream::pair().unwrap();
        drop(other);
        assert!(read_wait(socket.as_fd(), PATIENCE).unwrap());
        assert!(!is_silent(socket.as_fd()));
        let (socket, other) = UnixDatagram::pair().unwrap();
        assert!(is_silent(socket.as_fd()));
        other.send(b"").unwrap();
        assert!(!is_silent(socket.as_fd()), "a message without a byte");
    }

    #[test]
    fn a_socket_with_an_error_is_not_silent() {
        let (socket, other) = UnixStream::pair().unwrap();
        (&socket).write_all(b"unread").unwrap();
        drop(other);
        assert!(read_wait(socket.as_fd(), PATIENCE).unwrap());
        assert!(!is_silent(socket.as_fd()));
    }

    #[test]
    fn a_socket_that_is_not_connected_is_silent() {
        match TcpListener::bind("127.0.0.1:0") {
            Ok(listener) => assert!(is_silent(listener.as_fd())),
            Err(error) => skip(&format!("a socket at 127.0.0.1: {error}")),
        }
    }

    #[test]
    fn a_text_is_sent_if_there_is_a_peer_and_buffer_space() {
        let (socket, mut other) = UnixStream::pair().unwrap();
        send_at_once(socket.as_fd(), b"QUIT\r\n");
        let mut heard = [0; 100];
        assert_eq!(other.read(&mut heard).unwrap(), 6);
        assert_eq!(&heard[..6], b"QUIT\r\n");
        socket.set_nonblocking(true).unwrap();
        while (&socket).write(&[b'x'; 4096]).is_ok() {}
        socket.set_nonblocking(false).unwrap();
        send_at_once(socket.as_fd(), b"QUIT\r\n");
        drop(other);
        send_at_once(socket.as_fd(), b"QUIT\r\n");
    }

    #[test]
    fn a_file_is_silent_and_gets_no_text_and_can_be_closed() {
        std::fs::create_dir_all(std::env::temp_dir()).unwrap();
        let path = std::env::temp_dir().join(format!("held_socket.{}", std::process::id()));
        let fd = OwnedFd::from(File::create(&path).unwrap());
        assert!(is_silent(fd.as_fd()));
        send_at_once(fd.as_fd(), b"QUIT\r\n");
        close_at_once(fd);
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn closing_does_not_wait_for_unsent_data_and_does_not_lose_it() {
        let (mut socket, mut other) = match connection() {
            Ok(pair) => pair,
            Err(error) => return skip(&format!("a connection to 127.0.0.1: {error}")),
        };
        linger(&socket, 3600);
        socket.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while let Ok(count) = socket.write(&[b'x'; 65536]) {
            sent += count;
        }
        close_at_once(socket.into());
        let came = io::copy(&mut other, &mut io::sink()).unwrap();
        assert_eq!(came, sent as u64);
    }

    /// A TCP connection: other sockets do not linger.
    fn connection() -> io::Result<(TcpStream, TcpStream)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let socket = TcpStream::connect(listener.local_addr()?)?;
        Ok((socket, listener.accept()?.0))
    }

    /// Writes a line for t/count, directly: println! shows nothing if the test passes.
    fn skip(why: &str) {
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        let line = format!("SKIPPED: {test}: {why}\n");
        io::stdout().write_all(line.as_bytes()).unwrap();
    }

    /// Makes close(2) wait for unsent data, for at most this number of seconds.
    fn linger(socket: &impl AsFd, seconds: i32) {
        let on = libc::linger {
            l_onoff: 1,
            l_linger: seconds,
        };
        let size = size_of_val(&on) as libc::socklen_t;
        let (fd, on) = (socket.as_fd().as_raw_fd(), (&raw const on).cast());
        // SAFETY: `on` is readable for its size.
        let set = unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, on, size) };
        assert_eq!(set, 0);
    }
}
