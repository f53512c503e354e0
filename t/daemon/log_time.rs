//! Times in the log are local ones.

use std::process::Command;
use std::time::SystemTime;

use super::harness::master::Setup;
use super::harness::sys;
use super::postlogd::Postlogd;
use super::{ask, connect, LOOKUP, NOTHING};

/// One zone that is easy, and one that is not that of any machine.
const ZONES: [&str; 2] = ["UTC", "TST-5:30"];

/// The time, in seconds.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

/// Is this the time of day in that zone, between `start` and now? The format
/// is one of date(1), which is the judge.
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
fn statistics_begin_at_a_local_time_also_in_a_jail() {
    for zone in ZONES {
        for jail in ["n", "y"] {
            let line = format!("scache unix - - {jail} - 1 scache");
            if jail == "y" && !sys::is_root() {
                continue;
            }
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
}

#[test]
fn what_goes_to_postlogd_has_local_time() {
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
