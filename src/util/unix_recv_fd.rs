//! `unix_recv_fd`: takes a descriptor from the process at the other end, and
//! closes those that nobody asked for.
//!
//! There is room for as many as one message can carry: the system would close
//! those that do not fit, and might wait for the network meanwhile. (It does that
//! still when this process may not have as many, for a moment.)

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::close_on_exec::close_on_exec;
use super::held_socket::{close_at_once, set_socket_option};
use super::interrupt::may_wait;
use super::open_limit::can_open;

/// So many descriptors fit into one message. Linux calls it `SCM_MAX_FD`.
const FD_MOST: usize = 253;

/// What comes is close-on-exec from the start where the system has a flag for
/// that, and a moment later where it has none.
#[cfg(not(any(target_vendor = "apple", target_os = "solaris")))]
const RECV_FLAGS: libc::c_int = libc::MSG_CMSG_CLOEXEC;
#[cfg(any(target_vendor = "apple", target_os = "solaris"))]
const RECV_FLAGS: libc::c_int = 0;

/// Receives one byte and the descriptor that came with it: nothing when the
/// message carried none, more than one, or was the end of the stream.
/// Descriptors that are not returned are closed. The original's
/// `unix_recv_fd()`. Fails with what recvmsg(2) says, `WouldBlock` included, with
/// `EMFILE` when the one that came found no room in this process, and with
/// `EACCES` when it did and the system's security rules kept it away.
pub fn unix_recv_fd(socket: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    let (mut count, mut kept) = (0, None);
    let (_, truncated) = receive(socket, &mut [0], |fd| {
        count += 1;
        kept.replace(fd).into_iter().for_each(close_at_once);
    })?;
    match count {
        0 if truncated && can_open(socket) => Err(io::Error::from_raw_os_error(libc::EACCES)),
        0 if truncated => Err(io::Error::from_raw_os_error(libc::EMFILE)),
        1 if !truncated => Ok(kept),
        _ => {
            kept.into_iter().for_each(close_at_once);
            Ok(None)
        }
    }
}

/// Receives bytes, and closes the descriptors that came with them. Fails with
/// what recvmsg(2) says, `WouldBlock` included.
pub fn unix_recv_bytes(socket: BorrowedFd<'_>, data: &mut [u8]) -> io::Result<usize> {
    let (count, _) = receive(socket, data, close_at_once)?;
    Ok(count)
}

/// Has an urgent byte come like any other. It would be passed over, and the system
/// would close the descriptors that are with it. That this fails is no harm: then
/// the system has no such bytes.
pub fn unix_keep_urgent(socket: BorrowedFd<'_>) {
    let on: libc::c_int = 1;
    set_socket_option(socket, libc::SO_OOBINLINE, &on);
}

/// Takes all that has come and that nobody reads any more, before the socket is
/// closed: the system would close the descriptors among it.
pub fn unix_discard(socket: BorrowedFd<'_>) {
    // Nothing else may come meanwhile.
    // SAFETY: shutdown() takes plain numbers.
    unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_RD) };
    while unix_recv_bytes(socket, &mut [0; 4096]).is_ok_and(|count| count > 0) {}
}

/// Receives bytes, and takes each descriptor that came with them. Says how many
/// bytes there were, and whether descriptors are missing.
fn receive(
    socket: BorrowedFd<'_>,
    data: &mut [u8],
    take: impl FnMut(OwnedFd),
) -> io::Result<(usize, bool)> {
    let mut iov = libc::iovec {
        iov_base: data.as_mut_ptr().cast(),
        iov_len: data.len(),
    };
    let mut control = MaybeUninit::<[u64; control_len(FD_MOST).div_ceil(8)]>::uninit();
    // SAFETY: all-zero is a valid msghdr (null pointers, zero lengths).
    let mut msg: libc::msghdr = unsafe { std::mem::zeroed() };
    msg.msg_iov = &mut iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control.as_mut_ptr().cast();
    msg.msg_controllen = control_len(FD_MOST) as _;
    // SAFETY: every pointer in `msg` points to something that outlives the call.
    let count = may_wait(|| unsafe { libc::recvmsg(socket.as_raw_fd(), &mut msg, RECV_FLAGS) });
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: recvmsg() has filled in `msg`, whose control buffer is still
    // there, so the header is either absent or whole.
    if let Some(cmsg) = unsafe { libc::CMSG_FIRSTHDR(&msg).as_ref() } {
        take_all(cmsg, take);
    }
    Ok((count, msg.msg_flags & libc::MSG_CTRUNC != 0))
}

/// Takes the descriptors in a control message.
fn take_all(cmsg: &libc::cmsghdr, mut take: impl FnMut(OwnedFd)) {
    if cmsg.cmsg_level != libc::SOL_SOCKET || cmsg.cmsg_type != libc::SCM_RIGHTS {
        return;
    }
    #[allow(clippy::unnecessary_cast)] // a u32 on some systems
    let count = (cmsg.cmsg_len as usize - control_len(0)) / size_of::<libc::c_int>();
    for index in 0..count {
        // SAFETY: the header says that its data holds `count` descriptors, and
        // the kernel made each for us: nobody else owns it.
        let fd = unsafe {
            let data = libc::CMSG_DATA(cmsg).cast::<libc::c_int>();
            OwnedFd::from_raw_fd(data.add(index).read_unaligned())
        };
        if RECV_FLAGS == 0 {
            // Nothing can go wrong with a descriptor that is open.
            let _ = close_on_exec(fd.as_raw_fd());
        }
        take(fd);
    }
}

/// The length of a control message with so many descriptors, in bytes.
pub(super) const fn control_len(fds: usize) -> usize {
    // SAFETY: CMSG_LEN only computes a length.
    unsafe { libc::CMSG_LEN((fds * size_of::<libc::c_int>()) as u32) as usize }
}

#[cfg(test)]
mod tests {
    use super::super::unix_send_fd::unix_send_fd;
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_descriptor_arrives_as_the_same_file_and_is_not_inherited() {
        let (a, b) = UnixStream::pair().unwrap();
        let file = File::open("/dev/null").unwrap();
        unix_send_fd(a.as_fd(), file.as_fd()).unwrap();
        let fd = unix_recv_fd(b.as_fd()).unwrap().expect("a descriptor");
        // SAFETY: F_GETFD only reads the flags of an open descriptor.
        let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFD) };
        assert_eq!(flags, libc::FD_CLOEXEC);
        let (sent, came) = (file.metadata().unwrap(), File::from(fd).metadata().unwrap());
        assert_eq!((sent.dev(), sent.ino()), (came.dev(), came.ino()));
    }

    #[test]
    fn a_descriptor_that_comes_with_bytes_is_closed() {
        let (mut a, b) = UnixStream::pair().unwrap();
        let mut data = *b"----";
        a.write_all(b"xy").unwrap();
        assert_eq!(unix_recv_bytes(b.as_fd(), &mut data).unwrap(), 2);
        assert_eq!(&data, b"xy--");
        let (sent, mut other) = UnixStream::pair().unwrap();
        unix_send_fd(a.as_fd(), sent.as_fd()).unwrap();
        drop((sent, a));
        assert_eq!(unix_recv_bytes(b.as_fd(), &mut data).unwrap(), 1);
        assert_eq!(other.read(&mut data).unwrap(), 0, "it is closed");
        assert_eq!(unix_recv_bytes(b.as_fd(), &mut data).unwrap(), 0);
    }

    #[test]
    fn a_byte_alone_and_the_end_bring_no_descriptor() {
        let (mut a, b) = UnixStream::pair().unwrap();
        a.write_all(b"xy").unwrap();
        assert!(unix_recv_fd(b.as_fd()).unwrap().is_none());
        assert!(unix_recv_fd(b.as_fd()).unwrap().is_none());
        b.set_nonblocking(true).unwrap();
        assert_eq!(
            unix_recv_fd(b.as_fd()).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        drop(a);
        assert!(unix_recv_fd(b.as_fd()).unwrap().is_none());
    }
}
