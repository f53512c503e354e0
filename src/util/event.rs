//! `event`: waits until descriptors are ready. The part of the original's
//! `events.c` that calls the kernel.
//!
//! Readiness is level-triggered, and a descriptor is identified by its number. The
//! caller has the table of owners by descriptor (the original's `event_fdtable`) and the
//! deadlines, see [`timer`](super::timer). Functions fail as their system calls do.
//!
//! This is a thin layer over the polling crate, for two reasons. Registration is unsafe
//! in the crate, because the descriptor has to stay open during the call; here the
//! descriptor is borrowed. And on Linux a wait through the crate costs several system
//! calls, because it arms a timer and a notifier that this program does not use. So on
//! Linux this module waits on the crate's epoll descriptor directly, with one call. On
//! other systems it waits through the crate.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::{Duration, Instant};

use polling::{Event, PollMode};

/// Maximum number of ready descriptors that one wait reports. The original's
/// `EVENT_BUFFER_SIZE`.
const EVENT_BUFFER_SIZE: usize = 100;

/// The kind of readiness that a descriptor is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Input, or end of input.
    Read,
    /// Space for output.
    Write,
}

impl Interest {
    fn event(self, fd: BorrowedFd<'_>) -> Event {
        let key = fd.as_raw_fd() as usize;
        Event::new(key, self == Interest::Read, self == Interest::Write)
    }
}

/// The watched descriptors.
#[derive(Debug)]
pub struct Events {
    poller: polling::Poller,
    buffer: Buffer,
}

impl Events {
    /// Opens epoll or kqueue. The original's `event_init()`.
    pub fn event_init() -> io::Result<Events> {
        Ok(Events {
            poller: polling::Poller::new()?,
            buffer: Buffer::new(),
        })
    }

    /// Starts to watch a descriptor for input. Call
    /// [`Events::event_disable_readwrite`] before it is closed.
    /// The original's `event_enable_read()`.
    pub fn event_enable_read(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let event = Interest::Read.event(fd);
        // SAFETY: `fd` is borrowed, so it is open during the call. The crate also
        // requires that it be removed before it is closed, for systems that keep a
        // pointer to it; epoll and kqueue, which this needs, keep none.
        unsafe {
            self.poller
                .add_with_mode(fd.as_raw_fd(), event, PollMode::Level)
        }
    }

    /// Changes the interest in a watched descriptor.
    /// The original's `event_enable_write()`: also changes back to reading.
    pub fn event_change(&self, fd: BorrowedFd<'_>, interest: Interest) -> io::Result<()> {
        let event = interest.event(fd);
        self.poller.modify_with_mode(fd, event, PollMode::Level)
    }

    /// Stops watching a descriptor. The original's `event_disable_readwrite()`.
    pub fn event_disable_readwrite(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.poller.delete(fd)
    }

    /// Waits until a descriptor is ready, `deadline` has passed (rounded up to a
    /// millisecond), or a signal was caught. Stores the numbers of the ready
    /// descriptors in `ready`. The original's `event_loop()`: the part that waits.
    pub fn wait(&mut self, deadline: Option<Instant>, ready: &mut Vec<RawFd>) -> io::Result<()> {
        ready.clear();
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match self.buffer.wait(&self.poller, timeout, ready) {
            Err(err) if err.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }
}

#[cfg(target_os = "linux")]
struct Buffer(Box<[libc::epoll_event]>);

// Not derived: in older versions of libc (Debian 13) epoll_event has no Debug.
#[cfg(target_os = "linux")]
impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Buffer").field(&self.0.len()).finish()
    }
}

#[cfg(target_os = "linux")]
impl Buffer {
    fn new() -> Buffer {
        Buffer(vec![libc::epoll_event { events: 0, u64: 0 }; EVENT_BUFFER_SIZE].into())
    }

    fn wait(
        &mut self,
        poller: &polling::Poller,
        timeout: Option<Duration>,
        ready: &mut Vec<RawFd>,
    ) -> io::Result<()> {
        use std::os::fd::AsFd;

        let timeout = timeout.map_or(-1, |timeout| {
            let rest = u64::from(timeout.subsec_nanos().div_ceil(1_000_000));
            let time = timeout.as_secs().saturating_mul(1000).saturating_add(rest);
            i32::try_from(time).unwrap_or(i32::MAX)
        });
        let fd = poller.as_fd().as_raw_fd();
        // SAFETY: the pointer and the length describe the buffer, which outlives
        // the call.
        let count =
            unsafe { libc::epoll_wait(fd, self.0.as_mut_ptr(), self.0.len() as i32, timeout) };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        ready.extend(self.0[..count].iter().map(|event| event.u64 as RawFd));
        Ok(())
    }
}

/// Maximum time of a wait: the shortest time between two alarms of the watchdog, after
/// each of which the loop has to make a round.
#[cfg(not(target_os = "linux"))]
const MAX_WAIT: Duration = Duration::from_secs(1);

#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
struct Buffer(polling::Events);

#[cfg(not(target_os = "linux"))]
impl Buffer {
    fn new() -> Buffer {
        let size = std::num::NonZeroUsize::new(EVENT_BUFFER_SIZE).expect("not zero");
        Buffer(polling::Events::with_capacity(size))
    }

    fn wait(
        &mut self,
        poller: &polling::Poller,
        timeout: Option<Duration>,
        ready: &mut Vec<RawFd>,
    ) -> io::Result<()> {
        // The crate's wait goes on after a signal, such as the watchdog's alarm.
        let timeout = timeout.unwrap_or(MAX_WAIT).min(MAX_WAIT);
        self.0.clear();
        poller.wait(&mut self.0, Some(timeout))?;
        ready.extend(self.0.iter().map(|event| event.key as RawFd));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::thread;

    #[test]
    fn a_wait_without_a_deadline_lasts_until_a_descriptor_is_ready() {
        let mut events = Events::event_init().unwrap();
        let (mut a, b) = UnixStream::pair().unwrap();
        events.event_enable_read(b.as_fd()).unwrap();
        let writer = thread::spawn(move || {
            // Long enough for a wait with a wrong timeout to end before.
            thread::sleep(Duration::from_millis(50));
            a.write_all(b"x").unwrap();
            a
        });
        let mut ready = Vec::new();
        events.wait(None, &mut ready).unwrap();
        assert_eq!(ready, [b.as_raw_fd()]);
        writer.join().unwrap();
    }

    /// Otherwise the watchdog would end a process that is idle.
    #[test]
    fn a_signal_ends_the_wait() {
        use crate::util::sigaction::{set_handler, unblock};
        use std::os::unix::thread::JoinHandleExt;

        extern "C" fn handle(_signal: libc::c_int) {}
        // SAFETY: `handle` does nothing.
        unsafe { set_handler(libc::SIGURG, handle) }.unwrap();
        let waiter = thread::spawn(|| {
            unblock(libc::SIGURG);
            let (mut events, mut ready) = (Events::event_init().unwrap(), Vec::new());
            let now = Instant::now();
            let deadline = now + Duration::from_secs(10);
            events.wait(Some(deadline), &mut ready).unwrap();
            now.elapsed()
        });
        while !waiter.is_finished() {
            // SAFETY: the thread has not been joined.
            unsafe { libc::pthread_kill(waiter.as_pthread_t() as _, libc::SIGURG) };
            thread::sleep(Duration::from_millis(10));
        }
        assert!(waiter.join().unwrap() < Duration::from_secs(10));
    }
}
