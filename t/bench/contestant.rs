//! A daemon that is compared with others: starts it, connects clients, and measures the
//! cost of their requests.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::harness::daemon::Daemon;
use super::harness::entry::SCACHE_LINE;
use super::harness::master::Setup;
use super::harness::sys;
use super::load::{names, run, run_paused, Client, Kind, Script, ENDP_PROP};

/// A daemon that can be started.
#[derive(Clone)]
pub struct Contestant {
    /// Its name in the tables.
    pub name: String,
    pub binary: PathBuf,
    /// True for the floor, which has other arguments.
    pub is_floor: bool,
    /// Its line in master.cf.
    pub line: &'static str,
}

/// A daemon that runs.
pub struct Running {
    daemon: Daemon,
    clients: Vec<Client>,
    session: TcpStream,
    _peer: TcpStream,
    filled: usize,
}

/// The time to live, in seconds, of sessions that expire during a measurement, and the
/// time after which all have expired.
const TTL: u32 = 2;
const EXPIRY_TIME: Duration = Duration::from_millis(3200);

/// The result of a measurement, per request or row of requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// CPU time of the daemon, in microseconds.
    pub cpu: f64,
    /// Time on the wall, in microseconds.
    pub wall: f64,
    /// Context switches of the daemon.
    pub switches: f64,
}

impl Contestant {
    /// A scache, the C program or this one.
    pub fn new(name: &str, binary: &Path) -> Contestant {
        Contestant {
            name: name.to_string(),
            binary: binary.to_path_buf(),
            is_floor: false,
            line: SCACHE_LINE,
        }
    }

    /// Starts it, without a client.
    pub fn start_daemon(&self) -> io::Result<Daemon> {
        let limit = sys::open_files_limit()?;
        let setup = Setup::new()
            .binary(&self.binary)
            .line(self.line)
            .without_stderr_log()
            .nofile(limit, limit)
            .main_cf("connection_cache_ttl_limit = 3000s")
            .main_cf("max_idle = 1s");
        let daemon = match self.is_floor {
            true => setup.argv(&["floor"]).start()?,
            false => setup.start()?,
        };
        daemon.drain_status()?;
        Ok(daemon)
    }

    /// Starts it, with one client.
    pub fn start(&self) -> io::Result<Running> {
        let (session, _peer) = session()?;
        let mut running = Running {
            daemon: self.start_daemon()?,
            clients: Vec::new(),
            session,
            _peer,
            filled: 0,
        };
        running.connect(1)?;
        Ok(running)
    }

    /// Starts it, and measures the time and the CPU time from exec to the announcement
    /// that the first client receives.
    pub fn start_up(&self) -> io::Result<Sample> {
        let daemon = self.start_daemon()?;
        let started = daemon.started();
        Client::new(UnixStream::connect(daemon.socket())?)?;
        let wall = started.elapsed();
        std::thread::sleep(Duration::from_millis(1));
        let cpu = daemon.cpu_time()?;
        daemon.kill()?;
        Ok(Sample {
            cpu: microseconds(cpu),
            wall: microseconds(wall),
            ..Sample::default()
        })
    }
}

impl Running {
    /// Changes the number of clients.
    pub fn connect(&mut self, count: usize) -> io::Result<()> {
        self.clients.truncate(count);
        while self.clients.len() < count {
            let stream = UnixStream::connect(self.daemon.socket())?;
            self.clients.push(Client::new(stream)?);
        }
        Ok(())
    }

    /// Measures requests of these kinds in a row, which every client repeats until the
    /// time is over.
    pub fn measure(&mut self, kinds: &[Kind], time: Duration) -> io::Result<Sample> {
        let script = |number| {
            let (dest, endp) = names(number);
            Rc::new(Script::new(kinds, &dest, &endp))
        };
        let scripts: Vec<Rc<Script>> = (0..self.clients.len()).map(script).collect();
        let start = Instant::now();
        self.measure_scripts(|number| (start.elapsed() < time).then(|| scripts[number].clone()))
    }

    /// Measures scripts: every client does the scripts that `next` returns for its number,
    /// until `next` returns None.
    pub fn measure_scripts(
        &mut self,
        next: impl FnMut(usize) -> Option<Rc<Script>>,
    ) -> io::Result<Sample> {
        self.sample(|running| run(&mut running.clients, &running.session, next))
    }

    /// Measures `rows` rows of requests of every client. The clients pause before each
    /// request.
    pub fn measure_paused(&mut self, kinds: &[Kind], rows: usize) -> io::Result<Sample> {
        let count = rows * self.clients.len();
        self.sample(|running| running.run_paused(kinds, rows).map(|()| count))
    }

    /// Makes `rows` rows of requests like `measure_paused`, without measuring.
    pub fn run_paused(&mut self, kinds: &[Kind], rows: usize) -> io::Result<()> {
        run_paused(&mut self.clients, &self.session, rows, |number| {
            let (dest, endp) = names(number);
            let script = |&kind| Rc::new(Script::new(&[kind], &dest, &endp));
            kinds.iter().map(script).collect()
        })
    }

    /// Measures `work`, which returns the number by which the result is divided.
    fn sample(
        &mut self,
        work: impl FnOnce(&mut Running) -> io::Result<usize>,
    ) -> io::Result<Sample> {
        self.settle();
        let cpu = self.daemon.cpu_time()?;
        let switches = self.daemon.context_switches()?;
        let start = Instant::now();
        let count = work(self)? as f64;
        let wall = start.elapsed();
        self.settle();
        let cpu = self.daemon.cpu_time()? - cpu;
        let switches = self.daemon.context_switches()? - switches;
        Ok(Sample {
            cpu: microseconds(cpu) / count,
            wall: microseconds(wall) / count,
            switches: switches as f64 / count,
        })
    }

    /// Does each of these scripts once, with all clients.
    pub fn run_scripts(&mut self, scripts: impl IntoIterator<Item = Script>) -> io::Result<()> {
        let mut scripts = scripts.into_iter().map(Rc::new);
        run(&mut self.clients, &self.session, |_| scripts.next()).map(drop)
    }

    /// Saves sessions, each with a label of its own, until there is this number.
    pub fn fill(&mut self, sessions: usize) -> io::Result<()> {
        let script = |number| Script::new(&[Kind::Save], "", &filler_name(number));
        let scripts = (self.filled..sessions).map(script);
        self.filled = sessions;
        let clients = self.clients.len();
        self.connect(50)?;
        self.run_scripts(scripts)?;
        self.connect(clients)
    }

    /// Measures requests while this number of sessions expires: the longest time between a
    /// request and its reply, and the longest CPU time of the daemon for a request, both
    /// in milliseconds.
    pub fn expire(&mut self, sessions: usize) -> io::Result<Sample> {
        let script = |number| Script::new(&[Kind::Save], "", &names(number).1).short_lived(TTL);
        let scripts = (0..sessions).map(script);
        self.connect(50)?;
        self.run_scripts(scripts)?;
        self.connect(1)?;
        let miss = Rc::new(Script::new(&[Kind::Miss], "", "nobody"));
        let (mut asked, mut longest) = (None, [Duration::ZERO; 2]);
        let daemon = &self.daemon;
        let end = Instant::now() + EXPIRY_TIME;
        run(&mut self.clients, &self.session, |_| {
            let now = (Instant::now(), daemon.cpu_time().ok()?);
            if let Some((then, cpu)) = asked.replace(now) {
                longest[0] = longest[0].max(now.0 - then);
                longest[1] = longest[1].max(now.1 - cpu);
            }
            (now.0 < end).then(|| miss.clone())
        })?;
        let [wall, cpu] = longest.map(|time| microseconds(time) / 1e3);
        Ok(Sample {
            cpu,
            wall,
            ..Sample::default()
        })
    }

    /// Resident memory, in KiB.
    pub fn memory(&self) -> io::Result<u64> {
        self.daemon.memory()
    }

    /// Lets it end by itself, without clients.
    pub fn end(self) -> io::Result<()> {
        drop(self.clients);
        self.daemon.wait().map(drop)
    }

    /// Waits until the daemon sleeps, because its CPU time is up to date only then.
    fn settle(&self) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A connection to save, and its peer.
pub fn session() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let session = TcpStream::connect(listener.local_addr()?)?;
    Ok((session, listener.accept()?.0))
}

fn filler_name(number: usize) -> String {
    format!("cached;{}", names(number).1)
}

/// Average length of label and property of the sessions of [`Running::fill`].
pub fn stored_text(sessions: usize) -> usize {
    let names: usize = (0..sessions).map(|number| filler_name(number).len()).sum();
    names / sessions + ENDP_PROP.len()
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
