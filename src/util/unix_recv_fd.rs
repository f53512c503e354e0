//! `unix_recv_fd`: takes a descriptor from the process at the other end.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Room for a header and some descriptors, aligned as a header must be.
#[derive(Default)]
pub(super) struct ControlBuf([u64; 8]);

impl ControlBuf {
    pub(super) fn as_mut_ptr(&mut self) -> *mut libc::c_void {
        self.0.as_mut_ptr().cast()
    }
}

/// The length of a control message with one descriptor, in bytes.
pub(super) const FD_CONTROL_LEN: usize = control_len(1);

/// So many descriptors are looked for in a message that should have one. The
/// kernel closes what does not fit.
const FD_MOST: usize = 2;

/// Receives one byte and the descriptor that came with it: nothing when the
/// message carried none, more than one, or was the end of the stream.
/// Descriptors that are not returned are closed. The original's
/// `unix_recv_fd()`. Fails with what recvmsg(2) says, `WouldBlock` included.
pub fn unix_recv_fd(socket: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    let mut data = [0u8];
    let mut iov = libc::iovec {
        iov_base: data.as_mut_ptr().cast(),
        iov_len: data.len(),
    };
    let mut control = ControlBuf::default();
    // SAFETY: all-zero is a valid msghdr (null pointers, zero lengths).
    let mut msg: libc::msghdr = unsafe { std::mem::zeroed() };
    msg.msg_iov = &mut iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control.as_mut_ptr();
    msg.msg_controllen = control_len(FD_MOST) as _;
    // SAFETY: every pointer in `msg` points to a local that outlives the call.
    let count = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut msg, libc::MSG_CMSG_CLOEXEC) };
    if count < 0 {
        return Err(io::Error::last_os_error());
    }
    let [first, second] = received(&msg);
    if first.is_none() && msg.msg_flags & libc::MSG_CTRUNC != 0 {
        // There was one, and no room for it in this process or system.
        return Err(io::Error::from_raw_os_error(libc::EMFILE));
    }
    Ok(first.xor(second))
}

/// The descriptors in a message, each with its owner.
fn received(msg: &libc::msghdr) -> [Option<OwnedFd>; FD_MOST] {
    let mut fds = [const { None }; FD_MOST];
    // SAFETY: recvmsg() has filled in `msg`, whose control buffer is still
    // there, so the header is either absent or whole.
    let Some(cmsg) = (unsafe { libc::CMSG_FIRSTHDR(msg).as_ref() }) else {
        return fds;
    };
    if cmsg.cmsg_level != libc::SOL_SOCKET || cmsg.cmsg_type != libc::SCM_RIGHTS {
        return fds;
    }
    #[allow(clippy::unnecessary_cast)] // a u32 on some systems
    let count = (cmsg.cmsg_len as usize - control_len(0)) / size_of::<libc::c_int>();
    for (index, fd) in fds.iter_mut().enumerate().take(count) {
        // SAFETY: the header says that its data holds `count` descriptors, and
        // the kernel made each for us: nobody else owns it.
        *fd = Some(unsafe {
            let data = libc::CMSG_DATA(cmsg).cast::<libc::c_int>();
            OwnedFd::from_raw_fd(data.add(index).read_unaligned())
        });
    }
    fds
}

const fn control_len(fds: usize) -> usize {
    // SAFETY: CMSG_LEN only computes a length.
    unsafe { libc::CMSG_LEN((fds * size_of::<libc::c_int>()) as u32) as usize }
}

#[cfg(test)]
mod tests {
    use super::super::unix_send_fd::unix_send_fd;
    use super::*;
    use std::fs::File;
    use std::io::Write;
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
