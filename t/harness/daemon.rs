//! A running daemon, as the stand-in for master(8) sees it: its log (on stderr,
//! with -V), its status messages, its exit, and its files in /proc.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::client::{Client, PATIENCE};
use super::directory::Directory;
use super::entry::Entry;
use super::sys;

/// A status message as it comes through the pipe to master(8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Process id of the sender.
    pub pid: i32,
    /// The generation in the environment of the daemon.
    pub generation: u32,
    /// 0 taken, 1 available.
    pub status: i32,
}

/// The end of the daemon.
pub struct Ended {
    /// Its exit status as wait(2) reports it.
    pub status: ExitStatus,
    /// The lines it logged from start to end.
    pub log: Vec<String>,
}

impl Ended {
    /// `exit N` or `signal N`.
    pub fn status_text(&self) -> String {
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("exit {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "neither exited nor killed".to_string(),
        }
    }
}

/// The log so far, shared with the thread that collects it.
#[derive(Default)]
struct Log {
    state: Mutex<LogState>,
    changed: Condvar,
}

#[derive(Default)]
struct LogState {
    lines: Vec<String>,
    ended: bool,
}

/// A daemon that was started; it is killed when this is dropped.
pub struct Daemon {
    child: Child,
    directory: Arc<Directory>,
    status_pipe: Option<File>,
    entry: Entry,
    log: Arc<Log>,
    started: Instant,
}

impl Daemon {
    pub(super) fn new(
        mut child: Child,
        directory: Arc<Directory>,
        status: OwnedFd,
        entry: &Entry,
    ) -> Daemon {
        let started = Instant::now();
        let log = Arc::new(Log::default());
        if let Some(stderr) = child.stderr.take() {
            sys::enlarge_pipe(stderr.as_fd());
            let collector = Arc::clone(&log);
            std::thread::spawn(move || collector.collect(stderr));
        } else {
            log.lock().ended = true;
        }
        Daemon {
            child,
            directory,
            status_pipe: Some(File::from(status)),
            entry: entry.clone(),
            log,
            started,
        }
    }

    /// The time at which the program was executed.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The first socket.
    pub fn socket(&self) -> PathBuf {
        self.entry.socket_path(self.directory(), 0)
    }

    /// Reads status messages and drops them until the daemon ends by itself or is
    /// killed: the C program sends two per request, and blocks when the pipe is full.
    pub fn drain_status(&self) -> io::Result<()> {
        const PAUSE: Duration = Duration::from_millis(2);
        let pipe = self.status_pipe.as_ref().expect("open until the end");
        let mut pipe = pipe.try_clone()?;
        let mut messages = [0; 65536];
        std::thread::spawn(move || {
            while matches!(pipe.read(&mut messages), Ok(count) if count > 0) {
                std::thread::sleep(PAUSE);
            }
        });
        Ok(())
    }

    /// Connects a client. The announcement is not received yet.
    pub fn connect(&self) -> io::Result<Client> {
        self.connect_to(0)
    }

    /// Connects a client to the socket of that number.
    pub fn connect_to(&self, number: usize) -> io::Result<Client> {
        Client::connect(&self.entry.socket_path(self.directory(), number))
    }

    /// The directory with main.cf and `q`, the queue directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: libc::c_int) -> io::Result<()> {
        sys::kill(self.pid(), signal)
    }

    /// Sends SIGSTOP, and waits until the daemon has stopped.
    pub fn stop(&self) -> io::Result<()> {
        self.signal(libc::SIGSTOP)?;
        let start = Instant::now();
        while !self.status_field("State")?.starts_with('T') {
            if start.elapsed() > PATIENCE {
                return Err(io::Error::other("the daemon does not stop"));
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Ends it by SIGKILL.
    pub fn kill(mut self) -> io::Result<Ended> {
        self.child.kill()?;
        self.wait()
    }

    /// Closes the status pipe, as the end of master(8) does, and waits for the exit.
    pub fn end(mut self) -> io::Result<Ended> {
        self.lose_master();
        self.wait()
    }

    /// Closes the status pipe, as the end of master(8) does.
    pub fn lose_master(&mut self) {
        self.status_pipe = None;
    }

    /// Waits until the daemon exits by itself; kills it after [`PATIENCE`].
    pub fn wait(mut self) -> io::Result<Ended> {
        let (log, ended) = self.log.wait(PATIENCE, |state| state.ended);
        if !ended {
            self.child.kill()?;
            self.child.wait()?;
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the daemon did not exit",
            ));
        }
        Ok(Ended {
            status: self.child.wait()?,
            log,
        })
    }

    /// Returns the next status message. None if none comes within `time`, or the
    /// daemon has ended.
    pub fn status(&mut self, time: Duration) -> io::Result<Option<Status>> {
        let pipe = self.status_pipe.as_mut().expect("open until the end");
        if !sys::readable(pipe.as_fd(), Instant::now() + time)? {
            return Ok(None);
        }
        let mut message = [0; 12];
        match pipe.read_exact(&mut message) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            result => result?,
        }
        let word = |at: usize| {
            [
                message[at],
                message[at + 1],
                message[at + 2],
                message[at + 3],
            ]
        };
        Ok(Some(Status {
            pid: i32::from_ne_bytes(word(0)),
            generation: u32::from_ne_bytes(word(4)),
            status: i32::from_ne_bytes(word(8)),
        }))
    }

    /// The lines logged so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().lines.clone()
    }

    /// Waits for a log line that contains `text`. Returns false if none comes.
    pub fn wait_for_log(&self, text: &str) -> bool {
        let has = |state: &LogState| state.lines.iter().any(|line| line.contains(text));
        self.log.wait(PATIENCE, has).1
    }

    /// Waits for a log line that contains `text`, from line number `from` on. Returns
    /// the number of the line after it. None if none comes.
    pub fn wait_for_log_from(&self, from: usize, text: &str) -> Option<usize> {
        let find = |lines: &[String]| {
            let index = lines
                .iter()
                .skip(from)
                .position(|line| line.contains(text))?;
            Some(from + index + 1)
        };
        let (lines, _) = self
            .log
            .wait(PATIENCE, |state| find(&state.lines).is_some());
        find(&lines)
    }

    /// Number of open descriptors.
    pub fn fd_count(&self) -> io::Result<usize> {
        Ok(fs::read_dir(self.proc("fd"))?.count())
    }

    /// The inodes of the daemon's ends of the connections to its first socket. (An
    /// accepted socket has the name of its listener; a socket that has not been
    /// accepted has no inode.)
    pub fn connections(&self) -> io::Result<BTreeSet<u64>> {
        let path = self.entry.socket_path(self.directory(), 0);
        let path = path.to_string_lossy();
        let table = fs::read_to_string("/proc/net/unix")?;
        let connected = table.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            match fields[..] {
                [_, _, _, _, _, "03", inode, name] if name == path => inode.parse().ok(),
                _ => None,
            }
        });
        Ok(connected.filter(|&inode| inode != 0).collect())
    }

    /// Resident memory in KiB: Rss of smaps_rollup if that can be read, because VmRSS of
    /// status is not exact if there are many processors.
    pub fn memory(&self) -> io::Result<u64> {
        let exact = self.proc_field("smaps_rollup", "Rss");
        let memory = exact.or_else(|_| self.status_field("VmRSS"))?;
        let number = memory.split_whitespace().next();
        let number = number.and_then(|number| number.parse().ok());
        number.ok_or_else(|| io::Error::other("the memory is no number"))
    }

    /// CPU time (/proc/PID/schedstat).
    pub fn cpu_time(&self) -> io::Result<Duration> {
        let text = fs::read_to_string(self.proc("schedstat"))?;
        let nanoseconds = text.split(' ').next().and_then(|text| text.parse().ok());
        nanoseconds
            .map(Duration::from_nanos)
            .ok_or_else(|| io::Error::other("no run time"))
    }

    /// Number of context switches, voluntary and not (/proc/PID/status).
    pub fn context_switches(&self) -> io::Result<u64> {
        let number = |name| {
            let value = self.status_field(name)?;
            value.parse::<u64>().map_err(io::Error::other)
        };
        Ok(number("voluntary_ctxt_switches")? + number("nonvoluntary_ctxt_switches")?)
    }

    /// Waits until the daemon has read all bytes of a client, and has stopped running: a
    /// read that has not returned could also take the bytes that are sent next.
    pub fn has_read(&self, client: &Client) -> io::Result<()> {
        client.drained()?;
        let start = Instant::now();
        while self.is_running() && start.elapsed() < PATIENCE {
            std::thread::yield_now();
        }
        Ok(())
    }

    fn is_running(&self) -> bool {
        let state = self.status_field("State");
        state.is_ok_and(|state| state.starts_with('R'))
    }

    /// The value of this line of /proc/PID/status.
    pub fn status_field(&self, name: &str) -> io::Result<String> {
        self.proc_field("status", name)
    }

    fn proc_field(&self, file: &str, name: &str) -> io::Result<String> {
        let text = fs::read_to_string(self.proc(file))?;
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let value = value.ok_or_else(|| io::Error::other(format!("no {name}")))?;
        Ok(value.trim().to_string())
    }

    /// The path of a file below /proc/PID.
    pub fn proc(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.pid().to_string()).join(name)
    }
}

/// Returns true if some process has the UNIX-domain socket with this inode open.
pub fn is_unix_socket(inode: u64) -> io::Result<bool> {
    let table = fs::read_to_string("/proc/net/unix")?;
    let inode = inode.to_string();
    Ok(table
        .lines()
        .any(|line| line.split_whitespace().nth(6) == Some(&inode)))
}

impl Drop for Daemon {
    /// Leaves no process behind when a test fails.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().expect("no thread panics with it")
    }

    /// Collects lines until the writing end is closed.
    fn collect(&self, stderr: ChildStderr) {
        let mut reader = BufReader::new(stderr);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(count) if count > 0) {
            let text =
                String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line)).into_owned();
            line.clear();
            self.lock().lines.push(text);
            self.changed.notify_all();
        }
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Waits until `done` is true, for at most `time`. Returns the lines so far, and
    /// false if the time is over.
    fn wait(&self, time: Duration, done: impl Fn(&LogState) -> bool) -> (Vec<String>, bool) {
        let waiting = |state: &mut LogState| !done(state);
        let result = self.changed.wait_timeout_while(self.lock(), time, waiting);
        let (state, timeout) = result.expect("no thread panics with it");
        (state.lines.clone(), !timeout.timed_out())
    }
}
