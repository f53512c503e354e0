//! Tests the hand-over of sessions: a session that was not sent to its client stays in
//! the cache, and a session that was sent belongs to the client only.

use std::time::Duration;

use crate::harness::client::{list, Client, Item};
use crate::harness::daemon::Daemon;
use crate::harness::log_text::in_words_of_libc;
use crate::help::*;
use crate::stopped_clock::Shim;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_session_that_was_not_handed_over_is_back_in_its_place() {
    let daemon = setup().start().expect("start");
    let mut owner = connect(&daemon);
    let (file, _other) = session();
    for prop in ["p1", "p2", "p3"] {
        save(&mut owner, 100, "e", prop, &file);
    }
    let (mut first, mut second) = (connect(&daemon), connect(&daemon));
    assert_eq!(find_begun(&mut first, "e").as_deref(), Some("p1"));
    assert_eq!(find_begun(&mut second, "e").as_deref(), Some("p2"));
    drop(second);
    assert!(daemon.wait_for_log("cannot send file descriptor"));
    first.send_list("dumb= .").expect("send");
    wait_until("the warning about the first", || {
        let sent = |line: &&String| line.contains("cannot send file descriptor");
        daemon.log().iter().filter(sent).count() == 2
    });
    for prop in ["p1", "p2", "p3"] {
        let found = find(&mut owner, "e").expect("a session");
        assert_eq!(found.0, prop);
    }
    assert!(find(&mut owner, "e").is_none());
}

#[test]
fn a_session_that_is_back_is_named_in_the_log_of_v() {
    let daemon = setup().option("-v").start().expect("start");
    let mut client = connect(&daemon);
    let (file, _other) = session();
    save(&mut client, 100, "e", "p", &file);
    find_begun(&mut client, "e").expect("the session");
    drop(client);
    assert!(daemon.wait_for_log("scache_multi_give_back: endp_prop=p fd="));
}

#[test]
fn a_session_that_was_not_handed_over_has_the_rest_of_its_time() {
    let Some(clock) = Shim::to_stop() else {
        return;
    };
    let daemon = clock.stopped(setup()).start().expect("start");
    let (mut client, mut other_client) = (connect(&daemon), connect(&daemon));
    let (file, other) = session();
    save(&mut client, 4, "e", "p", &file);
    drop(file);
    find_begun(&mut client, "e").expect("the session");
    clock.off_by(2);
    drop(client);
    assert!(daemon.wait_for_log("cannot send file descriptor"));
    clock.off_by(3);
    answers(&mut other_client);
    assert!(is_held(&other), "the time is not over");
    // With a new time to live it would end at 6.
    clock.off_by(5);
    answers(&mut other_client);
    closed_with_farewell(&other);
}

#[test]
fn a_session_that_expired_while_it_was_on_its_way_is_closed_when_it_comes_back() {
    let Some(clock) = Shim::to_stop() else {
        return;
    };
    let daemon = clock.stopped(setup()).start().expect("start");
    let (mut client, mut other_client) = (connect(&daemon), connect(&daemon));
    let (file, other) = session();
    save(&mut client, 1, "e", "p", &file);
    drop(file);
    find_begun(&mut client, "e").expect("the session");
    clock.off_by(2);
    answers(&mut other_client);
    assert!(is_held(&other), "it is on its way");
    drop(client);
    assert!(daemon.wait_for_log("cannot send file descriptor"));
    assert!(find(&mut other_client, "e").is_none());
    closed_with_farewell(&other);
}

#[test]
fn a_session_that_was_sent_is_the_clients_even_if_it_never_says_so() {
    let daemon = setup().start().expect("start");
    let before = Before::of(&daemon);
    let (mut client, mut other_client) = (connect(&daemon), connect(&daemon));
    let (file, other) = session();
    save(&mut client, 100, "e", "p", &file);
    drop(file);
    find_begun(&mut client, "e").expect("the session");
    client.send_list("dummy= .").expect("send");
    let item = client.receive(SECOND * 10).expect("receive");
    let Item::Fd(fd) = item else {
        panic!("a session was expected: {item:?}")
    };
    drop(client);
    assert!(daemon.wait_for_log("cannot send file descriptor"));
    assert_eq!(
        ask(&mut other_client, "request=find_endp label=e ."),
        list("status=2 property= .")
    );
    assert!(is_held(&other), "the client has it");
    drop(fd);
    closed(&other);
    drop(other_client);
    before.is_back(&daemon);
}

#[test]
fn a_client_that_is_too_slow_to_take_a_session_does_not_keep_it() {
    let Some(clock) = Shim::to_stop() else {
        return;
    };
    let setup = setup().main_cf("ipc_timeout = 3s");
    let daemon = clock.stopped(setup).start().expect("start");
    let (mut slow, mut client) = (connect(&daemon), connect(&daemon));
    let (file, _other) = session();
    save(&mut client, 100, "e", "p", &file);
    find_begun(&mut slow, "e").expect("the session");
    wait_until("it waits for the client", || is_asleep(&daemon));
    clock.off_by(3);
    let (rest, fds) = slow.receive_end().expect("to be disconnected");
    assert_eq!((rest, fds), (Vec::new(), 0));
    assert!(find(&mut client, "e").is_some());
    let reason = "scache_find_endp_service: cannot send file descriptor: Connection timed out";
    assert!(daemon.wait_for_log(&in_words_of_libc(reason)));
}

const LOOKUP: &str = "request=find_endp label=nothing .";

/// Sends lookups and reads no reply until the daemon reads no more, because the
/// socket buffer of the client is full. Returns the number of lookups that it read.
fn lookups_that_fill_the_buffer(daemon: &Daemon) -> usize {
    let mut full = connect(daemon);
    let mut most = 0;
    full.send_list(LOOKUP).expect("send");
    while !is_left_unread(daemon, &full) {
        most += 1;
        full.send_list(LOOKUP).expect("send");
    }
    most
}

/// Sends lookups and then a request for a session, and reads no reply.
fn find_unread(daemon: &Daemon, client: &mut Client, lookups: usize, label: &str) {
    for _ in 0..lookups {
        client.send_list(LOOKUP).expect("send");
        daemon.has_read(client).expect("read");
    }
    let request = format!("request=find_endp label={label} .");
    client.send_list(&request).expect("send");
    daemon.has_read(client).expect("read");
    client.send_list("dummy= .").expect("send");
}

/// The session is sent when there is space in the socket buffer again.
#[test]
fn a_session_waits_for_a_client_that_reads_late() {
    let daemon = setup().start().expect("start");
    let mut other_client = connect(&daemon);
    let most = lookups_that_fill_the_buffer(&daemon);
    // The answer to the last request that was read did not fit.
    for before in most - 3..most {
        let mut client = connect(&daemon);
        let (file, _other) = session();
        save(&mut other_client, 100, "e", "p", &file);
        find_unread(&daemon, &mut client, before, "e");
        is_left_unread(&daemon, &client);
        for _ in 0..before {
            let reply = client.receive_list().expect("reply");
            assert_eq!(reply, list("status=2 property= ."));
        }
        let reply = client.receive_list().expect("reply");
        assert_eq!(reply, list("status=0 property=p ."));
        client.receive_fd().expect("the session");
        client.send_list("dummy= .").expect("send");
        answers(&mut client);
    }
}

/// A session that fitted into the socket buffer is the client's, any other is back.
#[test]
fn a_client_that_never_reads_does_not_keep_a_session() {
    let Some(clock) = Shim::to_stop() else {
        return;
    };
    let setup = setup().main_cf("ipc_timeout = 3s");
    let daemon = clock.stopped(setup).start().expect("start");
    let mut owner = connect(&daemon);
    let most = lookups_that_fill_the_buffer(&daemon);
    let mut clients = Vec::new();
    let labels = ["e1", "e2", "e3"];
    for (label, before) in labels.into_iter().zip(most - 3..most) {
        let (file, other) = session();
        save(&mut owner, 100, label, "p", &file);
        let mut client = connect(&daemon);
        find_unread(&daemon, &mut client, before, label);
        clients.push((client, other));
    }
    wait_until("it waits for all", || is_asleep(&daemon));
    clock.off_by(3);
    let reason = "scache_find_endp_service: cannot send file descriptor: Connection timed out";
    assert!(daemon.wait_for_log(&in_words_of_libc(reason)));
    for (label, (mut client, _other)) in labels.into_iter().zip(clients) {
        let (_, sent) = client.receive_end().expect("to be disconnected");
        assert_eq!(find(&mut owner, label).is_none(), sent == 1, "{label}");
    }
}
