//! A client of the daemon that sends and receives attribute lists, any other bytes,
//! and descriptors. It does not interpret the values that it receives.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::sys;

/// Maximum time to wait for something that must happen, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A connection, and the bytes and descriptors that were received on it and not yet
/// taken.
pub struct Client {
    stream: UnixStream,
    bytes: Vec<u8>,
    fds: VecDeque<OwnedFd>,
    ended: bool,
}

/// The next thing that comes on a connection.
#[derive(Debug)]
pub enum Item {
    /// A whole attribute list.
    List(Vec<u8>),
    /// A NUL byte with a descriptor.
    Fd(OwnedFd),
    /// Bytes that are neither, up to the last byte that came.
    Bytes(Vec<u8>),
    /// The daemon closed the connection.
    End,
    /// Nothing came within the time given.
    Nothing,
}

/// The bytes of an attribute list written as `name=value name=value .`: the
/// blanks become separators, the final `.` the terminator.
pub fn list(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in text.split(' ') {
        if word != "." {
            bytes.extend_from_slice(word.replacen('=', "\0", 1).as_bytes());
        }
        bytes.push(0);
    }
    bytes
}

/// The length of the first attribute list in `bytes`, with its terminator. None if
/// the list is not complete.
pub fn list_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let name = bytes[at..].iter().position(|&byte| byte == 0)?;
        at += name + 1;
        if name == 0 {
            return Some(at);
        }
        at += bytes[at..].iter().position(|&byte| byte == 0)? + 1;
    }
}

impl Client {
    pub fn connect(path: &Path) -> io::Result<Client> {
        UnixStream::connect(path).map(Client::from)
    }

    /// Sends these bytes, all at once if the socket takes them.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends an attribute list in the notation of [`list`].
    pub fn send_list(&mut self, text: &str) -> io::Result<()> {
        self.send(&list(text))
    }

    /// Sends a descriptor with one NUL byte, as the protocol requires.
    pub fn send_fd(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.send_fds(&[fd], b"\0")
    }

    /// Sends any number of descriptors with any data bytes.
    pub fn send_fds(&mut self, fds: &[BorrowedFd<'_>], data: &[u8]) -> io::Result<()> {
        sys::send_with_fds(self.stream.as_fd(), data, fds).map(drop)
    }

    /// Waits until the daemon has read everything that was sent to it.
    pub fn drained(&self) -> io::Result<()> {
        let start = Instant::now();
        while sys::unread_by_peer(self.stream.as_fd())? > 0 {
            if start.elapsed() > PATIENCE {
                return Err(late("the daemon to read what was sent"));
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Receives one attribute list and returns its bytes.
    pub fn receive_list(&mut self) -> io::Result<Vec<u8>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(length) = list_length(&self.bytes) {
                return Ok(self.take(length));
            }
            self.wait(deadline, "an attribute list")?;
        }
    }

    /// Receives the next thing that comes, waiting for it for at most `time`.
    pub fn receive(&mut self, time: Duration) -> io::Result<Item> {
        let deadline = Instant::now() + time;
        loop {
            if self.bytes.first() == Some(&0) {
                if let Some(fd) = self.fds.pop_front() {
                    self.take(1);
                    return Ok(Item::Fd(fd));
                }
            }
            if let Some(length) = list_length(&self.bytes) {
                return Ok(Item::List(self.take(length)));
            }
            if self.ended || !sys::readable(self.stream.as_fd(), deadline)? {
                let rest = std::mem::take(&mut self.bytes);
                return Ok(match (rest.is_empty(), self.ended) {
                    (false, _) => Item::Bytes(rest),
                    (true, true) => Item::End,
                    (true, false) => Item::Nothing,
                });
            }
            self.read_some()?;
        }
    }

    /// Receives exactly `count` bytes, or fewer when the stream ends.
    pub fn receive_bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let deadline = Instant::now() + PATIENCE;
        while self.bytes.len() < count && !self.ended {
            self.fill(deadline, "bytes")?;
        }
        Ok(self.take(count.min(self.bytes.len())))
    }

    /// Receives one byte and the descriptor that came with it.
    pub fn receive_fd(&mut self) -> io::Result<(u8, OwnedFd)> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let (Some(&byte), false) = (self.bytes.first(), self.fds.is_empty()) {
                self.take(1);
                return Ok((byte, self.fds.pop_front().expect("not empty")));
            }
            self.wait(deadline, "a descriptor")?;
        }
    }

    /// Waits until the daemon closes the connection. Returns the bytes that were received
    /// before that and not taken, and the number of descriptors.
    pub fn receive_end(&mut self) -> io::Result<(Vec<u8>, usize)> {
        let deadline = Instant::now() + PATIENCE;
        while !self.ended {
            self.fill(deadline, "the end of the connection")?;
        }
        let fds = self.fds.drain(..).count();
        Ok((std::mem::take(&mut self.bytes), fds))
    }

    /// Returns the bytes that have been received, waiting for them for at most `time`, and
    /// the number of descriptors. Takes nothing.
    pub fn pending(&mut self, time: Duration) -> io::Result<(&[u8], usize)> {
        let deadline = Instant::now() + time;
        while !self.ended && self.bytes.is_empty() && sys::readable(self.stream.as_fd(), deadline)?
        {
            self.read_some()?;
        }
        Ok((&self.bytes, self.fds.len()))
    }

    /// Returns true if the end of the connection has been read.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes a descriptor that has been received, but no bytes. None if there is none.
    pub fn take_fd(&mut self) -> Option<OwnedFd> {
        self.fds.pop_front()
    }

    /// Shuts down sending; more can still be received.
    pub fn half_close(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Shuts down receiving, so that the daemon cannot send; more can still be sent.
    pub fn deafen(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Read)
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        self.bytes.drain(..count).collect()
    }

    /// Waits for input like `fill`, but the end of the stream is an error.
    fn wait(&mut self, deadline: Instant, what: &str) -> io::Result<()> {
        if self.ended {
            let text = format!("closed by the daemon instead of {what}");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        self.fill(deadline, what)
    }

    fn fill(&mut self, deadline: Instant, what: &str) -> io::Result<()> {
        if !sys::readable(self.stream.as_fd(), deadline)? {
            return Err(late(what));
        }
        self.read_some()
    }

    fn read_some(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16384];
        match sys::receive_with_fds(self.stream.as_fd(), &mut buffer) {
            Ok((0, _)) => self.ended = true,
            Ok((count, fds)) => {
                self.bytes.extend_from_slice(&buffer[..count]);
                self.fds.extend(fds);
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => self.ended = true,
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl From<UnixStream> for Client {
    fn from(stream: UnixStream) -> Client {
        Client {
            stream,
            bytes: Vec::new(),
            fds: VecDeque::new(),
            ended: false,
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn late(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("waited in vain for {what}"),
    )
}
