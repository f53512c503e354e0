//! What happens when there is no memory.

use std::fs;

use crate::harness::client::list;
use crate::harness::postlogd::Postlogd;
use crate::harness::sys;
use crate::help::*;

/// So much more memory the daemon may have, in bytes.
const ROOM: u64 = 4 << 20;

/// Enough of these need more.
const BINDINGS: usize = 100_000;

#[test]
fn when_there_is_no_memory_the_last_line_of_the_log_says_so() {
    // Only its own user may limit it, or who may do anything.
    let setup = setup()
        .line("scache unix - n n - 1 scache")
        .main_cf("maillog_file = /var/log/mail.log");
    let directory = setup.prepare().expect("a directory");
    let postlogd = Postlogd::bind(directory.path(), "postlog");
    let daemon = setup.start_in(directory).expect("start");
    let pid = daemon.pid();
    let mut client = connect(&daemon);
    answers(&mut client);
    let pages = fs::read_to_string(daemon.proc("statm")).expect("/proc");
    let pages = pages.split(' ').next().expect("the size");
    let size = 4096 * pages.parse::<u64>().expect("a number");
    sys::limit_memory(pid, size + ROOM).expect("prlimit");
    for number in 0..BINDINGS {
        let request =
            format!("request=save_dest ttl=900 label=name-{number} property=p label=endpoint .");
        if client.send_list(&request).is_err() || client.receive_list().is_err() {
            break;
        }
    }
    let ended = daemon.wait().expect("to have ended");
    assert_eq!(ended.status_text(), "exit 1");
    let last = ended.log.last().expect("a line").as_str();
    let (task, text) = last.split_once(": ").expect("a line");
    assert_eq!(task, "postfix/scache");
    let (function, size) = text
        .strip_prefix("fatal: ")
        .and_then(|text| text.strip_suffix(" bytes: Cannot allocate memory"))
        .and_then(|text| text.split_once(": insufficient memory for "))
        .unwrap_or_else(|| panic!("something else: {last}"));
    assert!(["mymalloc", "myrealloc"].contains(&function), "{last}");
    assert!(size.parse::<usize>().is_ok(), "{last}");
    let sent = postlogd.receive(pid).text;
    assert!(sent.ends_with(&format!("[PID]: {text}")), "{sent}");
}

#[test]
fn a_client_whose_list_there_is_no_memory_for_is_the_only_one_to_suffer() {
    // Only its own user may limit it, or who may do anything.
    let setup = setup().line("scache unix - n n - 1 scache");
    let daemon = setup.start().expect("start");
    let mut other = connect(&daemon);
    let mut greedy: Vec<_> = (0..10).map(|_| connect(&daemon)).collect();
    answers(&mut other);
    let pages = fs::read_to_string(daemon.proc("statm")).expect("/proc");
    let pages = pages.split(' ').next().expect("the size");
    let size = 4096 * pages.parse::<u64>().expect("a number");
    sys::limit_memory(daemon.pid(), size).expect("prlimit");
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
