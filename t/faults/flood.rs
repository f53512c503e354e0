//! Tests that clients which send without a pause do not keep others waiting: each list of
//! a flood has a line in the log, and the lines before the answer to another client are
//! counted.

use crate::harness::client::{list, Client};
use crate::harness::daemon::Daemon;
use crate::help::*;

const FLOODERS: usize = 5;

/// As many NUL bytes as one read takes; each byte is an empty list.
const FLOOD: [u8; 4096] = [0; 4096];

/// The line that an empty list leaves in the log.
const LINE: &str = "missing attribute request in input from scache socket";

/// Makes every flooder send its flood while the daemon is stopped.
fn flooded(daemon: &Daemon) -> Vec<Client> {
    let mut flooders: Vec<Client> = (0..FLOODERS).map(|_| connect(daemon)).collect();
    daemon.stop().expect("stop");
    for client in &mut flooders {
        client.send(&FLOOD).expect("send");
    }
    flooders
}

/// Number of lines of the flood in the log before the line with `text`.
fn lines_before(daemon: &Daemon, text: &str) -> usize {
    assert!(daemon.wait_for_log(text));
    let log = daemon.log();
    let before = log.iter().take_while(|line| !line.contains(text));
    before.filter(|line| line.contains(LINE)).count()
}

/// The rest of the flood is read, too: there is a line for each list.
fn is_read_to_the_end(daemon: Daemon, flooders: Vec<Client>) {
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
    is_read_to_the_end(daemon, flooders);
}

#[test]
fn a_new_client_is_accepted_and_served_in_the_meantime() {
    let daemon = setup().start().expect("start");
    let flooders = flooded(&daemon);
    let mut client = daemon.connect().expect("connect");
    client.send_list("request=frobnicate .").expect("send");
    daemon.signal(libc::SIGCONT).expect("go on");
    client.receive_list().expect("announcement");
    assert_eq!(client.receive_list().expect("reply"), list("status=1 ."));
    let lines = lines_before(&daemon, "frobnicate");
    // The client waits once to be accepted, and once to be served.
    assert!(lines <= 2 * FLOODERS, "{lines}");
    is_read_to_the_end(daemon, flooders);
}

#[test]
fn a_client_has_one_turn_also_when_there_is_more_input_for_it() {
    const LISTS: usize = 20;
    let daemon = setup().start().expect("start");
    let (mut flooder, mut client) = (connect(&daemon), connect(&daemon));
    daemon.stop().expect("stop");
    flooder.send(&[FLOOD, FLOOD].concat()).expect("send");
    let lists = [vec![0; LISTS], list("request=frobnicate .")].concat();
    client.send(&lists).expect("send");
    daemon.signal(libc::SIGCONT).expect("go on");
    assert_eq!(client.receive_list().expect("reply"), list("status=1 ."));
    let lines = lines_before(&daemon, "frobnicate");
    assert!((LISTS..=2 * LISTS + 1).contains(&lines), "{lines}");
}
