//! `floor`: the minimum cost of the protocol on this machine, to compare daemons with.
//!
//! It is started like the daemon, and answers the requests of [`load`](super::load)
//! from a list of sessions. It compares no names, has no timers, checks nothing, and
//! makes no system call that the protocol does not need.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};

use super::epoll::Epoll;
use super::harness::sys;
use super::load::{self, list};

const STATUS_FD: RawFd = 5;
const LISTEN_FD: RawFd = 6;

#[derive(Clone, Copy, PartialEq)]
enum State {
    Request,
    Descriptor,
    Ready,
    Taken,
}

struct Client {
    stream: UnixStream,
    state: State,
}

/// The answers, made once.
struct Replies {
    announcement: Vec<u8>,
    dummy: Vec<u8>,
    ok: Vec<u8>,
    miss: Vec<u8>,
    endp: Vec<u8>,
    dest: Vec<u8>,
}

struct Floor {
    replies: Replies,
    epoll: Epoll,
    clients: Vec<Option<Client>>,
    sessions: Vec<OwnedFd>,
    served: bool,
    buffer: Box<[u8; 4096]>,
}

/// Serves until the last client has disconnected, or the status pipe is closed.
pub fn main() -> io::Result<()> {
    // SAFETY: the bench has put the status pipe and the listener there for this
    // process, and nothing else in it uses them.
    let (status, listener) = unsafe {
        (
            File::from_raw_fd(STATUS_FD),
            UnixListener::from_raw_fd(LISTEN_FD),
        )
    };
    let mut floor = Floor::new()?;
    floor.epoll.add(status.as_fd(), STATUS_FD as usize)?;
    floor.epoll.add(listener.as_fd(), LISTEN_FD as usize)?;
    loop {
        for event in 0..floor.epoll.wait(-1)? {
            match floor.epoll.token(event) as RawFd {
                STATUS_FD => return Ok(()),
                LISTEN_FD => floor.accept(&listener)?,
                fd => floor.serve(fd)?,
            }
        }
        if floor.served && floor.clients.is_empty() {
            return Ok(());
        }
    }
}

impl Floor {
    fn new() -> io::Result<Floor> {
        Ok(Floor {
            replies: Replies::new(),
            epoll: Epoll::new()?,
            clients: Vec::new(),
            sessions: Vec::new(),
            served: false,
            buffer: Box::new([0; 4096]),
        })
    }

    fn accept(&mut self, listener: &UnixListener) -> io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        let number = stream.as_raw_fd() as usize;
        self.epoll.add(stream.as_fd(), number)?;
        stream.write_all(&self.replies.announcement)?;
        self.served = true;
        if self.clients.len() <= number {
            self.clients.resize_with(number + 1, || None);
        }
        self.clients[number] = Some(Client {
            stream,
            state: State::Request,
        });
        Ok(())
    }

    fn serve(&mut self, fd: RawFd) -> io::Result<()> {
        let Some(Some(client)) = self.clients.get_mut(fd as usize) else {
            return Ok(());
        };
        let replies = &self.replies;
        if client.state == State::Descriptor {
            let (_, fds) = sys::receive_with_fds(client.stream.as_fd(), &mut [0])?;
            self.sessions.extend(fds);
            client.state = State::Request;
            return client.stream.write_all(&replies.ok);
        }
        let count = client.stream.read(&mut self.buffer[..])?;
        let mut input = &self.buffer[..count];
        if input.is_empty() {
            self.clients[fd as usize] = None;
            self.clients.truncate(
                self.clients
                    .iter()
                    .rposition(Option::is_some)
                    .map_or(0, |last| last + 1),
            );
            return Ok(());
        }
        if client.state == State::Ready {
            let session = self.sessions.pop().expect("promised");
            sys::send_with_fds(client.stream.as_fd(), &[0], &[session.as_fd()])?;
            client.state = State::Taken;
            return Ok(());
        }
        if client.state == State::Taken {
            client.state = State::Request;
            input = &input[replies.dummy.len()..];
            if input.is_empty() {
                return Ok(());
            }
        }
        let (reply, state) = replies.to(input, self.sessions.is_empty());
        client.state = state;
        client.stream.write_all(reply)
    }
}

impl Replies {
    fn new() -> Replies {
        let (dest, endp) = (load::DEST_PROP, load::ENDP_PROP);
        Replies {
            announcement: list(load::ANNOUNCEMENT),
            dummy: list("dummy= ."),
            ok: list("status=0 ."),
            miss: list("status=2 property= ."),
            endp: list(&format!("status=0 property={endp} .")),
            dest: list(&format!("status=0 property={dest} property={endp} .")),
        }
    }

    /// The reply to a request, and the next state.
    fn to(&self, request: &[u8], is_empty: bool) -> (&[u8], State) {
        let name = &request[b"request\0".len()..];
        match (name[0], name[5]) {
            (b's', b'e') => (&self.dummy, State::Descriptor),
            (b's', _) => (&self.ok, State::Request),
            _ if is_empty => (&self.miss, State::Request),
            (_, b'e') => (&self.endp, State::Ready),
            _ => (&self.dest, State::Ready),
        }
    }
}
