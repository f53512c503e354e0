//! `log_socket`: the connection with who takes messages, syslogd or postlogd(8).
//!
//! The protocol of syslog(3), and its way to find syslogd again: a line that
//! cannot be sent is sent once more on a new connection, and forgotten when
//! there is nobody to connect to. Unlike syslog(3) nothing here waits for a
//! receiver that does not read or accept. What it does not take is kept, in
//! order, and tried again a little later; of what is too much to be kept, the
//! number is said as soon as there is room. Only a fatal message waits, for a
//! second at most.
//!
//! No line is allocated for unless it is kept: the last one may say that there
//! is no memory.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::close_on_exec::close_on_exec;
use super::msg::{short_text, MsgOutput, Severity, LAST_WORD_TIME};

/// So many lines are kept.
const KEPT_LIMIT: usize = 1000;

/// How soon what is kept is tried again; and at last, when that is in vain.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// Room for a line: as much text as a log gets, and what is before it.
const LINE_ROOM: usize = 4096;

/// Writes a line: what the receiver wants before the text, and the text.
pub type LineForm = Box<dyn Fn(Severity, &str, &mut Vec<u8>) + Send>;

/// An output for messages.
pub struct LogSocket {
    path: PathBuf,
    kinds: &'static [libc::c_int],
    form: LineForm,
    /// A socket of that kind.
    connection: Option<(UnixDatagram, libc::c_int)>,
    /// The line that is being written. It and those that are kept end in a NUL,
    /// which is for connections without boundaries.
    line: Vec<u8>,
    kept: VecDeque<Vec<u8>>,
    /// How much of the next line has been sent already.
    sent: usize,
    /// How many lines are missing after those that are kept.
    lost: usize,
    wait: Duration,
    again: Option<Instant>,
}

/// What has become of a line.
#[derive(PartialEq)]
enum Outcome {
    Sent,
    /// The receiver does not take it now.
    Full,
    /// There is no receiver.
    Gone,
}

impl LogSocket {
    /// Connects to the first of these kinds of socket that `path` is, or later
    /// if it is not there.
    pub fn new(path: &Path, kinds: &'static [libc::c_int], form: LineForm) -> LogSocket {
        LogSocket {
            path: path.to_path_buf(),
            kinds,
            form,
            connection: connect_any(path, kinds).ok(),
            line: Vec::with_capacity(LINE_ROOM),
            kept: VecDeque::new(),
            sent: 0,
            lost: 0,
            wait: SHORTEST_WAIT,
            again: None,
        }
    }

    fn write_line(&mut self, severity: Severity, text: &str) -> Vec<u8> {
        let mut line = mem::take(&mut self.line);
        line.clear();
        (self.form)(severity, text, &mut line);
        line.push(0);
        line
    }

    /// Sends a line after those that are kept, and waits for that if need be.
    fn insist(&mut self, line: &[u8]) {
        let end = Instant::now() + LAST_WORD_TIME;
        loop {
            self.send_kept();
            let is_over = self.kept.is_empty() && self.send(line) != Outcome::Full;
            if is_over || Instant::now() >= end {
                return;
            }
            thread::sleep(SHORTEST_WAIT);
        }
    }

    /// Keeps a line for later; false when there is no memory.
    fn keep(&mut self, line: &[u8]) -> bool {
        if self.again.is_none() {
            self.wait = SHORTEST_WAIT;
            self.again = Some(Instant::now() + SHORTEST_WAIT);
        }
        let mut copy = Vec::new();
        let kept = &mut self.kept;
        let room = kept.try_reserve(1).and(copy.try_reserve(line.len()));
        if room.is_err() {
            // No other line may go on where this one has stopped.
            if self.kept.is_empty() && self.sent > 0 {
                self.hang_up();
            }
            return false;
        }
        copy.extend_from_slice(line);
        self.kept.push_back(copy);
        true
    }

    /// Sends what is kept, and says what is not, as far as it is taken; whether
    /// anything was.
    fn catch_up(&mut self) -> bool {
        let some = self.send_kept();
        if self.kept.is_empty() && self.lost > 0 {
            self.say_what_is_lost();
        }
        some
    }

    fn send_kept(&mut self) -> bool {
        let mut some = false;
        while let Some(line) = self.kept.pop_front() {
            match self.send(&line) {
                Outcome::Sent => some = true,
                Outcome::Full => {
                    self.kept.push_front(line);
                    return some;
                }
                Outcome::Gone => {
                    self.lost += 1 + self.kept.len();
                    self.kept.clear();
                }
            }
        }
        some
    }

    fn say_what_is_lost(&mut self) {
        let mut room = [0; 64];
        let text = short_text(&mut room, format_args!("{} log lines lost", self.lost));
        let line = self.write_line(Severity::Warn, text);
        match self.send(&line) {
            Outcome::Sent => self.lost = 0,
            Outcome::Full if self.keep(&line) => self.lost = 0,
            Outcome::Full => {}
            // Nobody to wait for.
            Outcome::Gone => self.again = None,
        }
        self.line = line;
    }

    /// Sends the rest of a line, on a new connection if this one is broken.
    fn send(&mut self, line: &[u8]) -> Outcome {
        let outcome = self.send_now(line);
        if outcome != Outcome::Gone {
            return outcome;
        }
        self.hang_up();
        match connect_any(&self.path, self.kinds) {
            Ok(connection) => self.connection = Some(connection),
            Err(err) if is_full(&err) => return Outcome::Full,
            Err(_) => return Outcome::Gone,
        }
        let outcome = self.send_now(line);
        if outcome == Outcome::Gone {
            self.hang_up();
        }
        outcome
    }

    fn hang_up(&mut self) {
        self.connection = None;
        self.sent = 0;
    }

    fn send_now(&mut self, line: &[u8]) -> Outcome {
        let Some((socket, kind)) = &self.connection else {
            return Outcome::Gone;
        };
        let is_stream = *kind == libc::SOCK_STREAM;
        let line = &line[..line.len() - usize::from(!is_stream)];
        while self.sent < line.len() {
            match socket.send(&line[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) if is_full(&err) => return Outcome::Full,
                Err(_) => return Outcome::Gone,
            }
        }
        self.sent = 0;
        Outcome::Sent
    }
}

impl MsgOutput for LogSocket {
    fn print(&mut self, severity: Severity, text: &str) -> bool {
        self.catch_up();
        let is_last = matches!(severity, Severity::Fatal | Severity::Panic);
        if !is_last && (self.lost > 0 || self.kept.len() >= KEPT_LIMIT) {
            self.lost += 1;
            return self.again.is_none();
        }
        let line = self.write_line(severity, text);
        if is_last {
            self.insist(&line);
        } else if !self.kept.is_empty() || self.send(&line) == Outcome::Full {
            self.lost += usize::from(!self.keep(&line));
        }
        self.line = line;
        self.again.is_none()
    }

    fn flush(&mut self, now: Instant) -> Option<Instant> {
        if self.again.is_some_and(|again| again <= now) {
            self.wait = match self.catch_up() {
                true => SHORTEST_WAIT,
                false => LONGEST_WAIT.min(self.wait * 2),
            };
            let is_clear = self.kept.is_empty() && self.lost == 0;
            self.again = self.again.filter(|_| !is_clear).map(|_| now + self.wait);
        }
        self.again
    }
}

fn is_full(err: &io::Error) -> bool {
    // Where nobody can be waited for, it is the second.
    err.kind() == io::ErrorKind::WouldBlock || err.raw_os_error() == Some(libc::ENOBUFS)
}

fn connect_any(path: &Path, kinds: &[libc::c_int]) -> io::Result<(UnixDatagram, libc::c_int)> {
    let mut result = Err(io::ErrorKind::NotFound.into());
    for &kind in kinds {
        result = connect(path, kind).map(|socket| (socket, kind));
        let is_other_kind = |err: &io::Error| err.raw_os_error() == Some(libc::EPROTOTYPE);
        if !result.as_ref().is_err_and(is_other_kind) {
            break;
        }
    }
    result
}

/// A socket that never blocks, not in connect(2) either. Its type is that of a
/// datagram whatever its kind: here both are used in the same way.
fn connect(path: &Path, kind: libc::c_int) -> io::Result<UnixDatagram> {
    // SAFETY: socket() takes plain numbers.
    let fd = unsafe { libc::socket(libc::AF_UNIX, kind, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is new, and nobody else's.
    let socket = UnixDatagram::from(unsafe { OwnedFd::from_raw_fd(fd) });
    close_on_exec(fd)?;
    socket.set_nonblocking(true)?;
    socket.connect(path)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixListener;

    /// A path for this process alone, short enough for a socket.
    fn path(name: &str) -> PathBuf {
        let mut directory = std::env::temp_dir();
        if directory.as_os_str().len() > 60 {
            directory = "/tmp".into();
        }
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join(format!("{name}.{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    fn log_socket(path: &Path, kinds: &'static [libc::c_int]) -> LogSocket {
        let form = |_, text: &str, line: &mut Vec<u8>| line.extend_from_slice(text.as_bytes());
        LogSocket::new(path, kinds, Box::new(form))
    }

    fn print(log: &mut LogSocket, text: &str) -> bool {
        log.print(Severity::Info, text)
    }

    /// The number of lost lines is said when there is room for all that was kept,
    /// and for no line more.
    #[test]
    fn lines_go_on_after_the_number_of_those_that_are_lost() {
        const LOST: usize = 5;
        let path = path("log_socket");
        let receiver = UnixDatagram::bind(&path).unwrap();
        receiver.set_nonblocking(true).unwrap();
        let mut log = log_socket(&path, &[libc::SOCK_DGRAM]);
        let mut now = Instant::now();
        let taken = (0..)
            .find(|number| !print(&mut log, &number.to_string()))
            .unwrap();
        let again = log.flush(now - SHORTEST_WAIT).unwrap();
        assert!(again > now, "{again:?} is not after {now:?}");
        let all = taken + KEPT_LIMIT;
        for number in taken + 1..all + LOST {
            assert!(!print(&mut log, &number.to_string()));
        }
        let mut next = |log: &mut LogSocket| {
            let mut text = [0; 100];
            let length = receiver.recv(&mut text).unwrap();
            now += LONGEST_WAIT;
            let again = log.flush(now);
            assert!(again.is_none_or(|again| again > now));
            let text = String::from_utf8(text[..length].to_vec()).unwrap();
            (text, again.is_some())
        };
        for number in 0..KEPT_LIMIT {
            assert_eq!(next(&mut log), (number.to_string(), true));
        }
        assert!(!print(&mut log, "another"));
        for number in KEPT_LIMIT..all {
            assert_eq!(next(&mut log).0, number.to_string());
        }
        assert_eq!(next(&mut log).0, format!("{LOST} log lines lost"));
        assert_eq!(next(&mut log), ("another".to_string(), false));
        assert!(print(&mut log, "the last"));
        assert_eq!(next(&mut log), ("the last".to_string(), false));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_line_that_was_cut_off_is_sent_from_its_start_to_the_next_receiver() {
        let path = path("log_socket.stream");
        let listener = UnixListener::bind(&path).unwrap();
        let mut log = log_socket(&path, &[libc::SOCK_STREAM]);
        let (first, _) = listener.accept().unwrap();
        // More than any socket takes at once.
        let line = "x".repeat(16 << 20);
        assert!(!print(&mut log, &line));
        assert!(log.sent > 0);
        drop(first);
        let mut now = Instant::now() + LONGEST_WAIT;
        let mut again = log.flush(now);
        let (mut second, _) = listener.accept().unwrap();
        second.set_nonblocking(true).unwrap();
        let mut came = Vec::new();
        while again.is_some() {
            let end = second.read_to_end(&mut came).unwrap_err();
            assert_eq!(end.kind(), io::ErrorKind::WouldBlock);
            now += LONGEST_WAIT;
            again = log.flush(now);
        }
        drop(log);
        second.read_to_end(&mut came).unwrap();
        assert!(came == [line.as_bytes(), b"\0"].concat(), "{}", came.len());
        std::fs::remove_file(path).unwrap();
    }
}
