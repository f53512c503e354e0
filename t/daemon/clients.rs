//! Tests clients: several listeners, max_idle, and the announcement.

use std::fs::File;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use super::harness::client::list;
use super::harness::kind::{Kind, Program};
use super::harness::master::{binary, Setup};
use super::harness::version::Version;
use super::{ask, connect, connect_to, kind, save, ANNOUNCEMENT, LOOKUP, NOTHING};

#[test]
fn clients_of_all_sockets_share_the_sessions() {
    let daemon = Setup::new().sockets(3).start().expect("start");
    let mut clients = [0, 1, 2].map(|number| connect_to(&daemon, number));
    let sessions: Vec<_> = clients
        .iter_mut()
        .zip(["one", "two", "three"])
        .map(|(client, label)| save(client, label))
        .collect();
    // The last client finds the session of the first one, and so on.
    for (client, (label, mut session)) in clients
        .iter_mut()
        .rev()
        .zip(["one", "two", "three"].into_iter().zip(sessions))
    {
        let request = format!("request=find_endp label={label} .");
        ask(client, &request, "status=0 property=p .");
        client.send_list("dummy= .").expect("send");
        let (_, fd) = client.receive_fd().expect("the session");
        client.send_list("dummy= .").expect("send");
        File::from(fd).write_all(label.as_bytes()).expect("write");
        let mut received = String::new();
        session.read_to_string(&mut received).expect("read");
        assert_eq!(received, label);
    }
    assert_eq!(daemon.end().expect("end").status_text(), "exit 0");
}

#[test]
fn a_client_of_one_socket_does_not_keep_those_of_another_waiting_except_in_c() {
    let daemon = Setup::new().sockets(2).start().expect("start");
    let mut slow = connect(&daemon);
    let mut quick = connect_to(&daemon, 1);
    slow.send(b"request\0find_endp\0").expect("send");
    slow.drained().expect("half a request is read");
    if kind() == Kind::Port {
        ask(&mut quick, LOOKUP, NOTHING);
    } else {
        quick.send_list(LOOKUP).expect("send");
        let silence = quick.pending(Duration::from_millis(300)).expect("pending");
        assert_eq!(silence, (&b""[..], 0));
    }
    slow.send(b"label\0nothing\0\0").expect("send");
    assert_eq!(slow.receive_list().expect("reply"), list(NOTHING));
    if kind() == Kind::C {
        assert_eq!(quick.receive_list().expect("reply"), list(NOTHING));
    }
}

#[test]
fn it_exits_when_it_had_no_client_for_max_idle() {
    let start = Instant::now();
    let daemon = Setup::new()
        .main_cf("max_idle = 1s")
        .option("-v")
        .start()
        .expect("start");
    let ended = daemon.wait().expect("end");
    assert!(start.elapsed() >= least(1));
    assert_eq!(ended.status_text(), "exit 0");
    let last = ended.log.last().expect("a line");
    assert_eq!(last, "postfix/scache: idle timeout -- exiting");
}

#[test]
fn max_idle_starts_when_the_last_client_goes() {
    let daemon = Setup::new()
        .main_cf("max_idle = 5s")
        .sockets(2)
        .start()
        .expect("start");
    let first = connect(&daemon);
    let mut last = connect_to(&daemon, 1);
    drop(first);
    // A sleep, because there is no event to wait for: the daemon must not exit meanwhile.
    std::thread::sleep(Duration::from_millis(6500));
    ask(&mut last, LOOKUP, NOTHING);
    let gone = Instant::now();
    drop(last);
    let ended = daemon.wait().expect("end");
    let after = gone.elapsed();
    assert!(after >= least(5), "exited {after:?} after the last client");
    assert_eq!(ended.status_text(), "exit 0");
    assert!(ended
        .log
        .last()
        .expect("a line")
        .ends_with("address lookup hits=0 miss=1 success=0%"));
}

/// The minimum time after which a timer of this number of seconds may fire. The C program
/// counts whole seconds of the wall clock and may be early by one second.
fn least(seconds: u64) -> Duration {
    match kind() {
        Kind::C => Duration::from_secs(seconds - 1),
        Kind::Port => Duration::from_millis(seconds * 1000 - 50),
    }
}

/// An option that is not a version number has no effect.
#[test]
fn it_announces_its_protocol_when_it_was_built_for_a_version_that_does() {
    let announces = Program::of(&binary()).version >= Version { major: 3, minor: 6 };
    for option in ["-omail_version=hidden", "-omail_version=4"] {
        let daemon = Setup::new().own_version().option(option).start();
        let daemon = daemon.expect("start");
        let mut client = daemon.connect().expect("connect");
        if announces {
            let came = client.receive_list().expect("announcement");
            assert_eq!(came, list(ANNOUNCEMENT));
        }
        ask(&mut client, LOOKUP, NOTHING);
    }
}
