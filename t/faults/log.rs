//! The log never holds up a client: what its receiver does not take is kept, in
//! order, and if it is too much its number is said.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Instant;

use crate::harness::client::{Client, PATIENCE};
use crate::harness::daemon::Daemon;
use crate::harness::log_text::SYSLOG_END;
use crate::harness::master::Setup;
use crate::harness::namespace;
use crate::harness::postlogd::Postlogd;
use crate::harness::sys;
use crate::help::*;

/// So many lines are kept.
const KEPT: usize = 1000;

/// A daemon that logs to a socket that nobody reads unless told to.
fn unread() -> Setup {
    setup().main_cf("maillog_file = /var/log/mail.log")
}

fn start(setup: Setup) -> (Postlogd, Daemon) {
    let directory = setup.prepare().expect("a directory");
    let postlogd = Postlogd::bind(directory.path(), "postlog");
    (postlogd, setup.start_in(directory).expect("start"))
}

/// Has the daemon log this many lines; each is answered.
fn provoke(client: &mut Client, numbers: std::ops::Range<usize>) {
    for number in numbers {
        ask(client, &format!("request=line-{number} ."));
    }
}

/// The text of the next line, without what is before it.
fn next(postlogd: &Postlogd, daemon: &Daemon) -> String {
    let text = postlogd.receive(daemon.pid()).text;
    let (_, text) = text.split_once("[PID]: ").expect("a line");
    text.to_string()
}

fn warning(number: usize) -> String {
    format!("warning: unrecognized request: \"line-{number}\", ignored")
}

/// These lines come next, in order.
fn expect(postlogd: &Postlogd, daemon: &Daemon, numbers: std::ops::Range<usize>) {
    for number in numbers {
        assert_eq!(next(postlogd, daemon), warning(number));
    }
}

#[test]
fn a_thousand_lines_arrive_late_but_whole_and_in_order() {
    let (postlogd, daemon) = start(unread());
    let mut client = connect(&daemon);
    provoke(&mut client, 0..KEPT);
    assert!(daemon.wait_for_log(&warning(KEPT - 1)));
    expect(&postlogd, &daemon, 0..KEPT);
    provoke(&mut client, 0..10);
    expect(&postlogd, &daemon, 0..10);
    assert!(postlogd.is_empty());
}

#[test]
fn a_single_line_that_had_to_wait_arrives_without_another() {
    let (postlogd, daemon) = start(unread().without_stderr_log());
    let mut client = connect(&daemon);
    let count = postlogd.fill();
    provoke(&mut client, 0..1);
    answers(&mut client);
    postlogd.discard(count);
    expect(&postlogd, &daemon, 0..1);
    assert!(postlogd.is_empty());
}

#[test]
fn clients_are_served_and_what_is_lost_is_counted_and_said_in_its_place() {
    const LOST: usize = 500;
    let (postlogd, daemon) = start(unread());
    let mut client = connect(&daemon);
    let room = postlogd.takes() + KEPT;
    for _ in 0..2 {
        provoke(&mut client, 0..room + LOST);
        answers(&mut connect(&daemon));
        expect(&postlogd, &daemon, 0..room);
        assert_eq!(
            next(&postlogd, &daemon),
            format!("warning: {LOST} log lines lost")
        );
    }
    provoke(&mut client, 0..10);
    expect(&postlogd, &daemon, 0..10);
    assert!(postlogd.is_empty());
}

#[test]
fn what_a_receiver_took_with_it_is_counted_when_the_next_one_comes() {
    let (postlogd, daemon) = start(unread());
    let mut client = connect(&daemon);
    let taken = postlogd.takes();
    provoke(&mut client, 0..taken + 50);
    drop(postlogd);
    provoke(&mut client, 0..5);
    let postlogd = Postlogd::bind(daemon.directory(), "postlog");
    provoke(&mut client, 0..1);
    assert_eq!(next(&postlogd, &daemon), "warning: 55 log lines lost");
    expect(&postlogd, &daemon, 0..1);
}

#[test]
fn the_last_statistics_wait_for_a_while() {
    let (postlogd, mut daemon) = start(unread());
    let mut client = connect(&daemon);
    let count = postlogd.takes() + 100;
    provoke(&mut client, 0..count);
    answers(&mut client);
    daemon.lose_master();
    expect(&postlogd, &daemon, 0..count);
    assert!(next(&postlogd, &daemon).starts_with("statistics: start interval"));
    assert!(next(&postlogd, &daemon).starts_with("statistics: address lookup"));
}

#[test]
fn with_an_unread_log_it_ends_all_the_same() {
    let (postlogd, daemon) = start(unread());
    let count = postlogd.takes() + 100;
    provoke(&mut connect(&daemon), 0..count);
    let ended = daemon.end().expect("end");
    assert_eq!(ended.status_text(), "exit 0");
}

/// Fills the receiver's socket, with so many datagrams, before the daemon starts,
/// with a parameter that makes it end.
fn start_with_a_full_socket() -> (Postlogd, usize, Daemon) {
    let setup = unread().option("-oconnection_cache_ttl_limit=x");
    let directory = setup.prepare().expect("a directory");
    let postlogd = Postlogd::bind(directory.path(), "postlog");
    let count = postlogd.fill();
    let daemon = setup.start_in(directory).expect("start");
    (postlogd, count, daemon)
}

const FATAL: &str = "fatal: parameter connection_cache_ttl_limit: bad time value or unit: x";

#[test]
fn a_fatal_message_waits_for_a_while() {
    let (postlogd, count, daemon) = start_with_a_full_socket();
    let pid = daemon.pid();
    assert!(daemon.wait_for_log(FATAL));
    postlogd.discard(count);
    assert!(postlogd.receive(pid).text.ends_with(FATAL));
    assert_eq!(daemon.wait().expect("end").status_text(), "exit 1");
}

#[test]
fn and_then_the_daemon_ends_without_it() {
    let (_postlogd, _, daemon) = start_with_a_full_socket();
    assert_eq!(daemon.wait().expect("end").status_text(), "exit 1");
}

/// A daemon and the syslogd that it connects to, a stream.
fn start_with_a_stream(prepare: impl FnOnce(&UnixListener)) -> Option<(UnixListener, Daemon)> {
    let setup = setup();
    let directory = setup.prepare().expect("a directory");
    let dev = directory.path().join("dev");
    fs::create_dir(&dev).expect("mkdir");
    let mount = format!("mount --bind {} /dev", dev.display());
    let program = Path::new(env!("CARGO_BIN_EXE_scache"));
    let script = namespace::script(directory.path(), program, &mount)?;
    let syslogd = UnixListener::bind(dev.join("log")).expect("bind");
    // The daemon is another user when it connects again.
    fs::set_permissions(dev.join("log"), Permissions::from_mode(0o666)).expect("chmod");
    prepare(&syslogd);
    let daemon = setup.binary(script).start_in(directory).expect("start");
    Some((syslogd, daemon))
}

/// A syslogd that does not even accept, and then one that reads nothing.
#[test]
fn a_stream_that_nobody_reads_holds_up_nobody() {
    let Some((syslogd, daemon)) = start_with_a_stream(|_| {}) else {
        return;
    };
    let mut client = connect(&daemon);
    let name = "x".repeat(1900);
    for _ in 0..2000 {
        ask(&mut client, &format!("request={name} ."));
    }
    let (connection, _) = syslogd.accept().expect("accept");
    for _ in 0..100 {
        ask(&mut client, &format!("request={name} ."));
    }
    drop(connection);
    ask(&mut client, &format!("request={name} ."));
    answers(&mut client);
}

/// A syslogd that cannot be connected to, because others are waiting for it.
#[test]
fn a_stream_that_does_not_accept_gets_its_lines_when_it_does() {
    const LOST: usize = 200;
    let mut first = None;
    let started = start_with_a_stream(|syslogd| {
        sys::listen(syslogd.as_fd(), 0).expect("listen");
        let path = syslogd.local_addr().expect("getsockname");
        first = Some(UnixStream::connect_addr(&path).expect("connect"));
    });
    let Some((syslogd, daemon)) = started else {
        return;
    };
    let mut client = connect(&daemon);
    provoke(&mut client, 0..KEPT + LOST);
    answers(&mut connect(&daemon));
    drop(first);
    drop(syslogd.accept().expect("accept"));
    let late = Instant::now() + PATIENCE;
    assert!(sys::readable(syslogd.as_fd(), late).expect("poll"));
    let (connection, _) = syslogd.accept().expect("accept");
    connection
        .set_read_timeout(Some(PATIENCE))
        .expect("setsockopt");
    let mut lines = BufReader::new(connection).split(0);
    let mut next = || {
        let line = lines.next().expect("a line").expect("read");
        let line = String::from_utf8(line).expect("text");
        let text = line.split_once("]: ").expect("a pid").1;
        text.strip_suffix(SYSLOG_END).expect("its end").to_string()
    };
    for number in 0..KEPT {
        assert_eq!(next(), warning(number));
    }
    assert_eq!(next(), format!("warning: {LOST} log lines lost"));
}
