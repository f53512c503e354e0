//! Tests the daemon as a child of master(8): start-up, descriptors, status messages, its
//! end and its log. (Requests are tested in t/transcripts, the command line and main.cf
//! in t/options.)
//!
//! `SCACHE=program` tests another program. Where the programs differ on purpose, a test
//! has an expectation for each.

#[path = "daemon/clients.rs"]
mod clients;
#[path = "daemon/end.rs"]
mod end;
mod harness;
#[path = "daemon/log_time.rs"]
mod log_time;
#[path = "daemon/postlog.rs"]
mod postlog;
#[path = "daemon/process.rs"]
mod process;
#[cfg(target_os = "linux")] // elsewhere a full socket loses lines, also of the C program
#[path = "daemon/slow_log.rs"]
mod slow_log;
#[path = "daemon/status.rs"]
mod status;
#[path = "clock/shim.rs"]
#[allow(dead_code)]
mod stopped_clock;
#[path = "daemon/syslog.rs"]
mod syslog;
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
#[path = "daemon/system_calls.rs"]
mod system_calls;

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::time::Instant;

use harness::client::{list, Client, PATIENCE};
use harness::daemon::Daemon;
use harness::kind::Kind;
use harness::master;

/// The first list that the daemon sends to a client.
const ANNOUNCEMENT: &str = "protocol=connection_cache_protocol .";

/// A request that finds no session, and its reply.
const LOOKUP: &str = "request=find_endp label=nothing .";
const NOTHING: &str = "status=2 property= .";

/// The program that is tested; determined once, because that takes a moment.
fn kind() -> Kind {
    static KIND: OnceLock<Kind> = OnceLock::new();
    *KIND.get_or_init(|| Kind::of(&master::binary()))
}

/// Connects a client to the first socket, and receives the announcement, so that the
/// daemon has accepted the client.
fn connect(daemon: &Daemon) -> Client {
    connect_to(daemon, 0)
}

/// Connects a client like `connect`, to the socket of that number.
fn connect_to(daemon: &Daemon, number: usize) -> Client {
    let mut client = daemon.connect_to(number).expect("connect");
    assert_eq!(
        client.receive_list().expect("announcement"),
        list(ANNOUNCEMENT)
    );
    client
}

/// Sends a request and expects this reply.
fn ask(client: &mut Client, request: &str, reply: &str) {
    client.send_list(request).expect("send");
    let came = client.receive_list().expect("reply");
    assert_eq!(
        String::from_utf8_lossy(&came),
        String::from_utf8_lossy(&list(reply))
    );
}

/// Saves a session, one end of a new pair of sockets. Returns the other end.
fn save(client: &mut Client, label: &str) -> UnixStream {
    let (one, other) = UnixStream::pair().expect("socketpair");
    let request = format!("request=save_endp ttl=100 label={label} property=p .");
    ask(client, &request, "dummy= .");
    client.send_fd(one.as_fd()).expect("send the session");
    assert_eq!(client.receive_list().expect("reply"), list("status=0 ."));
    other
}

fn warnings(log: &[String]) -> Vec<&String> {
    let is_warning = |line: &&String| line.contains("warning");
    log.iter().filter(is_warning).collect()
}

/// Waits until the daemon has no connection with a client of its first socket.
fn no_client_is_left(daemon: &Daemon) {
    eventually("the daemon closes its ends", || {
        daemon.connections().expect("/proc/net/unix").is_empty()
    });
}

/// Waits until `is_so` returns true.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::yield_now();
    }
}
