//! The cache does what a naive one does: random operations on both, time
//! included. `SEED` in the environment repeats a run, `STEPS` makes it longer.

mod harness;
#[path = "model/naive.rs"]
mod naive;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use harness::random::Random;
use naive::Naive;
use scache::global::scache_multi::{ScacheMulti, Session};

/// How many names of each kind there are, and how quickly time passes.
struct World {
    endps: usize,
    dests: usize,
    props: usize,
    most_ttl: usize,
    most_pause: usize,
    endpoint_limit: usize,
}

/// Few endpoints and long lists of bindings; many endpoints and short lists;
/// little that ever ends; next to nothing that lives.
const WORLDS: [World; 4] = [
    World {
        endps: 4,
        dests: 2,
        props: 30,
        most_ttl: 3000,
        most_pause: 20,
        endpoint_limit: 0,
    },
    World {
        endps: 200,
        dests: 40,
        props: 2,
        most_ttl: 3000,
        most_pause: 20,
        endpoint_limit: 2,
    },
    World {
        endps: 20,
        dests: 10,
        props: 3,
        most_ttl: 20_000,
        most_pause: 4,
        endpoint_limit: 30,
    },
    World {
        endps: 5,
        dests: 3,
        props: 2,
        most_ttl: 20,
        most_pause: 20,
        endpoint_limit: 1,
    },
];

struct Both {
    real: ScacheMulti,
    naive: Naive,
    held: Vec<(Session, naive::Session)>,
    /// The other sides of sessions, by age.
    others: BTreeMap<u64, UnixStream>,
    start: Instant,
    now: u64,
    /// How often find_dest had fewer live endpoints than bindings to look at,
    /// and how often not.
    ways: [usize; 2],
}

impl Both {
    fn at(&self, time: u64) -> Instant {
        self.start + Duration::from_millis(time)
    }

    fn step(&mut self, random: &mut Random, world: &World) {
        self.now += random.below(world.most_pause) as u64;
        let endp = format!("e{}", random.below(world.endps));
        let dest = format!("d{}", random.below(world.dests));
        let prop = format!("p{}", random.below(world.props));
        let ttl = random.below(world.most_ttl) as u64 / 10 * 10;
        let life = Duration::from_millis(ttl);
        let (time, now) = (self.now, self.at(self.now));
        match random.below(20) {
            // So many on their way are enough.
            5..8 | 12..15 if self.held.len() > 100 => {
                self.give_away(0);
            }
            0..5 => {
                // So many descriptors are enough.
                let (fd, other) = descriptor(self.others.len() < 100);
                let age = self
                    .naive
                    .save_endp(time + ttl, &endp, &prop, fd.as_raw_fd());
                self.others.extend(other.map(|other| (age, other)));
                self.real
                    .save_endp(life, endp.as_bytes(), prop.as_bytes(), fd, now);
            }
            5..8 => {
                let real = self.real.find_endp(endp.as_bytes(), now);
                let naive = self.naive.find_endp(&endp, time);
                self.same(real, naive);
            }
            8..12 => {
                self.naive.save_dest(time + ttl, &dest, &prop, &endp);
                let (dest, prop) = (dest.as_bytes(), prop.as_bytes());
                self.real.save_dest(life, dest, prop, endp.as_bytes(), now);
            }
            12..15 => self.find_dest(&dest),
            15 | 16 if !self.held.is_empty() => {
                let (real, naive) = self.held.swap_remove(random.below(self.held.len()));
                self.real.give_back(real);
                self.naive.give_back(naive);
            }
            17 if !self.held.is_empty() => {
                self.give_away(random.below(self.held.len()));
            }
            18 if random.one_in(4) => {
                let dropped = self.real.drop_nearest_session();
                assert_eq!(dropped, self.naive.drop_nearest_session());
            }
            19 => self.end_one(random),
            _ => self.expire(random.below(6)),
        }
        self.settle();
    }

    fn give_away(&mut self, which: usize) {
        let (real, naive) = self.held.swap_remove(which);
        self.real.give_away(real);
        self.closed(naive.age, false);
    }

    /// The other side of a session speaks or hangs up, if it can.
    fn end_one(&mut self, random: &mut Random) {
        let others = &self.others;
        let Some(mut other) = self
            .naive
            .end_one(random.next() as usize, |age| others.get(&age))
        else {
            return;
        };
        match random.one_in(2) {
            true => other.write_all(b"421 bye").expect("room"),
            false => other.shutdown(Shutdown::Write).expect("a socket"),
        }
    }

    /// What has become of sessions is the same, seen from their other sides.
    fn settle(&mut self) {
        assert_eq!(self.real.take_dead_count(), self.naive.take_dead_count());
        for (age, told) in self.naive.take_ended() {
            self.closed(age, told);
        }
    }

    /// A session was closed, after farewell or without a word.
    fn closed(&mut self, age: u64, told: bool) {
        let Some(mut other) = self.others.remove(&age) else {
            return;
        };
        other.set_nonblocking(true).expect("fcntl");
        let mut heard = Vec::new();
        match other.read_to_end(&mut heard) {
            // (What the other side said was not read.)
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            result => drop(result.expect("to be closed")),
        }
        let farewell: &[u8] = if told { b"QUIT\r\n" } else { b"" };
        assert_eq!(
            heard.escape_ascii().to_string(),
            farewell.escape_ascii().to_string()
        );
    }

    fn expire(&mut self, most: usize) {
        self.real.expire(self.at(self.now), most);
        self.naive.expire(self.now, most);
    }

    fn find_dest(&mut self, dest: &str) {
        let few_endps = self.naive.size().1 < self.naive.bindings_of(dest);
        self.ways[usize::from(few_endps)] += 1;
        let found = self.real.find_dest(dest.as_bytes(), self.at(self.now));
        let (real, real_prop) = found
            .map(|(session, prop)| (session, prop.to_vec()))
            .unzip();
        let (naive, naive_prop) = self.naive.find_dest(dest, self.now).unzip();
        assert_eq!(real_prop, naive_prop.map(String::into_bytes));
        self.same(real, naive);
    }

    /// Both found the same session, or none; it is held until it is given.
    fn same(&mut self, real: Option<Session>, naive: Option<naive::Session>) {
        let shown = real
            .as_ref()
            .map(|s| (s.as_fd().as_raw_fd(), s.prop().to_vec()));
        assert_eq!(shown, naive.clone().map(|s| (s.fd, s.prop.into_bytes())));
        self.held.extend(real.zip(naive));
    }

    fn check(&self, before: &BTreeSet<i32>) {
        let size = self.real.size();
        assert_eq!(
            (size.dest_count, size.endp_count, size.sess_count),
            self.naive.size()
        );
        let deadline = self.naive.next_deadline().map(|time| self.at(time));
        assert_eq!(self.real.next_deadline(), deadline);
        assert!(self.naive.is_sound());
        let held = self.held.iter().map(|(_, naive)| naive.fd);
        let others = self.others.values().map(|other| other.as_raw_fd());
        let fds = self.naive.fds().into_iter().chain(held);
        let known: BTreeSet<i32> = fds.chain(others).collect();
        let open: BTreeSet<i32> = open_fds().difference(before).copied().collect();
        assert_eq!(open, known, "open descriptors and those of sessions");
    }
}

/// Something to keep: a socket and its other side, or something simpler.
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
    // SAFETY: F_GETFD only reads the flags of a descriptor, if it is open: that
    // of the listing is not any more.
    let is_open = |fd: &i32| unsafe { libc::fcntl(*fd, libc::F_GETFD) >= 0 };
    numbers.into_iter().filter(is_open).collect()
}

/// The only test of this program: it counts the descriptors of the process.
#[test]
fn random_operations_do_the_same_to_the_cache_and_to_a_naive_one() {
    let seed = Random::seed();
    let steps = std::env::var("STEPS").map_or(10_000, |text| text.parse().expect("a number"));
    let before = open_fds();
    let mut ways = [0, 0];
    for (number, world) in WORLDS.iter().enumerate() {
        let mut random = Random::new(seed.wrapping_add(number as u64));
        let mut both = Both {
            real: ScacheMulti::new(b"QUIT", world.endpoint_limit),
            naive: Naive::new(world.endpoint_limit),
            held: Vec::new(),
            others: BTreeMap::new(),
            start: Instant::now(),
            now: 0,
            ways: [0, 0],
        };
        for step in 0..steps {
            both.step(&mut random, world);
            if step % 200 == 0 {
                both.check(&before);
                both.expire(1000);
            }
        }
        for (real, naive) in std::mem::take(&mut both.held) {
            both.real.give_back(real);
            both.naive.give_back(naive);
        }
        both.check(&before);
        both.real.close_all();
        both.naive.close_all();
        both.settle();
        both.check(&before);
        ways = [ways[0] + both.ways[0], ways[1] + both.ways[1]];
        drop(both);
        assert_eq!(
            open_fds(),
            before,
            "the cache is gone and its sessions with it"
        );
    }
    println!("find_dest by bindings and by endpoints: {ways:?}");
    assert!(
        ways.iter().all(|&way| way > 100),
        "only one way was gone: {ways:?}"
    );
}
