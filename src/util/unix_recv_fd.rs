//! `unix_recv_fd`: receives a descriptor over a UNIX-domain socket.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::close_on_exec::close_on_exec;
use super::held_socket::close_at_once;

/// Maximum number of descriptors that are received with a message. Two, to detect
/// that there are too many; the system closes those after the second.
const MAX_FDS: usize = 2;

/// Makes received descriptors close-on-exec. Some systems have no such flag:
/// `take_all` does it there.
#[cfg(not(target_vendor = "apple"))]
const RECV_FLAGS: libc::c_int = libc::MSG_CMSG_CLOEXEC;
#[cfg(target_vendor = "apple")]
const RECV_FLAGS: libc::c_int = 0;

/// Receives one byte and its descriptor. None if it has no descriptor or more than
/// one, and at the end of the stream. Fails as recvmsg(2) does, `WouldBlock`
/// included, and with `ErrorKind::Other` if the system withheld the descriptor.
/// The original's `unix_recv_fd()`: does not leak the descriptors of a message with two.
pub fn unix_recv_fd(socket: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    let mut byte = [0u8];
    let mut iov = libc::iovec {
        iov_base: byte.as_mut_ptr().cast(),
        iov_len: byte.len(),
    };
    let mut control = [0u64; control_len(MAX_FDS).div_ceil(size_of::<u64>())];
    // SAFETY: all-zero is a valid msghdr (null pointers, zero lengths).
    let mut msg: libc::msghdr = unsafe { std::mem::zeroed() };
    msg.msg_iov = &raw mut iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control.as_mut_ptr().cast();
    msg.msg_controllen = control_len(MAX_FDS) as _;
    // SAFETY: every pointer in `msg` is to a local that outlives the call.
    if unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut msg, RECV_FLAGS) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: recvmsg() has filled in `msg`, its control buffer is still there, and
    // its descriptors are taken once.
    let mut fds = unsafe { take_all(&raw const msg) };
    let is_truncated = msg.msg_flags & libc::MSG_CTRUNC != 0;
    match fds.len() {
        0 if is_truncated => Err(io::Error::other(REFUSED)),
        1 if !is_truncated => Ok(fds.pop()),
        _ => {
            fds.into_iter().for_each(close_at_once);
            Ok(None)
        }
    }
}

/// The system does not report which of the two reasons it had.
const REFUSED: &str = "refused by the system: too many open files, or its security rules";

/// Takes the descriptors of all control messages.
///
/// # Safety
///
/// recvmsg(2) must have filled in `msg`, with a control buffer of
/// `control_len(MAX_FDS)` bytes, which is still there, and its descriptors must not
/// have been taken before.
unsafe fn take_all(msg: *const libc::msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::with_capacity(MAX_FDS);
    // SAFETY: a header from CMSG_FIRSTHDR or CMSG_NXTHDR is within the control buffer,
    // at its start, as the buffer is large enough for one only. So its data is within
    // the buffer, too, up to `cmsg_len` or `msg_controllen`, whichever is less. (On some
    // systems a truncated message has a larger `cmsg_len`; none is shorter than its
    // header.) The pointers are derived from that of the whole buffer. The kernel has
    // created each descriptor for this message: it has no other owner.
    unsafe {
        let mut cmsg = libc::CMSG_FIRSTHDR(msg);
        while !cmsg.is_null() {
            if (*cmsg).cmsg_level == libc::SOL_SOCKET && (*cmsg).cmsg_type == libc::SCM_RIGHTS {
                let data = libc::CMSG_DATA(cmsg).cast::<libc::c_int>();
                #[allow(clippy::unnecessary_cast)] // a u32 on some systems
                let length = (*cmsg).cmsg_len.min((*msg).msg_controllen) as usize;
                let size = length - control_len(0);
                for index in 0..size / size_of::<libc::c_int>() {
                    fds.push(OwnedFd::from_raw_fd(data.add(index).read_unaligned()));
                }
            }
            cmsg = libc::CMSG_NXTHDR(msg, cmsg);
        }
    }
    if RECV_FLAGS == 0 {
        for fd in &fds {
            // It does not fail for an open descriptor.
            let _ = close_on_exec(fd.as_raw_fd());
        }
    }
    fds
}

/// Length of a control message with this number of descriptors, in bytes.
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
    use std::os::fd::{AsFd, IntoRawFd, RawFd};
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
    fn of_several_descriptors_none_is_kept() {
        for count in [2, 3] {
            let (a, b) = UnixStream::pair().unwrap();
            let (sent, mut other) = UnixStream::pair().unwrap();
            send_with_fds(a.as_fd(), &vec![sent.as_fd(); count]);
            drop(sent);
            let came = unix_recv_fd(b.as_fd());
            assert!(came.unwrap().is_none(), "{count} descriptors");
            assert_eq!(other.read(&mut [0]).unwrap(), 0, "all are closed");
        }
    }

    /// Sends one byte with these descriptors.
    fn send_with_fds(socket: BorrowedFd<'_>, fds: &[BorrowedFd<'_>]) {
        let mut byte = 0u8;
        let mut iov = libc::iovec {
            iov_base: (&raw mut byte).cast(),
            iov_len: 1,
        };
        let mut control = [0u64; 16];
        // SAFETY: all-zero is a valid msghdr (null pointers, zero lengths).
        let mut msg: libc::msghdr = unsafe { std::mem::zeroed() };
        msg.msg_iov = &mut iov;
        msg.msg_iovlen = 1;
        msg.msg_control = control.as_mut_ptr().cast();
        msg.msg_controllen = control_len(fds.len()) as _;
        let fds: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        // SAFETY: the control buffer is aligned and large enough for these
        // descriptors, and everything in `msg` outlives the call.
        unsafe {
            put_fds(&raw const msg, &fds);
            assert_eq!(libc::sendmsg(socket.as_raw_fd(), &raw const msg, 0), 1);
        }
    }

    /// Writes a control message with these descriptors.
    ///
    /// # Safety
    ///
    /// `msg` must have an aligned control buffer of `control_len(fds.len())` bytes.
    unsafe fn put_fds(msg: *const libc::msghdr, fds: &[RawFd]) {
        // SAFETY: the header and the data are within the control buffer.
        unsafe {
            let cmsg = libc::CMSG_FIRSTHDR(msg);
            (*cmsg).cmsg_level = libc::SOL_SOCKET;
            (*cmsg).cmsg_type = libc::SCM_RIGHTS;
            (*cmsg).cmsg_len = control_len(fds.len()) as _;
            let data = libc::CMSG_DATA(cmsg).cast::<libc::c_int>();
            for (index, &fd) in fds.iter().enumerate() {
                data.add(index).write_unaligned(fd);
            }
        }
    }

    /// Can be run by Miri, which has no recvmsg(2).
    #[test]
    fn descriptors_are_taken_up_to_the_end_of_the_control_buffer() {
        for beyond in [0, 100] {
            let sent = [(); MAX_FDS].map(|()| File::open("/dev/null").unwrap().into_raw_fd());
            let mut control = [0u64; control_len(MAX_FDS).div_ceil(size_of::<u64>())];
            // SAFETY: all-zero is a valid msghdr (null pointers, zero lengths).
            let mut msg: libc::msghdr = unsafe { std::mem::zeroed() };
            msg.msg_control = control.as_mut_ptr().cast();
            msg.msg_controllen = control_len(MAX_FDS) as _;
            // SAFETY: the control buffer has this length, outlives its uses, and has
            // descriptors without another owner.
            let fds = unsafe {
                put_fds(&raw const msg, &sent);
                (*libc::CMSG_FIRSTHDR(&raw const msg)).cmsg_len += beyond;
                take_all(&raw const msg)
            };
            let taken: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
            assert_eq!(taken, sent);
        }
    }

    #[test]
    fn a_byte_alone_and_the_end_have_no_descriptor() {
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
