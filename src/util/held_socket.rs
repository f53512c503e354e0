//! `held_socket`: a socket that is held for others, who are not there.
//!
//! Nothing in here waits for the other side, and nothing matters much: what
//! is no socket is left as it is.

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::interrupt::{may_wait, INTERRUPT};
use super::mymalloc::may_fail;
use super::poll_fd::read_wait;

/// Whether the other side is there and silent, as far as that is known: it has
/// neither sent anything nor hung up. What is no socket always is, and one that
/// nobody has connected.
pub fn is_silent(socket: BorrowedFd<'_>) -> bool {
    let mut byte = 0u8;
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    // SAFETY: `byte` is one writable byte and outlives the call.
    let count = unsafe { libc::recv(socket.as_raw_fd(), (&raw mut byte).cast(), 1, flags) };
    count < 0 && is_of_question(&io::Error::last_os_error())
}

/// Whether an error is only about the question, and not about the connection.
fn is_of_question(err: &io::Error) -> bool {
    const OF_QUESTION: [libc::c_int; 10] = [
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
        .is_some_and(|number| OF_QUESTION.contains(&number))
}

/// Sends a text if that can be done at once. What is no socket gets nothing.
pub fn send_at_once(socket: BorrowedFd<'_>, text: &[u8]) {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: `text` is readable for its length.
    unsafe { libc::send(socket.as_raw_fd(), text.as_ptr().cast(), text.len(), flags) };
}

/// Closes a descriptor that may be the last one of a socket, without waiting
/// for what its former owner left unsent: the system goes on sending that.
pub fn close_at_once(fd: OwnedFd) {
    end_linger(fd.as_fd());
    close(fd, false);
}

/// Closes a descriptor that somebody else should have as well: how long the
/// socket lingers is theirs to say. If they have closed theirs, we do not wait
/// for it.
pub fn close_shared(fd: OwnedFd) {
    let lingers = lingers(fd.as_fd());
    close(fd, lingers);
}

fn close(fd: OwnedFd, lingers: bool) {
    match lingers || may_carry(fd.as_fd()) {
        true => close_elsewhere(fd),
        false => may_wait(|| drop(fd)),
    }
}

/// So many threads close descriptors. When there is more to close, none of them
/// waits any longer.
const THREADS_MOST: usize = 100;

// What the threads share.
static ELSEWHERE: Mutex<Elsewhere> = Mutex::new(Elsewhere {
    threads: Vec::new(),
    waiting: Vec::new(),
});

/// The length of the list of those that wait: it costs less to look here.
static WAITING: AtomicUsize = AtomicUsize::new(0);

struct Elsewhere {
    /// The number of each thread (a pointer on some systems).
    threads: Vec<usize>,
    waiting: Vec<OwnedFd>,
}

fn elsewhere() -> MutexGuard<'static, Elsewhere> {
    ELSEWHERE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many descriptors are open because they wait to be closed.
pub fn waiting_to_be_closed() -> usize {
    WAITING.load(Ordering::Relaxed)
}

/// Closes a descriptor in a thread, which does nothing else, because that may
/// take as long as somebody wants. Where no thread can be made, it is closed
/// here.
fn close_elsewhere(fd: OwnedFd) {
    let mut guard = elsewhere();
    let Elsewhere { threads, waiting } = &mut *guard;
    let room = may_fail(|| threads.try_reserve(1).and_then(|()| waiting.try_reserve(1)));
    if room.is_err() {
        return may_wait(|| drop(fd));
    }
    waiting.push(fd);
    let made = (threads.len() < THREADS_MOST).then(make_thread).flatten();
    match made {
        Some(thread) => threads.push(thread),
        None if threads.is_empty() => may_wait(|| waiting.clear()),
        None => threads.iter().for_each(|&thread| interrupt(thread)),
    }
    WAITING.store(waiting.len(), Ordering::Relaxed);
}

/// Makes a thread that closes what is waiting, if that is possible; its number.
/// Not one of std's, which would allocate: our allocator is for one thread. The
/// signals of the process are for the other one: they wake its loop.
fn make_thread() -> Option<usize> {
    // SAFETY: attributes and sets are initialised before they are used, and the
    // attributes destroyed in the end; the thread is given nothing.
    unsafe {
        let (mut attributes, mut most, mut usual) = std::mem::zeroed();
        libc::pthread_attr_init(&mut attributes);
        libc::pthread_attr_setdetachstate(&mut attributes, libc::PTHREAD_CREATE_DETACHED);
        libc::pthread_attr_setstacksize(&mut attributes, THREAD_STACK);
        let mut thread: libc::pthread_t = std::mem::zeroed();
        libc::sigfillset(&mut most);
        libc::sigdelset(&mut most, INTERRUPT);
        libc::pthread_sigmask(libc::SIG_SETMASK, &most, &mut usual);
        let result = libc::pthread_create(&mut thread, &attributes, close_all, ptr::null_mut());
        libc::pthread_sigmask(libc::SIG_SETMASK, &usual, ptr::null_mut());
        libc::pthread_attr_destroy(&mut attributes);
        (result == 0).then_some(thread as usize)
    }
}

/// Enough for a system call on any system, in bytes.
const THREAD_STACK: usize = 128 * 1024;

/// Ends the wait of a thread that has not left the list.
fn interrupt(thread: usize) {
    // SAFETY: it takes itself off the list before it ends, and not now.
    unsafe { libc::pthread_kill(thread as libc::pthread_t, INTERRUPT) };
}

extern "C" fn close_all(_: *mut c_void) -> *mut c_void {
    loop {
        let mut elsewhere = elsewhere();
        let Some(fd) = elsewhere.waiting.pop() else {
            // SAFETY: pthread_self() only says who calls.
            let this = unsafe { libc::pthread_self() } as usize;
            elsewhere.threads.retain(|&thread| thread != this);
            return ptr::null_mut();
        };
        WAITING.store(elsewhere.waiting.len(), Ordering::Relaxed);
        drop(elsewhere);
        drop(fd);
    }
}

/// Whether there may be other descriptors in it, on their way: the last close
/// would close those as well, and wait as long as they linger.
fn may_carry(fd: BorrowedFd<'_>) -> bool {
    is_unix(fd) && read_wait(fd, Duration::ZERO).unwrap_or(true) && !has_only_bytes(fd)
}

fn is_unix(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: all-zero is a valid address (of no family).
    let mut address: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let mut size = size_of_val(&address) as libc::socklen_t;
    // SAFETY: `address` is writable for its size, and `size` says that.
    let result = unsafe { libc::getsockname(fd.as_raw_fd(), (&raw mut address).cast(), &mut size) };
    result == 0 && libc::c_int::from(address.ss_family) == libc::AF_UNIX
}

/// Whether all that is unread are bytes of a stream: one that is read as far as it
/// goes, without being taken, would stop at descriptors, and say that there was no
/// room for them.
#[cfg(target_os = "linux")]
fn has_only_bytes(socket: BorrowedFd<'_>) -> bool {
    let mut data = [0u8; 4096];
    let mut iov = libc::iovec {
        iov_base: data.as_mut_ptr().cast(),
        iov_len: data.len(),
    };
    let (mut kind, mut unread): (libc::c_int, libc::c_int) = (0, -1);
    let mut size = size_of_val(&kind) as libc::socklen_t;
    // SAFETY: all-zero is a valid msghdr (null pointers, zero lengths).
    let mut msg: libc::msghdr = unsafe { std::mem::zeroed() };
    msg.msg_iov = &mut iov;
    msg.msg_iovlen = 1;
    // SAFETY: every pointer is to something that is writable, as large as is
    // said, and outlives the calls.
    let count = unsafe {
        let (fd, kind) = (socket.as_raw_fd(), (&raw mut kind).cast());
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_TYPE, kind, &mut size);
        libc::ioctl(fd, libc::FIONREAD, &mut unread);
        libc::recvmsg(fd, &mut msg, libc::MSG_PEEK | libc::MSG_DONTWAIT)
    };
    let is_whole = count >= 0 && count == unread as isize;
    kind == libc::SOCK_STREAM && is_whole && msg.msg_flags & libc::MSG_CTRUNC == 0
}

/// This system does not tell.
#[cfg(not(target_os = "linux"))]
fn has_only_bytes(_: BorrowedFd<'_>) -> bool {
    false
}

const NO_LINGER: libc::linger = libc::linger {
    l_onoff: 0,
    l_linger: 0,
};

/// That this fails is no harm: what is no socket does not wait either.
fn end_linger(fd: BorrowedFd<'_>) {
    set_socket_option(fd, libc::SO_LINGER, &NO_LINGER);
}

/// Sets an option of `SOL_SOCKET`, whose value is of that type in C; false when the
/// socket has no such option.
pub(super) fn set_socket_option<T>(socket: BorrowedFd<'_>, option: libc::c_int, value: &T) -> bool {
    let (fd, level, size) = (socket.as_raw_fd(), libc::SOL_SOCKET, size_of::<T>());
    let value: *const T = value;
    // SAFETY: `value` is readable for its size.
    unsafe { libc::setsockopt(fd, level, option, value.cast(), size as libc::socklen_t) == 0 }
}

fn lingers(socket: BorrowedFd<'_>) -> bool {
    let mut linger = NO_LINGER;
    let mut size = size_of_val(&linger) as libc::socklen_t;
    // SAFETY: `linger` is writable for its size, and `size` says that.
    unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw mut linger).cast(),
            &mut size,
        )
    };
    linger.l_onoff != 0 && linger.l_linger > 0
}

#[cfg(test)]
mod tests {
    use super::super::unix_send_fd::unix_send_fd;
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::{UnixDatagram, UnixStream};

    #[test]
    fn a_socket_is_silent_until_the_other_side_speaks_or_hangs_up() {
        let (socket, mut other) = UnixStream::pair().unwrap();
        assert!(is_silent(socket.as_fd()));
        other.write_all(b"421 bye").unwrap();
        assert!(!is_silent(socket.as_fd()));
        assert!(!is_silent(socket.as_fd()), "nothing was taken");
        let (socket, other) = UnixStream::pair().unwrap();
        drop(other);
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
        assert!(!is_silent(socket.as_fd()));
    }

    #[test]
    fn a_socket_that_nobody_has_connected_is_silent() {
        match TcpListener::bind("127.0.0.1:0") {
            Ok(listener) => assert!(is_silent(listener.as_fd())),
            Err(error) => skip(&format!("a socket at 127.0.0.1: {error}")),
        }
    }

    #[test]
    fn a_text_is_sent_if_there_is_somebody_and_room() {
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
    fn what_is_no_socket_is_silent_and_hears_nothing_and_can_be_closed() {
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
    fn closing_does_not_wait_for_what_is_unsent_and_does_not_lose_it() {
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

    #[test]
    fn of_what_is_shared_only_what_might_wait_is_closed_elsewhere() {
        let (socket, other) = match connection() {
            Ok(pair) => pair,
            Err(error) => return skip(&format!("a connection to 127.0.0.1: {error}")),
        };
        assert!(!lingers(socket.as_fd()));
        linger(&socket, 0);
        assert!(!lingers(socket.as_fd()), "it breaks off at once");
        linger(&socket, 3600);
        assert!(lingers(socket.as_fd()));
        (&other).write_all(b"421 bye").unwrap();
        assert!(read_wait(socket.as_fd(), Duration::from_secs(60)).unwrap());
        assert!(!may_carry(socket.as_fd()), "there are only bytes in it");
        assert!(!is_unix(socket.as_fd()), "there cannot be others");
    }

    #[test]
    fn what_may_carry_descriptors_is_closed_elsewhere() {
        let (socket, other) = UnixStream::pair().unwrap();
        let (file, late) = UnixStream::pair().unwrap();
        assert!(!may_carry(socket.as_fd()), "it is empty");
        #[cfg(target_os = "linux")]
        {
            (&other).write_all(b"421 bye").unwrap();
            assert!(!may_carry(socket.as_fd()), "there are only bytes in it");
            let (last, gone) = UnixStream::pair().unwrap();
            drop(gone);
            assert!(!may_carry(last.as_fd()), "it has ended");
            (&other).write_all(&[b'x'; 4096]).unwrap();
            assert!(
                may_carry(socket.as_fd()),
                "there are more than are looked at"
            );
        }
        unix_send_fd(other.as_fd(), file.as_fd()).unwrap();
        assert!(may_carry(socket.as_fd()));
        drop(file);
        close_shared(socket.into());
        assert!(read_wait(late.as_fd(), Duration::from_secs(60)).unwrap());
        let (socket, other) = UnixDatagram::pair().unwrap();
        other.send(b"").unwrap();
        assert!(may_carry(socket.as_fd()), "others may be behind it");
    }

    /// Over TCP: others do not linger.
    fn connection() -> io::Result<(TcpStream, TcpStream)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let socket = TcpStream::connect(listener.local_addr()?)?;
        Ok((socket, listener.accept()?.0))
    }

    /// What t/count counts, past the output that is kept back of tests that pass.
    fn skip(why: &str) {
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        let line = format!("SKIPPED: {test}: {why}\n");
        io::stdout().write_all(line.as_bytes()).unwrap();
    }

    /// Lets close() wait for so many seconds.
    fn linger(socket: &impl AsFd, seconds: i32) {
        let on = libc::linger {
            l_onoff: 1,
            l_linger: seconds,
        };
        assert!(set_socket_option(socket.as_fd(), libc::SO_LINGER, &on));
    }
}
