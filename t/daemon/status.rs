//! Tests the status messages to master(8), from which it knows whether the daemon is
//! busy, and the end of the daemon when master(8) has closed the pipe.

use super::harness::client::{list, PATIENCE};
use super::harness::daemon::{Daemon, Status};
use super::harness::kind::Kind;
use super::harness::master::Setup;
use super::{ask, connect, kind, no_client_is_left, LOOKUP, NOTHING};

const TAKEN: i32 = 0;
const AVAILABLE: i32 = 1;

/// The two kinds of status pipe: master(8) uses a pair of sockets.
fn pair_and_pipe() -> [Setup; 2] {
    [Setup::new(), Setup::new().status_on_a_pipe()]
}

/// Waits for the expected number of status messages, ends the daemon by a signal, and
/// returns all messages.
fn messages_to_the_end(daemon: &mut Daemon, expected: usize) -> Vec<Status> {
    let mut messages = Vec::new();
    while messages.len() < expected {
        let message = daemon.status(PATIENCE).expect("status pipe");
        messages.push(message.expect("a status message"));
    }
    daemon.signal(libc::SIGTERM).expect("kill");
    while let Some(message) = daemon.status(PATIENCE).expect("status pipe") {
        messages.push(message);
    }
    messages
}

#[test]
fn the_first_request_is_reported_as_a_pair_and_by_the_c_program_every_one() {
    for setup in pair_and_pipe() {
        let mut daemon = setup.env("GENERATION", "17").start().expect("start");
        let mut client = connect(&daemon);
        for _ in 0..3 {
            ask(&mut client, LOOKUP, NOTHING);
        }
        // The daemon closes the connection after the third request is finished.
        drop(client);
        no_client_is_left(&daemon);
        let message = |status| Status {
            pid: daemon.pid() as i32,
            generation: 0o17,
            status,
        };
        let pair = [message(TAKEN), message(AVAILABLE)];
        let expected = match kind() {
            Kind::C => pair.repeat(3),
            Kind::Port => pair.to_vec(),
        };
        assert_eq!(messages_to_the_end(&mut daemon, expected.len()), expected);
    }
}

#[test]
fn a_request_is_reported_as_taken_before_it_is_complete() {
    let mut daemon = Setup::new().start().expect("start");
    let mut client = connect(&daemon);
    client.send(b"request\0find_").expect("send");
    let taken = daemon.status(PATIENCE).expect("status pipe");
    assert_eq!(taken.map(|message| message.status), Some(TAKEN));
    client.send(b"endp\0label\0nothing\0\0").expect("send");
    assert_eq!(client.receive_list().expect("reply"), list(NOTHING));
    let available = daemon.status(PATIENCE).expect("status pipe");
    assert_eq!(available.map(|message| message.status), Some(AVAILABLE));
}

#[test]
fn requests_that_overlap_are_reported_as_one_pair_and_by_the_c_program_one_by_one() {
    let mut daemon = Setup::new().start().expect("start");
    let mut clients = [connect(&daemon), connect(&daemon)];
    for client in &mut clients {
        client.send(b"request\0find_").expect("send");
        if kind() == Kind::Port {
            client.drained().expect("half a request is read");
        }
    }
    for client in &mut clients {
        client.send(b"endp\0label\0nothing\0\0").expect("send");
    }
    for client in &mut clients {
        assert_eq!(client.receive_list().expect("reply"), list(NOTHING));
    }
    drop(clients);
    no_client_is_left(&daemon);
    let pair = [TAKEN, AVAILABLE];
    let expected = match kind() {
        Kind::C => pair.repeat(2),
        Kind::Port => pair.to_vec(),
    };
    let messages = messages_to_the_end(&mut daemon, expected.len());
    let came: Vec<i32> = messages.iter().map(|message| message.status).collect();
    assert_eq!(came, expected);
}

#[test]
fn nothing_is_reported_without_a_request() {
    let mut daemon = Setup::new().start().expect("start");
    drop(connect(&daemon));
    no_client_is_left(&daemon);
    assert_eq!(messages_to_the_end(&mut daemon, 0), []);
}

#[test]
fn without_a_generation_from_master_it_is_zero() {
    let mut daemon = Setup::new()
        .without_env("GENERATION")
        .start()
        .expect("start");
    ask(&mut connect(&daemon), LOOKUP, NOTHING);
    let message = daemon.status(PATIENCE).expect("status pipe");
    assert_eq!(message.map(|message| message.generation), Some(0));
}

#[test]
fn a_generation_is_octal_up_to_the_first_other_character() {
    for (text, generation) in [("377", 0o377), ("178", 0o17), ("81", 0)] {
        let mut daemon = Setup::new().env("GENERATION", text).start().expect("start");
        ask(&mut connect(&daemon), LOOKUP, NOTHING);
        let message = daemon.status(PATIENCE).expect("status pipe");
        let came = message.map(|message| message.generation);
        assert_eq!(came, Some(generation), "{text}");
    }
}

#[test]
fn when_master_is_gone_it_logs_its_statistics_and_exits() {
    for setup in pair_and_pipe() {
        let daemon = setup.option("-v").start().expect("start");
        // One client has disconnected and one has not.
        let mut client = connect(&daemon);
        ask(&mut connect(&daemon), LOOKUP, NOTHING);
        let ended = daemon.end().expect("end");
        assert_eq!(ended.status_text(), "exit 0");
        let last: Vec<&str> = ended.log[ended.log.len() - 3..]
            .iter()
            .map(|line| line.trim_start_matches("postfix/scache: "))
            .collect();
        assert_eq!(last[0], "master disconnect -- exiting");
        assert!(last[1].starts_with("statistics: start interval "));
        assert_eq!(
            last[2],
            "statistics: address lookup hits=0 miss=1 success=0%"
        );
        assert_eq!(client.receive_end().expect("end"), (Vec::new(), 0));
    }
}
