//! Tests that the daemon, when it is told to end, finishes requests that have begun and
//! logs its last statistics. It is told so when master(8) closes the status pipe, as on
//! `postfix reload`, and by SIGTERM.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use super::harness::client::{list, Client};
use super::harness::daemon::{Daemon, Ended};
use super::harness::kind::Kind;
use super::harness::master::Setup;
use super::stopped_clock::Shim;
use super::{ask, connect, eventually, kind, save, warnings, LOOKUP, NOTHING};

/// The cause of the end. SIGTERM kills the C program.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cause {
    MasterGone,
    Sigterm,
}

fn causes() -> &'static [Cause] {
    match kind() {
        Kind::C => &[Cause::MasterGone],
        Kind::Port => &[Cause::MasterGone, Cause::Sigterm],
    }
}

/// Steps of a client: each is something to send, and something to receive after that.
type Conversation = [(Say, Hear)];

enum Say {
    List(&'static str),
    /// A part of a list.
    Rest(&'static [u8]),
    Session,
}

enum Hear {
    List(&'static str),
    Session,
    /// Nothing: waits until the daemon has read all input.
    Nothing,
}

const SAVE_ENDP: &Conversation = &[
    (
        Say::List("request=save_endp ttl=100 label=f property=p ."),
        Hear::List("dummy= ."),
    ),
    (Say::Session, Hear::List("status=0 .")),
];

const SAVE_DEST: &Conversation = &[
    (
        Say::Rest(b"request\0save_dest\0ttl\x00100\0lab"),
        Hear::Nothing,
    ),
    (
        Say::Rest(b"el\0d\0property\0q\0label\0e\0\0"),
        Hear::List("status=0 ."),
    ),
];

const FIND_ENDP: &Conversation = &[
    (
        Say::List("request=find_endp label=e ."),
        Hear::List("status=0 property=p ."),
    ),
    (Say::List("dummy= ."), Hear::Session),
    (Say::List("dummy= ."), Hear::Nothing),
];

const FIND_DEST: &Conversation = &[
    (
        Say::List("request=find_dest label=d ."),
        Hear::List("status=0 property=q property=p ."),
    ),
    (Say::Rest(b"dum"), Hear::Nothing),
    (Say::Rest(b"my\0\0\0"), Hear::Session),
    (Say::Rest(b"dum"), Hear::Nothing),
    (Say::Rest(b"my\0\0\0"), Hear::Nothing),
];

/// Does these steps.
fn talk(client: &mut Client, conversation: &Conversation) {
    for (say, hear) in conversation {
        match say {
            Say::List(text) => client.send_list(text).expect("send"),
            Say::Rest(bytes) => client.send(bytes).expect("send"),
            Say::Session => {
                let session = File::open("/dev/null").expect("open");
                client.send_fd(session.as_fd()).expect("send");
            }
        }
        match hear {
            Hear::List(text) => assert_eq!(client.receive_list().expect("reply"), list(text)),
            Hear::Session => drop(client.receive_fd().expect("the session")),
            Hear::Nothing => client.drained().expect("drained"),
        }
    }
}

/// The clock for a daemon, which is stopped: after its end has begun it waits less than a
/// second for its clients, and on a busy machine a client may not run within that time.
/// None for the C program, which waits an hour, and if there is no cc(1).
fn clock() -> Option<Shim> {
    match kind() {
        Kind::C => None,
        Kind::Port => Shim::build(),
    }
}

fn start(clock: &Option<Shim>) -> Daemon {
    let setup = Setup::new().main_cf("connection_cache_ttl_limit = 100s");
    let setup = match clock {
        Some(clock) => clock.stopped(setup),
        None => setup,
    };
    setup.start().expect("start")
}

/// Starts a daemon with a session and a binding, and does these steps with a client.
/// Also returns the other end of the session.
fn half_done(clock: &Option<Shim>, conversation: &Conversation) -> (Daemon, Client, UnixStream) {
    let daemon = start(clock);
    let mut client = connect(&daemon);
    let session = save(&mut client, "e");
    ask(
        &mut client,
        "request=save_dest ttl=100 label=d property=q label=e .",
        "status=0 .",
    );
    talk(&mut client, conversation);
    (daemon, client, session)
}

fn begin_to_end(daemon: &mut Daemon, cause: Cause) {
    match cause {
        Cause::MasterGone => daemon.lose_master(),
        Cause::Sigterm => daemon.signal(libc::SIGTERM).expect("kill"),
    }
}

fn last_line(ended: &Ended) -> &str {
    assert_eq!(ended.status_text(), "exit 0");
    ended.log.last().expect("statistics")
}

#[test]
fn a_request_that_has_begun_is_served_to_its_end() {
    let clock = clock();
    for conversation in [SAVE_ENDP, SAVE_DEST, FIND_ENDP, FIND_DEST] {
        for place in 1..conversation.len() {
            for &cause in causes() {
                let (mut daemon, mut client, _session) = half_done(&clock, &conversation[..place]);
                begin_to_end(&mut daemon, cause);
                talk(&mut client, &conversation[place..]);
                assert_eq!(client.receive_end().expect("end"), (Vec::new(), 0));
                let ended = daemon.wait().expect("end");
                last_line(&ended);
                assert_eq!(warnings(&ended.log), [""; 0]);
            }
        }
    }
}

/// The daemon is stopped meanwhile: when it continues, it finds both the request and the
/// cause of its end.
#[test]
fn a_request_that_is_not_read_yet_is_served() {
    for &cause in causes() {
        let mut daemon = Setup::new().start().expect("start");
        let mut client = connect(&daemon);
        daemon.stop().expect("stop");
        client.send_list(LOOKUP).expect("send");
        begin_to_end(&mut daemon, cause);
        daemon.signal(libc::SIGCONT).expect("go on");
        assert_eq!(client.receive_list().expect("reply"), list(NOTHING));
        assert_eq!(client.receive_end().expect("end"), (Vec::new(), 0));
        let ended = daemon.wait().expect("end");
        assert!(last_line(&ended).ends_with("address lookup hits=0 miss=1 success=0%"));
    }
}

/// `postfix stop` sends SIGTERM to the clients as well. (It kills the C program.)
#[test]
fn clients_that_sigterm_has_ended_cause_no_warning() {
    for conversation in [SAVE_ENDP, SAVE_DEST, FIND_ENDP, FIND_DEST] {
        for place in 1..conversation.len() {
            let (mut daemon, client, _session) = half_done(&None, &conversation[..place]);
            daemon.stop().expect("stop");
            begin_to_end(&mut daemon, Cause::Sigterm);
            drop(client);
            daemon.signal(libc::SIGCONT).expect("go on");
            let ended = daemon.wait().expect("end");
            assert_eq!(warnings(&ended.log), [""; 0]);
        }
    }
}

/// The daemon sends a status message for its first request, which fails here.
#[test]
fn the_first_request_is_served_although_its_status_message_fails() {
    let clock = clock();
    let mut daemon = start(&clock);
    let mut client = connect(&daemon);
    client.send(b"request\0find_").expect("send");
    client.drained().expect("drained");
    daemon.lose_master();
    client.send(b"endp\0label\0nothing\0\0").expect("send");
    assert_eq!(client.receive_list().expect("reply"), list(NOTHING));
    let ended = daemon.wait().expect("end");
    assert!(last_line(&ended).ends_with("address lookup hits=0 miss=1 success=0%"));
}

/// (The C program waits for the client for ipc_timeout, an hour.)
#[test]
fn a_client_that_does_not_go_on_is_disconnected_except_by_the_c_program() {
    for &cause in causes() {
        if kind() == Kind::C {
            return;
        }
        let clock = clock();
        let mut daemon = start(&clock);
        let mut clients = [0; 4].map(|_| connect(&daemon));
        ask(&mut clients[0], LOOKUP, NOTHING);
        clients[1].send(b"requ").expect("send");
        talk(&mut clients[2], &SAVE_ENDP[..1]);
        clients[3].send(b"request\0find_").expect("send");
        clients[3].drained().expect("drained");
        begin_to_end(&mut daemon, cause);
        // This one has no request, and is disconnected before the others.
        assert_eq!(clients[0].receive_end().expect("end"), (Vec::new(), 0));
        clients[3].send(b"endp\0label\0nothing\0\0").expect("send");
        assert_eq!(clients[3].receive_list().expect("reply"), list(NOTHING));
        if let Some(clock) = &clock {
            clock.off_by(1);
        }
        let ended = daemon.wait().expect("end");
        assert!(last_line(&ended).ends_with("address lookup hits=0 miss=2 success=0%"));
    }
}

#[test]
fn no_more_clients_are_accepted() {
    let clock = clock();
    for &cause in causes() {
        let mut daemon = start(&clock);
        let mut client = connect(&daemon);
        client.send(b"request\0find_").expect("send");
        client.drained().expect("drained");
        begin_to_end(&mut daemon, cause);
        let next = match kind() {
            Kind::C => daemon.connect().ok(),
            Kind::Port => {
                eventually("the listener is closed", || daemon.connect().is_err());
                None
            }
        };
        client.send(b"endp\0label\0nothing\0\0").expect("send");
        assert_eq!(client.receive_list().expect("reply"), list(NOTHING));
        // It was connected, but not accepted.
        if let Some(mut next) = next {
            assert_eq!(next.receive_end().expect("end"), (Vec::new(), 0));
        }
        last_line(&daemon.wait().expect("end"));
    }
}

#[test]
fn sigterm_ends_it_with_statistics_and_kills_the_c_program() {
    let daemon = Setup::new().option("-v").start().expect("start");
    ask(&mut connect(&daemon), LOOKUP, NOTHING);
    daemon.signal(libc::SIGTERM).expect("kill");
    let ended = daemon.wait().expect("end");
    let status = ended.status_text();
    let terminated = |line: &String| line.ends_with(": terminated -- exiting");
    match kind() {
        Kind::C => assert_eq!(status, format!("signal {}", libc::SIGTERM)),
        Kind::Port => {
            assert!(ended.log.iter().any(terminated));
            assert!(last_line(&ended).contains("statistics: address lookup hits=0 miss=1"));
        }
    }
}
