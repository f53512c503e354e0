//! What happens when there is no memory.

use std::fs;

use crate::harness::client::list;
use crate::harness::daemon::Daemon;
use crate::harness::postlogd::Postlogd;
use crate::harness::sys;
use crate::help::*;

/// So much more memory the daemon may have, in bytes.
const ROOM: u64 = 4 << 20;

/// More of these than there can be in that.
const BINDINGS: usize = 100_000;

/// Its main.cf has a value that needs more than it may have.
#[test]
fn when_there_is_no_memory_the_last_line_of_the_log_says_so() {
    let value = format!("x = {}", "y".repeat(16 << 20));
    let setup = setup()
        .main_cf("maillog_file = /var/log/mail.log")
        .main_cf(&value);
    let directory = setup.prepare().expect("a directory");
    let postlogd = Postlogd::bind(directory.path(), "postlog");
    let setup = setup.binary(script(directory.path(), "ulimit -v 32768"));
    let daemon = setup.start_in(directory).expect("start");
    let pid = daemon.pid();
    let ended = daemon.wait().expect("to have ended");
    assert_eq!(ended.status_text(), "exit 1");
    let sent = postlogd.receive(pid).text;
    let (function, size) = sent
        .split_once("[PID]: fatal: ")
        .and_then(|(_, text)| text.strip_suffix(" bytes: Cannot allocate memory"))
        .and_then(|text| text.split_once(": insufficient memory for "))
        .unwrap_or_else(|| panic!("something else: {sent}"));
    assert!(["mymalloc", "myrealloc"].contains(&function), "{sent}");
    assert!(size.parse::<usize>().is_ok(), "{sent}");
}

#[test]
fn who_fills_the_memory_is_told_and_the_others_are_served() {
    let setup = setup().line("scache unix - n n - 1 scache");
    let daemon = setup.start().expect("start");
    let (mut greedy, mut other) = (connect(&daemon), connect(&daemon));
    let (ours, peer) = session();
    assert_eq!(
        save(&mut other, 900, "before", "p", &ours),
        list("status=0 .")
    );
    limit_memory(&daemon, ROOM);
    let mut saved = 0;
    let refused = loop {
        let request = format!("request=save_dest ttl=900 label=name-{saved} property=p label=x .");
        let reply = ask(&mut greedy, &request);
        if reply != list("status=0 .") || saved == BINDINGS {
            break reply;
        }
        saved += 1;
    };
    assert_eq!(refused, list("status=2 ."));
    let told = "warning: scache_save_dest_service: unable to save binding: Cannot allocate memory";
    assert!(daemon.wait_for_log(told));
    assert_eq!(
        save(&mut greedy, 900, "after", "p", session().0),
        list("status=2 .")
    );
    let told = "warning: scache_save_endp_service: unable to receive file descriptor: \
                Cannot allocate memory";
    assert!(daemon.wait_for_log(told));
    let mut late = daemon.connect().expect("connect");
    assert_eq!(late.receive_end().expect("to be disconnected").0, b"");
    let told = "warning: cannot serve client fd ";
    assert!(daemon.wait_for_log(told));
    // What is cached is found.
    drop(ours);
    assert!(find(&mut other, "before").is_some());
    closed(&peer);
    assert_eq!(daemon.end().expect("end").status_text(), "exit 0");
}

#[test]
fn a_client_whose_list_there_is_no_memory_for_is_the_only_one_to_suffer() {
    let setup = setup().line("scache unix - n n - 1 scache");
    let daemon = setup.start().expect("start");
    let mut other = connect(&daemon);
    let mut greedy: Vec<_> = (0..10).map(|_| connect(&daemon)).collect();
    answers(&mut other);
    limit_memory(&daemon, 0);
    // They say nearly all of a list, and keep it in the daemon's memory.
    let request = list(&format!("request=find_endp label={} .", "x".repeat(60_000)));
    for client in &mut greedy {
        let _ = client.send(&request[..request.len() - 2]);
        let _ = client.drained();
    }
    // There was not enough for the last one.
    let (reply, _) = greedy[9].receive_end().expect("to be disconnected");
    assert_eq!(reply, list("status=1 property= ."));
    answers(&mut other);
    let told =
        "warning: no memory for input from scache socket while reading input attribute value";
    assert!(daemon.wait_for_log(told));
    assert_eq!(daemon.end().expect("end").status_text(), "exit 0");
}

#[test]
fn the_memory_of_many_bindings_goes_back_though_one_is_left() {
    // They need about 18 MB.
    const MANY: usize = 40_000;
    const SLACK: u64 = 2500;
    let daemon = setup().start().expect("start");
    let mut client = connect(&daemon);
    let memory = || daemon.memory().expect("/proc");
    let before = memory();
    for number in 0..MANY {
        let ttl = if number == MANY / 2 { 900 } else { 5 };
        let request =
            format!("request=save_dest ttl={ttl} label=name-{number} property=p label=x .");
        assert_eq!(ask(&mut client, &request), list("status=0 ."));
    }
    wait_until("the memory goes back", || memory() <= before + SLACK);
    assert_eq!(daemon.end().expect("end").status_text(), "exit 0");
}

/// Lets the daemon have so many bytes more than it has. Only its own user may do
/// that, or who may do anything.
fn limit_memory(daemon: &Daemon, more: u64) {
    let pages = fs::read_to_string(daemon.proc("statm")).expect("/proc");
    let pages = pages.split(' ').next().expect("the size");
    let size = sys::page_size() * pages.parse::<u64>().expect("a number");
    sys::limit_memory(daemon.pid(), size + more).expect("prlimit");
}
