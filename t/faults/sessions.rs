//! Tests the end of sessions that no client has found: unsent data delays nothing, the
//! farewell is sent, and lookups close dead sessions.

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;

use crate::harness::client::{list, Client};
use crate::harness::daemon::Daemon;
use crate::harness::master::Setup;
use crate::harness::{need, sys};
use crate::help::*;
use crate::stopped_clock::Shim;

/// A session for whose unsent data close(2) would wait for an hour.
fn lingering() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("an address");
    let socket = TcpStream::connect(address).expect("connect");
    let (other, _) = listener.accept().expect("accept");
    sys::set_linger(socket.as_fd(), 3600).expect("setsockopt");
    (socket, other)
}

/// A session with unsent data, which its peer does not read.
fn unsent() -> (TcpStream, TcpStream) {
    let (mut socket, other) = lingering();
    socket.set_nonblocking(true).expect("fcntl");
    while socket.write(&[b'x'; 65536]).is_ok() {}
    (socket, other)
}

/// Saves a session with unsent data that only the daemon has. Returns its peer.
fn save_unsent(client: &mut Client, ttl: u32) -> TcpStream {
    let (socket, other) = unsent();
    save(client, ttl, "e", "p", &socket);
    other
}

/// Waits until the daemon has this number of descriptors open.
fn wait_for_fds(daemon: &Daemon, count: usize) {
    wait_until("the session is closed", || {
        daemon.fd_count().expect("/proc") == count
    });
}

#[test]
fn a_session_with_unsent_data_ends_without_delay() {
    if !need::loopback() {
        return;
    }
    let daemon = setup().start().expect("start");
    let mut client = connect(&daemon);
    let before = daemon.fd_count().expect("/proc");
    let _other = save_unsent(&mut client, 1);
    wait_for_fds(&daemon, before);
    answers(&mut client);
}

#[test]
fn a_session_with_unsent_data_is_evicted_without_delay() {
    if !need::loopback() {
        return;
    }
    let daemon = setup().nofile(64, 64).start().expect("start");
    let mut client = connect(&daemon);
    let _other = save_unsent(&mut client, 100);
    let (file, _other) = session();
    for _ in 0..64 {
        save(&mut client, 1000, "other", "p", &file);
    }
    assert!(find(&mut client, "e").is_none(), "it is evicted");
}

#[test]
fn a_session_with_unsent_data_does_not_delay_the_end() {
    if !need::loopback() {
        return;
    }
    let daemon = setup().start().expect("start");
    let mut client = connect(&daemon);
    let _other = save_unsent(&mut client, 100);
    drop(client);
    assert_eq!(daemon.end().expect("end").status_text(), "exit 0");
}

#[test]
fn a_session_that_is_on_its_way_at_the_end_gets_the_farewell() {
    let daemon = setup().start().expect("start");
    let mut client = connect(&daemon);
    let (file, other) = session();
    save(&mut client, 100, "e", "p", &file);
    drop(file);
    find_begun(&mut client, "e").expect("the session");
    daemon.end().expect("end");
    closed_with_farewell(&other);
}

#[test]
fn a_session_that_is_evicted_gets_the_farewell() {
    let daemon = setup().nofile(64, 64).start().expect("start");
    let mut client = connect(&daemon);
    let ((file, other), (long, _other)) = (session(), session());
    save(&mut client, 100, "e", "p", &file);
    drop(file);
    for _ in 0..64 {
        save(&mut client, 1000, "other", "p", &long);
    }
    closed_with_farewell(&other);
}

#[test]
fn a_lookup_closes_a_hundred_dead_sessions_and_goes_on_the_next_time() {
    let daemon = setup().start().expect("start");
    let mut client = connect(&daemon);
    let dead = dead_session();
    for _ in 0..150 {
        save(&mut client, 100, "e", "dead", &dead);
    }
    let (file, _other) = session();
    save(&mut client, 100, "e", "alive", &file);
    let before = daemon.fd_count().expect("/proc");
    assert!(find(&mut client, "e").is_none());
    assert_eq!(daemon.fd_count().expect("/proc"), before - 100);
    let (prop, _) = find(&mut client, "e").expect("the one that is alive");
    assert_eq!(prop, "alive");
    client.drained().expect("drained");
    assert!(find(&mut client, "e").is_none());
    assert_eq!(daemon.fd_count().expect("/proc"), before - 151);
}

#[test]
fn a_lookup_by_destination_looks_at_a_hundred_endpoints_and_goes_on_the_next_time() {
    let daemon = setup().start().expect("start");
    let mut client = connect(&daemon);
    let dead = dead_session();
    let (file, _other) = session();
    for number in 0..200 {
        for prop in ["q", "r"] {
            let bind = format!("ttl=100 label=d property={prop}-{number} label=e{number}");
            ask(&mut client, &format!("request=save_dest {bind} ."));
        }
    }
    // In another order than the bindings.
    for number in (0..150).rev() {
        save(&mut client, 100, &format!("e{number}"), "dead", &dead);
    }
    for number in [199, 160] {
        save(&mut client, 100, &format!("e{number}"), "alive", &file);
    }
    let before = daemon.fd_count().expect("/proc");
    let find = "request=find_dest label=d .";
    let miss = list("status=2 property= property= .");
    assert_eq!(ask(&mut client, find), miss);
    assert_eq!(daemon.fd_count().expect("/proc"), before - 100);
    for number in [160, 199] {
        let hit = format!("status=0 property=q-{number} property=alive .");
        assert_eq!(ask(&mut client, find), list(&hit));
        client.send_list("dummy= .").expect("send");
        client.receive_fd().expect("the session");
        client.send_list("dummy= .").expect("send");
    }
    assert_eq!(ask(&mut client, find), miss);
    assert_eq!(daemon.fd_count().expect("/proc"), before - 152);
    drop(client);
    assert!(cache_log(daemon).is_empty(), "that is for -v");
}

/// The lines that the cache has logged from start to end, without the numbers of
/// descriptors.
fn cache_log(daemon: Daemon) -> Vec<String> {
    let log = daemon.end().expect("end").log;
    let lines = log
        .iter()
        .filter_map(|line| line.split_once("scache_multi_"));
    lines
        .map(|(_, what)| what.split(" fd=").next().unwrap_or(what).to_string())
        .collect()
}

/// The lines about labels without a session.
fn misses(daemon: Daemon) -> Vec<String> {
    let mut lines = cache_log(daemon);
    lines.retain(|line| line.contains("_label=") && !line.contains("->"));
    lines
}

#[test]
fn sessions_that_are_found_dead_are_named_in_the_log_of_v() {
    let daemon = setup().option("-v").start().expect("start");
    let mut client = connect(&daemon);
    ask(
        &mut client,
        "request=save_dest ttl=100 label=d property=q label=e .",
    );
    let (file, other) = session();
    save(&mut client, 100, "e", "p", &file);
    drop(file);
    other.shutdown(Shutdown::Write).expect("shutdown");
    let reply = ask(&mut client, "request=find_dest label=d .");
    assert_eq!(reply, list("status=2 property= property= ."));
    closed(&other);
    drop(client);
    let lines = cache_log(daemon);
    assert_eq!(
        lines[lines.len() - 4..],
        [
            "find_endp: dead: endp_label=e -> endp_prop=p",
            "drop_endp: endp_prop=p",
            "find_endp: no endpoint cache: endp_label=e",
            "find_dest: not found: dest_label=d",
        ]
    );
}

/// The line about dead sessions, after lookups that found these.
fn line_about_dead(setup: Setup, dead: usize, alive: usize) -> Option<String> {
    let daemon = setup.start().expect("start");
    let mut client = connect(&daemon);
    let (hung_up, (file, _other)) = (dead_session(), session());
    for _ in 0..dead {
        save(&mut client, 100, "e", "dead", &hung_up);
    }
    for _ in 0..alive {
        save(&mut client, 100, "e", "alive", &file);
        find(&mut client, "e").expect("the one that is alive");
    }
    drop(client);
    let mut log = daemon.end().expect("end").log;
    log.retain(|line| line.contains("sessions ended by the other side"));
    log.pop()
}

#[test]
fn dead_sessions_are_logged_if_at_most_as_many_were_found_alive_or_with_v() {
    let line = |dead| {
        let text = "sessions ended by the other side while cached";
        Some(format!("postfix/scache: {text}: {dead}"))
    };
    assert_eq!(line_about_dead(setup(), 2, 2), line(2));
    assert_eq!(line_about_dead(setup(), 2, 1), line(2));
    assert_eq!(line_about_dead(setup(), 1, 2), None);
    let verbose = setup().option("-v");
    assert_eq!(line_about_dead(verbose.clone(), 1, 2), line(1));
    assert_eq!(line_about_dead(verbose, 0, 2), None);
}

#[test]
fn a_lookup_that_closes_no_more_says_so_in_the_log_of_v() {
    let daemon = setup().option("-v").start().expect("start");
    let mut client = connect(&daemon);
    for (dest, endp) in [("d", "e"), ("d", "f"), ("g", "f")] {
        let bind = format!("request=save_dest ttl=100 label={dest} property=q label={endp} .");
        ask(&mut client, &bind);
    }
    let dead = dead_session();
    let save = |client: &mut Client, endp, count| {
        for _ in 0..count {
            save(client, 100, endp, "p", &dead);
        }
    };
    let find = |client: &mut Client, name| ask(client, &format!("request=find_{name} ."));
    // A lookup may close all sessions of the first endpoint, but not of the second, which
    // has one more.
    save(&mut client, "e", 100);
    save(&mut client, "f", 101);
    find(&mut client, "dest label=d");
    find(&mut client, "dest label=g");
    save(&mut client, "f", 100);
    find(&mut client, "endp label=f");
    find(&mut client, "endp label=f");
    drop(client);
    assert_eq!(
        misses(daemon),
        [
            "find_endp: no endpoint cache: endp_label=e",
            "find_endp: gave up after 100: endp_label=f",
            "find_dest: not found: dest_label=d",
            "find_endp: gave up after 100: endp_label=f",
            "find_dest: not found: dest_label=g",
            "find_endp: gave up after 100: endp_label=f",
            "find_endp: no endpoint cache: endp_label=f",
        ]
    );
}

#[test]
fn a_lookup_that_closes_one_session_of_each_endpoint_says_at_which_it_stopped() {
    let daemon = setup().option("-v").start().expect("start");
    let mut client = connect(&daemon);
    let dead = dead_session();
    let bind = |client: &mut Client, endp: &str| {
        let bind = format!("request=save_dest ttl=100 label=d property=q label={endp} .");
        ask(client, &bind);
    };
    bind(&mut client, "none");
    for number in 0..102 {
        bind(&mut client, &format!("e{number}"));
        save(&mut client, 100, &format!("e{number}"), "p", &dead);
    }
    ask(&mut client, "request=find_dest label=d .");
    drop(client);
    let mut expected = vec!["find_endp: no endpoint cache: endp_label=none".to_string()];
    for number in 0..100 {
        expected.push(format!(
            "find_endp: no endpoint cache: endp_label=e{number}"
        ));
    }
    expected.push("find_endp: gave up after 100: endp_label=e100".to_string());
    expected.push("find_dest: not found: dest_label=d".to_string());
    assert_eq!(misses(daemon), expected);
}

#[test]
fn statistics_are_logged_once_in_their_time_and_at_the_end() {
    let Some(clock) = Shim::to_stop() else {
        return;
    };
    let setup = setup().main_cf("connection_cache_status_update_time = 100s");
    let daemon = clock.stopped(setup).start().expect("start");
    let mut client = connect(&daemon);
    for seconds in [0, 99, 100, 100, 150, 199] {
        clock.off_by(seconds);
        answers(&mut client);
    }
    drop(client);
    let log = daemon.end().expect("end").log;
    let begins = log.iter().filter(|line| line.contains("start interval"));
    assert_eq!(begins.count(), 2, "{log:?}");
}
