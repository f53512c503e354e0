//! Tests that with maillog_file each log line reaches postlogd(8), also from the chroot
//! jail and before main.cf is read.

use super::harness::client::Client;
use super::harness::daemon::Daemon;
use super::harness::master::Setup;
use super::harness::need;
use super::harness::postlogd::Postlogd;
use super::{ask, connect, LOOKUP, NOTHING};

/// The start of each line after the time; the host name is from main.cf.
const HEAD: &str = " mail postfix/scache[PID]: ";

/// A daemon that logs through postlogd(8).
fn setup() -> Setup {
    Setup::new().main_cf("maillog_file = /var/log/mail.log")
}

/// Starts the stand-in for postlogd(8) and the daemon.
fn start(setup: Setup) -> (Postlogd, Daemon) {
    let directory = setup.prepare().expect("a directory");
    let postlogd = Postlogd::bind(directory.path(), "postlog");
    (postlogd, setup.start_in(directory).expect("start"))
}

/// Makes the daemon log a warning with this name.
fn provoke(client: &mut Client, name: &str) {
    ask(client, &format!("request={name} ."), "status=1 .");
}

fn warning(name: &str) -> String {
    format!("warning: unrecognized request: \"{name}\", ignored")
}

#[test]
fn each_line_has_time_host_and_process_and_no_newline() {
    let (postlogd, daemon) = start(setup());
    let pid = daemon.pid();
    let mut client = connect(&daemon);
    provoke(&mut client, "one");
    assert_eq!(
        postlogd.receive(pid).text,
        format!("{HEAD}{}", warning("one"))
    );
    ask(&mut client, LOOKUP, NOTHING);
    let ended = daemon.end().expect("end");
    let start = postlogd.receive(pid).text;
    assert!(start.starts_with(&format!("{HEAD}statistics: start interval ")));
    let last = format!("{HEAD}statistics: address lookup hits=0 miss=1 success=0%");
    assert_eq!(postlogd.receive(pid).text, last);
    assert!(postlogd.is_empty());
    assert_eq!(ended.log.len(), 3, "the same on stderr: {:?}", ended.log);
}

#[test]
fn a_fatal_error_has_its_severity() {
    let (postlogd, daemon) = start(setup().option("-oconnection_cache_ttl_limit=x"));
    let pid = daemon.pid();
    let ended = daemon.wait().expect("end");
    assert_eq!(ended.status_text(), "exit 1");
    let text = "fatal: parameter connection_cache_ttl_limit: bad time value or unit: x";
    assert_eq!(ended.log, [format!("postfix/scache: {text}")]);
    assert_eq!(postlogd.receive(pid).text, format!("{HEAD}{text}"));
    assert!(postlogd.is_empty());
}

#[test]
fn a_line_is_cut_after_2000_bytes_and_on_stderr_it_is_whole() {
    let (postlogd, daemon) = start(setup());
    let pid = daemon.pid();
    for length in [1900, 2100, 2500] {
        let name = "x".repeat(length);
        provoke(&mut connect(&daemon), &name);
        let whole = warning(&name);
        // The severity is not counted in the 2000 bytes.
        let end = whole.len().min("warning: ".len() + 2000);
        assert_eq!(
            postlogd.receive(pid).text,
            format!("{HEAD}{}", &whole[..end])
        );
        assert!(daemon.wait_for_log(&format!("postfix/scache: {whole}")));
    }
}

#[test]
fn in_a_chroot_jail_it_logs_as_well() {
    if !need::root() {
        return;
    }
    let (postlogd, daemon) = start(setup().line("scache unix - - y - 1 scache"));
    provoke(&mut connect(&daemon), "one");
    let text = postlogd.receive(daemon.pid()).text;
    assert_eq!(text, format!("{HEAD}{}", warning("one")));
}

#[test]
fn a_new_socket_gets_nothing_from_a_daemon_that_was_connected_to_the_first() {
    let (postlogd, daemon) = start(setup());
    let pid = daemon.pid();
    let mut client = connect(&daemon);
    provoke(&mut client, "one");
    assert_eq!(
        postlogd.receive(pid).text,
        format!("{HEAD}{}", warning("one"))
    );
    drop(postlogd);
    provoke(&mut client, "lost");
    let postlogd = Postlogd::bind(daemon.directory(), "postlog");
    for name in ["two", "three"] {
        provoke(&mut client, name);
        assert!(daemon.wait_for_log(&warning(name)));
        assert!(postlogd.is_empty());
    }
}

#[test]
fn without_a_postlogd_it_works_and_logs_when_one_comes() {
    let daemon = setup().start().expect("start");
    let mut client = connect(&daemon);
    provoke(&mut client, "lost");
    assert!(daemon.wait_for_log(&warning("lost")));
    let postlogd = Postlogd::bind(daemon.directory(), "postlog");
    provoke(&mut client, "one");
    let text = postlogd.receive(daemon.pid()).text;
    assert_eq!(text, format!("{HEAD}{}", warning("one")));
    assert_eq!(daemon.end().expect("end").status_text(), "exit 0");
}

#[test]
fn the_socket_has_the_name_of_postlog_service_name() {
    let setup = setup().main_cf("postlog_service_name = other");
    let directory = setup.prepare().expect("a directory");
    let not_used = Postlogd::bind(directory.path(), "postlog");
    let postlogd = Postlogd::bind(directory.path(), "other");
    let daemon = setup.start_in(directory).expect("start");
    provoke(&mut connect(&daemon), "one");
    let text = postlogd.receive(daemon.pid()).text;
    assert_eq!(text, format!("{HEAD}{}", warning("one")));
    assert!(not_used.is_empty());
}

#[test]
fn without_maillog_file_nothing_goes_to_postlogd() {
    let (postlogd, daemon) = start(Setup::new());
    provoke(&mut connect(&daemon), "one");
    assert!(daemon.wait_for_log(&warning("one")));
    assert!(postlogd.is_empty());
}

#[test]
fn before_main_cf_is_read_master_says_where_to_log_and_as_which_host() {
    for (name, host) in [("early.example.com", "early"), ("", "amnesiac")] {
        let setup = Setup::new()
            .env("POSTLOG_HOSTNAME", name)
            .env("MAIL_LOGTAG", "instance")
            .argv(&["-x"]);
        let (postlogd, daemon) = start(setup);
        let pid = daemon.pid();
        assert_eq!(daemon.wait().expect("end").status_text(), "exit 1");
        let text = format!(" {host} instance/scache[PID]: fatal: invalid option: x");
        assert_eq!(postlogd.receive(pid).text, text);
        assert!(postlogd.is_empty());
    }
}

#[test]
fn unless_master_says_where_to_log_early_messages_do_not_go_to_postlogd() {
    let setup = setup().env("POSTLOG_SERVICE", "").argv(&["-x"]);
    let (postlogd, daemon) = start(setup);
    assert_eq!(daemon.wait().expect("end").status_text(), "exit 1");
    assert!(postlogd.is_empty());
}
