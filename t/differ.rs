//! Looks for differences that no transcript shows: makes the same random exchanges with
//! the C program and with this one. Every reply, every descriptor and every log line must
//! be the same.
//!
//! The clocks of both daemons are stopped and set by the test, so that a session
//! expires in the same second in both. Every other pair of daemons runs with -v.
//!
//! `SCACHE` names the C program, `SEED` repeats a run, the first argument is the number
//! of exchanges (2000). `lost()` and `dead()` make the exchanges in which the programs
//! differ on purpose.

mod harness;
#[path = "replay/log.rs"]
#[allow(dead_code)]
mod log;
#[path = "clock/shim.rs"]
#[allow(dead_code)]
mod shim;

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use harness::client::{list, Client, PATIENCE};
use harness::daemon::Daemon;
use harness::log_text::readable;
use harness::master::Setup;
use harness::random::Random;
use harness::sys;
use shim::Shim;

/// Number of exchanges with one pair of daemons.
const BATCH: usize = 500;

/// Maximum time for which a missing reply is waited for.
const LATE: Duration = Duration::from_secs(2);

/// Bytes that were received, and the identities of descriptors.
type Came = (Vec<u8>, Vec<(u64, u64)>);

/// A daemon and its clients.
struct Side {
    daemon: Daemon,
    clients: Vec<Client>,
}

impl Side {
    fn start(binary: &Path, clock: &Shim, verbose: bool) -> Side {
        let mut setup = clock
            .stopped(Setup::new().binary(binary))
            .main_cf("connection_cache_farewell =")
            .main_cf("connection_cache_ttl_limit = 10000s")
            .main_cf("connection_cache_status_update_time = 1000000s");
        if verbose {
            setup = setup.option("-v");
        }
        let daemon = setup.start().expect("start");
        Side {
            daemon,
            clients: Vec::new(),
        }
    }

    /// Waits until the daemon has read everything and sleeps.
    fn quiet(&mut self) {
        // (The C program sends so many status messages that it would block.)
        while self
            .daemon
            .status(Duration::ZERO)
            .expect("status")
            .is_some()
        {}
        let start = Instant::now();
        let mut before = None;
        loop {
            let unread = |client: &Client| sys::unread_by_peer(client.as_fd()).unwrap_or(0) > 0;
            let now = self.sleeping();
            assert!(
                start.elapsed() < PATIENCE,
                "it does not sleep: {now:?} {:?} {:?} unread {:?}",
                fs::read_link(format!("/proc/{}/exe", self.daemon.pid())),
                self.daemon.log().last(),
                self.clients.iter().map(unread).collect::<Vec<_>>()
            );
            if now.is_some() && now == before && !self.clients.iter().any(unread) {
                return;
            }
            before = now;
        }
    }

    /// Number of times that the daemon has gone to sleep. None if it does not sleep, or
    /// sleeps until its log is read, as the C program may.
    fn sleeping(&self) -> Option<u64> {
        let status = fs::read_to_string(self.daemon.proc("status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let sleeps = field("State:")?.trim_start().starts_with('S');
        let count = field("voluntary_ctxt_switches:")?.trim().parse().ok();
        let place = fs::read_to_string(self.daemon.proc("wchan")).unwrap_or_default();
        count.filter(|_| sleeps && !place.contains("pipe"))
    }

    fn send(&mut self, who: usize, bytes: &[u8], fds: &[BorrowedFd]) {
        // (If the daemon has ended, receiving fails.)
        let _ = self.clients[who].send_fds(fds, bytes);
    }

    fn receive(&mut self, who: usize) -> Came {
        self.quiet();
        let client = &mut self.clients[who];
        let mut fds = Vec::new();
        let (bytes, _) = client.pending(Duration::ZERO).expect("receive");
        let length = bytes.len();
        let bytes = client.receive_bytes(length).expect("just came");
        while let Some(fd) = client.take_fd() {
            fds.push(sys::identity_of(&fd));
        }
        (bytes, fds)
    }
}

/// Both daemons.
struct Pair {
    c: Side,
    port: Side,
    verbose: bool,
    /// The time, in seconds since the start.
    time: i64,
    files: Vec<UnixStream>,
    history: Vec<String>,
    /// Number of sessions that one daemon has closed and the other has not.
    lost: usize,
    /// Number of writes to each daemon, after each of which the daemons were compared.
    writes: usize,
}

impl Pair {
    fn connect(&mut self) {
        for side in [&mut self.c, &mut self.port] {
            side.clients.push(side.daemon.connect().expect("connect"));
        }
        let last = self.c.clients.len() - 1;
        self.compare(last);
    }

    /// Sets the clock forward; the daemons notice it at the next event.
    fn pass_time(&mut self, clock: &Shim, seconds: i64) {
        self.time += seconds;
        clock.off_by(self.time);
        self.history.push(format!("{seconds} s pass"));
    }

    /// Replaces a client by a new one.
    fn reconnect(&mut self, who: usize) {
        self.history.push(format!("{who} reconnects"));
        for side in [&mut self.c, &mut self.port] {
            drop(side.clients.swap_remove(who));
            side.quiet();
        }
        self.connect();
    }

    fn send(&mut self, who: usize, bytes: &[u8], fds: &[usize]) -> Vec<u8> {
        let text = bytes.escape_ascii();
        self.history.push(format!("{who}> {text} fds {fds:?}"));
        self.writes += 1;
        let fds: Vec<BorrowedFd> = fds.iter().map(|&fd| self.files[fd].as_fd()).collect();
        self.c.send(who, bytes, &fds);
        self.port.send(who, bytes, &fds);
        self.compare(who)
    }

    fn compare(&mut self, who: usize) -> Vec<u8> {
        if std::env::var_os("SHOW").is_some() {
            println!("{}", self.history.last().map_or("", String::as_str));
        }
        let (mut c, mut port) = (self.c.receive(who), self.port.receive(who));
        // On a busy machine a daemon may sleep before it has replied.
        let late = Instant::now() + LATE;
        while c != port && Instant::now() < late {
            for (came, side) in [(&mut c, &mut self.c), (&mut port, &mut self.port)] {
                let (bytes, fds) = side.receive(who);
                came.0.extend(bytes);
                came.1.extend(fds);
            }
        }
        let text = c.0.escape_ascii();
        self.history.push(format!("{who}< {text} and {:?}", c.1));
        let from = self.history.len().saturating_sub(30);
        assert!(
            c == port,
            "{}\nhere: {port:?}",
            self.history[from..].join("\n")
        );
        c.0
    }

    fn end(self) {
        let logs = [self.c, self.port].map(|side| {
            drop(side.clients);
            let ended = side.daemon.end().expect("end");
            assert_eq!(ended.status_text(), "exit 0");
            let mut lines = log::masked(&ended.log);
            sort_ends(&mut lines);
            lines
                .iter()
                .filter_map(|line| masked(line, self.lost > 0))
                .collect::<Vec<String>>()
        });
        let [c, port] = &logs;
        if let Some(at) = (0..c.len().max(port.len())).find(|&at| c.get(at) != port.get(at)) {
            println!("{}", self.history.join("\n"));
            println!("{}", c[at.saturating_sub(8)..=at].join("\n"));
            panic!(
                "log line {at}:\nC    {:?}\nhere {:?}",
                c.get(at),
                port.get(at)
            );
        }
    }
}

/// Sorts lines about sessions and bindings that end in the same second: the C program
/// ends them in the order of saving, this one ends sessions first.
fn sort_ends(lines: &mut [String]) {
    let is_end = |line: &String| line.starts_with("scache_multi_drop_");
    for ends in lines.chunk_by_mut(|one, next| is_end(one) && is_end(next)) {
        ends.sort();
    }
}

/// Masks the time in a log line, and a reason that is only an old errno. None for a line
/// that only this program logs, and for the line with the maximum numbers if sessions
/// were lost.
fn masked(line: &str, lost: bool) -> Option<String> {
    let only_here = [
        "time to live: ",
        "sessions ended by the other side",
        " (Rust), for Postfix ",
    ];
    if lost && line.contains("max simultaneous") || only_here.iter().any(|s| line.contains(s)) {
        return None;
    }
    let cut = ["start interval", "file descriptor:"];
    let at = cut
        .iter()
        .find_map(|text| Some(line.find(text)? + text.len()));
    Some(readable(&line[..at.unwrap_or(line.len())]))
}

/// Makes a random exchange.
fn exchange(pair: &mut Pair, random: &mut Random, clock: &Shim) {
    if random.one_in(8) {
        pair.pass_time(clock, 1 + random.below(4) as i64);
    }
    let who = random.below(pair.c.clients.len());
    let endp = format!("e{}", random.below(5));
    let dest = format!("d{}", random.below(4));
    let prop = random
        .pick(&["", "p", "q", "a=b", "\u{e9}\t\\", "0123456789"])
        .to_string();
    let ttl = *random.pick(&["500", "1", "2", "3", "5", "9"]);
    match random.below(16) {
        0..4 => save(pair, who, random, ttl, &endp, &prop, 0),
        4..6 => find(
            pair,
            who,
            &format!("request\0find_endp\0label\0{endp}\0\0"),
            "dummy= .",
        ),
        6 | 7 => {
            let text = format!("request\0save_dest\0ttl\0{ttl}\0label\0{dest}\0property\0{prop}\0");
            pair.send(who, format!("{text}label\0{endp}\0\0").as_bytes(), &[]);
        }
        8 | 9 => find(
            pair,
            who,
            &format!("request\0find_dest\0label\0{dest}\0\0"),
            "dummy= .",
        ),
        10 => {
            let numbers = [
                "0",
                "-1",
                "x",
                "",
                "2x",
                " 500",
                "+700",
                "4294967796",
                "18446744073709551615",
                "99999999999999999999",
                "-4294966000",
                "0x10",
                "700 ",
                "\t\u{b}700",
            ];
            let (ttl, way) = (*random.pick(&numbers), random.below(5));
            save(pair, who, random, ttl, &endp, &prop, way);
            pair.reconnect(who);
        }
        // With -v the programs log different lines about such a session.
        11 if !pair.verbose && random.one_in(2) => dead(pair, who),
        11 if !pair.verbose => lost(pair, who, random),
        12 => {
            let second = *random.pick(&["dumb= .", "dummy=x y= .", ".", "request=x ."]);
            find(
                pair,
                who,
                &format!("request\0find_endp\0label\0{endp}\0\0"),
                second,
            );
            pair.reconnect(who);
        }
        11 | 13 | 14 => broken(pair, who, random),
        _ => shuffled(pair, who, random),
    }
}

/// Makes a save_endp request. `way` selects how the descriptor is sent: 0 is the right
/// way, others are mistakes.
fn save(
    pair: &mut Pair,
    who: usize,
    random: &mut Random,
    ttl: &str,
    endp: &str,
    prop: &str,
    way: usize,
) {
    let text = format!("request\0save_endp\0ttl\0{ttl}\0label\0{endp}\0property\0{prop}\0\0");
    if pair.send(who, text.as_bytes(), &[]) != list("dummy= .") {
        return;
    }
    let file = random.below(pair.files.len());
    match way {
        0 | 1 => pair.send(who, b"\0", &[file]),
        2 => pair.send(who, b"\0", &[]),
        3 => pair.send(who, b"x", &[file]),
        _ => pair.send(who, b"\0", &[file, (file + 1) % 8]),
    };
}

/// Makes a find_endp or find_dest request; `end` is the last list that is sent.
fn find(pair: &mut Pair, who: usize, request: &str, end: &str) {
    if pair
        .send(who, request.as_bytes(), &[])
        .starts_with(b"status\x000\0")
    {
        pair.send(who, &list("dummy= ."), &[]);
        pair.send(who, &list(end), &[]);
    }
}

/// Makes a hand-over fail: the C program closes the session, this one keeps it. No later
/// request looks for it.
fn lost(pair: &mut Pair, who: usize, random: &mut Random) {
    pair.lost += 1;
    let endp = format!("lost{}", pair.lost);
    save(pair, who, random, "500", &endp, "p", 0);
    pair.send(
        who,
        format!("request\0find_endp\0label\0{endp}\0\0").as_bytes(),
        &[],
    );
    let wrong = *random.pick(&["dumb= .", "request=find_endp label=x .", "dummy= x= .", "."]);
    pair.send(who, &list(wrong), &[]);
    pair.reconnect(who);
}

/// Saves a session whose peer has closed it, and one that is alive, and looks for them:
/// the C program hands out the first, this one the second.
fn dead(pair: &mut Pair, who: usize) {
    pair.lost += 1;
    let endp = format!("dead{}", pair.lost);
    let (gone, alive) = (pair.files.len(), 0);
    let (socket, other) = UnixStream::pair().expect("pair");
    pair.files.push(socket);
    drop(other);
    let text = format!("request\0save_endp\0ttl\x00500\0label\0{endp}\0property\0p\0\0");
    for file in [gone, alive] {
        pair.send(who, text.as_bytes(), &[]);
        pair.send(who, b"\0", &[file]);
    }
    pair.send(
        who,
        format!("request\0find_endp\0label\0{endp}\0\0").as_bytes(),
        &[],
    );
    let found = [&mut pair.c, &mut pair.port].map(|side| {
        side.send(who, &list("dummy= ."), &[]);
        side.receive(who)
    });
    let expected =
        [gone, alive].map(|file| (b"\0".to_vec(), vec![sys::identity_of(&pair.files[file])]));
    assert_eq!(found, expected, "the session found, C and here");
    pair.send(who, &list("dummy= ."), &[]);
    pair.files.truncate(gone);
}

/// Sends one or two requests with random mistakes, in random pieces.
fn broken(pair: &mut Pair, who: usize, random: &mut Random) {
    let mut bytes = Vec::new();
    for _ in 0..1 + random.below(2) {
        bytes.extend(list(random.pick::<&str>(&[
            "request=save_endp ttl=500 label=z property=p .",
            "request=find_endp label=nothing .",
            "request=save_dest ttl=500 label=z property=p label=z .",
            "request=find_dest label=nothing .",
            "dummy= .",
        ])));
    }
    for _ in 0..random.below(3) {
        let at = random.below(bytes.len());
        match random.below(4) {
            0 => drop(bytes.remove(at)),
            1 => bytes.insert(at, *random.pick(&[0, b'x', 0xff, b'='])),
            2 => bytes[at] = random.next() as u8,
            _ => bytes.truncate(at + 1),
        }
        if bytes.is_empty() {
            return;
        }
    }
    // If a digit is lost, the session could expire within the test. If a label is empty,
    // a session may be found under it, and its hand-over fails: see `lost()`.
    let expires = |w: &[u8]| w.starts_with(b"ttl\0") && w[4] != b'5';
    let is_empty = |w: &[u8]| w == b"label\0\0";
    if bytes.windows(5).any(expires) || bytes.windows(7).any(is_empty) {
        return;
    }
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(1 + random.below(rest.len()));
        let fds: &[usize] = if random.one_in(6) { &[0] } else { &[] };
        let came = pair.send(who, piece, fds);
        rest = more;
        if came.ends_with(&list("dummy= .")) && random.one_in(2) {
            pair.send(who, b"\0", &[random.below(8)]);
        }
    }
    pair.reconnect(who);
}

/// Sends names and values in any order.
fn shuffled(pair: &mut Pair, who: usize, random: &mut Random) {
    let mut bytes = Vec::new();
    for _ in 0..1 + random.below(8) {
        let long = "l".repeat(random.below(6000));
        bytes.extend_from_slice(
            random
                .pick(&[
                    "request",
                    "find_endp",
                    "save_dest",
                    "label",
                    "property",
                    "dummy",
                    "",
                    "",
                    "y",
                    "ttl",
                    "-1",
                    &long,
                ])
                .as_bytes(),
        );
        bytes.push(0);
    }
    pair.send(who, &bytes, &[]);
    pair.reconnect(who);
}

fn main() -> ExitCode {
    let Some(c_daemon) = std::env::var_os("SCACHE") else {
        println!("SKIPPED: SCACHE does not name the C program");
        return ExitCode::SUCCESS;
    };
    let count = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(2000);
    let Some(clock) = Shim::build() else {
        println!("SKIPPED: no cc to build the clock");
        return ExitCode::SUCCESS;
    };
    let seed = Random::seed();
    let (start, mut done, mut writes) = (Instant::now(), 0, 0);
    while done < count {
        let mut random = Random::new(seed + (done / BATCH) as u64);
        let verbose = (done / BATCH) % 2 == 1;
        clock.off_by(0);
        let mut pair = Pair {
            c: Side::start(Path::new(&c_daemon), &clock, verbose),
            port: Side::start(Path::new(env!("CARGO_BIN_EXE_scache")), &clock, verbose),
            verbose,
            time: 0,
            files: (0..4)
                .flat_map(|_| <[_; 2]>::from(UnixStream::pair().expect("pair")))
                .collect(),
            history: Vec::new(),
            lost: 0,
            writes: 0,
        };
        (0..3).for_each(|_| pair.connect());
        for _ in 0..BATCH.min(count - done) {
            exchange(&mut pair, &mut random, &clock);
            done += 1;
        }
        writes += pair.writes;
        println!("batch of seed {} done", seed + ((done - 1) / BATCH) as u64);
        pair.end();
    }
    println!(
        "{done} exchanges, {writes} writes compared in {:?}",
        start.elapsed()
    );
    ExitCode::SUCCESS
}
