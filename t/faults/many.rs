//! Tests that the daemon works with thousands of sessions or clients, and when it runs
//! out of descriptors.

use std::fs::File;
use std::time::Duration;

use crate::harness::client::{list, Client};
use crate::harness::daemon::Daemon;
use crate::harness::need;
use crate::harness::sys::identity_of;
use crate::help::*;

const MANY: usize = 10_000;

#[test]
fn when_descriptors_run_out_every_save_succeeds_and_the_newest_sessions_stay() {
    let daemon = setup().nofile(64, 64).start().expect("start");
    let mut client = connect(&daemon);
    let file = File::open("/dev/null").expect("open");
    for number in 0..MANY {
        let status = save(&mut client, 1000, &format!("e{number}"), "p", &file);
        assert_eq!(status, list("status=0 ."), "save {number}");
        if number % 1000 == 0 {
            answers(&mut connect(&daemon));
        }
    }
    // Some descriptors stay free, for another client or the log.
    assert!(fds_below(64, &daemon) <= 60);
    let clients: Vec<Client> = (0..20).map(|_| connect(&daemon)).collect();
    drop(clients);
    for number in (MANY - 10..MANY).rev() {
        let found = find(&mut client, &format!("e{number}")).expect("one of the newest");
        assert_eq!(identity_of(&found.1), identity_of(&file));
    }
    drop(client);
    let ended = daemon.end().expect("end");
    assert_eq!(ended.status_text(), "exit 0");
    let warnings: Vec<&String> = ended
        .log
        .iter()
        .filter(|l| l.contains("warning: out of "))
        .collect();
    println!("{warnings:?}");
    let [warning] = warnings[..] else {
        panic!("one warning was expected: {warnings:?}")
    };
    assert!(warning.contains("out of file descriptors") && warning.contains("sessions"));
}

/// Number of open descriptors with numbers below the limit. Descriptors that the test
/// was started with may have higher numbers.
fn fds_below(limit: u32, daemon: &Daemon) -> usize {
    let fds = std::fs::read_dir(daemon.proc("fd")).expect("/proc");
    let numbers = fds.filter_map(|fd| fd.ok()?.file_name().to_str()?.parse().ok());
    numbers.filter(|&number: &u32| number < limit).count()
}

#[test]
fn when_clients_connect_sessions_are_evicted_so_that_the_service_keeps_free_descriptors() {
    let daemon = setup().nofile(64, 64).start().expect("start");
    let mut clients = vec![connect(&daemon)];
    let file = File::open("/dev/null").expect("open");
    for _ in 0..20 {
        save(&mut clients[0], 1000, "e", "p", &file);
    }
    while clients.len() < 35 {
        clients.push(connect(&daemon));
    }
    assert!(fds_below(64, &daemon) <= 56);
    assert!(find(&mut clients[0], "e").is_some());
}

#[test]
fn when_clients_take_every_descriptor_the_next_waits_until_one_has_gone() {
    let daemon = setup().nofile(64, 64).start().expect("start");
    let before = Before::of(&daemon);
    let warning = "out of file descriptors: ";
    let mut clients = Vec::new();
    let first_to_wait = loop {
        let mut client = daemon.connect().expect("connect");
        client.send(b"request\0find_").expect("send");
        wait_until("the client is accepted, or has to wait", || {
            let pending = client.pending(Duration::from_millis(1)).expect("pending");
            !pending.0.is_empty() || daemon.log().join("\n").contains(warning)
        });
        if client
            .pending(Duration::ZERO)
            .expect("pending")
            .0
            .is_empty()
        {
            break client;
        }
        clients.push(client);
    };
    assert!(clients.len() > 40, "{}", clients.len());
    let mut waiting = vec![first_to_wait];
    for _ in 0..20 {
        let mut client = daemon.connect().expect("connect");
        client.send(b"request\0find_").expect("send");
        waiting.push(client);
    }
    // One of the clients finishes its request; the others still wait.
    finish_request(&mut clients[0]);
    // The service has the descriptors that it needs.
    let (ours, _theirs) = session();
    assert_eq!(
        save(&mut clients[0], 100, "e", "p", &ours),
        list("status=0 .")
    );
    assert!(find(&mut clients[0], "e").is_some());
    // One client disconnects, the next is accepted.
    for mut next in waiting.drain(..3) {
        drop(clients.remove(0));
        finish_request(&mut next);
        next.send(b"request\0find_").expect("send");
        clients.push(next);
    }
    let mut last = waiting.pop().expect("more of them");
    drop((clients, waiting));
    finish_request(&mut last);
    drop(last);
    assert_eq!(daemon.log().join("\n").matches(warning).count(), 1);
    before.is_back(&daemon);
}

#[test]
fn when_descriptors_become_free_without_a_client_leaving_the_next_is_accepted() {
    let daemon = setup().nofile(42, 42).start().expect("start");
    let (ours, _theirs) = session();
    // Sessions on their way cannot be evicted.
    let mut takers: Vec<Client> = (0..12).map(|_| connect(&daemon)).collect();
    for client in &mut takers {
        save(client, 100, "e", "p", &ours);
        find_begun(client, "e").expect("the session");
    }
    let begin = |_| {
        let mut client = daemon.connect().expect("connect");
        client.send(b"request\0find_").expect("send");
        client
    };
    let mut others: Vec<Client> = (0..8).map(begin).collect();
    assert!(daemon.wait_for_log("others have to wait"));
    for client in &mut takers {
        client.send_list("dummy= .").expect("send");
        client.receive_fd().expect("a descriptor");
        client.send_list("dummy= .").expect("send");
    }
    for client in &mut others {
        finish_request(client);
    }
}

/// Sends the rest of a request that was begun before the announcement was read.
fn finish_request(client: &mut Client) {
    client.receive_list().expect("announcement");
    client.send(b"endp\0label\0nothing\0\0").expect("send");
    let reply = client.receive_list().expect("reply");
    assert_eq!(reply, list("status=2 property= ."));
}

#[test]
fn ten_thousand_sessions_are_found_again_and_leave_nothing_behind() {
    if !need::open_files(20_000) {
        return;
    }
    let daemon = setup().nofile(20_000, 20_000).start().expect("start");
    let file = File::open("/dev/null").expect("open");
    again_and_again(&daemon, || {
        let mut client = connect(&daemon);
        for number in 0..MANY {
            let (endp, prop) = (format!("e{}", number % 5000), format!("p{number}"));
            assert_eq!(
                save(&mut client, 1000, &endp, &prop, &file),
                list("status=0 .")
            );
        }
        assert!(daemon.fd_count().expect("/proc") > MANY);
        for number in 0..MANY {
            let (prop, _) = find(&mut client, &format!("e{}", number % 5000)).expect("a session");
            assert_eq!(prop, format!("p{number}"));
        }
    });
}

#[test]
fn a_thousand_clients_at_once_come_and_go_and_leave_nothing_behind() {
    if !need::open_files(20_000) {
        return;
    }
    let daemon = setup().nofile(20_000, 20_000).start().expect("start");
    again_and_again(&daemon, || {
        let mut clients: Vec<Client> = (0..1000).map(|_| connect(&daemon)).collect();
        for client in &mut clients {
            client
                .send_list("request=find_endp label=nothing .")
                .expect("send");
        }
        for client in &mut clients {
            assert_eq!(
                client.receive_list().expect("reply"),
                list("status=2 property= .")
            );
        }
    });
}

/// Each client sends a list of about the maximum length, without its end.
#[test]
fn a_client_that_stalls_in_a_long_list_costs_little_and_leaves_nothing_behind() {
    const STALLED: usize = 1000;
    const KIB_EACH: u64 = 100;
    if !need::open_files(20_000) {
        return;
    }
    let daemon = setup().nofile(20_000, 20_000).start().expect("start");
    let before = Before::of(&daemon);
    let silent = connect(&daemon);
    let mut stalled: Vec<Client> = (0..STALLED).map(|_| connect(&daemon)).collect();
    let list = [&b"request\0find_endp\0label\0"[..], &[b'x'; 65_000]].concat();
    for client in &mut stalled {
        client.send(&list).expect("send");
        client.drained().expect("drained");
    }
    before.memory_is_back(&daemon, STALLED as u64 * KIB_EACH);
    // A client that connected after them stays, too.
    let mut last = connect(&daemon);
    drop(stalled);
    wait_until("they are gone", || {
        daemon.connections().expect("/proc").len() == 2
    });
    answers(&mut last);
    drop(silent);
}

/// Puts a load on the daemon several times: no descriptor is left open.
fn again_and_again(daemon: &Daemon, load: impl Fn()) {
    let before = Before::of(daemon);
    for _ in 0..3 {
        load();
        before.is_back(daemon);
    }
}
