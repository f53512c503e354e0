//! Tests that deadlines hold when the wall clock jumps or the process is stopped for a
//! while, and that the watchdog ends a process that hangs.

mod harness;
#[path = "faults/help.rs"]
#[allow(dead_code)]
mod help;
#[path = "clock/shim.rs"]
#[allow(dead_code)]
mod shim;

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use harness::client::{list, Client, PATIENCE};
use harness::daemon::Daemon;
use harness::directory::Directory;
use harness::master::Setup;
use harness::namespace;
use harness::need;
use harness::sys;
use help::*;
use shim::Shim;

const SECOND: Duration = Duration::from_secs(1);

/// Number of clients: more than the number of events that one call returns.
const MANY: u64 = 250;

/// Stops the daemon for a while.
fn stop_for(daemon: &Daemon, time: Duration) {
    daemon.signal(libc::SIGSTOP).expect("stop");
    std::thread::sleep(time);
    daemon.signal(libc::SIGCONT).expect("go on");
}

#[test]
fn after_a_stop_longer_than_its_time_a_session_is_gone_and_clients_are_served() {
    let daemon = setup().start().expect("start");
    let mut client = connect(&daemon);
    let ((short, its_end), (long, _other)) = (session(), session());
    save(&mut client, 1, "e", "short", &short);
    save(&mut client, 100, "e", "long", &long);
    drop(short);
    stop_for(&daemon, SECOND * 2);
    let (prop, _) = find(&mut client, "e").expect("the session that lives longer");
    assert_eq!(prop, "long");
    closed_with_farewell(&its_end);
}

/// Each client sends the rest of its request while the daemon is stopped for a time
/// longer than ipc_timeout.
#[test]
fn after_a_stop_longer_than_ipc_timeout_no_client_that_sent_its_request_is_late() {
    // (Tests in other threads have files open, too.)
    if !need::open_files(2 * MANY) {
        return;
    }
    let Some(clock) = Shim::to_stop() else {
        return;
    };
    let setup = clock.stopped(setup().main_cf("ipc_timeout = 3s"));
    let daemon = setup.start().expect("start");
    let request = list("request=find_endp label=nothing .");
    let (begin, rest) = request.split_at(5);
    let mut clients: Vec<Client> = (0..MANY).map(|_| connect(&daemon)).collect();
    for client in &mut clients {
        client.send(begin).expect("send");
    }
    for client in &clients {
        client.drained().expect("drained");
    }
    daemon.signal(libc::SIGSTOP).expect("stop");
    for client in &mut clients {
        client.send(rest).expect("send");
    }
    clock.off_by(4);
    daemon.signal(libc::SIGCONT).expect("go on");
    for client in &mut clients {
        assert_eq!(
            client.receive_list().expect("reply"),
            list("status=2 property= .")
        );
    }
    assert!(!daemon.log().iter().any(|line| line.contains("timeout")));
}

#[test]
fn the_watchdog_leaves_an_idle_loop_alone_and_one_that_was_stopped() {
    let daemon = setup()
        .main_cf("daemon_timeout = 3s")
        .start()
        .expect("start");
    let mut client = connect(&daemon);
    std::thread::sleep(SECOND * 6);
    answers(&mut client);
    stop_for(&daemon, SECOND * 5);
    answers(&mut client);
    drop(client);
    let ended = daemon.end().expect("end");
    assert_eq!(ended.status_text(), "exit 0");
}

/// Makes the event loop hang, because it logs to a pipe that nobody reads. (The C program
/// would never end, because its watchdog logs to that pipe, too.)
fn hang(setup: Setup, directory: Directory) {
    let setup = setup
        .option("-odaemon_timeout=3s")
        .option("-v")
        .option("-v");
    let (daemon, _pipe) = setup.start_unheard(directory).expect("start");
    let mut client = connect(&daemon);
    let start = Instant::now();
    let request = list("request=find_endp label=nothing .");
    loop {
        // The daemon hangs when it does not read any more.
        match sys::send_some(client.as_fd(), &request) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => break,
            _ => {}
        }
        assert!(start.elapsed() < SECOND * 60, "the daemon does not hang");
        client.pending(SECOND / 100).expect("receive");
        if client.has_ended() {
            break;
        }
    }
    let ended = daemon.wait().expect("to have ended");
    let status = ended.status_text();
    assert!(status == "exit 1" || status == "signal 14", "{status}");
}

/// Reads a log until a message with this text comes, in a thread that returns the
/// message.
fn read_until(log: UnixDatagram, text: &'static str) -> JoinHandle<String> {
    log.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    std::thread::spawn(move || loop {
        let mut buffer = [0; 8192];
        let count = log.recv(&mut buffer).expect("a message");
        let message = String::from_utf8_lossy(&buffer[..count]);
        if message.contains(text) {
            return message.into_owned();
        }
    })
}

/// The message with `PID` in place of the process id.
fn without_pid(message: &str) -> String {
    let (head, rest) = message.split_once('[').expect("a process");
    let (_, text) = rest.split_once(']').expect("a process");
    format!("{head}[PID]{text}")
}

#[test]
fn the_watchdog_ends_a_loop_that_hangs_and_tells_postlogd() {
    let setup = setup().main_cf("maillog_file = /var/log/mail.log");
    let directory = setup.prepare().expect("a directory");
    let socket = directory.path().join("q/public/postlog");
    let log = UnixDatagram::bind(&socket).expect("bind");
    fs::set_permissions(&socket, Permissions::from_mode(0o666)).expect("chmod");
    let message = read_until(log, "watchdog timeout");
    hang(setup, directory);
    let message = message.join().expect("the message");
    let expected = "mail postfix/scache[PID]: fatal: watchdog timeout";
    assert_eq!(without_pid(&message), expected);
}

#[test]
fn the_watchdog_ends_a_loop_that_hangs_and_tells_syslogd() {
    let setup = setup();
    let directory = setup.prepare().expect("a directory");
    fs::create_dir(directory.path().join("dev")).expect("mkdir");
    let mount = format!("mount --bind {}/dev /dev", directory.path().display());
    let scache = env!("CARGO_BIN_EXE_scache");
    let script = namespace::script(directory.path(), scache.as_ref(), &mount);
    let Some(script) = script else { return };
    let socket = directory.path().join("dev/log");
    let log = UnixDatagram::bind(&socket).expect("bind");
    fs::set_permissions(&socket, Permissions::from_mode(0o666)).expect("chmod");
    let message = read_until(log, "watchdog timeout");
    hang(setup.binary(script), directory);
    let message = message.join().expect("the message");
    let expected = "<18>postfix/scache[PID]: fatal: watchdog timeout\n";
    assert_eq!(without_pid(&message), expected);
}

/// The library makes time(2), gettimeofday(2) and CLOCK_REALTIME wrong by the number of
/// seconds in a file.
#[test]
fn a_wall_clock_that_jumps_changes_no_time_to_live() {
    let Some(shim) = Shim::build() else {
        need::skip("cc(1) and a program linked dynamically, to set the wall clock back and forth");
        return;
    };
    shim.off_by(0);
    let setup = setup()
        .env("LD_PRELOAD", &shim.library())
        .env("CLOCK_OFFSET", &shim.offset());
    let daemon = setup.start().expect("start");
    let mut client = connect(&daemon);
    let ((file, its_end), (short, short_end)) = (session(), session());
    for (number, jump) in [100_000, -100_000, 5, -5].into_iter().enumerate() {
        let endp = format!("e{number}");
        save(&mut client, 100, &endp, "p", &file);
        shim.off_by(jump);
        answers(&mut client);
        assert!(is_held(&its_end));
        find(&mut client, &endp).expect("its time is not over");
    }
    shim.off_by(0);
    let start = Instant::now();
    save(&mut client, 2, "e", "p", &short);
    drop(short);
    shim.off_by(-1000);
    // The wait for the end of the session is much shorter than this jump.
    let life = closed_with_farewell(&short_end) - start;
    assert!(life >= SECOND * 2, "{life:?}");
    drop(client);
    shim.off_by(90_000);
    let ended = daemon.end().expect("end");
    assert_eq!(ended.status_text(), "exit 0");
}

/// Shows that the library works, without which the test above would show nothing. The
/// test program runs itself to get the time: date(1) may be built for another processor.
#[test]
fn the_interposed_clock_jumps() {
    if std::env::var_os("CLOCK_OFFSET").is_some() {
        println!("now: {}", now());
        return;
    }
    let Some(shim) = Shim::build() else {
        need::skip("cc(1) and a program linked dynamically");
        return;
    };
    shim.off_by(-1_000_000_000);
    let asked = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "the_interposed_clock_jumps", "--nocapture"])
        .env("LD_PRELOAD", shim.library())
        .env("CLOCK_OFFSET", shim.offset())
        .output()
        .expect("run");
    let said = String::from_utf8_lossy(&asked.stdout);
    let shown = said.lines().find_map(|line| line.split_once("now: "));
    let shown: u64 = shown.and_then(|(_, text)| text.parse().ok()).expect(&said);
    assert!(now() - shown > 999_000_000, "{shown}");
}

fn now() -> u64 {
    let since_epoch = std::time::UNIX_EPOCH.elapsed();
    since_epoch.expect("after 1970").as_secs()
}
