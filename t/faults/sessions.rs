//! What becomes of sessions that nobody fetches.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use crate::harness::client::{list, Client};
use crate::harness::daemon::Daemon;
use crate::harness::privilege::is_root;
use crate::harness::{need, sys};
use crate::help::*;

/// A session that close() would wait for an hour for, if something is unsent.
fn lingering() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("an address");
    let socket = TcpStream::connect(address).expect("connect");
    let (other, _) = listener.accept().expect("accept");
    sys::set_linger(socket.as_fd(), 3600).expect("setsockopt");
    (socket, other)
}

/// One that is full of what the other side does not read.
fn unsent() -> (TcpStream, TcpStream) {
    let (mut socket, other) = lingering();
    socket.set_nonblocking(true).expect("fcntl");
    while socket.write(&[b'x'; 65536]).is_ok() {}
    (socket, other)
}

/// Caches one, which is then the daemon's alone; its other side.
fn save_unsent(client: &mut Client, ttl: u32) -> TcpStream {
    let (socket, other) = unsent();
    save(client, ttl, "e", "p", &socket);
    other
}

/// Waits until the daemon has so many descriptors open.
fn wait_for_fds(daemon: &Daemon, count: usize) {
    wait_until("the session is closed", || {
        daemon.fd_count().expect("/proc") == count
    });
}

#[test]
fn a_session_with_something_unsent_ends_without_delay() {
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
fn a_session_with_something_unsent_makes_room_without_delay() {
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
    assert!(find(&mut client, "e").is_none(), "it made room");
}

#[test]
fn a_session_with_something_unsent_does_not_delay_the_end() {
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
fn a_session_with_something_unsent_whose_client_is_gone_is_closed_without_delay() {
    if !need::loopback() {
        return;
    }
    let daemon = setup().start().expect("start");
    let (mut client, mut other_client) = (connect(&daemon), connect(&daemon));
    let _other = save_unsent(&mut client, 100);
    find_begun(&mut client, "e").expect("the session");
    client.send_list("dummy= .").expect("send");
    drop(client.receive_fd().expect("a descriptor"));
    drop(client);
    assert!(daemon.wait_for_log("cannot send file descriptor"));
    answers(&mut other_client);
}

#[test]
fn descriptors_with_something_unsent_are_closed_without_delay_wherever_they_come() {
    if !need::loopback() {
        return;
    }
    let daemon = setup().start().expect("start");
    let mut client = connect(&daemon);
    let before = daemon.fd_count().expect("/proc");
    let request = "request=save_endp ttl=100 label=e property=p .";
    // Those of an ordinary user count for the limits of all its other tests.
    let most = if is_root() { sys::MAX_FDS } else { 20 };
    for count in [1, 2, most] {
        let (socket, _other) = unsent();
        let fds = vec![socket.as_fd(); count];
        let nothing = list("request=find_endp label=nothing .");
        client.send_fds(&fds, &nothing).expect("send");
        drop(socket);
        client.receive_list().expect("reply");
        wait_for_fds(&daemon, before);
    }
    for count in [2, most] {
        let (socket, _other) = unsent();
        assert_eq!(ask(&mut client, request), list("dummy= ."));
        client
            .send_fds(&vec![socket.as_fd(); count], b"\0")
            .expect("send");
        drop(socket);
        assert_eq!(client.receive_list().expect("status"), list("status=2 ."));
        wait_for_fds(&daemon, before);
    }
}

/// Has one cached and takes it back; its other side.
fn take_unsent(client: &mut Client) -> TcpStream {
    let other = save_unsent(client, 100);
    find_begun(client, "e").expect("the session");
    take_and_close(client);
    other
}

/// The rest of find_endp. Its client has closed the session before it says that it
/// has it, so the daemon's is the last.
fn take_and_close(client: &mut Client) {
    client.send_list("dummy= .").expect("send");
    drop(client.receive_fd().expect("a descriptor"));
    client.send_list("dummy= .").expect("send");
}

#[test]
fn a_session_with_something_unsent_that_was_given_away_is_closed_without_delay() {
    if !need::loopback() {
        return;
    }
    let daemon = setup().start().expect("start");
    let mut client = connect(&daemon);
    let before = daemon.fd_count().expect("/proc");
    let _other = take_unsent(&mut client);
    wait_for_fds(&daemon, before);
    answers(&mut client);
}

/// A socket with such a session in it, which its last close closes as well.
fn carrier() -> (UnixStream, TcpStream) {
    let (socket, other) = unsent();
    let (sender, carrier) = UnixStream::pair().expect("socketpair");
    sys::send_with_fds(sender.as_fd(), b"x", &[socket.as_fd()]).expect("send");
    (carrier, other)
}

/// Sends some where none belong; their other sides. Ours are not the last. (They
/// come all at once: a close that waits ends when its process is stopped.)
pub fn send_carriers(daemon: &Daemon, client: &mut Client, count: usize) -> Vec<TcpStream> {
    daemon.stop().expect("stop");
    let mut send = |_| {
        let (socket, other) = carrier();
        let nothing = list("request=find_endp label=nothing .");
        client.send_fds(&[socket.as_fd()], &nothing).expect("send");
        other
    };
    let others = (0..count).map(&mut send).collect();
    daemon.signal(libc::SIGCONT).expect("go on");
    for _ in 0..count {
        client.receive_list().expect("reply");
    }
    others
}

#[test]
fn a_session_in_a_socket_is_closed_without_delay_wherever_that_comes() {
    if !need::loopback() {
        return;
    }
    let daemon = setup().start().expect("start");
    let mut client = connect(&daemon);
    let before = daemon.fd_count().expect("/proc");
    let _other = send_carriers(&daemon, &mut client, 1);
    wait_for_fds(&daemon, before);
    answers(&mut client);
    let (socket, _other) = carrier();
    save(&mut client, 1, "e", "p", socket);
    wait_for_fds(&daemon, before);
    answers(&mut client);
}

/// More than are closed at a time: none of them waits for its other side. (Few
/// at a time are on their way: those of all tests of a user count together.)
#[test]
fn many_sessions_with_something_unsent_hold_up_nobody() {
    const MANY: usize = 150;
    if !need::loopback() || !need::open_files(4 * MANY as u64) {
        return;
    }
    let daemon = setup().start().expect("start");
    let mut client = connect(&daemon);
    let before = daemon.fd_count().expect("/proc");
    let _others: Vec<_> = (0..MANY).map(|_| take_unsent(&mut client)).collect();
    answers(&mut client);
    wait_for_fds(&daemon, before);
    drop(client);
    assert_eq!(daemon.end().expect("end").status_text(), "exit 0");
}

/// The system closes what finds no room.
#[test]
fn sessions_that_come_when_there_is_no_room_for_them_hold_up_nobody() {
    if !need::loopback() {
        return;
    }
    let daemon = setup().nofile(100, 100).start().expect("start");
    let mut client = connect(&daemon);
    let mut bad = connect(&daemon);
    let (file, _other) = session();
    for _ in 0..100 {
        save(&mut client, 100, "e", "p", &file);
    }
    let sessions: Vec<_> = (0..20).map(|_| unsent()).collect();
    let (sockets, _others): (Vec<_>, Vec<_>) = sessions.into_iter().unzip();
    daemon.stop().expect("stop");
    let fds: Vec<_> = sockets.iter().map(|socket| socket.as_fd()).collect();
    bad.send_fds(&fds, b"request").expect("send");
    drop(sockets);
    daemon.signal(libc::SIGCONT).expect("go on");
    answers(&mut client);
}

/// It would be passed over, and what came with it closed.
#[test]
fn an_urgent_byte_comes_like_any_other() {
    let daemon = setup().start().expect("start");
    let mut client = connect(&daemon);
    if !client.send_urgent(b'r').expect("send") {
        need::skip("urgent bytes between processes");
        return;
    }
    client
        .send(b"equest\0find_endp\0label\0nothing\0\0")
        .expect("send");
    let reply = client.receive_list().expect("reply");
    assert_eq!(reply, list("status=2 property= ."));
}

/// A signal is to wake the loop.
#[test]
fn the_thread_that_closes_gets_no_signals() {
    if !need::loopback() {
        return;
    }
    let daemon = setup().start().expect("start");
    let mut client = connect(&daemon);
    let _other = send_carriers(&daemon, &mut client, 1);
    let (alarm, term) = (1 << (libc::SIGALRM - 1), 1 << (libc::SIGTERM - 1));
    let blocked = blocked_by_threads(&daemon);
    let blocked: Vec<u64> = blocked.iter().map(|set| set & (alarm | term)).collect();
    assert_eq!(blocked, [alarm | term]);
}

/// The signals that each thread but the first one has blocked: the lowest bit is
/// signal 1.
fn blocked_by_threads(daemon: &Daemon) -> Vec<u64> {
    let first = daemon.pid().to_string();
    let tasks = fs::read_dir(daemon.proc("task")).expect("/proc");
    let tasks = tasks.map(|task| task.expect("/proc").file_name().into_string());
    let numbers = tasks.map(|number| number.expect("digits"));
    let others = numbers.filter(|number| *number != first);
    let blocked = others.map(|number| {
        let status = format!("task/{number}/status");
        let set = daemon.status_field(&status, "SigBlk").expect("/proc");
        u64::from_str_radix(&set, 16).expect("hexadecimal")
    });
    blocked.collect()
}

#[test]
fn a_session_in_one_that_was_given_away_is_closed_without_delay() {
    if !need::loopback() {
        return;
    }
    let daemon = setup().start().expect("start");
    let mut client = connect(&daemon);
    let before = daemon.fd_count().expect("/proc");
    let (file, sender) = session();
    save(&mut client, 100, "e", "p", file);
    find_begun(&mut client, "e").expect("the session");
    let (socket, _other) = unsent();
    sys::send_with_fds(sender.as_fd(), b"x", &[socket.as_fd()]).expect("send");
    drop(socket);
    take_and_close(&mut client);
    wait_for_fds(&daemon, before);
    answers(&mut client);
}

/// How long it lingers is the business of its new owner.
#[test]
fn a_session_that_was_given_away_is_as_its_owner_made_it() {
    if !need::loopback() {
        return;
    }
    let daemon = setup().start().expect("start");
    let mut client = connect(&daemon);
    let (socket, _other) = lingering();
    save(&mut client, 100, "e", "p", &socket);
    find(&mut client, "e").expect("the session");
    answers(&mut client);
    assert_eq!(sys::linger(socket.as_fd()).expect("getsockopt"), 3600);
}

/// The client is disconnected for a list that is too long, and behind that
/// there is more, which nobody reads.
#[test]
fn descriptors_that_are_never_read_are_closed_without_delay() {
    if !need::loopback() {
        return;
    }
    let daemon = setup().start().expect("start");
    let (mut client, mut other_client) = (connect(&daemon), connect(&daemon));
    let before = daemon.fd_count().expect("/proc");
    let (socket, _other) = unsent();
    daemon.stop().expect("stop");
    client.send(&[b'x'; 80_000]).expect("send");
    for _ in 0..10 {
        client.send_fd(socket.as_fd()).expect("send a descriptor");
    }
    drop(socket);
    daemon.signal(libc::SIGCONT).expect("go on");
    wait_for_fds(&daemon, before - 1);
    answers(&mut other_client);
}

#[test]
fn a_session_that_is_on_its_way_at_the_end_is_told() {
    let farewell = "connection_cache_farewell = QUIT";
    let daemon = setup().main_cf(farewell).start().expect("start");
    let mut client = connect(&daemon);
    let (file, mut other) = session();
    save(&mut client, 100, "e", "p", &file);
    drop(file);
    find_begun(&mut client, "e").expect("the session");
    daemon.end().expect("end");
    let mut heard = String::new();
    other.read_to_string(&mut heard).expect("to be closed");
    assert_eq!(heard, "QUIT\r\n");
}

#[test]
fn a_lookup_closes_a_hundred_dead_sessions_and_goes_on_the_next_time() {
    let daemon = setup().start().expect("start");
    let mut client = connect(&daemon);
    let (dead, other) = session();
    drop(other);
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

/// The first time the endpoints with sessions are fewer than the bindings, the
/// second time the bindings are.
#[test]
fn a_lookup_by_destination_looks_at_a_hundred_endpoints_and_goes_on_the_next_time() {
    let daemon = setup().start().expect("start");
    let mut client = connect(&daemon);
    for unbound in [0, 500] {
        let (dead, other) = session();
        drop(other);
        let (file, _other) = session();
        for number in 0..unbound {
            save(&mut client, 100, &format!("unbound-{number}"), "p", &file);
        }
        for number in 0..200 {
            let endp = format!("e{number}");
            for prop in ["q", "r"] {
                let bind = format!("ttl=100 label=d property={prop}-{number} label={endp}");
                ask(&mut client, &format!("request=save_dest {bind} ."));
            }
        }
        // Made in another order than the bindings.
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
    }
    drop(client);
    assert!(told(daemon).is_empty(), "that is for -v");
}

/// What the daemon has logged of its cache from start to end, without the
/// numbers of descriptors.
fn told(daemon: Daemon) -> Vec<String> {
    let log = daemon.end().expect("end").log;
    let told = log
        .iter()
        .filter_map(|line| line.split_once("scache_multi_"));
    told.map(|(_, what)| what.split(" fd=").next().unwrap_or(what).to_string())
        .collect()
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
    let told = told(daemon);
    assert_eq!(
        told[told.len() - 4..],
        [
            "find_endp: dead: endp_label=e -> endp_prop=p",
            "drop_endp: endp_prop=p",
            "find_endp: no endpoint cache: endp_label=e",
            "find_dest: not found: dest_label=d",
        ]
    );
}

#[test]
fn a_lookup_that_closes_no_more_says_so_in_the_log_of_v() {
    let daemon = setup().option("-v").start().expect("start");
    let mut client = connect(&daemon);
    for (dest, endp) in [("d", "e"), ("d", "f"), ("g", "f")] {
        let bind = format!("request=save_dest ttl=100 label={dest} property=q label={endp} .");
        ask(&mut client, &bind);
    }
    let (dead, other) = session();
    drop(other);
    let save = |client: &mut Client, endp, count| {
        for _ in 0..count {
            save(client, 100, endp, "p", &dead);
        }
    };
    let find = |client: &mut Client, name| ask(client, &format!("request=find_{name} ."));
    // The first endpoint has no more than may be closed, the second one more.
    save(&mut client, "e", 100);
    save(&mut client, "f", 101);
    find(&mut client, "dest label=d");
    find(&mut client, "dest label=g");
    save(&mut client, "f", 100);
    find(&mut client, "endp label=f");
    find(&mut client, "endp label=f");
    drop(client);
    let told = told(daemon);
    let is_miss = |line: &&String| line.contains("_label=") && !line.contains("->");
    let misses: Vec<&String> = told.iter().filter(is_miss).collect();
    assert_eq!(
        misses,
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

/// There are more bindings than endpoints with a session: those are looked at.
#[test]
fn a_lookup_that_closes_one_session_of_each_endpoint_says_at_which_it_stopped() {
    let daemon = setup().option("-v").start().expect("start");
    let mut client = connect(&daemon);
    let (dead, other) = session();
    drop(other);
    for number in 0..102 {
        let bind = format!("request=save_dest ttl=100 label=d property=q label=e{number} .");
        ask(&mut client, &bind);
        save(&mut client, 100, &format!("e{number}"), "p", &dead);
    }
    ask(
        &mut client,
        "request=save_dest ttl=100 label=d property=q label=none .",
    );
    ask(&mut client, "request=find_dest label=d .");
    drop(client);
    let told = told(daemon);
    let gave_up: Vec<&String> = told.iter().filter(|line| line.contains("gave")).collect();
    assert_eq!(gave_up, ["find_endp: gave up after 100: endp_label=e100"]);
}
