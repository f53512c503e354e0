//! The system refuses: accept(2) fails, there are fewer descriptors than were
//! counted, and clients that say nothing have taken them.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use crate::harness::client::{list, Client};
use crate::harness::daemon::Daemon;
use crate::harness::interposed::Interposed;
use crate::harness::log_text::in_words_of_libc;
use crate::harness::{need, sys};
use crate::help::*;
use crate::sessions::send_carriers;
use crate::shim::Shim;
use crate::stopped_clock;

/// A client that has a place in the queue of those to be let in, and its
/// request, too.
fn in_line(daemon: &Daemon) -> Client {
    let mut client = daemon.connect().expect("connect");
    client
        .send_list("request=find_endp label=nothing .")
        .expect("send");
    client
}

fn is_let_in_and_served(mut client: Client) {
    let hello = client.receive_list().expect("announcement");
    assert_eq!(hello, list("protocol=connection_cache_protocol ."));
    let reply = client.receive_list().expect("reply");
    assert_eq!(reply, list("status=2 property= ."));
}

fn warnings(daemon: &Daemon, text: &str) -> usize {
    let log = daemon.log();
    log.iter().filter(|line| line.contains(text)).count()
}

#[test]
fn a_client_that_has_gone_before_it_was_let_in_is_no_error() {
    let Some(shim) = Shim::build() else { return };
    let daemon = shim.under(setup()).start().expect("start");
    for error in [
        libc::ECONNABORTED,
        libc::ECONNREFUSED,
        libc::ECONNRESET,
        libc::EHOSTDOWN,
        libc::EHOSTUNREACH,
        libc::EINTR,
        libc::ENETDOWN,
        libc::ENETUNREACH,
        libc::ENOBUFS,
        libc::ENOTCONN,
        libc::EPROTO,
    ] {
        shim.fail_with(error);
        let client = in_line(&daemon);
        // It is tried again and again.
        let before = daemon.cpu_time().expect("/proc");
        wait_until("several attempts", || {
            daemon.cpu_time().expect("/proc") > before + std::time::Duration::from_millis(2)
        });
        shim.fail_with(0);
        is_let_in_and_served(client);
    }
    let ended = daemon.end().expect("end");
    assert_eq!(ended.status_text(), "exit 0");
    let odd = |line: &&String| line.contains("accept");
    assert_eq!(ended.log.iter().find(odd), None);
}

#[test]
fn other_errors_close_the_door_for_a_while_and_end_nothing() {
    let Some(shim) = Shim::build() else { return };
    let daemon = shim.under(setup()).start().expect("start");
    let mut client = connect(&daemon);
    shim.fail_with(libc::ENOMEM);
    // In the program in C the thirteenth is the end, however much later.
    for _ in 0..3 {
        let next = in_line(&daemon);
        let reason = in_words_of_libc("accept connection: Cannot allocate memory");
        assert!(daemon.wait_for_log(&reason));
        answers(&mut client);
        shim.fail_with(0);
        is_let_in_and_served(next);
        shim.fail_with(libc::ENOMEM);
    }
    assert_eq!(warnings(&daemon, "warning: accept connection: "), 1);
    assert_eq!(warnings(&daemon, "error:"), 0);
    let ended = daemon.end().expect("end");
    assert_eq!(ended.status_text(), "exit 0");
}

#[test]
fn an_error_that_stays_is_warned_of_again_when_the_statistics_are_due_again() {
    let Some(shim) = Shim::build() else { return };
    let setup = setup().main_cf("connection_cache_status_update_time = 1s");
    let daemon = shim.under(setup).start().expect("start");
    shim.fail_with(libc::ENOMEM);
    let next = in_line(&daemon);
    wait_until("another warning", || {
        warnings(&daemon, "warning: accept connection: ") > 1
    });
    shim.fail_with(0);
    is_let_in_and_served(next);
}

#[test]
fn a_socket_in_trouble_does_not_keep_it_busy() {
    let daemon = setup().hung_up().start().expect("start");
    assert!(daemon.wait_for_log("accept connection: Invalid argument"));
    let mut asleep = 0;
    wait_until("it sleeps", || {
        asleep = if is_asleep(&daemon) { asleep + 1 } else { 0 };
        asleep == 20
    });
    assert_eq!(daemon.end().expect("end").status_text(), "exit 0");
}

#[test]
fn when_the_file_table_is_full_few_sessions_are_given_up() {
    if !need::open_files(1000) {
        return;
    }
    let Some(shim) = Shim::build() else { return };
    let setup = shim.under(setup()).nofile(1000, 1000);
    let daemon = setup.start().expect("start");
    let mut client = connect(&daemon);
    let mut others: Vec<UnixStream> = Vec::new();
    let save_one = |client: &mut Client, others: &mut Vec<UnixStream>| {
        let (file, other) = session();
        save(client, 1000, "e", "p", &file);
        others.push(other);
    };
    (0..200).for_each(|_| save_one(&mut client, &mut others));
    shim.fail_with(libc::ENFILE);
    let next = in_line(&daemon);
    assert!(daemon.wait_for_log("others have to wait"));
    answers(&mut client);
    shim.fail_with(0);
    is_let_in_and_served(next);
    // One per attempt, and the attempts are a second apart.
    others.retain(is_held);
    assert!(others.len() > 180, "{} of 200", others.len());
    // It says nothing of how many descriptors this process may have.
    (0..100).for_each(|_| save_one(&mut client, &mut others));
    answers(&mut client);
    assert!(others.iter().all(is_held));
}

#[test]
fn a_limit_that_is_lowered_is_learned() {
    if !need::open_files(400) {
        return;
    }
    // Only the same user may lower it.
    let setup = setup().entry(|entry| entry.unprivileged = false);
    let daemon = setup.nofile(400, 400).start().expect("start");
    let mut client = connect(&daemon);
    let file = File::open("/dev/null").expect("open");
    for _ in 0..100 {
        save(&mut client, 1000, "e", "p", &file);
    }
    sys::limit_open_files_of(daemon.pid(), 60).expect("prlimit");
    let count = |client: &mut Client| {
        let saved = (0..100).filter(|_| save(client, 1000, "f", "p", &file) == list("status=0 ."));
        saved.count()
    };
    // The first one is how it is learned.
    assert!(count(&mut client) >= 99);
    assert_eq!(count(&mut client), 100);
    answers(&mut connect(&daemon));
    assert!(find(&mut client, "f").is_some());
    assert_eq!(daemon.end().expect("end").status_text(), "exit 0");
}

#[test]
fn of_two_descriptors_with_room_for_one_none_is_kept() {
    // Only the same user may lower it.
    let setup = setup().entry(|entry| entry.unprivileged = false);
    let daemon = setup.start().expect("start");
    let mut client = connect(&daemon);
    let (file, other) = session();
    let request = "request=save_endp ttl=100 label=e property=p .";
    assert_eq!(ask(&mut client, request), list("dummy= ."));
    let is_free = |fd: &u64| !daemon.proc(&format!("fd/{fd}")).exists();
    let next = (0..).find(is_free).expect("a number");
    sys::limit_open_files_of(daemon.pid(), next + 1).expect("prlimit");
    client.send_fds(&[file.as_fd(); 2], b"\0").expect("send");
    drop(file);
    assert_eq!(client.receive_list().expect("status"), list("status=2 ."));
    assert!(find(&mut client, "e").is_none());
    closed(&other);
}

#[test]
fn a_descriptor_that_a_security_module_keeps_away_costs_no_session() {
    let Some(library) = odd_sockets() else { return };
    let setup = setup().env("LD_PRELOAD", &library.path());
    let daemon = setup.env("KEPT_AWAY", "yes").start().expect("start");
    let mut client = connect(&daemon);
    let status = save(&mut client, 100, "e", "p", session().0);
    assert_eq!(status, list("status=2 ."));
    let reason = "unable to receive file descriptor: Permission denied";
    assert!(daemon.wait_for_log(&in_words_of_libc(reason)));
}

#[test]
fn where_no_thread_can_be_made_closing_holds_up_nobody() {
    if !need::loopback() {
        return;
    }
    let Some(library) = odd_sockets() else { return };
    let setup = setup().env("LD_PRELOAD", &library.path());
    let daemon = setup.env("NO_THREADS", "yes").start().expect("start");
    let mut client = connect(&daemon);
    let before = daemon.fd_count().expect("/proc");
    let _others = send_carriers(&daemon, &mut client, 5);
    answers(&mut client);
    assert_eq!(daemon.fd_count().expect("/proc"), before);
}

/// ipc_timeout is for each piece, as in C, and not for all of a reply.
#[test]
fn a_client_that_takes_a_long_reply_in_small_pieces_has_time_for_each() {
    let Some(library) = odd_sockets() else { return };
    let Some(clock) = stopped_clock::Shim::to_stand_still() else {
        return;
    };
    let setup = clock.stopped(setup().main_cf("ipc_timeout = 10s"));
    let both = format!("{} {}", clock.library(), library.path());
    let setup = setup.env("LD_PRELOAD", &both).env("SMALL_BUFFER", "yes");
    let daemon = setup.start().expect("start");
    let (mut client, mut slow) = (connect(&daemon), connect(&daemon));
    let prop = "x".repeat(59_900);
    let (file, _other) = session();
    save(&mut client, 900, "e", &prop, file);
    slow.send_list("request=find_endp label=e .").expect("send");
    let wanted = list(&format!("status=0 property={prop} ."));
    for (number, piece) in wanted.chunks(20_000).enumerate() {
        // It has seen that there is room again.
        answers(&mut client);
        clock.off_by(6 * number as i64);
        answers(&mut client);
        assert!(slow.receive_bytes(piece.len()).expect("a piece") == piece);
    }
    slow.send_list("dummy= .").expect("send");
    slow.receive_fd().expect("the session");
}

/// Sockets in trouble; nothing, which is said, without a C compiler.
fn odd_sockets() -> Option<Interposed> {
    Interposed::build_or_skip("faults/odd_sockets.c", "have odd sockets")
}

/// What master(8) was started with may be there, at any number.
#[test]
fn descriptors_that_were_inherited_are_counted() {
    let setup = setup().nofile(80, 80);
    let directory = setup.prepare().expect("a directory");
    let open = r#"for fd in {40..59}; do eval "exec $fd</dev/null"; done"#;
    let setup = setup.binary(script(directory.path(), open));
    let daemon = setup.start_in(directory).expect("start");
    let mut client = connect(&daemon);
    let file = File::open("/dev/null").expect("open");
    for number in 0..100 {
        let status = save(&mut client, 1000, &format!("e{number}"), "p", &file);
        assert_eq!(status, list("status=0 ."), "save {number}");
    }
    answers(&mut connect(&daemon));
}

#[test]
fn silent_clients_make_room_for_others() {
    let daemon = setup().nofile(64, 64).start().expect("start");
    let mut busy = connect(&daemon);
    busy.send(b"request\0").expect("send");
    // This one has been there for as long, but says something now and then.
    let mut regular = connect(&daemon);
    let come = |_| {
        answers(&mut regular);
        connect(&daemon)
    };
    let mut silent: Vec<Client> = (0..200).map(come).collect();
    answers(&mut regular);
    // Those that came last are there, those that came first are not.
    answers(silent.last_mut().expect("the last one"));
    let first = &mut silent[0];
    assert_eq!(first.receive_end().expect("end"), (Vec::new(), 0));
    // And who is in the middle of a request is left alone.
    busy.send(b"find_endp\0label\0nothing\0\0").expect("send");
    let reply = busy.receive_list().expect("reply");
    assert_eq!(reply, list("status=2 property= ."));
    assert_eq!(warnings(&daemon, "out of file descriptors: "), 1);
}
