//! Tests that times in the log are in the local time zone, also in a chroot jail.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::harness::kind::Kind;
use super::harness::master::{binary, Setup};
use super::harness::namespace;
use super::harness::need;
use super::harness::postlogd::Postlogd;
use super::{ask, connect, kind, LOOKUP, NOTHING};

/// UTC, and a zone that no machine has.
const ZONES: [&str; 2] = ["UTC", "TST-5:30"];

/// The time in seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

/// Returns true if `text` is a time in that zone between `start` and now, in that format
/// of date(1).
fn is_time(text: &str, zone: &str, format: &str, start: u64) -> bool {
    (start..=now()).any(|second| {
        let mut date = Command::new("date");
        date.env("TZ", zone).env("LC_ALL", "C");
        date.args(["-d", &format!("@{second}"), &format!("+{format}")]);
        let output = date.output().expect("date(1)").stdout;
        String::from_utf8_lossy(&output).trim_end() == text
    })
}

#[test]
fn statistics_begin_at_a_local_time() {
    start_of_statistics_is_local("n");
}

#[test]
fn statistics_begin_at_a_local_time_also_in_a_chroot_jail() {
    if need::root() {
        start_of_statistics_is_local("y");
    }
}

fn start_of_statistics_is_local(jail: &str) {
    for zone in ZONES {
        let line = format!("scache unix - - {jail} - 1 scache");
        let start = now();
        let daemon = Setup::new().line(&line).env("TZ", zone).start();
        let daemon = daemon.expect("start");
        ask(&mut connect(&daemon), LOOKUP, NOTHING);
        let log = daemon.end().expect("end").log;
        let prefix = "postfix/scache: statistics: start interval ";
        let time = log[0].strip_prefix(prefix).expect("a start");
        assert!(is_time(time, zone, "%b %e %T", start), "{zone}: {time}");
    }
}

#[test]
fn lines_to_postlogd_have_local_time() {
    for zone in ZONES {
        let setup = Setup::new().main_cf("maillog_file = /var/log/mail.log");
        let directory = setup.prepare().expect("a directory");
        let postlogd = Postlogd::bind(directory.path(), "postlog");
        let start = now();
        let daemon = setup.env("TZ", zone).start_in(directory).expect("start");
        ask(&mut connect(&daemon), "request=unknown .", "status=1 .");
        let time = postlogd.receive(daemon.pid()).stamp;
        assert!(is_time(&time, zone, "%b %d %T", start), "{zone}: {time}");
    }
}

/// Writes the file that is mounted at /etc/localtime, with this offset from UTC.
fn set_system_zone(directory: &Path, hours: i32) {
    // Two headers with data, and a line for times after the last transition.
    let mut content = Vec::new();
    for _ in 0..2 {
        let start = content.len();
        content.extend(b"TZif2");
        content.resize(start + 20, 0);
        // No transitions, and one type of time with a name of four bytes.
        for count in [0, 0, 0, 0, 1, 4] {
            content.extend(i32::to_be_bytes(count));
        }
        content.extend(i32::to_be_bytes(hours * 3600));
        content.extend(b"\0\0TST\0");
    }
    content.extend(format!("\nTST-{hours}\n").bytes());
    let path = directory.join("localtime");
    fs::write(&path, content).expect("write");
    // The C library reads the file again if its modification time has changed, in seconds.
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(100_000 + hours as u64);
    let file = File::options().write(true).open(path).expect("open");
    file.set_modified(time).expect("set the time");
}

#[test]
fn the_system_time_zone_is_that_of_the_start_also_in_a_chroot_jail() {
    if !Path::new("/etc/localtime").exists() {
        need::skip("an /etc/localtime");
        return;
    }
    // The C program reads the file again for each line, and has none in a chroot jail.
    let cases: &[(&str, &str)] = match kind() {
        Kind::C => &[("n", "TST-7")],
        // musl has mapped the file, so that changes of its content are seen.
        Kind::Port if cfg!(target_env = "musl") => &[("n", "TST-7")],
        Kind::Port => &[("n", "TST-5"), ("y", "TST-5")],
    };
    for (jail, after) in cases {
        let setup = Setup::new()
            .line(&format!("scache unix - - {jail} - 1 scache"))
            .main_cf("maillog_file = /var/log/mail.log");
        let directory = setup.prepare().expect("a directory");
        set_system_zone(directory.path(), 5);
        let prepare = format!(
            "unset TZ && mount --bind {}/localtime $(readlink -f /etc/localtime)",
            directory.path().display()
        );
        let Some(script) = namespace::script(directory.path(), &binary(), &prepare) else {
            return;
        };
        let postlogd = Postlogd::bind(directory.path(), "postlog");
        let start = now();
        let daemon = setup.binary(script).start_in(directory).expect("start");
        let mut client = connect(&daemon);
        for (hours, zone) in [(5, "TST-5"), (7, after)] {
            set_system_zone(daemon.directory(), hours);
            ask(&mut client, "request=unknown .", "status=1 .");
            let time = postlogd.receive(daemon.pid()).stamp;
            assert!(is_time(&time, zone, "%b %d %T", start), "{zone}: {time}");
        }
    }
}
