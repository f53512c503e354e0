//! Safe functions for system calls that the tests need and std does not have.
//! Descriptors are owned or borrowed; failure is an `io::Error`.

use std::fs::File;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

/// Descriptors for a child are at or above this number until dup2(2) puts them in
/// place, so that one cannot overwrite another.
const FIRST_OWN_FD: RawFd = 40;

/// Number of open files to ask for; root gets it.
const OPEN_FILES_WANTED: u64 = 60_000;

/// The last signal that is not a real-time signal.
const MAX_SIGNAL: libc::c_int = 31;

/// Maximum number of descriptors in a message.
pub const MAX_FDS: usize = 253;

#[cfg(not(target_vendor = "apple"))]
use libc::MSG_CMSG_CLOEXEC;
/// This system has no such flag: a child that is started meanwhile inherits the
/// descriptors.
#[cfg(target_vendor = "apple")]
const MSG_CMSG_CLOEXEC: libc::c_int = 0;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

/// Duplicates a descriptor to a number at or above [`FIRST_OWN_FD`].
pub fn moved_up(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC takes and returns plain numbers.
    let new = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, FIRST_OWN_FD) })?;
    // SAFETY: the call succeeded; nobody else owns the new descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(new) })
}

/// A pipe: its read end and its write end, both close-on-exec.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has space for the two descriptors that are stored there.
    check(unsafe { pipe_close_on_exec(&mut ends) })?;
    // SAFETY: that succeeded; nobody else owns the two new descriptors.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

#[cfg(not(target_vendor = "apple"))]
unsafe fn pipe_close_on_exec(ends: &mut [RawFd; 2]) -> libc::c_int {
    // SAFETY: `ends` has space for two descriptors.
    unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }
}

/// A pipe. A child that another thread starts at this moment inherits both ends.
#[cfg(target_vendor = "apple")]
unsafe fn pipe_close_on_exec(ends: &mut [RawFd; 2]) -> libc::c_int {
    // SAFETY: `ends` has space for two descriptors, and fcntl takes numbers.
    unsafe {
        let result = libc::pipe(ends.as_mut_ptr());
        for &end in ends.iter().filter(|_| result == 0) {
            libc::fcntl(end, libc::F_SETFD, libc::FD_CLOEXEC);
        }
        result
    }
}

/// Gives a pipe a larger buffer, if the system allows it: a log line of any length fits.
pub fn enlarge_pipe(pipe: BorrowedFd<'_>) {
    // SAFETY: F_SETPIPE_SZ takes a plain number.
    #[cfg(target_os = "linux")]
    unsafe {
        libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, 1 << 20)
    };
    #[cfg(not(target_os = "linux"))]
    let _ = pipe;
}

/// Makes `command` start its process with `fds` as descriptors 3, 4, 5 ..., which
/// must come from [`moved_up`] and stay open until then; with `nofile` as its soft
/// and hard limit of open files; and with no signal ignored or blocked, even if the
/// tests were started so.
pub fn hand_over(command: &mut Command, fds: &[OwnedFd], nofile: (u64, u64)) {
    let fds: Vec<RawFd> = fds.iter().map(|fd| fd.as_raw_fd()).collect();
    assert!(fds.iter().all(|&fd| fd >= FIRST_OWN_FD), "not moved up");
    let hook = move || {
        for (&fd, number) in fds.iter().zip(3..) {
            // SAFETY: dup2 takes plain numbers and is async-signal-safe.
            check(unsafe { libc::dup2(fd, number) })?;
        }
        reset_signals()?;
        limit_open_files(nofile.0, nofile.1)
    };
    // SAFETY: the hook runs between fork and exec; it only makes system calls
    // and does not allocate.
    unsafe { command.pre_exec(hook) };
}

fn reset_signals() -> io::Result<()> {
    for signal in 1..=MAX_SIGNAL {
        // SAFETY: signal takes plain numbers, and refuses those that it must.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: the set is initialised before it is used; both calls are
    // async-signal-safe.
    check(unsafe {
        let mut none: libc::sigset_t = zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut())
    })
    .map(drop)
}

/// Makes descriptors that the tests have inherited close-on-exec: a daemon has only those
/// that master(8) would give it.
pub fn inherit_none() {
    for fd in 3..1024 {
        // SAFETY: fcntl takes plain numbers; it refuses those of no descriptor.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// Sets the umask to 022: other accounts have to read the files that tests make.
pub fn set_usual_umask() {
    // SAFETY: umask takes and returns a plain number.
    unsafe { libc::umask(0o022) };
}

fn limit_open_files(soft: u64, hard: u64) -> io::Result<()> {
    let limit = rlimit(soft, hard);
    // SAFETY: `limit` is a valid rlimit for the length of the call.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }).map(drop)
}

/// A limit; its numbers have 32 bits or are signed on some systems.
fn rlimit(soft: u64, hard: u64) -> libc::rlimit {
    libc::rlimit {
        rlim_cur: soft as libc::rlim_t,
        rlim_max: hard as libc::rlim_t,
    }
}

/// Limits the CPU time of the process of `command`, in seconds: then a signal ends the
/// process, without a core file.
pub fn limit_cpu_time(command: &mut Command, seconds: u64) {
    let hook = move || {
        for (resource, most) in [(libc::RLIMIT_CPU, seconds), (libc::RLIMIT_CORE, 0)] {
            let limit = rlimit(most, most);
            // SAFETY: `limit` is a valid rlimit for the length of the call.
            check(unsafe { libc::setrlimit(resource, &limit) })?;
        }
        Ok(())
    };
    // SAFETY: the hook runs between fork and exec; it only makes system calls
    // and does not allocate.
    unsafe { command.pre_exec(hook) };
}

/// Sets the soft and hard limit of open files of another process.
#[cfg(target_os = "linux")]
pub fn limit_open_files_of(pid: u32, soft: u64, hard: u64) -> io::Result<()> {
    let limit = rlimit(soft, hard);
    let old = std::ptr::null_mut();
    // SAFETY: `limit` is a valid rlimit for the length of the call, and the old
    // one is not asked for.
    check(unsafe { libc::prlimit(pid as libc::pid_t, libc::RLIMIT_NOFILE, &limit, old) }).map(drop)
}

/// Sets the soft and hard limit of the address space of another process, in bytes.
#[cfg(target_os = "linux")]
pub fn limit_address_space_of(pid: u32, most: u64) -> io::Result<()> {
    let limit = rlimit(most, most);
    let old = std::ptr::null_mut();
    // SAFETY: as above.
    check(unsafe { libc::prlimit(pid as libc::pid_t, libc::RLIMIT_AS, &limit, old) }).map(drop)
}

/// Raises the limit of open files of this process as far as the system allows.
/// Returns the limit.
pub fn open_files_limit() -> io::Result<u64> {
    let mut limit = rlimit(0, 0);
    // SAFETY: `limit` is writable for the length of the call.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) })?;
    #[allow(clippy::unnecessary_cast)] // its type depends on the system
    let allowed = limit.rlim_max as u64;
    let most = allowed.max(OPEN_FILES_WANTED);
    if limit_open_files(most, most).is_ok() {
        return Ok(most);
    }
    limit_open_files(allowed, allowed)?;
    Ok(allowed)
}

/// Does nothing on systems other than Linux.
#[cfg(not(target_os = "linux"))]
pub fn stay_on_one_cpu() -> io::Result<()> {
    Ok(())
}

/// Keeps this process, and those that it starts, on its last CPU.
#[cfg(target_os = "linux")]
pub fn stay_on_one_cpu() -> io::Result<()> {
    // SAFETY: a cpu_set_t of zeroes is an empty set.
    let mut set: libc::cpu_set_t = unsafe { zeroed() };
    // SAFETY: `set` is writable for the length of the call and as long as said;
    // the macros only touch bits inside of it.
    unsafe {
        check(libc::sched_getaffinity(0, size_of_val(&set), &mut set))?;
        let cpus = 0..libc::CPU_SETSIZE as usize;
        let last = cpus.rev().find(|&cpu| libc::CPU_ISSET(cpu, &set));
        libc::CPU_ZERO(&mut set);
        libc::CPU_SET(last.unwrap_or(0), &mut set);
        check(libc::sched_setaffinity(0, size_of_val(&set), &set)).map(drop)
    }
}

pub fn kill(pid: u32, signal: libc::c_int) -> io::Result<()> {
    // SAFETY: kill takes plain numbers.
    check(unsafe { libc::kill(pid as libc::pid_t, signal) }).map(drop)
}

/// Device and inode, which are the same for all descriptors of a file or a socket.
pub fn identity(fd: BorrowedFd<'_>) -> io::Result<(u64, u64)> {
    let file = File::from(fd.try_clone_to_owned()?);
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Systems other than Linux do not report this: waits, and returns 0.
#[cfg(not(target_os = "linux"))]
pub fn unread_by_peer(_: BorrowedFd<'_>) -> io::Result<usize> {
    std::thread::sleep(Duration::from_millis(50));
    Ok(0)
}

/// Memory of the data that was sent on this stream socket and that the peer has not
/// read, in bytes; 0 if it has read all.
#[cfg(target_os = "linux")]
pub fn unread_by_peer(fd: BorrowedFd<'_>) -> io::Result<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: TIOCOUTQ (SIOCOUTQ) stores one int in `count`.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCOUTQ, &mut count) })?;
    Ok(count as usize)
}

/// Waits until `fd` has input or its end. Returns false if `deadline` has passed.
pub fn readable(fd: BorrowedFd<'_>, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = left + Duration::from_micros(999);
        let mut poll = libc::pollfd {
            fd: fd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one pollfd, valid for the length of the call.
        match check(unsafe { libc::poll(&mut poll, 1, wait.as_millis() as libc::c_int) }) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
            Ok(0) if !left.is_zero() => continue,
            Ok(count) => return Ok(count > 0),
        }
    }
}

/// A buffer for one control message with [`MAX_FDS`] descriptors, aligned.
#[repr(align(8))]
struct Control([u8; (24 + MAX_FDS * size_of::<RawFd>()).next_multiple_of(8)]);

/// Sends `data` (at least one byte) with any number of descriptors.
pub fn send_with_fds(
    socket: BorrowedFd<'_>,
    data: &[u8],
    fds: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    assert!(fds.len() <= MAX_FDS);
    let raw: Vec<RawFd> = fds.iter().map(|fd| fd.as_raw_fd()).collect();
    let mut control = Control([0; size_of::<Control>()]);
    let mut iov = libc::iovec {
        iov_base: data.as_ptr() as *mut _,
        iov_len: data.len(),
    };
    // SAFETY: a msghdr of zeroes is an empty message.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_iov = &mut iov;
    message.msg_iovlen = 1;
    if !raw.is_empty() {
        let length = size_of::<RawFd>() * raw.len();
        message.msg_control = control.0.as_mut_ptr().cast();
        // SAFETY: `control` has space for MAX_FDS descriptors and the header,
        // is aligned for a cmsghdr, and outlives the uses of its pointer.
        unsafe {
            message.msg_controllen = libc::CMSG_SPACE(length as u32) as _;
            let header = libc::CMSG_FIRSTHDR(&message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(length as u32) as _;
            let data = libc::CMSG_DATA(header);
            std::ptr::copy_nonoverlapping(raw.as_ptr().cast::<u8>(), data, length);
        }
    }
    // SAFETY: every pointer in `message` is valid for the length of the call.
    let count = unsafe { libc::sendmsg(socket.as_raw_fd(), &message, libc::MSG_NOSIGNAL) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Receives bytes and the descriptors that came with them, without waiting.
pub fn receive_with_fds(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut control = Control([0; size_of::<Control>()]);
    let mut iov = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: a msghdr of zeroes is an empty message.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_iov = &mut iov;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = size_of::<Control>() as _;
    let flags = libc::MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
    // SAFETY: every pointer in `message` is valid for the length of the call.
    let count = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut message, flags) };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    let mut fds = Vec::new();
    // SAFETY: the kernel filled `control` with well-formed control messages,
    // and the descriptors in SCM_RIGHTS are new and belong to nobody else.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                #[allow(clippy::unnecessary_cast)] // a u32 on some systems
                let bytes = (*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let first = libc::CMSG_DATA(header).cast::<RawFd>();
                for index in 0..bytes / size_of::<RawFd>() {
                    fds.push(OwnedFd::from_raw_fd(first.add(index).read_unaligned()));
                }
            }
            header = libc::CMSG_NXTHDR(&message, header);
        }
    }
    Ok((count, fds))
}

/// [`identity`] of anything that has a descriptor.
pub fn identity_of(file: &impl AsFd) -> (u64, u64) {
    identity(file.as_fd()).expect("fstat")
}

/// Sends as much of `data` as the socket takes without blocking; fails if it takes
/// none.
pub fn send_some(socket: BorrowedFd<'_>, data: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: `data` is readable for its length.
    let count = unsafe { libc::send(socket.as_raw_fd(), data.as_ptr().cast(), data.len(), flags) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Makes close(2) wait for unsent data, for at most this number of seconds.
pub fn set_linger(socket: BorrowedFd<'_>, seconds: libc::c_int) -> io::Result<()> {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: seconds,
    };
    let (level, name) = (libc::SOL_SOCKET, libc::SO_LINGER);
    let size = size_of::<libc::linger>() as libc::socklen_t;
    let value: *const libc::linger = &linger;
    // SAFETY: `linger` is readable for its size.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value.cast(), size) })?;
    Ok(())
}

/// The bytes that have come on a socket, without taking them, up to 1000.
pub fn peek(socket: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 1000];
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    let start = bytes.as_mut_ptr().cast();
    // SAFETY: `bytes` is writable for its length.
    let count = unsafe { libc::recv(socket.as_raw_fd(), start, bytes.len(), flags) };
    bytes.truncate(usize::try_from(count).map_err(|_| io::Error::last_os_error())?);
    Ok(bytes)
}

/// Returns true if no process has the other end of a pair of sockets.
pub fn has_hung_up(socket: BorrowedFd<'_>) -> io::Result<bool> {
    let mut poll = libc::pollfd {
        fd: socket.as_raw_fd(),
        events: 0,
        revents: 0,
    };
    // SAFETY: one pollfd, valid for the length of the call.
    check(unsafe { libc::poll(&mut poll, 1, 0) })?;
    Ok(poll.revents & libc::POLLHUP != 0)
}
