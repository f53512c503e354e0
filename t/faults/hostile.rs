//! Tests that the daemon survives clients that stall, do not read, send without end, send
//! descriptors with the wrong requests, or disappear in the middle of a request.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crate::harness::client::{list, Client, PATIENCE};
use crate::harness::daemon::Daemon;
use crate::harness::{need, sys};
use crate::help::*;
use crate::stopped_clock::Shim;

#[test]
fn clients_that_stall_at_every_byte_do_not_delay_others_and_can_go_on() {
    if !need::open_files(4096) {
        return;
    }
    let daemon = setup().nofile(4096, 4096).start().expect("start");
    let before = Before::of(&daemon);
    let (file, _other) = session();
    let mut client = connect(&daemon);
    ask(
        &mut client,
        "request=save_dest ttl=100 label=d property=q label=e .",
    );
    let mut stalled = Vec::new();
    for exchange in EXCHANGES {
        for place in breaks(exchange) {
            save(&mut client, 100, "e", "p", &file);
            let mut slow = connect(&daemon);
            begin(&mut slow, exchange, place, &file);
            slow.drained().expect("drained");
            answers(&mut client);
            stalled.push((slow, exchange, place));
        }
    }
    println!("{} stalled clients", stalled.len());
    for (mut slow, exchange, place) in stalled {
        finish(&mut slow, exchange, place, &file);
        answers(&mut slow);
    }
    for endp in ["e", "stall"] {
        while find(&mut client, endp).is_some() {}
    }
    drop(client);
    before.is_back(&daemon);
}

#[test]
fn clients_that_leave_at_every_byte_take_no_session_with_them() {
    // So few descriptors that the session would be evicted if sessions were still
    // counted as on their way after they came back.
    let daemon = setup().nofile(40, 40).start().expect("start");
    let before = Before::of(&daemon);
    let (file, _other) = session();
    let mut client = connect(&daemon);
    ask(
        &mut client,
        "request=save_dest ttl=100 label=d property=q label=e .",
    );
    save(&mut client, 100, "e", "p", &file);
    for exchange in EXCHANGES {
        for place in breaks(exchange) {
            for reset in [false, true] {
                if place.0 == 2 && !reset {
                    continue; // The client has the session.
                }
                leave_at(&daemon, exchange, place, reset, &file);
                answers(&mut client);
            }
        }
    }
    wait_until("all but one are gone", || {
        daemon.connections().expect("/proc").len() == 1
    });
    assert!(
        find(&mut client, "e").is_some(),
        "the one session is still there"
    );
    while find(&mut client, "stall").is_some() {}
    drop(client);
    before.is_back(&daemon);
}

/// Makes an exchange up to this place and disappears: after reading all replies, or, with
/// `reset`, without reading them, which resets the connection.
fn leave_at(
    daemon: &Daemon,
    exchange: &[Piece],
    place: (usize, usize),
    reset: bool,
    file: impl AsFd,
) {
    let mut client = match reset {
        true => daemon.connect().expect("connect"),
        false => connect(daemon),
    };
    if reset && place.0 > 0 {
        for text in exchange.iter().take(place.0) {
            if let Piece::List(text) = text {
                client.send_list(text).expect("send");
                client.drained().expect("drained");
            }
        }
        return;
    }
    begin(&mut client, exchange, place, file);
}

/// Sends requests, each after the daemon has read the one before, until it reads no
/// more. Returns their number.
fn send_until_full(daemon: &Daemon, client: &mut Client, request: &[u8]) -> usize {
    for count in 0..100_000 {
        client.send(request).expect("send");
        if is_left_unread(daemon, client) {
            return count + 1;
        }
    }
    panic!("the daemon does not stop reading, though its replies are not read");
}

#[test]
fn a_client_that_reads_late_gets_every_answer_and_delays_nobody() {
    let daemon = setup().start().expect("start");
    let before = Before::of(&daemon);
    let mut client = connect(&daemon);
    for (request, reply) in [
        ("request=find_endp label=", "status=2 property= ."),
        ("request=", "status=1 ."),
    ] {
        // As long as one read, so that no read takes two of them.
        let name = "x".repeat(4096 - list(&format!("{request} .")).len());
        let (request, reply) = (list(&format!("{request}{name} .")), list(reply));
        assert_eq!(request.len(), 4096);
        let most = send_until_full(&daemon, &mut connect(&daemon), &request);
        println!("{most} requests until the daemon waits for its replies to be read");
        // One of these ends with a reply that does not fit.
        for sent in most - 4..most {
            let mut late = connect(&daemon);
            for _ in 0..sent {
                late.send(&request).expect("send");
                let start = Instant::now();
                while sys::unread_by_peer(late.as_fd()).expect("ioctl") > 0
                    && start.elapsed() < Duration::from_millis(300)
                {}
            }
            answers(&mut client);
            for _ in 0..sent {
                assert_eq!(late.receive_list().expect("reply"), reply);
            }
            answers(&mut late);
        }
    }
    drop(client);
    before.is_back(&daemon);
}

#[test]
fn a_client_that_never_reads_is_disconnected_after_ipc_timeout() {
    // The clock is stopped until all are full.
    let Some(clock) = Shim::to_stop() else {
        return;
    };
    let setup = setup().main_cf("ipc_timeout = 4s");
    let daemon = clock.stopped(setup).start().expect("start");
    let before = Before::of(&daemon);
    let mut clients: Vec<Client> = (0..20).map(|_| connect(&daemon)).collect();
    for client in &mut clients {
        // Long replies, so that only a part of the last one is sent.
        let name = "n".repeat(100);
        send_until_full(
            &daemon,
            client,
            &list(&format!("request=find_dest label={name} .")),
        );
        answers(&mut connect(&daemon));
    }
    clock.off_by(4);
    wait_until("they are gone", || {
        daemon.connections().expect("/proc").is_empty()
    });
    drop(clients);
    before.is_back(&daemon);
}

#[test]
fn a_client_that_has_shut_down_receiving_is_disconnected() {
    let daemon = setup().start().expect("start");
    let mut client = connect(&daemon);
    let mut deaf = connect(&daemon);
    deaf.deafen().expect("shutdown");
    // The client could still send requests.
    deaf.send_list("request=find_endp label=nothing .")
        .expect("send");
    wait_until("one is left", || {
        daemon.connections().expect("/proc").len() == 1
    });
    answers(&mut client);
}

#[test]
fn requests_sent_in_one_go_and_never_read_use_no_memory() {
    let daemon = setup().start().expect("start");
    let before = Before::of(&daemon);
    let mut client = connect(&daemon);
    let (flood, mut sent) = (connect(&daemon), 0);
    let bytes = list("request=x .").repeat(1000);
    loop {
        match sys::send_some(flood.as_fd(), &bytes) {
            Ok(count) => sent += count,
            Err(_) if is_left_unread(&daemon, &flood) => break,
            Err(_) => {}
        }
        assert!(sent < 100_000_000, "the daemon does not stop reading");
    }
    answers(&mut client);
    println!("{sent} bytes taken");
    before.memory_is_back(&daemon, 512);
    flood.half_close().expect("shutdown");
    drop((flood, client));
    before.is_back(&daemon);
}

#[test]
fn endless_strings_end_the_connection_and_nothing_else() {
    let daemon = setup().start().expect("start");
    let before = Before::of(&daemon);
    let mut client = connect(&daemon);
    for start in [
        "",
        "request=",
        "request=save_endp label=",
        "request=find_endp label=",
    ] {
        let mut endless = connect(&daemon);
        let bytes = list(&format!("{start}x ."));
        let _ = endless.send(&bytes[..bytes.len() - 2]);
        let mut sent = 0;
        while endless.send(&[b'x'; 4096]).is_ok() {
            sent += 4096;
            assert!(sent < 1_000_000, "the daemon does not stop reading");
            answers(&mut client);
        }
        endless.receive_end().expect("to be disconnected");
    }
    let told = |line: &&String| line.contains("list too long from scache socket");
    drop(client);
    before.is_back(&daemon);
    let ended = daemon.end().expect("end");
    assert_eq!(ended.log.iter().filter(told).count(), 4);
}

#[test]
fn descriptors_where_none_belong_are_closed() {
    let daemon = setup().start().expect("start");
    let before = Before::of(&daemon);
    let (file, other) = session();
    let mut client = connect(&daemon);
    let fds = [file.as_fd(), file.as_fd(), file.as_fd(), file.as_fd()];
    let mut send = |text: &str, fds: &[_]| {
        client.send_fds(fds, &list(text)).expect("send");
        client.receive_list().expect("reply")
    };
    for count in [1, 2, 4] {
        send("request=find_endp label=nothing .", &fds[..count]);
        send("request=nonsense .", &fds[..count]);
        send(
            "request=save_dest ttl=100 label=d property=q label=e .",
            &fds[..count],
        );
        assert_eq!(
            send(
                "request=save_endp ttl=100 label=x property=p .",
                &fds[..count]
            ),
            list("dummy= .")
        );
        send("", &[]);
    }
    // Several descriptors in the place of one.
    for count in [2, 3, 4] {
        assert_eq!(
            ask(
                &mut client,
                "request=save_endp ttl=100 label=x property=p ."
            ),
            list("dummy= .")
        );
        client.send_fds(&fds[..count], b"\0").expect("send");
        assert_eq!(client.receive_list().expect("status"), list("status=2 ."));
    }
    // Descriptors with the dummies of a find_endp.
    save(&mut client, 100, "e", "p", &file);
    find_begun(&mut client, "e").expect("the session");
    client.send_fds(&fds, &list("dummy= .")).expect("send");
    let (_, fd) = client.receive_fd().expect("the session");
    client.send_fds(&fds, &list("dummy= .")).expect("send");
    answers(&mut client);
    drop(fd);
    // Descriptors with a byte that is never read.
    client.send_fds(&fds, b"x").expect("send");
    drop((client, file));
    before.is_back(&daemon);
    closed(&other);
}

#[test]
fn with_s_a_client_that_reads_a_full_stdout_late_gets_the_answer() {
    let (mut ours, mut theirs) = session();
    theirs.set_nonblocking(true).expect("fcntl");
    let mut full = 0;
    while let Ok(count) = theirs.write(&[b'x'; 4096]) {
        full += count;
    }
    let setup = setup().option("-S");
    let daemon = setup.start_on(theirs.into()).expect("start");
    ours.write_all(&list("request=find_endp label=nothing ."))
        .expect("send");
    wait_until("it has read the request", || {
        sys::unread_by_peer(ours.as_fd()).expect("ioctl") == 0
    });
    ours.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut came = vec![0; full + list("status=2 property= .").len()];
    ours.read_exact(&mut came).expect("all of it");
    assert_eq!(came[full..], list("status=2 property= ."));
    drop(ours);
    assert_eq!(daemon.wait().expect("end").status_text(), "exit 0");
}

#[test]
fn with_s_a_client_has_more_time_than_ipc_timeout() {
    let (mut ours, theirs) = session();
    let setup = setup().option("-S").main_cf("ipc_timeout = 1s");
    let daemon = setup.start_on(theirs.into()).expect("start");
    let request = list("request=find_endp label=nothing .");
    ours.write_all(&request[..7]).expect("send");
    std::thread::sleep(Duration::from_millis(1500));
    ours.write_all(&request[7..]).expect("send");
    ours.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut reply = vec![0; list("status=2 property= .").len()];
    ours.read_exact(&mut reply).expect("a reply");
    assert_eq!(reply, list("status=2 property= ."));
    drop(ours);
    assert_eq!(daemon.wait().expect("end").status_text(), "exit 0");
}
