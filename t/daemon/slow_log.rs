//! Tests a slow reader of the log: the daemon waits for it and loses no line, not
//! even with -v.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::harness::client::Client;
use super::harness::daemon::Daemon;
use super::harness::kind::Kind;
use super::harness::master::Setup;
use super::harness::postlogd::Postlogd;
use super::syslog::{self, Syslogd};
use super::{ask, connect, eventually, kind, list, LOOKUP, NOTHING};

/// Time between two lines that are read: more than the daemon needs to log one.
const PAUSE: Duration = Duration::from_micros(100);

/// Number of requests. With -v each has several lines in the log.
const REQUESTS: usize = 1500;
/// Minimum number of lines of all requests.
const MIN_LINES: usize = 10_000;

/// A daemon that logs to postlogd(8).
fn postlog(setup: Setup) -> (Postlogd, Daemon) {
    let setup = setup.main_cf("maillog_file = /var/log/mail.log");
    let directory = setup.prepare().expect("a directory");
    let postlogd = Postlogd::bind(directory.path(), "postlog");
    let daemon = setup.start_in(directory).expect("start");
    (postlogd, daemon)
}

/// A daemon that logs with -v, and not to stderr.
fn verbose() -> Setup {
    Setup::new().without_stderr_log().option("-v")
}

/// Sends requests and receives replies until the daemon waits for the reader of its
/// log, and goes on in another thread.
fn fill_log(daemon: &Daemon, mut client: Client) {
    daemon.drain_status().expect("the status is read");
    let mut sent = 0;
    loop {
        send(&mut client, sent).expect("send");
        sent += 1;
        if waits_for_its_log(daemon, &mut client) {
            break;
        }
        receive(&mut client).expect("reply");
        assert!(sent < REQUESTS, "the log was never full");
    }
    thread::spawn(move || {
        // In one test the daemon ends before it has replied to all.
        while receive(&mut client).is_ok() && sent < REQUESTS && send(&mut client, sent).is_ok() {
            sent += 1;
        }
    });
}

fn send(client: &mut Client, number: usize) -> io::Result<()> {
    client.send_list(&format!("request=line-{number} ."))
}

fn receive(client: &mut Client) -> io::Result<()> {
    client
        .receive_list()
        .map(|reply| assert_eq!(reply, list("status=1 .")))
}

/// Returns true when the daemon sleeps and has not replied, false when it has. (How
/// full the socket of its log is cannot be seen: what a datagram socket has room for
/// is limited on both sides.)
fn waits_for_its_log(daemon: &Daemon, client: &mut Client) -> bool {
    let mut is_asleep = false;
    loop {
        let (reply, _) = client.pending(Duration::ZERO).expect("read");
        if !reply.is_empty() {
            return false;
        }
        if is_asleep {
            return true;
        }
        is_asleep = sleeps(daemon);
    }
}

fn sleeps(daemon: &Daemon) -> bool {
    let state = daemon.status_field("State").expect("/proc");
    state.starts_with('S')
}

/// Fills the log and then reads it slowly: all requests have the same lines in the
/// same order.
fn nothing_is_lost(daemon: &Daemon, mut next: impl FnMut() -> String) {
    let mut first = Vec::new();
    let client = thread::scope(|scope| {
        // In another thread: the lines up to the announcement may fill the socket.
        let client = scope.spawn(|| connect(daemon));
        while !next().ends_with("send attr protocol = connection_cache_protocol") {}
        client.join().expect("a client")
    });
    fill_log(daemon, client);
    for number in 0..REQUESTS {
        let name = format!("line-{number}");
        let mut lines = Vec::new();
        let mut is_last = false;
        while !is_last {
            thread::sleep(PAUSE);
            let line = next();
            is_last = line.ends_with("master_notify: status 1");
            lines.push(line.replace(&name, "NAME"));
        }
        if number == 0 {
            let warning = "warning: unrecognized request: \"NAME\", ignored";
            assert!(lines.iter().any(|line| line.ends_with(warning)));
            first = lines;
        } else {
            assert_eq!(lines, first, "{name}");
        }
    }
    assert!(first.len() * REQUESTS >= MIN_LINES);
}

#[test]
fn nothing_is_lost_on_the_way_to_postlogd() {
    let (postlogd, daemon) = postlog(verbose());
    nothing_is_lost(&daemon, || postlogd.receive(daemon.pid()).text);
}

#[test]
fn nothing_is_lost_on_the_way_to_syslogd() {
    let Some((mut syslogd, daemon)) = syslog::start(verbose(), Syslogd::datagram) else {
        return;
    };
    nothing_is_lost(&daemon, || syslogd.receive(daemon.pid()));
}

#[test]
fn sigterm_ends_the_daemon_when_its_log_is_not_read() {
    let (_postlogd, daemon) = postlog(Setup::new().without_stderr_log());
    let mut client = connect(&daemon);
    // So that there are statistics to log at the end.
    ask(&mut client, LOOKUP, NOTHING);
    fill_log(&daemon, client);
    daemon.signal(libc::SIGTERM).expect("kill");
    let signal = match kind() {
        Kind::C => libc::SIGTERM,
        Kind::Port => libc::SIGALRM,
    };
    let ended = daemon.wait().expect("end");
    assert_eq!(ended.status_text(), format!("signal {signal}"));
}

#[test]
fn a_round_that_waited_for_the_log_delays_no_deadline() {
    let setup = Setup::new().main_cf("connection_cache_farewell =");
    let (postlogd, daemon) = postlog(setup);
    let (mut saver, mut other) = (connect(&daemon), connect(&daemon));
    let (session, mut peer) = UnixStream::pair().expect("socketpair");
    ask(
        &mut saver,
        "request=save_endp ttl=1 label=e property=p .",
        "dummy= .",
    );
    round_that_waits(&daemon, 2, || {
        other.send_list(WARNED_OF).expect("send");
        saver.send_fd(session.as_fd()).expect("send");
        drop(session);
    });
    thread::spawn(move || while !postlogd.is_empty() {});
    saver.receive_list().expect("status");
    let saved = Instant::now();
    assert_eq!(peer.read(&mut [0]).expect("read"), 0);
    let lived = saved.elapsed();
    assert!(lived < Duration::from_millis(2500), "lived for {lived:?}");
}

#[test]
fn a_client_is_not_late_because_the_log_was() {
    let (postlogd, daemon) = postlog(Setup::new().main_cf("ipc_timeout = 3s"));
    let (mut saver, mut other) = (connect(&daemon), connect(&daemon));
    let (session, _peer) = UnixStream::pair().expect("socketpair");
    round_that_waits(&daemon, 4, || {
        other.send_list(WARNED_OF).expect("send");
        let request = "request=save_endp ttl=9 label=e property=p .";
        saver.send_list(request).expect("send");
    });
    thread::spawn(move || while !postlogd.is_empty() {});
    assert_eq!(saver.receive_list().expect("dummy"), list("dummy= ."));
    eventually("it waits for the session", || sleeps(&daemon));
    saver.send_fd(session.as_fd()).expect("send");
    assert_eq!(saver.receive_list().expect("status"), list("status=0 ."));
}

#[test]
fn max_idle_begins_after_the_line_about_the_last_client() {
    let (postlogd, daemon) = postlog(verbose().main_cf("max_idle = 3s"));
    let connect = || {
        thread::scope(|scope| {
            let client = scope.spawn(|| connect(&daemon));
            while !client.is_finished() {
                postlogd.is_empty();
            }
            client.join().expect("a client")
        })
    };
    let client = connect();
    while !postlogd.is_empty() {}
    round_that_waits(&daemon, 4, || drop(client));
    while !postlogd.is_empty() {}
    eventually("it waits for clients", || sleeps(&daemon));
    drop(connect());
}

/// A request that has a line in the log.
const WARNED_OF: &str = "request=nonsense .";

/// Has the daemon wait for its full log, for that time, in the round in which it finds
/// what `act` has had clients do.
fn round_that_waits(daemon: &Daemon, seconds: u64, act: impl FnOnce()) {
    eventually("it waits for clients", || sleeps(daemon));
    daemon.stop().expect("stop");
    act();
    let _full = fill(&daemon.directory().join("q/public/postlog"));
    daemon.signal(libc::SIGCONT).expect("kill");
    thread::sleep(Duration::from_secs(seconds));
}

/// Sends lines until a socket that has sent none cannot send one. Returns the sockets.
fn fill(log: &Path) -> Vec<UnixDatagram> {
    let mut sockets = Vec::new();
    loop {
        let socket = UnixDatagram::unbound().expect("a socket");
        socket.connect(log).expect("connect");
        socket.set_nonblocking(true).expect("fcntl");
        let mut sent = 0;
        while socket.send(b"x").is_ok() {
            sent += 1;
        }
        if sent == 0 {
            return sockets;
        }
        sockets.push(socket);
    }
}
