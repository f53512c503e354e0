//! Tests the cache by comparing it with a naive one, which is simple enough to be
//! obviously right: random operations on both, while time passes, must have the same
//! results. `SEED` in the environment repeats a run, `STEPS` makes it longer.

mod harness;
#[path = "model/naive.rs"]
mod naive;
#[path = "model/seen.rs"]
mod seen;
#[path = "model/world.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use harness::need;
use harness::random::Random;
use harness::sys;
use naive::Naive;
use scache::global::scache_multi::{ScacheMulti, ScacheSize, Session};
use seen::Seen;
use world::{World, DRAIN, FILL, LONGEST_TTL, MOST_OTHERS, WORLDS};

/// Maximum number of sessions on their way, and number of descriptors besides those of
/// sessions in the cache.
const MOST_HELD: usize = 100;
const OTHER_FDS: usize = 150 + MOST_OTHERS + MOST_HELD;

struct Both {
    real: ScacheMulti,
    naive: Naive,
    held: Vec<(Session, naive::Session)>,
    /// The peers of sessions, by the age of the session.
    others: BTreeMap<u64, UnixStream>,
    start: Instant,
    now: u64,
    /// Maximum number of sessions, so that there are enough descriptors.
    most_sessions: usize,
    seen: Seen,
}

impl Both {
    fn new(endpoint_limit: usize) -> Both {
        let limit = sys::open_files_limit().expect("getrlimit") as usize;
        Both {
            real: ScacheMulti::new(b"QUIT", endpoint_limit),
            naive: Naive::new(endpoint_limit),
            held: Vec::new(),
            others: BTreeMap::new(),
            start: Instant::now(),
            now: 0,
            most_sessions: limit - OTHER_FDS,
            seen: Seen::default(),
        }
    }

    fn at(&self, time: u64) -> Instant {
        self.start + Duration::from_millis(time)
    }

    fn step(&mut self, random: &mut Random, world: &World) {
        self.now += random.below(world.most_pause) as u64;
        let times = if random.one_in(10) { world.at_once } else { 1 };
        let endp = format!("e{}", random.below(world.endps));
        match random.below(20) {
            5..8 | 12..15 if self.held.len() > MOST_HELD => self.end_hand_over(0, random),
            0..5 => (0..times).for_each(|_| self.save_endp(random, world)),
            5..8 => {
                let now = self.at(self.now);
                let real = self.real.find_endp(endp.as_bytes(), now);
                let naive = self.naive.find_endp(&endp, self.now);
                self.same(real, naive);
            }
            8..12 => (0..times).for_each(|_| self.save_dest(random, world)),
            12..15 => self.find_dest(&format!("d{}", random.below(world.dests))),
            15..18 if !self.held.is_empty() => {
                self.end_hand_over(random.below(self.held.len()), random);
            }
            18 if random.one_in(4) => {
                let dropped = self.real.expire_endp();
                assert_eq!(dropped, self.naive.expire_endp());
            }
            19 if times > 1 => (0..MOST_OTHERS).for_each(|nth| self.end_one(nth, random)),
            19 => self.end_one(random.below(self.others.len().max(1)), random),
            _ => self.expire(random.below(6)),
        }
        self.settle();
    }

    fn save_endp(&mut self, random: &mut Random, world: &World) {
        let sessions = self.real.size().sess_count;
        if sessions >= world.most_sessions.min(self.most_sessions) {
            return;
        }
        let endp = format!("e{}", random.below(world.endps));
        let prop = format!("p{}", random.below(world.props));
        let (life, deadline, now) = self.life(random, world);
        let (fd, other) = descriptor(self.others.len() < MOST_OTHERS);
        let age = self.naive.save_endp(deadline, &endp, &prop, fd.as_raw_fd());
        self.others.extend(other.map(|other| (age, other)));
        let (endp, prop) = (endp.as_bytes(), prop.as_bytes());
        self.real.save_endp(life, endp, prop, fd, now);
        // Sessions above the limit of the endpoint are evicted.
        self.settle();
    }

    fn save_dest(&mut self, random: &mut Random, world: &World) {
        let endp = format!("e{}", random.below(world.endps));
        let dest = format!("d{}", random.below(world.dests));
        let prop = format!("p{}", random.below(world.props));
        let (life, deadline, now) = self.life(random, world);
        self.naive.save_dest(deadline, &dest, &prop, &endp);
        let (dest, prop, endp) = (dest.as_bytes(), prop.as_bytes(), endp.as_bytes());
        self.real.save_dest(life, dest, prop, endp, now);
    }

    /// A random time to live, its deadline, and the time now.
    fn life(&self, random: &mut Random, world: &World) -> (Duration, u64, Instant) {
        let ttl = random.below(world.most_ttl) as u64 / 10 * 10;
        let life = Duration::from_millis(ttl);
        (life, self.now + ttl, self.at(self.now))
    }

    /// Ends a hand-over in one of three ways: the session was not handed over and comes
    /// back; the client has confirmed it; the client is gone and may have it.
    fn end_hand_over(&mut self, which: usize, random: &mut Random) {
        let (real, naive) = self.held.swap_remove(which);
        let age = naive.age;
        match random.below(4) {
            0 | 1 => {
                self.seen.given_back += 1;
                self.seen.given_back_dead += usize::from(naive.dead);
                self.real.give_back(real);
                self.naive.give_back(naive);
            }
            2 => {
                self.seen.given_away += 1;
                let theirs = real.as_fd().try_clone_to_owned().expect("dup");
                drop(real);
                self.is_theirs(age, theirs);
            }
            _ => {
                self.seen.left_behind += 1;
                let theirs = random.one_in(2);
                let theirs = theirs.then(|| real.as_fd().try_clone_to_owned().expect("dup"));
                drop(real);
                match theirs {
                    Some(theirs) => self.is_theirs(age, theirs),
                    None => self.closed(age, false),
                }
            }
        }
    }

    /// Asserts that the peer of a session that was handed over has received nothing.
    fn is_theirs(&mut self, age: u64, theirs: OwnedFd) {
        if let Some(other) = self.others.get(&age) {
            assert_has_heard_nothing(other);
        }
        drop(theirs);
        self.closed(age, false);
    }

    /// Makes the peer of a session that is cached or on its way send something or close
    /// the connection.
    fn end_one(&mut self, nth: usize, random: &mut Random) {
        let Some((&age, mut other)) = self.others.iter().nth(nth) else {
            return;
        };
        let mut held = self.held.iter_mut().map(|(_, naive)| naive);
        match held.find(|naive| naive.age == age) {
            Some(naive) if naive.dead => return,
            Some(naive) => naive.dead = true,
            None if !self.naive.die(age) => return,
            None => {}
        }
        match random.one_in(2) {
            true => other.write_all(b"421 bye").expect("buffer space"),
            false => other.shutdown(Shutdown::Write).expect("a socket"),
        }
    }

    /// Asserts that both caches have ended the same sessions, as the peers see it.
    fn settle(&mut self) {
        let dead = self.real.take_dead_count();
        assert_eq!(dead, self.naive.take_dead_count());
        self.seen.most_dead = self.seen.most_dead.max(dead);
        for (age, told) in self.naive.take_ended() {
            self.closed(age, told);
        }
    }

    /// Asserts that a session was closed, with the farewell or without.
    fn closed(&mut self, age: u64, told: bool) {
        let Some(mut other) = self.others.remove(&age) else {
            return;
        };
        other.set_nonblocking(true).expect("fcntl");
        let mut heard = Vec::new();
        match other.read_to_end(&mut heard) {
            // (The bytes of the peer were not read.)
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            result => drop(result.expect("to be closed")),
        }
        let farewell: &[u8] = if told { b"QUIT\r\n" } else { b"" };
        assert_eq!(
            heard.escape_ascii().to_string(),
            farewell.escape_ascii().to_string()
        );
        match told {
            true => self.seen.told += 1,
            false => self.seen.not_told += 1,
        }
    }

    fn expire(&mut self, most: usize) {
        let now = self.at(self.now);
        self.real.expire(now, most);
        self.naive.expire(self.now, most);
    }

    fn find_dest(&mut self, dest: &str) {
        let now = self.at(self.now);
        let found = self.real.find_dest(dest.as_bytes(), now);
        let (real, real_prop) = found
            .map(|(session, prop)| (session, prop.to_vec()))
            .unzip();
        let (naive, naive_prop) = self.naive.find_dest(dest, self.now).unzip();
        assert_eq!(real_prop, naive_prop.map(String::into_bytes));
        self.same(real, naive);
    }

    /// Asserts that both caches found the same session, or none. The session is then on
    /// its way.
    fn same(&mut self, real: Option<Session>, naive: Option<naive::Session>) {
        let shown = real
            .as_ref()
            .map(|s| (s.as_fd().as_raw_fd(), s.prop().to_vec()));
        assert_eq!(shown, naive.clone().map(|s| (s.fd, s.prop.into_bytes())));
        self.held.extend(real.zip(naive));
    }

    fn check(&mut self, before: &BTreeSet<i32>) {
        let size = self.real.size();
        assert_eq!(
            (size.dest_count, size.endp_count, size.sess_count),
            self.naive.size()
        );
        let deadline = self.naive.next_deadline().map(|time| self.at(time));
        assert_eq!(self.real.next_deadline(), deadline);
        assert!(self.naive.is_sound());
        self.seen.most_sessions = self.seen.most_sessions.max(size.sess_count);
        self.seen.most_bindings = self.seen.most_bindings.max(self.naive.bindings());
        self.others.values().for_each(assert_has_heard_nothing);
        let held = self.held.iter().map(|(_, naive)| naive.fd);
        let others = self.others.values().map(|other| other.as_raw_fd());
        let known: BTreeSet<i32> = self.naive.fds().chain(held).chain(others).collect();
        let open: BTreeSet<i32> = open_fds().difference(before).copied().collect();
        assert_eq!(open, known, "open descriptors and those of sessions");
    }

    /// Does a number of steps, and checks everything now and then.
    fn steps(&mut self, count: usize, random: &mut Random, world: &World, before: &BTreeSet<i32>) {
        for step in 0..count {
            self.step(random, world);
            if step % 200 == 0 {
                self.check(before);
                self.expire(1000);
            }
        }
    }

    /// Ends a run: sessions on their way come back, and all sessions are closed. The
    /// cache must be empty when all bindings have expired.
    fn end(mut self, before: &BTreeSet<i32>) -> Seen {
        for (real, naive) in std::mem::take(&mut self.held) {
            self.real.give_back(real);
            self.naive.give_back(naive);
        }
        self.settle();
        self.check(before);
        self.real.close_all();
        self.naive.close_all();
        self.settle();
        self.check(before);
        self.now += LONGEST_TTL;
        self.expire(usize::MAX);
        self.check(before);
        assert_eq!(self.real.size(), ScacheSize::default());
        let seen = std::mem::take(&mut self.seen);
        drop(self);
        assert_eq!(
            &open_fds(),
            before,
            "the cache is gone and its sessions with it"
        );
        seen
    }
}

/// Asserts that a session is open and that its peer has received nothing.
fn assert_has_heard_nothing(mut other: &UnixStream) {
    other.set_nonblocking(true).expect("fcntl");
    let came = other.read(&mut [0; 100]);
    let is_silent = came
        .as_ref()
        .is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    assert!(is_silent, "{came:?}");
}

/// A descriptor to save: a socket and its peer, or a file.
fn descriptor(socket: bool) -> (OwnedFd, Option<UnixStream>) {
    if !socket {
        let file = File::open("/dev/null").expect("a descriptor");
        return (file.into(), None);
    }
    let (socket, other) = UnixStream::pair().expect("a pair");
    (socket.into(), Some(other))
}

fn open_fds() -> BTreeSet<i32> {
    let names = std::fs::read_dir("/proc/self/fd")
        .expect("/proc")
        .map(|entry| entry.expect("an entry").file_name());
    let numbers: Vec<i32> = names
        .filter_map(|name| name.to_str()?.parse().ok())
        .collect();
    // SAFETY: F_GETFD only reads the flags of a descriptor, if it is open. (That of
    // the listing is closed now.)
    let is_open = |fd: &i32| unsafe { libc::fcntl(*fd, libc::F_GETFD) >= 0 };
    numbers.into_iter().filter(is_open).collect()
}

fn steps() -> usize {
    std::env::var("STEPS").map_or(10_000, |text| text.parse().expect("a number"))
}

/// Must be the only test of this program, because it counts the descriptors of the
/// process.
#[test]
fn random_operations_do_the_same_to_the_cache_and_to_a_naive_one() {
    // Enough for the sessions that are saved at once.
    if !need::open_files(OTHER_FDS as u64 + 400) {
        return;
    }
    let seed = Random::seed();
    let before = open_fds();
    let mut seen = Seen::default();
    for (number, world) in WORLDS.iter().enumerate() {
        let mut random = Random::new(seed.wrapping_add(number as u64));
        let mut both = Both::new(world.endpoint_limit);
        both.steps(steps(), &mut random, world, &before);
        seen.add(both.end(&before));
    }
    let mut random = Random::new(seed.wrapping_sub(1));
    let mut both = Both::new(FILL.endpoint_limit);
    both.steps(steps(), &mut random, &FILL, &before);
    both.steps(steps(), &mut random, &DRAIN, &before);
    seen.add(both.end(&before));
    assert!(seen.is_all(), "{seen:?}");
}
