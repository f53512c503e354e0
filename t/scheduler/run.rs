//! Does the steps of a run with the daemon, and with [`service`](super::service), and
//! compares after each: what clients and servers got, the log, and the descriptors of
//! the daemon. While it is stopped nothing is compared.
//!
//! Nothing depends on how long something takes: the clock of the daemon is stopped and
//! moves when a step says so, and a step is over when the daemon sleeps, has read what
//! was sent to it, and answers another client, the observer.

#[path = "compare.rs"]
mod compare;

use std::error::Error;
use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use crate::clock::Shim;
use crate::harness::client::{list, PATIENCE};
use crate::harness::daemon::Daemon;
use crate::harness::directory::Directory;
use crate::harness::entry::{Entry, SCACHE_LINE};
use crate::harness::master::Setup;
use crate::harness::sys;
use crate::service::{Config, Id, Life, Service, IPC_TIMEOUT, STATUS_UPDATE_TIME, TTL_LIMIT};
use crate::step::{shorten, Does, Serves, Step, CLIENTS};

/// What the client that had a session before has said to its server.
const SAID: &[u8] = b"EHLO\r\n";

/// Locked for writing while a daemon is started: its process has the descriptors of
/// this one until the program runs, and what is closed meanwhile stays open.
static START: RwLock<()> = RwLock::new(());

fn nothing_is_started() -> RwLockReadGuard<'static, ()> {
    START.read().unwrap_or_else(PoisonError::into_inner)
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[derive(Default)]
struct Client {
    connection: Option<(usize, UnixStream)>,
    reads: bool,
    /// The rest of a list.
    rest: Vec<u8>,
    /// Sessions that it has found.
    has: Vec<(Id, OwnedFd)>,
    incoming: Incoming,
}

/// What has come on a connection.
#[derive(Default)]
struct Incoming {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
    ended: bool,
}

impl Incoming {
    /// Reads all that is there.
    fn read(&mut self, stream: &UnixStream) -> io::Result<()> {
        let mut buffer = vec![0; 65_536];
        while !self.ended {
            match sys::receive_with_fds(stream.as_fd(), &mut buffer) {
                Ok((0, _)) => self.ended = true,
                Ok((count, fds)) => {
                    self.bytes.extend_from_slice(&buffer[..count]);
                    self.fds.extend(fds);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => self.ended = true,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A session as its server sees it.
struct Session {
    /// None after a reset.
    server: Option<UnixStream>,
    identity: (u64, u64),
}

struct Run {
    setup: Setup,
    directory: Arc<Directory>,
    socket: PathBuf,
    offset: File,
    daemon: Option<Daemon>,
    is_stopped: bool,
    service: Service,
    open_files: u64,
    clients: Vec<Client>,
    sessions: Vec<Session>,
    observer: Option<(usize, UnixStream)>,
    observations: usize,
    /// The number of the first log line that was not compared yet.
    log_from: usize,
    log: Vec<String>,
    trace: String,
}

/// What happened.
pub struct Outcome {
    /// The steps, and what came of each.
    pub trace: String,
    /// The number of steps that were done and the difference, if there is one.
    pub failure: Option<(usize, String)>,
}

/// Number of descriptors of a daemon that has no clients.
pub fn own_fds(shim: &Shim) -> Result<usize> {
    let config = Config {
        open_files: 200,
        ..Config::default()
    };
    let run = Run::start(config, shim)?;
    Ok(run.descriptors()?.len() - 1)
}

/// Does these steps, and ends the daemon.
pub fn run(config: Config, shim: &Shim, steps: &[Step]) -> Outcome {
    let (mut trace, mut done) = (String::new(), 0);
    let all = AssertUnwindSafe(|| do_steps(config, shim, steps, &mut trace, &mut done));
    let result = match catch_unwind(all) {
        Ok(result) => result.map_err(|why| why.to_string()),
        Err(_) => Err("a panic, see above".into()),
    };
    let failure = result.err().map(|why| (done.min(steps.len()), why));
    Outcome { trace, failure }
}

fn do_steps(
    config: Config,
    shim: &Shim,
    steps: &[Step],
    trace: &mut String,
    done: &mut usize,
) -> Result<()> {
    let mut run = Run::start(config, shim)?;
    let end = Step::End {
        sigterm: false,
        go_on: Vec::new(),
    };
    for step in steps.iter().chain([&end]) {
        *done += 1;
        *trace += &format!("{done:4}. {step}\n");
        let result = run.step(step);
        *trace += &std::mem::take(&mut run.trace);
        result?;
    }
    Ok(())
}

impl Run {
    fn start(config: Config, shim: &Shim) -> Result<Run> {
        let limit = config.open_files as u64;
        let mut setup = shim
            .stopped(Setup::new())
            .binary(env!("CARGO_BIN_EXE_scache"));
        for (name, value) in [
            ("connection_cache_ttl_limit", TTL_LIMIT),
            ("ipc_timeout", IPC_TIMEOUT),
            ("connection_cache_status_update_time", STATUS_UPDATE_TIME),
            (
                "connection_cache_endpoint_limit",
                config.endpoint_limit as u64,
            ),
        ] {
            setup = setup.main_cf(&format!("{name} = {value}"));
        }
        let setup = setup
            .nofile(limit, limit)
            // Only a process of the same user may change the limit.
            .entry(|entry| entry.unprivileged = false);
        let directory = Arc::new(setup.prepare()?);
        let mut listeners = setup.listen(directory.path())?;
        let listener: UnixListener = listeners.remove(0);
        let clock = directory.path().join("offset");
        let setup = setup
            .listener(Arc::new(listener))
            .env("CLOCK_OFFSET", &clock.display().to_string());
        let mut run = Run {
            setup,
            socket: Entry::parse(SCACHE_LINE).socket_path(directory.path(), 0),
            offset: File::create(clock)?,
            directory,
            daemon: None,
            is_stopped: false,
            service: Service::new(config, 0),
            open_files: limit,
            clients: (0..CLIENTS).map(|_| Client::default()).collect(),
            sessions: Vec::new(),
            observer: None,
            observations: 0,
            log_from: 0,
            log: Vec::new(),
            trace: String::new(),
        };
        run.set_clock()?;
        run.start_daemon()?;
        Ok(run)
    }

    fn note(&mut self, text: &str) {
        self.trace += &format!("          {text}\n");
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("running")
    }

    /// Starts a process, which has the listener of the one before, and the observer.
    fn start_daemon(&mut self) -> Result<()> {
        let starts = START.write().unwrap_or_else(PoisonError::into_inner);
        let daemon = self.setup.clone().start_in(Arc::clone(&self.directory));
        self.daemon = Some(daemon?);
        self.log_from = 0;
        // (It accepts those first that have waited.)
        self.service.settle();
        let observer = UnixStream::connect(&self.socket)?;
        self.observer = Some((self.service.connect(), observer));
        self.service.settle();
        self.observe("protocol=connection_cache_protocol .")?;
        drop(starts);
        let _guard = nothing_is_started();
        self.read_log()?;
        Ok(())
    }

    /// The descriptors of the daemon, in the order of their numbers. (It may have
    /// inherited others, above its limit.)
    fn descriptors(&self) -> io::Result<Vec<u64>> {
        let names = fs::read_dir(self.daemon().proc("fd"))?;
        let numbers = names.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut numbers: Vec<u64> = numbers.filter(|&fd| fd < self.open_files).collect();
        numbers.sort();
        Ok(numbers)
    }

    /// The file always has the same length: the daemon may read it at any moment.
    fn set_clock(&self) -> io::Result<()> {
        let time = format!("{:+020}\n", self.service.now);
        self.offset.write_all_at(time.as_bytes(), 0)
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        if let Step::End { sigterm, go_on } = step {
            self.end(*sigterm, go_on)?;
            self.service.restart();
            for who in 0..CLIENTS {
                let connection = self.clients[who].connection.as_ref();
                // So that the observer is accepted, too.
                if connection.is_some() && self.service.waiting() > 2 {
                    self.die(who);
                }
            }
            self.start_daemon()?;
            return self.compare();
        }
        let _guard = nothing_is_started();
        match step {
            Step::Client(who, does) => self.client(*who, does)?,
            Step::Server(nth, serves) => self.server(*nth, *serves)?,
            Step::Stop => self.stop()?,
            Step::Continue => self.go_on()?,
            Step::Pass(seconds) => self.pass(*seconds)?,
            Step::NoFiles => {
                let limit = self.descriptors()?.last().map_or(0, |fd| fd + 1);
                let (pid, hard) = (self.daemon().pid(), self.open_files);
                sys::limit_open_files_of(pid, limit, hard)?;
                self.service.real_limit = Some(limit as usize);
            }
            Step::EnoughFiles => {
                let (pid, hard) = (self.daemon().pid(), self.open_files);
                sys::limit_open_files_of(pid, hard, hard)?;
                self.service.real_limit = None;
            }
            Step::End { .. } => unreachable!("see above"),
        }
        if self.is_stopped {
            return Ok(());
        }
        self.service.settle();
        self.compare()
    }

    fn client(&mut self, who: usize, does: &Does) -> Result<()> {
        match does {
            Does::Connect => self.connect(who)?,
            Does::Send(text) => self.send(who, &list(text), 0)?,
            Does::SendPart(text, length) => {
                let bytes = list(text);
                let (begin, rest) = bytes.split_at(*length);
                self.send(who, begin, 0)?;
                self.clients[who].rest = rest.to_vec();
            }
            Does::Proceed => return self.proceed(who),
            Does::SendWith(count, bytes) => self.send(who, bytes, *count)?,
            Does::Rubbish(bytes) => self.send(who, bytes, 0)?,
            Does::Ignore => {
                self.connect(who)?;
                self.clients[who].reads = false;
            }
            Does::Read => self.clients[who].reads = true,
            Does::HalfClose => {
                if let Some((number, stream)) = &self.clients[who].connection {
                    // (It may be closed.)
                    let _ = stream.shutdown(Shutdown::Write);
                    self.service.half_close(*number);
                }
            }
            Does::Die => self.die(who),
        }
        Ok(())
    }

    fn connect(&mut self, who: usize) -> Result<()> {
        if self.clients[who].connection.is_none() {
            let stream = UnixStream::connect(&self.socket)?;
            self.clients[who] = Client {
                connection: Some((self.service.connect(), stream)),
                reads: true,
                has: std::mem::take(&mut self.clients[who].has),
                ..Client::default()
            };
        }
        Ok(())
    }

    fn die(&mut self, who: usize) {
        if let Some((number, _)) = std::mem::take(&mut self.clients[who]).connection {
            self.service.close(number);
        }
    }

    fn proceed(&mut self, who: usize) -> Result<()> {
        let Some((number, _)) = self.clients[who].connection else {
            return Ok(());
        };
        let rest = std::mem::take(&mut self.clients[who].rest);
        match self.service.expects_descriptor(number) {
            _ if !rest.is_empty() => self.send(who, &rest, 0),
            Some(true) => self.send(who, b"\0", 1),
            Some(false) => self.send(who, &list("dummy= ."), 0),
            None => Ok(()),
        }
    }

    /// Sends bytes with a number of sessions: those that the client has, and new ones.
    fn send(&mut self, who: usize, bytes: &[u8], count: usize) -> Result<()> {
        self.connect(who)?;
        let mut sessions = Vec::new();
        for _ in 0..count {
            let session = self.clients[who].has.pop();
            sessions.push(match session {
                Some(session) => session,
                None => self.new_session()?,
            });
        }
        let (number, stream) = self.clients[who].connection.as_ref().expect("connected");
        let fds: Vec<_> = sessions.iter().map(|(_, fd)| fd.as_fd()).collect();
        let sent = match count {
            0 => sys::send_some(stream.as_fd(), bytes),
            _ => sys::send_with_fds(stream.as_fd(), bytes, &fds),
        };
        let ids: Vec<Id> = sessions.iter().map(|(id, _)| *id).collect();
        match sent {
            Ok(sent) => {
                self.service.send(*number, &bytes[..sent], &ids);
                let text = compare::shown(bytes);
                self.note(&format!("it sends \"{text}\" and sessions {ids:?}"));
            }
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(format!("client {who} cannot send: {error}").into()),
        }
        Ok(())
    }

    fn new_session(&mut self) -> io::Result<(Id, OwnedFd)> {
        let (mut ours, server) = UnixStream::pair()?;
        ours.write_all(SAID)?;
        self.sessions.push(Session {
            server: Some(server),
            identity: sys::identity(ours.as_fd())?,
        });
        Ok((self.sessions.len() - 1, ours.into()))
    }

    fn server(&mut self, nth: usize, serves: Serves) -> io::Result<()> {
        let is_open = |(id, session): &(Id, &mut Session)| {
            session.server.is_some() && !self.service.dead.contains(id) && self.service.holds(*id)
        };
        let sessions = self.sessions.iter_mut().enumerate();
        let mut open: Vec<_> = sessions.filter(is_open).collect();
        if open.is_empty() {
            return Ok(());
        }
        let (id, session) = open.swap_remove(nth % open.len());
        let mut server = session.server.as_ref().expect("open");
        match serves {
            Serves::HangUp => server.shutdown(Shutdown::Write)?,
            Serves::Speak => server.write_all(b"421 bye\r\n")?,
            // (It has not read what the client said.)
            Serves::Reset => session.server = None,
        }
        self.service.die(id);
        self.note(&format!("it is that of session {id}"));
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        if !self.is_stopped {
            self.daemon().stop()?;
            self.is_stopped = true;
        }
        Ok(())
    }

    fn go_on(&mut self) -> Result<()> {
        if self.is_stopped {
            self.daemon().signal(libc::SIGCONT)?;
            self.is_stopped = false;
            self.service.go_on();
        }
        Ok(())
    }

    /// Moves the clock. The daemon is stopped for it: that ends its wait.
    fn pass(&mut self, seconds: u64) -> Result<()> {
        let was_stopped = self.is_stopped;
        self.stop()?;
        self.service.now += seconds;
        self.set_clock()?;
        if !was_stopped {
            self.go_on()?;
        }
        Ok(())
    }

    /// Ends the process. The requests of these clients are finished, if they go on until
    /// then; the others are broken off after a second.
    fn end(&mut self, sigterm: bool, go_on: &[usize]) -> Result<()> {
        let _guard = nothing_is_started();
        if self.is_stopped {
            self.go_on()?;
            self.compare()?;
        }
        match sigterm {
            true => self.daemon().signal(libc::SIGTERM)?,
            false => self.daemon.as_mut().expect("running").lose_master(),
        }
        self.service.end(sigterm);
        for &who in go_on.iter().cycle().take(4 * go_on.len()) {
            if self.service.clients() > 0 {
                self.quiet()?;
                self.compare_received()?;
                self.proceed(who)?;
                self.service.settle();
            }
        }
        if self.service.clients() > 0 {
            self.quiet()?;
            self.compare_received()?;
            self.pass(1)?;
        }
        self.service.exit();
        let ended = self.daemon.take().expect("running").wait()?;
        if ended.status_text() != "exit 0" {
            return Err(format!("it ended: {}", ended.status_text()).into());
        }
        self.log.extend_from_slice(&ended.log[self.log_from..]);
        self.compare_received()?;
        self.compare_log()?;
        self.observer = None;
        Ok(())
    }
}
