//! The load: requests of clients, and the replies that they must receive. Clients do as
//! little as possible themselves.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use super::epoll::Epoll;
pub use super::harness::client::list;
use super::harness::sys;

/// The first list that the daemon sends.
pub const ANNOUNCEMENT: &str = "protocol=connection_cache_protocol .";
/// The properties of every endpoint, about as long as those of smtp(8).
pub const ENDP_PROP: &str = "mx1.example.com;[192.0.2.1];;mx1.example.com;25;16777216;0;6291456";
/// The properties of every destination.
pub const DEST_PROP: &str = "example.com;smtp;mx1.example.com;0";

/// Minimum pause of a client before each request; smtp(8) pauses while it delivers a
/// message.
pub const PAUSE: Duration = Duration::from_millis(10);

const PATIENCE: Duration = Duration::from_secs(60);

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// find_endp that finds no session.
    Miss,
    /// save_endp.
    Save,
    /// find_endp that finds a session.
    Find,
    /// save_dest.
    Bind,
    /// find_dest that finds a session.
    FindDest,
}

/// A step of a client.
enum Step {
    Send(Vec<u8>),
    Receive(Vec<u8>),
    SendFd,
    ReceiveFd,
}

/// The steps of a client.
pub struct Script(Vec<Step>);

impl Script {
    /// Requests of these kinds in a row, with these labels.
    pub fn new(kinds: &[Kind], dest: &str, endp: &str) -> Script {
        let steps = kinds
            .iter()
            .flat_map(|&kind| Script::steps(kind, dest, endp));
        Script(steps.collect())
    }

    fn steps(kind: Kind, dest: &str, endp: &str) -> Vec<Step> {
        let send = |text: &str| Step::Send(list(text));
        let receive = |text: &str| Step::Receive(list(text));
        let hand_over = [send("dummy= ."), Step::ReceiveFd, send("dummy= .")];
        match kind {
            Kind::Miss => vec![
                send(&format!("request=find_endp label={endp} .")),
                receive("status=2 property= ."),
            ],
            Kind::Save => vec![
                send(&format!(
                    "request=save_endp ttl=3000 label={endp} property={ENDP_PROP} ."
                )),
                receive("dummy= ."),
                Step::SendFd,
                receive("status=0 ."),
            ],
            Kind::Find => [
                send(&format!("request=find_endp label={endp} .")),
                receive(&format!("status=0 property={ENDP_PROP} .")),
            ]
            .into_iter()
            .chain(hand_over)
            .collect(),
            Kind::Bind => vec![
                send(&format!(
                    "request=save_dest ttl=3000 label={dest} property={DEST_PROP} label={endp} ."
                )),
                receive("status=0 ."),
            ],
            Kind::FindDest => [
                send(&format!("request=find_dest label={dest} .")),
                receive(&format!(
                    "status=0 property={DEST_PROP} property={ENDP_PROP} ."
                )),
            ]
            .into_iter()
            .chain(hand_over)
            .collect(),
        }
    }

    /// Changes the time to live.
    pub fn short_lived(mut self, ttl: u32) -> Script {
        for step in &mut self.0 {
            if let Step::Send(bytes) = step {
                let text = String::from_utf8_lossy(bytes);
                *bytes = text.replace("ttl\x003000", &format!("ttl\0{ttl}")).into();
            }
        }
        self
    }
}

/// The labels that client number `number` uses: destination, endpoint.
pub fn names(number: usize) -> (String, String) {
    let (dest, endp) = (
        format!("smtp;example-{number}.com"),
        format!("smtp;[192.0.2.1]:25;example-{number}"),
    );
    (dest, endp)
}

/// A client that does the steps of a script.
pub struct Client {
    stream: UnixStream,
    reply: Vec<u8>,
    script: Rc<Script>,
    done: usize,
}

impl Client {
    /// Makes a client of a connection, and receives the announcement.
    pub fn new(stream: UnixStream) -> io::Result<Client> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let (mut stream, mut reply) = (stream, Vec::new());
        receive(&mut stream, &mut reply, &list(ANNOUNCEMENT))?;
        Ok(Client {
            stream,
            reply,
            script: Rc::new(Script(Vec::new())),
            done: 0,
        })
    }

    /// Starts a script. Returns false if there is none.
    fn begin(&mut self, script: Option<Rc<Script>>, session: &TcpStream) -> io::Result<bool> {
        let Some(script) = script else {
            return Ok(false);
        };
        (self.script, self.done) = (script, 0);
        self.advance(false, session)?;
        Ok(true)
    }

    fn receive_fd(&mut self) -> io::Result<OwnedFd> {
        let (_, mut fds) = sys::receive_with_fds(self.stream.as_fd(), &mut [0])?;
        fds.pop()
            .ok_or_else(|| io::Error::other("no descriptor came"))
    }

    /// Does steps up to the next one that needs input. `ready` is true if there is input
    /// for one step.
    fn advance(&mut self, mut ready: bool, session: &TcpStream) -> io::Result<()> {
        while let Some(step) = self.script.0.get(self.done) {
            match step {
                Step::Send(bytes) => self.stream.write_all(bytes)?,
                Step::SendFd => {
                    sys::send_with_fds(self.stream.as_fd(), &[0], &[session.as_fd()])?;
                }
                Step::Receive(_) | Step::ReceiveFd if !ready => return Ok(()),
                Step::Receive(bytes) => {
                    receive(&mut self.stream, &mut self.reply, bytes)?;
                    ready = false;
                }
                Step::ReceiveFd => {
                    self.receive_fd()?;
                    ready = false;
                }
            }
            self.done += 1;
        }
        Ok(())
    }

    /// Does a whole script.
    fn converse(&mut self, script: Rc<Script>, session: &TcpStream) -> io::Result<()> {
        self.begin(Some(script), session)?;
        while !self.is_done() {
            if !sys::readable(self.stream.as_fd(), Instant::now() + PATIENCE)? {
                return Err(no_answer());
            }
            self.advance(true, session)?;
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.done == self.script.0.len()
    }
}

/// All clients at the same time do one script after the other, until `next` returns None
/// for the number of the client. Returns the number of scripts that were done.
pub fn run(
    clients: &mut [Client],
    session: &TcpStream,
    mut next: impl FnMut(usize) -> Option<Rc<Script>>,
) -> io::Result<usize> {
    let mut epoll = Epoll::new()?;
    let (mut busy, mut count) = (0, 0);
    for (number, client) in clients.iter_mut().enumerate() {
        epoll.add(client.stream.as_fd(), number)?;
        busy += usize::from(client.begin(next(number), session)?);
    }
    while busy > 0 {
        let events = epoll.wait(PATIENCE.as_millis() as libc::c_int)?;
        if events == 0 {
            return Err(no_answer());
        }
        for event in 0..events {
            let number = epoll.token(event);
            let client = &mut clients[number];
            client.advance(true, session)?;
            if client.is_done() {
                count += 1;
                busy -= usize::from(!client.begin(next(number), session)?);
            }
        }
    }
    Ok(count)
}

/// Every client does the scripts in `row(number)` one after the other, `rows`
/// times, and pauses for [`PAUSE`] before each. The clients take turns, and the
/// daemon sleeps between any two requests: it never serves two in one wake-up.
pub fn run_paused(
    clients: &mut [Client],
    session: &TcpStream,
    rows: usize,
    row: impl Fn(usize) -> Vec<Rc<Script>>,
) -> io::Result<()> {
    let pause = PAUSE / clients.len() as u32;
    let row: Vec<Vec<Rc<Script>>> = (0..clients.len()).map(row).collect();
    for request in (0..rows).flat_map(|_| 0..row[0].len()) {
        for (number, client) in clients.iter_mut().enumerate() {
            thread::sleep(pause);
            client.converse(row[number][request].clone(), session)?;
        }
    }
    Ok(())
}

fn no_answer() -> io::Error {
    io::Error::other("the daemon does not answer")
}

fn receive(stream: &mut UnixStream, reply: &mut Vec<u8>, expected: &[u8]) -> io::Result<()> {
    reply.resize(expected.len(), 0);
    stream.read_exact(reply)?;
    if reply != expected {
        let (reply, expected) = (
            String::from_utf8_lossy(reply),
            String::from_utf8_lossy(expected),
        );
        let text = format!("the daemon says {reply:?} instead of {expected:?}");
        return Err(io::Error::other(text));
    }
    Ok(())
}
