//! A descriptor of a transcript: one end of a socket pair, which travels, and
//! the other, which says things and tells what became of the first.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::text;
use crate::harness::client::PATIENCE;
use crate::harness::sys;

/// What is known about a descriptor that travels.
pub struct Pair {
    identity: (u64, u64),
    watch: UnixStream,
}

/// What its other side does, or is to see.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// `closed:one`: nobody has the descriptor any more.
    Closed,
    /// `held:one`: somebody still has it.
    Held,
    /// `hang-up:one`: the other side is done with it.
    HangUp,
    /// `speak:one "bytes"`: the other side sends this.
    Speak(Vec<u8>),
    /// `heard:one "bytes"`: the other side was sent this.
    Heard(Vec<u8>),
}

impl Fate {
    /// The fate of this name, and the bytes that are behind it.
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
    /// A descriptor to travel, and what tells of it.
    pub fn new() -> io::Result<(UnixStream, Pair)> {
        let (watch, travels) = UnixStream::pair()?;
        let identity = sys::identity_of(&travels);
        Ok((travels, Pair { identity, watch }))
    }

    /// Whether this is it.
    pub fn is(&self, fd: &impl AsFd) -> bool {
        self.identity == sys::identity_of(fd)
    }

    /// Lets it happen, or says what is the case instead.
    pub fn meet(&mut self, fate: &Fate) -> io::Result<Result<(), String>> {
        match fate {
            Fate::Closed => self.is_closed(),
            Fate::Held => {
                let ready = self.is_ready(Duration::ZERO)?;
                Ok(if ready { Err("closed".into()) } else { Ok(()) })
            }
            Fate::HangUp => self.watch.shutdown(Shutdown::Write).map(Ok),
            Fate::Speak(bytes) => self.watch.write_all(bytes).map(Ok),
            Fate::Heard(bytes) => self.has_heard(bytes),
        }
    }

    fn is_ready(&self, time: Duration) -> io::Result<bool> {
        sys::readable(self.watch.as_fd(), Instant::now() + time)
    }

    fn is_closed(&mut self) -> io::Result<Result<(), String>> {
        if !self.is_ready(PATIENCE)? {
            return Ok(Err("still open".into()));
        }
        let mut bytes = [0; 100];
        match self.watch.read(&mut bytes) {
            Ok(0) => Ok(Ok(())),
            Ok(count) => Ok(Err(format!("heard {}", text::show_quoted(&bytes[..count])))),
            // What the other side said was not read.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(Ok(())),
            Err(error) => Err(error),
        }
    }

    fn has_heard(&mut self, wanted: &[u8]) -> io::Result<Result<(), String>> {
        let mut bytes = vec![0; wanted.len()];
        let mut count = 0;
        while count < wanted.len() && self.is_ready(PATIENCE)? {
            match self.watch.read(&mut bytes[count..])? {
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
