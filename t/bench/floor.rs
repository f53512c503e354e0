//! `floor`: the physical limit of the protocol on this machine.
//!
//! Started like the daemon, but it understands just enough to answer the
//! requests of [`load`](super::load) from a table with one entry: no names, no
//! times, no checks, and no system call that the protocol does not force.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};

use super::harness::sys;
use super::load::{self, list};

const STATUS_FD: RawFd = 5;
const LISTEN_FD: RawFd = 6;
const READY_MOST: usize = 100;

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
    epoll: OwnedFd,
    clients: Vec<Option<Client>>,
    sessions: Vec<OwnedFd>,
    served: bool,
    buffer: Box<[u8; 4096]>,
}

/// Serves until the last client or, says the status pipe, master is gone.
pub fn main() -> io::Result<()> {
    // SAFETY: the bench has put a status pipe and a listening socket there for
    // this process, and nobody else in it uses them.
    let (status, listener) = unsafe {
        (
            File::from_raw_fd(STATUS_FD),
            UnixListener::from_raw_fd(LISTEN_FD),
        )
    };
    let mut floor = Floor::new()?;
    floor.watch(status.as_fd())?;
    floor.watch(listener.as_fd())?;
    let mut ready = [libc::epoll_event { events: 0, u64: 0 }; READY_MOST];
    loop {
        let count = floor.wait(&mut ready)?;
        for event in &ready[..count] {
            match event.u64 as RawFd {
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
        // SAFETY: takes a plain number; the result is checked below.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if epoll < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Floor {
            replies: Replies::new(),
            // SAFETY: new, and nobody else's.
            epoll: unsafe { OwnedFd::from_raw_fd(epoll) },
            clients: Vec::new(),
            sessions: Vec::new(),
            served: false,
            buffer: Box::new([0; 4096]),
        })
    }

    fn watch(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: fd.as_raw_fd() as u64,
        };
        let (epoll, fd) = (self.epoll.as_raw_fd(), fd.as_raw_fd());
        // SAFETY: both descriptors are open, `event` outlives the call.
        match unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn wait(&self, ready: &mut [libc::epoll_event; READY_MOST]) -> io::Result<usize> {
        let (epoll, room) = (self.epoll.as_raw_fd(), READY_MOST as libc::c_int);
        // SAFETY: there is room for as many events as is said.
        let count = unsafe { libc::epoll_wait(epoll, ready.as_mut_ptr(), room, -1) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    fn accept(&mut self, listener: &UnixListener) -> io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        self.watch(stream.as_fd())?;
        stream.write_all(&self.replies.announcement)?;
        self.served = true;
        let number = stream.as_raw_fd() as usize;
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

    /// What to answer, and what comes next.
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
