//! `unix_send_fd`: sends a descriptor over a UNIX-domain socket.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::unix_recv_fd::control_len;

/// A buffer for a header and a descriptor, with the alignment of a header.
#[derive(Default)]
struct ControlBuf([u64; 4]);

/// Sends `fd` over `socket` with one NUL byte of data. Fails as sendmsg(2) does,
/// `WouldBlock` included. The original's `unix_send_fd()`.
pub fn unix_send_fd(socket: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> io::Result<()> {
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
    msg.msg_control = control.0.as_mut_ptr().cast();
    msg.msg_controllen = control_len(1) as _;
    // SAFETY: the control buffer is aligned and large enough for one header
    // with one descriptor, so CMSG_FIRSTHDR and CMSG_DATA point into it.
    unsafe {
        let cmsg = libc::CMSG_FIRSTHDR(&msg);
        (*cmsg).cmsg_level = libc::SOL_SOCKET;
        (*cmsg).cmsg_type = libc::SCM_RIGHTS;
        (*cmsg).cmsg_len = control_len(1) as _;
        libc::CMSG_DATA(cmsg)
            .cast::<libc::c_int>()
            .write_unaligned(fd.as_raw_fd());
    }
    // SAFETY: every pointer in `msg` points to a local that outlives the call.
    match unsafe { libc::sendmsg(socket.as_raw_fd(), &msg, libc::MSG_NOSIGNAL) } {
        ..=-1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
