//! Tests the process that start-up makes, as /proc shows it: descriptors, limits,
//! directories, user, signals; and start-up when a system call or a descriptor of
//! master(8) fails.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::harness::built_in::BuiltIn;
use super::harness::daemon::Daemon;
use super::harness::interposed::Interposed;
use super::harness::kind::Kind;
use super::harness::log_text::in_words_of_libc;
use super::harness::master::{self, Setup};
use super::harness::need;
use super::harness::postlogd::Postlogd;
use super::{ask, connect, connect_to, kind, no_client_is_left, save, warnings, LOOKUP, NOTHING};

const O_CLOEXEC: u32 = 0o2000000;

/// The name and version of this program.
macro_rules! scache {
    () => {
        concat!("scache ", env!("CARGO_PKG_VERSION"), " (Rust)")
    };
}

/// Starts a daemon, and waits until it has started up.
fn started(setup: Setup) -> Daemon {
    let daemon = setup.start().expect("start");
    drop(connect(&daemon));
    no_client_is_left(&daemon);
    daemon
}

/// The target of a link in /proc/PID of the daemon.
fn link(daemon: &Daemon, name: &str) -> PathBuf {
    fs::read_link(daemon.proc(name)).expect("a link in /proc")
}

/// Starts a daemon in another directory than its queue directory, with `chroot` in that
/// column of master.cf. Also returns the queue directory.
fn elsewhere(chroot: &str) -> (Daemon, PathBuf) {
    let setup = Setup::new().line(&format!("scache unix - - {chroot} - 1 scache"));
    let directory = setup.prepare().expect("a directory");
    let queue = fs::canonicalize(directory.path().join("data")).expect("data");
    let option = format!("-oqueue_directory={}", queue.display());
    let daemon = setup.option(&option).start_in(directory).expect("start");
    drop(connect(&daemon));
    (daemon, queue)
}

/// The value of a line of /proc/PID/status of the daemon.
fn status(daemon: &Daemon, name: &str) -> String {
    daemon.status_field(name).expect("/proc")
}

/// The flags of all open files, by descriptor, of a process in /proc.
fn flags(proc: &Path) -> BTreeMap<u32, u32> {
    let entries = fs::read_dir(proc.join("fdinfo")).expect("/proc");
    let flags = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        // The descriptor of this listing may be closed already.
        let info = fs::read_to_string(&path).ok()?;
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
        let number = path.file_name()?.to_str()?.parse().ok()?;
        Some((number, u32::from_str_radix(flags.trim(), 8).ok()?))
    });
    flags.collect()
}

#[test]
fn no_descriptor_survives_an_exec_except_sessions_of_the_c_program() {
    // Descriptors that the tests were started with are inherited, and not counted.
    let mut others = flags(Path::new("/proc/self"));
    others.retain(|fd, flags| !(3..=7).contains(fd) && *flags & O_CLOEXEC == 0);
    let daemon = started(Setup::new().sockets(2));
    let open = || {
        let mut open = flags(&daemon.proc(""));
        open.retain(|fd, _| !others.contains_key(fd));
        open
    };
    let survivors = |open: &BTreeMap<u32, u32>| {
        let survivors = open.iter().filter(|(_, &flags)| flags & O_CLOEXEC == 0);
        survivors.map(|(&fd, _)| fd).collect::<Vec<_>>()
    };
    let at_first = open();
    for fd in 3..=7 {
        assert!(at_first.contains_key(&fd), "descriptor {fd} is closed");
    }
    let mut one = connect(&daemon);
    let _two = connect_to(&daemon, 1);
    let with_clients = open();
    assert_eq!(with_clients.len(), at_first.len() + 2);
    assert_eq!(survivors(&with_clients), []);
    let _session = save(&mut one, "e");
    let mut with_session = open();
    assert_eq!(with_session.len(), with_clients.len() + 1);
    match kind() {
        Kind::Port => assert_eq!(survivors(&with_session), []),
        Kind::C => {
            let survivors = survivors(&with_session);
            with_session.retain(|fd, _| !with_clients.contains_key(fd));
            assert_eq!(survivors, with_session.into_keys().collect::<Vec<_>>());
        }
    }
}

#[test]
fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    if !need::open_files(321) {
        return;
    }
    let daemon = started(Setup::new().nofile(60, 321));
    let limits = fs::read_to_string(daemon.proc("limits")).expect("/proc");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let words: Vec<&str> = line.expect("a line").split_whitespace().collect();
    assert_eq!(words[3..5], ["321", "321"]);
}

/// A setup in which the system refuses a call; None if the test cannot run.
fn failing(call: &str, library: &Interposed) -> Setup {
    let setup = Setup::new().env("LD_PRELOAD", &library.path());
    setup.env("FAILING", call)
}

fn failing_library() -> Option<Interposed> {
    Interposed::build_or_skip("daemon/failing.c", "make system calls fail")
}

#[test]
fn a_soft_limit_that_cannot_be_raised_is_used_with_a_warning() {
    let Some(library) = failing_library() else {
        return;
    };
    if !need::open_files(321) {
        return;
    }
    let setup = failing("setrlimit", &library).nofile(300, 321);
    let warning = "cannot raise the limit on open files from 300 to 321: Operation not permitted";
    goes_on_with_a_warning(setup, warning);
}

#[test]
fn if_the_limit_is_unknown_256_open_files_are_assumed() {
    let Some(library) = failing_library() else {
        return;
    };
    let warning = "unable to determine open file limit: Operation not permitted; using 256";
    goes_on_with_a_warning(failing("getrlimit", &library), warning);
}

/// Asserts that the daemon works, after one warning. The C program cannot do without the
/// limit on open files.
fn goes_on_with_a_warning(setup: Setup, warning: &str) {
    if kind() == Kind::C {
        let ended = setup.start().and_then(Daemon::wait).expect("its end");
        let fatal = "postfix/scache: fatal: unable to determine open file limit";
        assert_eq!(ended.log, [fatal]);
        return;
    }
    let log = started(setup).end().expect("end").log;
    let warning = format!("postfix/scache: warning: {warning}");
    assert_eq!(log[0], warning);
    assert_eq!(warnings(&log), [&warning]);
}

#[test]
fn a_refused_system_call_is_fatal_with_the_message_of_the_c_program() {
    let Some(library) = failing_library() else {
        return;
    };
    let refused = "Operation not permitted";
    for (call, text) in [
        ("initgroups", format!("initgroups: {refused}")),
        ("epoll_wait", format!("event_loop: epoll_wait: {refused}")),
        (
            "sigaction",
            format!("watchdog_create: sigaction(SIGALRM): {refused}"),
        ),
        (
            "getpwnam",
            "parameter default_privs: unknown user name value: nobody".to_string(),
        ),
    ] {
        if call == "initgroups" && !need::root() {
            continue;
        }
        let setup = failing(call, &library);
        let ended = setup.start().and_then(Daemon::wait).expect("its end");
        let [line] = &ended.log[..] else {
            panic!("{call}: {:?}", ended.log);
        };
        let fatal = line.strip_prefix("postfix/scache: fatal: ").expect(line);
        // The last message names main.cf first.
        assert!(fatal.ends_with(&text), "{call}: {fatal}");
        assert!(fatal == text || call == "getpwnam", "{call}: {fatal}");
        assert_eq!(ended.status_text(), "exit 1");
    }
}

/// The failure is not noticed, in the C program neither.
#[test]
fn without_a_shell_there_is_no_debugger_command_and_the_daemon_works() {
    let Some(library) = failing_library() else {
        return;
    };
    let setup = failing("shell", &library).option("-D");
    let setup = setup.main_cf("debugger_command = true");
    let log = started(setup).end().expect("end").log;
    assert_eq!(log[0], "postfix/scache: running: true");
    assert_eq!(warnings(&log), [""; 0]);
}

#[test]
fn the_program_file_has_its_version() {
    // Debian's C program of Postfix 3.11 does not contain its version.
    if kind() == Kind::C {
        return;
    }
    let built_in = BuiltIn::of(&master::binary());
    let version = built_in.fill_in("\0mail_version=<mail_version>\0");
    let program = fs::read(master::binary()).expect("the program");
    for text in [version.as_str(), concat!("\0", scache!(), "\0")] {
        let has = |window| window == text.as_bytes();
        assert!(program.windows(text.len()).any(has), "{text}");
    }
}

#[test]
fn the_first_line_of_v_is_name_and_version() {
    if kind() == Kind::C {
        return;
    }
    let text = concat!(scache!(), ", for Postfix <mail_version>");
    let text = BuiltIn::of(&master::binary()).fill_in(text);
    let log = started(Setup::new().option("-v")).end().expect("end").log;
    assert_eq!(log[0], format!("postfix/scache: {text}"));
    let log = started(Setup::new()).end().expect("end").log;
    assert_eq!(log, [""; 0]);
}

#[test]
fn fewer_open_files_than_256_cause_a_warning() {
    if !need::open_files(256) {
        return;
    }
    let warned = |limit| {
        let daemon = Setup::new().nofile(limit, limit).start().expect("start");
        let log = daemon.end().expect("end").log;
        let text = format!("warning: could allocate space for only {limit} open files");
        log.iter().any(|line| line.ends_with(&text))
    };
    assert!(warned(100));
    assert!(warned(255));
    assert!(!warned(256));
}

#[test]
fn daemon_timeout_is_at_least_three_seconds() {
    drop(started(Setup::new().main_cf("daemon_timeout = 3s")));
    let short = Setup::new().main_cf("daemon_timeout = 2s").start();
    let ended = short.expect("start").wait().expect("end");
    let (text, status) = match kind() {
        Kind::C => ("watchdog_create: timeout 2 is too small", "signal 6"),
        Kind::Port => ("fatal: invalid daemon_timeout: 2 (min 3)", "exit 1"),
    };
    assert!(ended.log.iter().any(|line| line.ends_with(text)));
    assert_eq!(ended.status_text(), status);
}

/// There is one socket less than -s says, and the log socket gets the descriptor of the
/// missing one. (The C program accepts clients from it.)
#[test]
fn with_fewer_sockets_than_s_says_its_log_socket_is_not_taken_for_one() {
    if kind() == Kind::C {
        return;
    }
    let setup = Setup::new()
        .option("-s2")
        .main_cf("maillog_file = /var/log/mail.log");
    let directory = setup.prepare().expect("a directory");
    let postlogd = Postlogd::bind(directory.path(), "postlog");
    let daemon = setup.start_in(directory).expect("start");
    let pid = daemon.pid();
    let ended = daemon.wait().expect("end");
    assert_eq!(ended.status_text(), "exit 1");
    let fatal = "fatal: descriptor 7 from master: Bad file descriptor";
    assert_eq!(ended.log, [format!("postfix/scache: {fatal}")]);
    let logged = postlogd.receive(pid).text;
    assert_eq!(logged, format!(" mail postfix/scache[PID]: {fatal}"));
    assert!(postlogd.is_empty());
}

#[test]
fn a_descriptor_that_master_should_have_left_open_is_named() {
    if kind() == Kind::C {
        return;
    }
    let scache = master::binary();
    let scache = scache.to_str().expect("a path that is text");
    for (redirection, reason) in [
        ("5>&-", "descriptor 5 from master: Bad file descriptor"),
        ("6<&-", "descriptor 6 from master: Bad file descriptor"),
        (
            "6</dev/null",
            "descriptor 6 from master: Socket operation on non-socket",
        ),
        ("6<&5", "descriptor 6 from master: not a listening socket"),
    ] {
        let command = format!("exec \"$0\" \"$@\" {redirection}");
        // The log socket gets the lowest descriptor that is free.
        let setup = Setup::new()
            .main_cf("maillog_file = /var/log/mail.log")
            .binary("/bin/sh")
            .argv(&["-c", &command, scache, "-V", "-l", "-t", "unix"]);
        let directory = setup.prepare().expect("a directory");
        let _postlogd = Postlogd::bind(directory.path(), "postlog");
        let daemon = setup.start_in(directory);
        let ended = daemon.expect("start").wait().expect("end");
        let reason = in_words_of_libc(reason);
        assert_eq!(ended.log, [format!("postfix/scache: fatal: {reason}")]);
        assert_eq!(ended.status_text(), "exit 1");
    }
}

#[test]
fn its_working_directory_is_the_queue_directory() {
    let (daemon, queue) = elsewhere("n");
    assert_eq!(link(&daemon, "cwd"), queue);
    assert_eq!(link(&daemon, "root"), PathBuf::from("/"));
}

#[test]
fn in_a_chroot_jail_the_root_is_the_queue_directory() {
    if !need::root() {
        return;
    }
    let (daemon, queue) = elsewhere("y");
    assert_eq!(link(&daemon, "cwd"), queue);
    assert_eq!(link(&daemon, "root"), queue);
    ask(&mut connect(&daemon), LOOKUP, NOTHING);
}

#[test]
fn it_becomes_mail_owner_with_all_groups_of_that_account() {
    if !need::root() {
        return;
    }
    // The account with the most groups, because most accounts have only one.
    let owner = ["backup", "postfix", "mail", "daemon"]
        .into_iter()
        .max_by_key(|owner| id("-G", owner).split(' ').count())
        .expect("one of them");
    for jail in ["n", "y"] {
        let line = format!("scache unix - - {jail} - 1 scache");
        let setup = Setup::new().main_cf(&format!("mail_owner = {owner}"));
        let daemon = started(setup.line(&line));
        let four = |id: String| [id.as_str(); 4].join("\t");
        assert_eq!(status(&daemon, "Uid"), four(id("-u", owner)));
        assert_eq!(status(&daemon, "Gid"), four(id("-g", owner)));
        assert_eq!(sorted(&status(&daemon, "Groups")), sorted(&id("-G", owner)));
        assert_eq!(status(&daemon, "CapEff"), "0000000000000000");
    }
}

#[test]
fn it_keeps_its_privileges_unless_told_to_drop_them() {
    if !need::root() {
        return;
    }
    for jail in ["n", "y"] {
        let line = format!("scache unix - n {jail} - 1 scache");
        let daemon = started(Setup::new().line(&line));
        assert_eq!(status(&daemon, "Uid"), "0\t0\t0\t0");
        assert_eq!(status(&daemon, "Gid"), "0\t0\t0\t0");
    }
}

/// The output of id(1) for an account; empty if there is none.
fn id(option: &str, account: &str) -> String {
    let output = Command::new("id").args([option, account]).output();
    let text = output.expect("id(1)").stdout;
    String::from_utf8_lossy(&text).trim().to_string()
}

fn sorted(numbers: &str) -> Vec<u32> {
    let numbers = numbers.split_whitespace().map(|number| number.parse());
    let mut numbers: Vec<u32> = numbers.collect::<Result<_, _>>().expect("numbers");
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

#[test]
fn it_ignores_the_signals_of_broken_pipes_and_large_files() {
    let daemon = started(Setup::new());
    let ignored = u64::from_str_radix(&status(&daemon, "SigIgn"), 16).expect("hexadecimal");
    // Real-time signals are left out, because the C library uses some.
    let ignored = ignored & 0x7fff_ffff;
    let bit = |signal: libc::c_int| 1u64 << (signal - 1);
    let expected = bit(libc::SIGPIPE) | bit(libc::SIGXFSZ);
    assert_eq!(format!("{ignored:x}"), format!("{expected:x}"));
    for signal in [libc::SIGPIPE, libc::SIGXFSZ] {
        daemon.signal(signal).expect("kill");
    }
    ask(&mut connect(&daemon), LOOKUP, NOTHING);
}
