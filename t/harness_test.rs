//! Tests the test harness, on which all other tests depend: it starts a daemon, talks to
//! it and ends it, makes the arguments that master(8) makes, and compares versions.

mod harness;

use harness::client::list;
use harness::entry::Entry;
use harness::master::Setup;
use harness::privilege::is_root;
use harness::version::{Version, Versions};

#[test]
fn arguments_as_master_makes_them() {
    let argv = |line: &str, sockets| Entry::parse(line).argv(sockets).join(" ");
    let user = if is_root() { " -u" } else { "" };
    let jail = if is_root() { " -c" } else { "" };
    let plain = argv("scache unix - - n - 1 scache -o max_idle=1s", 1);
    assert_eq!(plain, format!("-l -t unix{user} -o max_idle=1s"));
    let renamed = argv("xcache unix - - y - - scache", 1);
    assert_eq!(renamed, format!("-n xcache -t unix{user}{jail}"));
    let root = argv("zcache unix - n y - 0 scache", 2);
    assert_eq!(root, format!("-z -n zcache -t unix{jail} -s 2"));
}

#[test]
fn a_range_of_versions_contains_the_first_and_not_the_last() {
    let version = |text| Version::parse(text).expect(text);
    let among = |versions: &Versions| {
        ["3.5.25", "3.8-20230101", "3.9", "3.10.13", "4.0"].map(|v| versions.contain(version(v)))
    };
    let mut versions = Versions::default();
    assert_eq!(among(&versions), [true; 5]);
    assert!(versions.restrict("before", "3.10"));
    assert_eq!(among(&versions), [true, true, true, false, false]);
    assert_eq!(versions.example(), version("3.9"));
    assert!(versions.restrict("since", "3.8"));
    assert_eq!(among(&versions), [false, true, true, false, false]);
    assert_eq!(versions.example(), version("3.8"));
    assert!(!versions.restrict("since", "x"));
    assert!(!versions.restrict("until", "3.8"));
}

#[test]
fn a_daemon_starts_answers_and_ends() {
    let daemon = Setup::new().start().expect("start");
    let mut client = daemon.connect().expect("connect");
    let hello = client.receive_list().expect("announcement");
    assert_eq!(hello, list("protocol=connection_cache_protocol ."));
    client
        .send_list("request=find_endp label=e .")
        .expect("send");
    assert_eq!(
        client.receive_list().expect("reply"),
        list("status=2 property= .")
    );
    assert!(daemon.fd_count().expect("/proc") >= 8);
    drop(client);
    let ended = daemon.end().expect("end");
    assert_eq!(ended.status_text(), "exit 0");
    assert!(ended
        .log
        .last()
        .expect("a line")
        .ends_with("address lookup hits=0 miss=1 success=0%"));
}
