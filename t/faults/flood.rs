//! Clients that talk without a pause take turns with the others.
//!
//! How long somebody has to wait is seen in the log: each list of a flood
//! leaves a line there.

use crate::harness::client::{list, Client};
use crate::harness::daemon::Daemon;
use crate::help::*;

const FLOODERS: usize = 5;

/// As many NUL bytes as one read takes: each is a list of its own.
const FLOOD: [u8; 4096] = [0; 4096];

/// The line that such a list leaves.
const LINE: &str = "missing attribute request in input from scache socket";

/// While the daemon is stopped, every flooder says a lot.
fn flooded(daemon: &Daemon) -> Vec<Client> {
    let mut flooders: Vec<Client> = (0..FLOODERS).map(|_| connect(daemon)).collect();
    daemon.stop().expect("stop");
    for client in &mut flooders {
        client.send(&FLOOD).expect("send");
    }
    flooders
}

/// How many lines of the flood stand before this line of the log.
fn lines_before(daemon: &Daemon, text: &str) -> usize {
    assert!(daemon.wait_for_log(text));
    let log = daemon.log();
    let before = log.iter().take_while(|line| !line.contains(text));
    before.filter(|line| line.contains(LINE)).count()
}

/// The rest of the flood is looked at, too, line for line.
fn is_looked_at_to_the_end(daemon: Daemon, flooders: Vec<Client>) {
    for client in &flooders {
        client.half_close().expect("shutdown");
    }
    for mut client in flooders {
        assert_eq!(client.receive_end().expect("end"), (Vec::new(), 0));
    }
    let ended = daemon.end().expect("end");
    let lines = ended.log.iter().filter(|line| line.contains(LINE)).count();
    assert_eq!(lines, FLOODERS * FLOOD.len());
}

#[test]
fn a_request_waits_for_one_list_of_each_other_client() {
    let daemon = setup().start().expect("start");
    let mut client = connect(&daemon);
    let flooders = flooded(&daemon);
    client.send_list("request=frobnicate .").expect("send");
    daemon.signal(libc::SIGCONT).expect("go on");
    assert_eq!(client.receive_list().expect("reply"), list("status=1 ."));
    let lines = lines_before(&daemon, "frobnicate");
    assert!(lines <= FLOODERS, "{lines}");
    is_looked_at_to_the_end(daemon, flooders);
}

#[test]
fn a_new_client_is_let_in_and_served_in_the_meantime() {
    let daemon = setup().start().expect("start");
    let flooders = flooded(&daemon);
    let mut client = daemon.connect().expect("connect");
    client.send_list("request=frobnicate .").expect("send");
    daemon.signal(libc::SIGCONT).expect("go on");
    client.receive_list().expect("announcement");
    assert_eq!(client.receive_list().expect("reply"), list("status=1 ."));
    let lines = lines_before(&daemon, "frobnicate");
    // Being let in is one thing, being served another.
    assert!(lines <= 2 * FLOODERS, "{lines}");
    is_looked_at_to_the_end(daemon, flooders);
}
