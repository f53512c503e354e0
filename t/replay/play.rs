//! Does the steps of a transcript with a daemon, and compares the input of the clients.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant, SystemTime};

use super::pair::{Fate, Pair};
use super::script::{Act, Received, Script, Step};
use super::text;
use crate::harness::client::{Client, Item, PATIENCE};
use crate::harness::daemon::{self, Daemon, Ended};
use crate::harness::master::Setup;
use crate::harness::sys;

/// Time in which `silence` must not receive anything.
const SILENCE: Duration = Duration::from_millis(100);

/// Maximum time for which a recording waits for something to receive.
const PATIENCE_RECORDING: Duration = Duration::from_secs(2);

/// How to replay a transcript.
#[derive(Clone, Copy, Default)]
pub struct Mode {
    /// Run the daemon with -v.
    pub verbose: bool,
    /// Cut a write in two at this place.
    pub cut: Option<usize>,
    /// Record the input of the clients, and compare nothing.
    pub record: bool,
}

/// The results of a replay in which all input of the clients was as expected.
pub struct Played {
    /// The exit status of the daemon, and its log.
    pub ended: Ended,
    /// The input of the clients, with line numbers.
    pub heard: Vec<(usize, String)>,
    /// Number of places at which a write can be cut.
    pub cuts: usize,
}

/// The reason why a replay failed.
#[derive(Debug)]
pub struct Failure {
    /// Line of the transcript.
    pub line: usize,
    /// The text about it.
    pub what: String,
}

impl Failure {
    /// `FILE:LINE: what`.
    pub fn show(&self, script: &Script) -> String {
        format!("{}:{}: {}", script.path.display(), self.line, self.what)
    }

    fn new(line: usize, what: impl Display) -> Failure {
        Failure {
            line,
            what: what.to_string(),
        }
    }

    fn differs(line: usize, expected: impl Display, came: impl Display) -> Failure {
        Failure::new(
            line,
            format!("\n    expected  {expected}\n    came      {came}"),
        )
    }
}

/// A client of the transcript.
struct Peer {
    client: Client,
    /// The bytes for its next write.
    outgoing: Vec<u8>,
    /// The inode of the daemon's end, if known.
    accepted: Option<u64>,
}

struct Player {
    daemon: Option<Daemon>,
    ended: Option<Ended>,
    peers: BTreeMap<String, Peer>,
    /// The inodes of the daemon's ends of clients that have left.
    left: BTreeMap<String, u64>,
    pairs: BTreeMap<String, Pair>,
    mode: Mode,
    heard: Vec<(usize, String)>,
    cuts: usize,
    log_seen: usize,
}

/// Replays `script` against the daemon of `setup`.
pub fn play(script: &Script, setup: Setup, mode: Mode) -> Result<Played, Failure> {
    let mut player = Player::start(script, setup, mode).map_err(|error| Failure::new(0, error))?;
    for (step, next) in script
        .steps
        .iter()
        .zip(script.steps.iter().skip(1).map(Some).chain([None]))
    {
        player.act(step, next)?;
    }
    player.finish()
}

impl Player {
    fn start(script: &Script, setup: Setup, mode: Mode) -> io::Result<Player> {
        let mut setup = script
            .main_cf
            .iter()
            .fold(setup, |setup, line| setup.main_cf(line));
        if mode.verbose {
            setup = setup.option("-v");
        }
        setup = setup.entry(|entry| entry.arguments.extend(script.arguments.iter().cloned()));
        let mut peers = BTreeMap::new();
        let daemon = match &script.stdio {
            None => setup.start()?,
            Some(name) => {
                let (ours, theirs) = UnixStream::pair()?;
                let client = Client::from(ours);
                peers.insert(
                    name.clone(),
                    Peer {
                        client,
                        outgoing: Vec::new(),
                        accepted: None,
                    },
                );
                setup.start_on(OwnedFd::from(theirs))?
            }
        };
        Ok(Player {
            daemon: Some(daemon),
            ended: None,
            peers,
            left: BTreeMap::new(),
            pairs: BTreeMap::new(),
            mode,
            heard: Vec::new(),
            cuts: 0,
            log_seen: 0,
        })
    }

    fn finish(mut self) -> Result<Played, Failure> {
        let ended = match (self.ended.take(), self.daemon.take()) {
            (Some(ended), _) => ended,
            (None, daemon) => {
                let daemon = daemon.expect("runs or has ended");
                daemon.end().map_err(|error| Failure::new(0, error))?
            }
        };
        Ok(Played {
            ended,
            heard: self.heard,
            cuts: self.cuts,
        })
    }

    /// Does a step. Bytes to send are kept if `next` sends more from the same client.
    fn act(&mut self, step: &Step, next: Option<&Step>) -> Result<(), Failure> {
        let fail = |error: io::Error| Failure::new(step.line, error);
        match &step.act {
            Act::Send(name, bytes) => {
                self.peer(step.line, name)?
                    .outgoing
                    .extend_from_slice(bytes);
                let more = |next: &Step| matches!(&next.act, Act::Send(other, _) if other == name);
                if !next.is_some_and(more) {
                    self.flush(name).map_err(fail)?;
                }
                Ok(())
            }
            Act::Receive(name, wanted) => self.receive(step.line, name, wanted),
            Act::Close(name) => self.close(step.line, name),
            Act::Fate(name, fate) => self.meet(step.line, name, fate),
            Act::Await(text) => self.await_log(step.line, text),
            Act::Connect(name) => self.connect(name).map_err(fail),
            Act::SendFds(name, fds, bytes) => self.send_fds(name, fds, bytes).map_err(fail),
            Act::Flush(_) => Ok(()),
            Act::Drained(name) => self.drained(name).map_err(fail),
            Act::HalfClose(name) => self
                .peer(step.line, name)?
                .client
                .half_close()
                .map_err(fail),
            Act::Abandon(name) => {
                self.leave(step.line, name)?;
                self.dropped(step.line, name)
            }
            Act::Leave(name) => self.leave(step.line, name),
            Act::Dropped(name) => self.dropped(step.line, name),
            Act::Deaf(name) => self.peer(step.line, name)?.client.deafen().map_err(fail),
            Act::Stop => self.daemon().and_then(Daemon::stop).map_err(fail),
            Act::Continue => self
                .daemon()
                .and_then(|daemon| daemon.signal(libc::SIGCONT))
                .map_err(fail),
            Act::Ready(name) => self.ready(step.line, name),
            Act::Sleep(seconds) => {
                std::thread::sleep(Duration::from_secs_f64(*seconds));
                Ok(())
            }
            Act::Align => {
                align();
                Ok(())
            }
            Act::Exit => {
                let daemon = self
                    .daemon
                    .take()
                    .ok_or_else(|| Failure::new(step.line, "has exited"))?;
                self.ended = Some(daemon.wait().map_err(fail)?);
                Ok(())
            }
        }
    }

    fn daemon(&self) -> io::Result<&Daemon> {
        self.daemon
            .as_ref()
            .ok_or_else(|| io::Error::other("the daemon has exited"))
    }

    fn peer(&mut self, line: usize, name: &str) -> Result<&mut Peer, Failure> {
        self.peers
            .get_mut(name)
            .ok_or_else(|| Failure::new(line, format!("no client {name}")))
    }

    /// Connects a client, and finds the inode of the daemon's end.
    fn connect(&mut self, name: &str) -> io::Result<()> {
        let daemon = self.daemon()?;
        let before = daemon.connections()?;
        let mut client = daemon.connect()?;
        let deadline = Instant::now() + PATIENCE;
        let mut new = BTreeSet::new();
        while new.is_empty() && Instant::now() < deadline && !client.has_ended() {
            client.pending(Duration::from_millis(1))?;
            new = &daemon.connections()? - &before;
        }
        let accepted = new.first().copied().filter(|_| new.len() == 1);
        self.peers.insert(
            name.to_string(),
            Peer {
                client,
                outgoing: Vec::new(),
                accepted,
            },
        );
        Ok(())
    }

    fn drained(&self, name: &str) -> io::Result<()> {
        let peer = self.peers.get(name);
        let peer = peer.ok_or_else(|| io::Error::other(format!("no client {name}")))?;
        self.daemon()?.has_read(&peer.client)
    }

    /// Sends the bytes that were kept, in one write or cut in two.
    fn flush(&mut self, name: &str) -> io::Result<()> {
        let Some(peer) = self.peers.get_mut(name) else {
            return Ok(());
        };
        let bytes = std::mem::take(&mut peer.outgoing);
        let here = self.cuts;
        self.cuts += bytes.len().saturating_sub(1);
        match self.mode.cut {
            Some(cut) if (here..self.cuts).contains(&cut) => {
                let (first, second) = bytes.split_at(cut - here + 1);
                peer.client.send(first)?;
                if let Some(daemon) = &self.daemon {
                    daemon.has_read(&peer.client)?;
                }
                peer.client.send(second)
            }
            _ => peer.client.send(&bytes),
        }
    }

    fn send_fds(&mut self, name: &str, fds: &[String], bytes: &[u8]) -> io::Result<()> {
        let mut descriptors = Vec::new();
        for fd in fds {
            let (descriptor, pair) = Pair::new()?;
            self.pairs.insert(fd.clone(), pair);
            descriptors.push(descriptor);
        }
        let borrowed: Vec<_> = descriptors.iter().map(|fd| fd.as_fd()).collect();
        let peer = self
            .peers
            .get_mut(name)
            .ok_or_else(|| io::Error::other("no such client"))?;
        peer.client.send_fds(&borrowed, bytes)
    }

    fn receive(&mut self, line: usize, name: &str, wanted: &Received) -> Result<(), Failure> {
        let record = self.mode.record;
        let time = match wanted {
            Received::Silence => SILENCE,
            _ if record => PATIENCE_RECORDING,
            _ => PATIENCE,
        };
        let client = &mut self.peer(line, name)?.client;
        let item = match wanted {
            Received::Raw(bytes) if !record => client.receive_bytes(bytes.len()).map(Item::Bytes),
            _ => client.receive(time),
        };
        let came = self.show_item(item.map_err(|error| Failure::new(line, error))?);
        let expected = show(wanted);
        if !record && came != expected && *wanted != Received::Anything {
            return Err(Failure::differs(line, expected, came));
        }
        self.heard.push((line, came));
        Ok(())
    }

    fn show_item(&self, item: Item) -> String {
        match item {
            Item::List(bytes) => text::show_list(&bytes),
            Item::Bytes(bytes) => format!("raw {}", text::show_quoted(&bytes)),
            Item::End => "end".to_string(),
            Item::Nothing => "silence".to_string(),
            Item::Fd(fd) => {
                let known = self.pairs.iter().find(|(_, pair)| pair.is(&fd));
                format!("fd:{}", known.map_or("?", |(name, _)| name))
            }
        }
    }

    /// Shuts down sending: the daemon must close, and must have sent nothing more.
    fn close(&mut self, line: usize, name: &str) -> Result<(), Failure> {
        let fail = |error| Failure::new(line, error);
        let client = &mut self.peer(line, name)?.client;
        // The daemon may have closed before.
        match client.half_close() {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => return Err(fail(error)),
            _ => {}
        }
        let (bytes, fds) = client.receive_end().map_err(fail)?;
        self.peers.remove(name);
        if bytes.is_empty() && fds == 0 {
            return Ok(());
        }
        let came = format!("{} and {fds} descriptors", text::show_quoted(&bytes));
        Err(Failure::differs(line, "nothing more", came))
    }

    /// Closes the client's socket. It stays open for a while if a daemon that another
    /// thread is starting has inherited it.
    fn leave(&mut self, line: usize, name: &str) -> Result<(), Failure> {
        let peer = self.peer(line, name)?;
        let (_, inode) = sys::identity_of(&peer.client);
        let accepted = peer.accepted;
        self.peers.remove(name);
        let accepted =
            accepted.ok_or_else(|| Failure::new(line, "the daemon's socket is not known"))?;
        self.left.insert(name.to_string(), accepted);
        let is_open = || daemon::is_unix_socket(inode).map_err(|error| Failure::new(line, error));
        let deadline = Instant::now() + PATIENCE;
        while is_open()? {
            if Instant::now() > deadline {
                return Err(Failure::new(line, "the client's socket is still open"));
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Waits until the daemon has closed the connection of a client that has left.
    fn dropped(&mut self, line: usize, name: &str) -> Result<(), Failure> {
        let inode = self.left.remove(name);
        let inode = inode.ok_or_else(|| Failure::new(line, format!("{name} has not left")))?;
        let deadline = Instant::now() + PATIENCE;
        let has = |player: &Player| Ok(player.daemon()?.connections()?.contains(&inode));
        while has(self).map_err(|error: io::Error| Failure::new(line, error))? {
            if Instant::now() > deadline {
                return Err(Failure::new(line, "the daemon does not drop the client"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn ready(&mut self, line: usize, name: &str) -> Result<(), Failure> {
        let client = &self.peer(line, name)?.client;
        match sys::readable(client.as_fd(), Instant::now() + PATIENCE) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::differs(line, "something to read", "silence")),
            Err(error) => Err(Failure::new(line, error)),
        }
    }

    /// Does an action or a check of a descriptor.
    fn meet(&mut self, line: usize, name: &str, fate: &Fate) -> Result<(), Failure> {
        let pair = self.pairs.get_mut(name);
        let pair = pair.ok_or_else(|| Failure::new(line, format!("no fd:{name}")))?;
        match pair.meet(fate) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(came)) => Err(Failure::differs(line, format!("{fate:?}"), came)),
            Err(error) => Err(Failure::new(line, error)),
        }
    }

    fn await_log(&mut self, line: usize, text: &str) -> Result<(), Failure> {
        let daemon = self.daemon().map_err(|error| Failure::new(line, error))?;
        let seen = daemon.wait_for_log_from(self.log_seen, text);
        self.log_seen =
            seen.ok_or_else(|| Failure::differs(line, text, "no such line in the log"))?;
        Ok(())
    }
}

fn show(received: &Received) -> String {
    match received {
        Received::List(bytes) => text::show_list(bytes),
        Received::Raw(bytes) => format!("raw {}", text::show_quoted(bytes)),
        Received::Fd(name) => format!("fd:{name}"),
        Received::End => "end".to_string(),
        Received::Silence => "silence".to_string(),
        Received::Anything => "?".to_string(),
    }
}

/// Sleeps until a second starts: the C program counts whole seconds, by a clock that
/// may be a few milliseconds late.
fn align() {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let left = Duration::from_nanos(1_000_000_000 - u64::from(now.subsec_nanos()));
    std::thread::sleep(left + Duration::from_millis(30));
}
