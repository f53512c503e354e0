//! `poller`: the one place that asks the kernel which descriptors are ready.
//!
//! A thin layer over the polling crate, for two reasons. Registering is unsafe
//! there (some systems keep a pointer to what is registered) and is made safe
//! here by borrowing. And on Linux a wait through the crate costs four system
//! calls, because it arms a timer and a notifier that this program does not
//! use; so there the crate's epoll descriptor is waited on directly, which
//! costs one. Other systems wait through the crate.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use polling::{Event, PollMode};

/// How many ready descriptors one wait reports. The original's
/// `EVENT_BUFFER_SIZE`.
const EVENT_BUFFER_SIZE: usize = 100;

/// What a descriptor is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Nothing but errors.
    Nothing,
    /// Input, or its end.
    Read,
    /// Room for output.
    Write,
}

impl Interest {
    fn event(self, key: usize) -> Event {
        Event::new(key, self == Interest::Read, self == Interest::Write)
    }
}

/// Level-triggered readiness of descriptors, each under a key of the caller's.
#[derive(Debug)]
pub struct Poller {
    poller: polling::Poller,
    ready: Ready,
}

impl Poller {
    /// Opens the system's interface.
    pub fn new() -> io::Result<Poller> {
        Ok(Poller {
            poller: polling::Poller::new()?,
            ready: Ready::new(),
        })
    }

    /// Starts to watch a descriptor. [`Poller::remove`] it before it is closed.
    pub fn add(&self, fd: BorrowedFd<'_>, interest: Interest, key: usize) -> io::Result<()> {
        // SAFETY: `fd` is open, since it is borrowed. That it be removed before
        // it is closed is asked for by systems that keep pointers to sources,
        // none of which this builds for; epoll and kqueue forget a closed one.
        unsafe {
            self.poller
                .add_with_mode(fd.as_raw_fd(), interest.event(key), PollMode::Level)
        }
    }

    /// Watches a descriptor for something else.
    pub fn modify(&self, fd: BorrowedFd<'_>, interest: Interest, key: usize) -> io::Result<()> {
        let mode = match interest {
            // An error that nobody asked for, and nobody ends, is told once.
            Interest::Nothing => PollMode::Oneshot,
            Interest::Read | Interest::Write => PollMode::Level,
        };
        self.poller.modify_with_mode(fd, interest.event(key), mode)
    }

    /// Stops to watch a descriptor.
    pub fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.poller.delete(fd)
    }

    /// Waits until something is ready, `timeout` is over (rounded up to a
    /// millisecond) or a signal has come, and puts the keys of what is ready
    /// into `keys`.
    pub fn wait(&mut self, timeout: Option<Duration>, keys: &mut Vec<usize>) -> io::Result<()> {
        keys.clear();
        match self.ready.wait(&self.poller, timeout, keys) {
            Err(err) if err.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }
}

#[cfg(target_os = "linux")]
struct Ready(Box<[libc::epoll_event]>);

// By hand: in older versions of libc (Debian 13) an event has no Debug.
#[cfg(target_os = "linux")]
impl std::fmt::Debug for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Ready").field(&self.0.len()).finish()
    }
}

#[cfg(target_os = "linux")]
impl Ready {
    fn new() -> Ready {
        Ready(vec![libc::epoll_event { events: 0, u64: 0 }; EVENT_BUFFER_SIZE].into())
    }

    fn wait(
        &mut self,
        poller: &polling::Poller,
        timeout: Option<Duration>,
        keys: &mut Vec<usize>,
    ) -> io::Result<()> {
        use std::os::fd::AsFd;

        let timeout = timeout.map_or(-1, |timeout| {
            let rest = u64::from(timeout.subsec_nanos().div_ceil(1_000_000));
            let time = timeout.as_secs().saturating_mul(1000).saturating_add(rest);
            i32::try_from(time).unwrap_or(i32::MAX)
        });
        let fd = poller.as_fd().as_raw_fd();
        // SAFETY: the buffer is as long as it is said to be, and outlives the call.
        let count =
            unsafe { libc::epoll_wait(fd, self.0.as_mut_ptr(), self.0.len() as i32, timeout) };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        keys.extend(self.0[..count].iter().map(|event| event.u64 as usize));
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
struct Ready(polling::Events);

#[cfg(not(target_os = "linux"))]
impl Ready {
    fn new() -> Ready {
        let size = std::num::NonZeroUsize::new(EVENT_BUFFER_SIZE).expect("not zero");
        Ready(polling::Events::with_capacity(size))
    }

    fn wait(
        &mut self,
        poller: &polling::Poller,
        timeout: Option<Duration>,
        keys: &mut Vec<usize>,
    ) -> io::Result<()> {
        self.0.clear();
        poller.wait(&mut self.0, timeout)?;
        keys.extend(self.0.iter().map(|event| event.key));
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
    fn a_wait_without_an_end_lasts_until_something_is_ready() {
        let mut poller = Poller::new().unwrap();
        let (mut a, b) = UnixStream::pair().unwrap();
        poller.add(b.as_fd(), Interest::Read, 7).unwrap();
        let writer = thread::spawn(move || {
            // Long enough for one that ends by itself.
            thread::sleep(Duration::from_millis(50));
            a.write_all(b"x").unwrap();
            a
        });
        let mut keys = Vec::new();
        poller.wait(None, &mut keys).unwrap();
        assert_eq!(keys, [7]);
        writer.join().unwrap();
    }
}
