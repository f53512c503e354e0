//! Functions for the tests of faults: they start the daemon, make the exchanges of
//! smtp(8), and compare the descriptors and the memory of the daemon before and after.

use std::fs::{self, Permissions};
use std::io::Read;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::harness::client::{list, Client, PATIENCE};
use crate::harness::daemon::Daemon;
use crate::harness::master::Setup;
use crate::harness::sys;

/// This daemon, whatever `SCACHE` says: the C program does not pass these tests.
pub fn setup() -> Setup {
    Setup::new()
        .binary(env!("CARGO_BIN_EXE_scache"))
        .main_cf("connection_cache_ttl_limit = 1000s")
}

/// Writes a script to `directory` that runs the bash commands `prepare` and executes
/// the daemon.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub fn script(directory: &Path, prepare: &str) -> PathBuf {
    let path = directory.join("script");
    let program = env!("CARGO_BIN_EXE_scache");
    let text = format!("#!/bin/bash\n{prepare}\nexec '{program}' \"$@\"\n");
    fs::write(&path, text).expect("write");
    fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("chmod");
    path
}

/// Connects a client, and receives the announcement.
pub fn connect(daemon: &Daemon) -> Client {
    let mut client = daemon.connect().expect("connect");
    let hello = client.receive_list().expect("announcement");
    assert_eq!(hello, list("protocol=connection_cache_protocol ."));
    client
}

/// Sends a list and receives one.
pub fn ask(client: &mut Client, text: &str) -> Vec<u8> {
    client.send_list(text).expect("send");
    client.receive_list().expect("reply")
}

/// Makes a save_endp request as smtp(8) does. Returns the last reply.
pub fn save(client: &mut Client, ttl: u32, endp: &str, prop: &str, fd: impl AsFd) -> Vec<u8> {
    let request = format!("request=save_endp ttl={ttl} label={endp} property={prop} .");
    assert_eq!(ask(client, &request), list("dummy= ."));
    client.send_fd(fd.as_fd()).expect("send a descriptor");
    client.receive_list().expect("status")
}

/// Makes a find_endp request as smtp(8) does. Returns the property and the session.
/// None if no session was found.
pub fn find(client: &mut Client, endp: &str) -> Option<(String, OwnedFd)> {
    let prop = find_begun(client, endp)?;
    client.send_list("dummy= .").expect("send");
    let (_, fd) = client.receive_fd().expect("a descriptor");
    client.send_list("dummy= .").expect("send");
    Some((prop, fd))
}

/// Makes a find_endp request up to the first reply. Returns the property. None if no
/// session was found.
pub fn find_begun(client: &mut Client, endp: &str) -> Option<String> {
    let reply = ask(client, &format!("request=find_endp label={endp} ."));
    let words: Vec<&[u8]> = reply.split(|&byte| byte == 0).collect();
    assert_eq!((words[0], words[2]), (&b"status"[..], &b"property"[..]));
    let prop = String::from_utf8(words[3].to_vec()).expect("text");
    (words[1] == b"0").then_some(prop)
}

/// Asserts that the daemon answers a request.
pub fn answers(client: &mut Client) {
    let reply = ask(client, "request=find_endp label=nothing .");
    assert_eq!(reply, list("status=2 property= ."));
}

/// A session: one end to be cached, the other end to see whether the first is open.
pub fn session() -> (UnixStream, UnixStream) {
    UnixStream::pair().expect("socketpair")
}

/// A session whose other side has closed. (A process that another test is starting may
/// have the other end open for a moment, so dropping it would not be enough.)
pub fn dead_session() -> UnixStream {
    let (file, other) = session();
    other.shutdown(Shutdown::Both).expect("shutdown");
    file
}

/// Waits until no process has the other end of a session. Returns the time.
pub fn closed(mut end: &UnixStream) -> Instant {
    end.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let count = end.read(&mut [0]).expect("the session to be closed");
    assert_eq!(count, 0);
    Instant::now()
}

/// Like `closed`, for a session that expires: the daemon sends the farewell first.
pub fn closed_with_farewell(mut end: &UnixStream) -> Instant {
    end.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut farewell = String::new();
    end.read_to_string(&mut farewell).expect("to be closed");
    assert_eq!(farewell, "QUIT\r\n");
    Instant::now()
}

/// Returns true if some process has the other end of a session.
pub fn is_held(mut end: &UnixStream) -> bool {
    end.set_nonblocking(true).expect("fcntl");
    let is_held = end.read(&mut [0]).is_err();
    end.set_nonblocking(false).expect("fcntl");
    is_held
}

/// Waits until `so` returns true.
pub fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Returns true if the daemon is asleep.
pub fn is_asleep(daemon: &Daemon) -> bool {
    let state = daemon.status_field("State").expect("/proc");
    state.starts_with('S')
}

/// Waits until the daemon has read all that this client sent, or sleeps with unread
/// input. Returns true in the second case: the daemon waits for the client to read
/// replies.
pub fn is_left_unread(daemon: &Daemon, client: &Client) -> bool {
    let start = Instant::now();
    let mut asleep = 0;
    while sys::unread_by_peer(client.as_fd()).expect("ioctl") > 0 {
        assert!(start.elapsed() < PATIENCE, "it neither reads nor sleeps");
        asleep = if is_asleep(daemon) { asleep + 1 } else { 0 };
        if asleep == 20 {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    daemon.has_read(client).expect("read");
    false
}

/// The descriptors and the memory of a daemon before a test.
pub struct Before {
    fds: usize,
    memory: u64,
}

impl Before {
    /// Takes them after the daemon has served one client, because it allocates some of
    /// its memory then.
    pub fn of(daemon: &Daemon) -> Before {
        let (ours, _theirs) = session();
        let mut client = connect(daemon);
        save(&mut client, 10, "warm", "p", &ours);
        find(&mut client, "warm").expect("the session");
        client.send_list("request=warm .").expect("send");
        client.receive_list().expect("reply");
        drop(client);
        let mut fds = usize::MAX;
        wait_until("the first client is gone", || {
            let connections = daemon.connections().expect("/proc/net/unix");
            fds = daemon.fd_count().expect("/proc");
            connections.is_empty()
        });
        let memory = daemon.memory().expect("/proc");
        Before { fds, memory }
    }

    /// Waits until the daemon uses no more descriptors.
    pub fn is_back(&self, daemon: &Daemon) {
        let count = || daemon.fd_count().expect("/proc");
        let start = Instant::now();
        while count() != self.fds {
            let late = start.elapsed() > PATIENCE;
            assert!(!late, "{} descriptors before, now {}", self.fds, count());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Asserts that the daemon uses at most `slack` KiB more memory.
    pub fn memory_is_back(&self, daemon: &Daemon, slack: u64) {
        let memory = daemon.memory().expect("/proc");
        println!("memory: {} KiB before, {memory} after", self.memory);
        assert!(
            memory <= self.memory + slack,
            "{} KiB before, now {memory}",
            self.memory
        );
    }
}

/// Whole exchanges, as pieces that the client sends. After each piece but the last it
/// receives something. The endpoint is `e`, the destination `d`.
pub const EXCHANGES: [&[Piece]; 5] = [
    &[
        Piece::List("request=save_endp ttl=100 label=stall property=p ."),
        Piece::Fd,
    ],
    &[
        Piece::List("request=find_endp label=e ."),
        Piece::List("dummy= ."),
        Piece::List("dummy= ."),
    ],
    &[
        Piece::List("request=find_dest label=d ."),
        Piece::List("dummy= ."),
        Piece::List("dummy= ."),
    ],
    &[Piece::List(
        "request=save_dest ttl=100 label=d property=q label=e .",
    )],
    &[Piece::List("request=nonsense .")],
];

/// A piece that a client sends in one write.
#[derive(Clone, Copy)]
pub enum Piece {
    List(&'static str),
    Fd,
}

/// All places at which an exchange can be broken off: after a number of whole pieces
/// and a number of bytes.
pub fn breaks(exchange: &[Piece]) -> Vec<(usize, usize)> {
    let length = |piece: &Piece| match piece {
        Piece::List(text) => list(text).len(),
        Piece::Fd => 1,
    };
    let places = exchange.iter().enumerate();
    places
        .flat_map(|(piece, what)| (0..length(what)).map(move |bytes| (piece, bytes)))
        .collect()
}

/// Makes an exchange up to this place, and receives the replies on the way.
pub fn begin(client: &mut Client, exchange: &[Piece], place: (usize, usize), fd: impl AsFd) {
    for piece in &exchange[..place.0] {
        match piece {
            Piece::List(text) => client.send_list(text).expect("send"),
            Piece::Fd => client.send_fd(fd.as_fd()).expect("send"),
        }
        next(client);
    }
    if let Piece::List(text) = exchange[place.0] {
        client.send(&list(text)[..place.1]).expect("send");
    }
}

/// Makes the rest of an exchange from this place on.
pub fn finish(client: &mut Client, exchange: &[Piece], place: (usize, usize), fd: impl AsFd) {
    for (number, piece) in exchange.iter().enumerate().skip(place.0) {
        let skip = if number == place.0 { place.1 } else { 0 };
        match piece {
            Piece::List(text) => client.send(&list(text)[skip..]).expect("send"),
            Piece::Fd => client.send_fd(fd.as_fd()).expect("send"),
        }
        if number + 1 < exchange.len() || exchange.len() < 3 {
            next(client);
        }
    }
}

/// Receives the next list or descriptor.
fn next(client: &mut Client) {
    use crate::harness::client::Item;
    match client.receive(PATIENCE).expect("receive") {
        Item::List(_) | Item::Fd(_) => {}
        other => panic!("an answer was expected: {other:?}"),
    }
}
