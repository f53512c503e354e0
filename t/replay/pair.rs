//! A descriptor of a transcript: one end of a socket pair, which is sent to the daemon,
//! and the other end, its peer, which shows whether the first is open.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::text;
use crate::harness::client::PATIENCE;
use crate::harness::sys;

/// The identity of a descriptor that was sent, and its peer.
pub struct Pair {
    identity: (u64, u64),
    peer: UnixStream,
}

/// An action of the peer, or a check.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// `closed:one`: no process has the descriptor any more.
    Closed,
    /// `held:one`: a process still has it.
    Held,
    /// `hang-up:one`: the peer shuts down sending.
    HangUp,
    /// `speak:one "bytes"`: the peer sends these bytes.
    Speak(Vec<u8>),
    /// `heard:one "bytes"`: the peer has received these bytes.
    Heard(Vec<u8>),
}

impl Fate {
    /// Parses a name and the bytes after it. None if the name is unknown.
    pub fn parse(name: &str, bytes: &str) -> Option<Result<Fate, String>> {
        Some(Ok(match name {
            "closed" => Fate::Closed,
            "held" => Fate::Held,
            "hang-up" => Fate::HangUp,
            "speak" => return Some(text::quoted(bytes).map(Fate::Speak)),
            "heard" => return Some(text::quoted(bytes).map(Fate::Heard)),
            _ => return None,
        }))
    }
}

impl Pair {
    /// Returns a descriptor to send, and its pair.
    pub fn new() -> io::Result<(UnixStream, Pair)> {
        let (peer, descriptor) = UnixStream::pair()?;
        let identity = sys::identity_of(&descriptor);
        Ok((descriptor, Pair { identity, peer }))
    }

    /// Returns true if `fd` is the descriptor that was sent.
    pub fn is(&self, fd: &impl AsFd) -> bool {
        self.identity == sys::identity_of(fd)
    }

    /// Does the action or the check. The inner error is the state that was found instead.
    pub fn meet(&mut self, fate: &Fate) -> io::Result<Result<(), String>> {
        match fate {
            Fate::Closed => self.is_closed(),
            Fate::Held => {
                let ready = self.is_ready(Duration::ZERO)?;
                Ok(if ready { Err("closed".into()) } else { Ok(()) })
            }
            Fate::HangUp => self.peer.shutdown(Shutdown::Write).map(Ok),
            Fate::Speak(bytes) => self.peer.write_all(bytes).map(Ok),
            Fate::Heard(bytes) => self.has_heard(bytes),
        }
    }

    fn is_ready(&self, time: Duration) -> io::Result<bool> {
        sys::readable(self.peer.as_fd(), Instant::now() + time)
    }

    fn is_closed(&mut self) -> io::Result<Result<(), String>> {
        if !self.is_ready(PATIENCE)? {
            return Ok(Err("still open".into()));
        }
        let mut bytes = [0; 100];
        match self.peer.read(&mut bytes) {
            Ok(0) => Ok(Ok(())),
            Ok(count) => Ok(Err(format!("heard {}", text::show_quoted(&bytes[..count])))),
            // The bytes of the peer were not read.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(Ok(())),
            Err(error) => Err(error),
        }
    }

    fn has_heard(&mut self, wanted: &[u8]) -> io::Result<Result<(), String>> {
        let mut bytes = vec![0; wanted.len()];
        let mut count = 0;
        while count < wanted.len() && self.is_ready(PATIENCE)? {
            match self.peer.read(&mut bytes[count..])? {
                0 => break,
                more => count += more,
            }
        }
        Ok(match bytes[..count] == *wanted {
            true => Ok(()),
            false => Err(format!("heard {}", text::show_quoted(&bytes[..count]))),
        })
    }
}
