//! Tests, by strace(1), that the list of system calls in t/packages/README is right: a
//! filter made from it must not kill the daemon.
//!
//! Calls that true(1) makes, too, are left out: they are calls of the dynamic loader, and
//! depend on the C library.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use super::harness::client::list;
use super::harness::daemon::{Daemon, Ended};
use super::harness::directory::Directory;
use super::harness::kind::Kind;
use super::harness::master::{binary, Setup};
use super::harness::privilege::is_root;
use super::harness::{namespace, need};
use super::{ask, connect, kind, save, LOOKUP, NOTHING};

type Calls = BTreeSet<String>;

/// The lines before the names in t/packages/README: calls of both programs, and calls of this
/// program only.
const BOTH: &str = "the C program, too:";
const PORT: &str = "only this one:";

/// The names after that line.
fn listed(head: &str) -> Calls {
    let readme = include_str!("../packages/README");
    let lines = readme.lines().skip_while(|line| line.trim() != head);
    let lines = lines
        .skip(1)
        .take_while(|line| line.starts_with("          "));
    let calls: Calls = lines
        .flat_map(str::split_whitespace)
        .map(String::from)
        .collect();
    assert!(!calls.is_empty(), "t/packages/README: {head}");
    calls
}

/// The names in the output of strace, whose lines have the form `PID NAME(ARGUMENTS`.
fn calls(output: &Path) -> Calls {
    let text = fs::read(output).expect("the output of strace");
    let text = String::from_utf8_lossy(&text);
    let name = |line: &str| {
        let name = line.split_once('(')?.0.rsplit(' ').next()?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        (!name.is_empty() && name.bytes().all(is_name)).then(|| name.to_string())
    };
    // (Without lines about signals, and about the end of a call.)
    let begins = |line: &&str| !line.contains(" --- ") && !line.contains(" <... ");
    text.lines().filter(begins).filter_map(name).collect()
}

/// The calls of true(1). None if there is no strace, or if it may not trace.
fn calls_of_true() -> Option<Calls> {
    let directory = Directory::new().expect("a directory");
    let output = directory.path().join("calls");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o"]).arg(&output).arg("true");
    match strace.output() {
        Ok(done) if done.status.success() => Some(calls(&output)),
        _ => {
            need::skip("a strace(1) that can trace");
            None
        }
    }
}

/// Makes a script that runs the program under strace, as the same process (-D). If the
/// tests run as root, the program has the /dev of that directory, and looks up accounts
/// only in files, so that its calls do not depend on the machine.
fn traced(directory: &Path) -> Option<PathBuf> {
    let path = directory.join("traced");
    let (output, program) = (directory.join("calls"), binary());
    let (output, program) = (output.display(), program.display());
    let text = format!("#!/bin/sh\nexec strace -D -f -qq -o '{output}' '{program}' \"$@\"\n");
    fs::write(&path, text).expect("write");
    fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("chmod");
    if !is_root() {
        return Some(path);
    }
    let accounts = "passwd: files\ngroup: files\n";
    fs::write(directory.join("nsswitch.conf"), accounts).expect("write");
    let prepare = format!(
        "cd {} && mount --bind dev /dev && \
         if [ -e /etc/nsswitch.conf ]; then mount --bind nsswitch.conf /etc/nsswitch.conf; fi && \
         cd \"$OLDPWD\"",
        directory.display()
    );
    namespace::script(directory, &path, &prepare)
}

/// Stands in for syslogd or postlogd: reads the log, so that the daemon need not wait.
fn read_and_forget(path: &Path) {
    let socket = UnixDatagram::bind(path).expect("bind");
    fs::set_permissions(path, Permissions::from_mode(0o666)).expect("chmod");
    thread::spawn(move || while socket.recv(&mut [0]).is_ok() {});
}

/// Starts a daemon, makes it do `work` and end. Returns its system calls.
fn calls_of(setup: Setup, work: fn(Daemon) -> io::Result<Ended>) -> Option<Calls> {
    let traces = Directory::new().expect("a directory");
    fs::create_dir(traces.path().join("dev")).expect("mkdir");
    read_and_forget(&traces.path().join("dev/log"));
    let traced = traced(traces.path())?;
    let directory = setup.prepare().expect("a directory");
    read_and_forget(&directory.path().join("q/public/postlog"));
    let daemon = setup.binary(traced).start_in(directory).expect("start");
    // The output is whole when strace, too, has closed standard error.
    work(daemon).expect("the end");
    Some(calls(&traces.path().join("calls")))
}

/// Makes all requests, waits for timeouts and expiry, and ends the daemon by SIGTERM.
fn all_requests(daemon: Daemon) -> io::Result<Ended> {
    let mut client = connect(&daemon);
    ask(&mut client, "request=unknown .", "status=1 .");
    ask(&mut client, LOOKUP, NOTHING);
    let bind = "request=save_dest ttl=100 label=d property=q label=e .";
    ask(&mut client, bind, "status=0 .");
    for (request, reply) in [
        ("request=find_endp label=e .", "status=0 property=p ."),
        (
            "request=find_dest label=d .",
            "status=0 property=q property=p .",
        ),
    ] {
        let _session = save(&mut client, "e");
        ask(&mut client, request, reply);
        client.send_list("dummy= .").expect("send");
        drop(client.receive_fd().expect("the session"));
        client.send_list("dummy= .").expect("send");
    }
    // A session that is dead when it is looked up: only the C program hands it out.
    drop(save(&mut client, "e"));
    client
        .send_list("request=find_endp label=e .")
        .expect("send");
    if client.receive_list().expect("reply") == list("status=0 property=p .") {
        client.send_list("dummy= .").expect("send");
        drop(client.receive_fd().expect("the session"));
        client.send_list("dummy= .").expect("send");
    }
    // Half a request, until ipc_timeout.
    let mut late = connect(&daemon);
    late.send(b"request\0find_").expect("send");
    assert!(daemon.wait_for_log("unexpected end-of-input"));
    // The C program keeps the connection.
    drop(late);
    // A session, until it expires, while the watchdog looks every three seconds. (If it
    // looked more often, the C program would never notice the timeout above.)
    let (session, mut peer) = UnixStream::pair().expect("socketpair");
    ask(
        &mut client,
        "request=save_endp ttl=4 label=f property=p .",
        "dummy= .",
    );
    client.send_fd(session.as_fd()).expect("send the session");
    drop(session);
    assert_eq!(client.receive_list().expect("reply"), list("status=0 ."));
    // The farewell may come before.
    peer.read_to_end(&mut Vec::new())
        .expect("the end of the session");
    let _cached = save(&mut client, "g");
    daemon.signal(libc::SIGTERM).expect("kill");
    daemon.wait()
}

#[test]
fn its_system_calls_are_those_of_the_list_in_readme() {
    let Some(usual) = calls_of_true() else { return };
    // -u and -c, for root.
    let setup = Setup::new().line("scache unix - - y - 1 scache");
    let verbose = setup.clone().option("-v");
    let verbose = verbose
        .main_cf("connection_cache_ttl_limit = 100s")
        .main_cf("ipc_timeout = 2s")
        .main_cf("daemon_timeout = 9s");
    let with_postlogd = setup.main_cf("maillog_file = /var/log/mail.log");
    let one_lookup = |daemon: Daemon| {
        ask(&mut connect(&daemon), LOOKUP, NOTHING);
        daemon.end()
    };
    let Some(mut seen) = calls_of(verbose, all_requests) else {
        return;
    };
    seen.extend(calls_of(with_postlogd.without_env("TZ"), one_lookup).expect("once more"));
    let (both, port) = (listed(BOTH), listed(PORT));
    let (listed, not_listed) = match kind() {
        // Other calls of the C program are not in the list.
        Kind::C => (both, &seen & &port),
        Kind::Port => (&both | &port, &(&(&seen - &both) - &port) - &usual),
    };
    // Only root can make some of the calls.
    let missing = if is_root() {
        &listed - &seen
    } else {
        Calls::new()
    };
    let wrong = (missing, not_listed);
    let sides = "listed in t/packages/README, but not made; made, but not listed";
    assert_eq!(wrong, Default::default(), "{sides}");
}
