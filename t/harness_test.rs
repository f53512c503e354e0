//! The harness itself: does a daemon start, answer and end?

mod harness;

use harness::client::list;
use harness::master::{Entry, Setup};

#[test]
fn arguments_as_master_makes_them() {
    let entry = Entry::parse("scache unix - n y - 1 scache -o max_idle=1s");
    let argv = entry.argv(1).join(" ");
    assert!(argv.starts_with("-l -n scache -t unix"), "{argv}");
    assert!(argv.ends_with("-o max_idle=1s"), "{argv}");
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
