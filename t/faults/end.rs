//! Tests that `postfix reload` cuts off no exchange while clients are busy.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::client::{list, Client};
use crate::harness::daemon::Daemon;
use crate::help::*;
use crate::stopped_clock::Shim;

const RELOADS: usize = 60;
const CLIENTS: usize = 8;

/// Number of requests that are answered before a reload.
const REQUESTS: usize = 200;

/// The state of a client when its connection ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Left {
    /// Its request was not begun: a client repeats it with the next process.
    Unanswered,
    /// It was in the middle of an exchange.
    Cut,
}

/// The daemon's clock is stopped, because it cuts clients off after a second, and on a
/// busy machine a client may not run within that time.
#[test]
fn no_client_is_cut_off_in_the_middle_by_reloads() {
    let Some(clock) = Shim::to_stop() else {
        return;
    };
    let (mut unanswered, mut cut) = (0, 0);
    for _ in 0..RELOADS {
        for left in reload_under_load(&clock) {
            match left {
                Left::Unanswered => unanswered += 1,
                Left::Cut => cut += 1,
            }
        }
    }
    println!("{RELOADS} reloads: {unanswered} requests not begun, {cut} cut off");
    assert_eq!(cut, 0);
}

/// Closes the status pipe while clients are busy. Returns the state of each of them.
fn reload_under_load(clock: &Shim) -> Vec<Left> {
    let mut daemon = clock.stopped(setup()).start().expect("start");
    let answered = AtomicUsize::new(0);
    let clients: Vec<Client> = (0..CLIENTS).map(|_| connect(&daemon)).collect();
    std::thread::scope(|scope| {
        let answered = &answered;
        let busy: Vec<_> = clients
            .into_iter()
            .map(|client| scope.spawn(move || be_busy(client, answered)))
            .collect();
        wait_until("clients are busy", || {
            answered.load(Ordering::Relaxed) >= REQUESTS
        });
        daemon.lose_master();
        let left = busy
            .into_iter()
            .map(|thread| thread.join().expect("a client"));
        let left = left.collect();
        end_of(daemon);
        left
    })
}

fn end_of(daemon: Daemon) {
    let ended = daemon.wait().expect("end");
    assert_eq!(ended.status_text(), "exit 0");
    let odd = |line: &&String| line.contains("warning:");
    assert_eq!(ended.log.iter().find(odd), None);
}

/// Saves and finds sessions until the daemon ends the connection.
fn be_busy(mut client: Client, answered: &AtomicUsize) -> Left {
    let session = File::open("/dev/null").expect("open");
    loop {
        for exchange in [save_once, find_once] {
            if let Err(left) = exchange(&mut client, &session) {
                return left;
            }
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn save_once(client: &mut Client, session: &File) -> Result<(), Left> {
    begin(client, "request=save_endp ttl=100 label=e property=p .")?;
    cut(client.send_fd(session.as_fd()))?;
    let status = cut(client.receive_list())?;
    assert_eq!(status, list("status=0 ."));
    Ok(())
}

fn find_once(client: &mut Client, _: &File) -> Result<(), Left> {
    let found = begin(client, "request=find_endp label=e .")?;
    if found == list("status=0 property=p .") {
        cut(client.send_list("dummy= ."))?;
        cut(client.receive_fd())?;
        cut(client.send_list("dummy= ."))?;
    }
    Ok(())
}

fn begin(client: &mut Client, request: &str) -> Result<Vec<u8>, Left> {
    let reply = client
        .send_list(request)
        .and_then(|()| client.receive_list());
    reply.map_err(|_| Left::Unanswered)
}

fn cut<T>(result: io::Result<T>) -> Result<T, Left> {
    result.map_err(|_| Left::Cut)
}
