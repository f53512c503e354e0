//! Tests that the daemon goes on when accept(2) fails, and when the system has fewer
//! descriptors than the daemon has counted.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use crate::harness::client::{list, Client};
use crate::harness::daemon::Daemon;
use crate::harness::log_text::in_words_of_libc;
use crate::harness::{need, sys};
use crate::help::*;
use crate::shim::Shim;

/// Connects a client, which is not accepted yet, and sends its request.
fn connect_and_ask(daemon: &Daemon) -> Client {
    let mut client = daemon.connect().expect("connect");
    client
        .send_list("request=find_endp label=nothing .")
        .expect("send");
    client
}

fn is_accepted_and_served(mut client: Client) {
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
fn a_client_that_has_gone_before_it_was_accepted_is_no_error() {
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
        let client = connect_and_ask(&daemon);
        // The daemon tries again and again.
        let before = daemon.cpu_time().expect("/proc");
        wait_until("several attempts", || {
            daemon.cpu_time().expect("/proc") > before + std::time::Duration::from_millis(2)
        });
        shim.fail_with(0);
        is_accepted_and_served(client);
    }
    let ended = daemon.end().expect("end");
    assert_eq!(ended.status_text(), "exit 0");
    let odd = |line: &&String| line.contains("accept");
    assert_eq!(ended.log.iter().find(odd), None);
}

#[test]
fn other_errors_pause_accepting_and_end_nothing() {
    let Some(shim) = Shim::build() else { return };
    let daemon = shim.under(setup()).start().expect("start");
    let mut client = connect(&daemon);
    shim.fail_with(libc::ENOMEM);
    // (The C program ends at the thirteenth error, however late it comes.)
    for _ in 0..3 {
        let next = connect_and_ask(&daemon);
        let reason = in_words_of_libc("accept connection: Cannot allocate memory");
        assert!(daemon.wait_for_log(&reason));
        answers(&mut client);
        shim.fail_with(0);
        is_accepted_and_served(next);
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
    let next = connect_and_ask(&daemon);
    wait_until("another warning", || {
        warnings(&daemon, "warning: accept connection: ") > 1
    });
    shim.fail_with(0);
    is_accepted_and_served(next);
}

#[test]
fn a_listener_whose_error_stays_does_not_keep_it_busy() {
    let Some(shim) = Shim::build() else { return };
    let daemon = shim.under(setup()).start().expect("start");
    shim.fail_with(libc::EINVAL);
    let _next = connect_and_ask(&daemon);
    assert!(daemon.wait_for_log("accept connection: Invalid argument"));
    let mut asleep = 0;
    wait_until("it sleeps", || {
        asleep = if is_asleep(&daemon) { asleep + 1 } else { 0 };
        asleep == 20
    });
    assert_eq!(daemon.end().expect("end").status_text(), "exit 0");
}

#[test]
fn when_the_file_table_is_full_few_sessions_are_evicted() {
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
    let next = connect_and_ask(&daemon);
    assert!(daemon.wait_for_log("others have to wait"));
    answers(&mut client);
    shim.fail_with(0);
    is_accepted_and_served(next);
    // One is evicted for each attempt, and the attempts are a second apart.
    others.retain(is_held);
    assert!(others.len() > 180, "{} of 200", others.len());
    // A full file table does not change the limit of this process.
    (0..100).for_each(|_| save_one(&mut client, &mut others));
    answers(&mut client);
    assert!(others.iter().all(is_held));
}

#[test]
fn of_two_descriptors_when_only_one_fits_none_is_kept() {
    // Only a process of the same user may lower the limit.
    let setup = setup().entry(|entry| entry.unprivileged = false);
    let daemon = setup.start().expect("start");
    let mut client = connect(&daemon);
    let (file, other) = session();
    let request = "request=save_endp ttl=100 label=e property=p .";
    assert_eq!(ask(&mut client, request), list("dummy= ."));
    let is_free = |fd: &u64| !daemon.proc(&format!("fd/{fd}")).exists();
    let next = (0..).find(is_free).expect("a number");
    sys::limit_open_files_of(daemon.pid(), next + 1, next + 1).expect("prlimit");
    client.send_fds(&[file.as_fd(); 2], b"\0").expect("send");
    drop(file);
    assert_eq!(client.receive_list().expect("status"), list("status=2 ."));
    assert!(find(&mut client, "e").is_none());
    closed(&other);
}

#[test]
fn a_session_that_the_system_refuses_costs_another_one_and_not_the_client() {
    let setup = setup().main_cf("connection_cache_farewell =");
    // Only a process of the same user may lower the limit.
    let setup = setup.entry(|entry| entry.unprivileged = false);
    let daemon = setup.start().expect("start");
    let mut client = connect(&daemon);
    let (file, first) = session();
    save(&mut client, 100, "e", "p", &file);
    let request = "request=save_endp ttl=100 label=f property=p .";
    assert_eq!(ask(&mut client, request), list("dummy= ."));
    let is_free = |fd: &u64| !daemon.proc(&format!("fd/{fd}")).exists();
    let next = (0..).find(is_free).expect("a number");
    sys::limit_open_files_of(daemon.pid(), next, next).expect("prlimit");
    client.send_fd(file.as_fd()).expect("send");
    drop(file);
    assert_eq!(client.receive_list().expect("status"), list("status=2 ."));
    let text = "scache_save_endp_service: unable to receive file descriptor: \
                refused by the system: too many open files, or its security rules";
    assert!(daemon.wait_for_log(text));
    closed(&first);
    // Its descriptor is free now.
    let (file, _second) = session();
    let status = save(&mut client, 100, "f", "p", &file);
    assert_eq!(status, list("status=0 ."));
}

/// Descriptors that master(8) was started with can have any number.
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
fn without_memory_it_ends_with_the_message_of_the_c_program() {
    const MORE: u64 = 4 << 20;
    let setup = setup().entry(|entry| entry.unprivileged = false);
    let daemon = setup.start().expect("start");
    let mut client = connect(&daemon);
    let size = daemon.status_field("VmSize").expect("/proc");
    let size: u64 = size.trim_end_matches(" kB").parse().expect("a number");
    sys::limit_address_space_of(daemon.pid(), (size << 10) + MORE).expect("prlimit");
    let property = "p".repeat(60_000);
    for number in 0.. {
        let label = format!("label=d{number} property={property} label=e");
        let sent = client.send_list(&format!("request=save_dest ttl=1000 {label} ."));
        if sent.and_then(|()| client.receive_list()).is_err() {
            break;
        }
        assert!(number < 1000, "60 MB in 4 MB");
    }
    let ended = daemon.wait().expect("its end");
    let fatal = ended.log.last().expect("a line");
    let fatal = fatal.strip_prefix("postfix/scache: fatal: ").expect(fatal);
    let (function, rest) = fatal.split_once(": ").expect(fatal);
    assert!(["mymalloc", "myrealloc"].contains(&function), "{fatal}");
    assert!(rest.starts_with("insufficient memory for "), "{fatal}");
    assert!(rest.ends_with(" bytes: Cannot allocate memory"), "{fatal}");
    assert_eq!(ended.status_text(), "exit 1");
}
