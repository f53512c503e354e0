//! The whole service with four clients that say and do anything, time
//! included. No descriptor is lost: those that the service holds are open, and
//! when all clients have gone and all time is over, none is.
#![no_main]

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use scache::global::mail_conf::MailConf;
use scache::global::mail_params::scache_params_init;
use scache::global::mail_version::MailVersion;
use scache::master::multi_service::{MultiService, Turn, Wait};
use scache::scache::{Client, Scache};
use scache::util::stream::Stream;
use scache::util::unix_send_fd::unix_send_fd;

const LISTS: [&[u8]; 8] = [
    b"request\0save_endp\0ttl\x005\0label\0e\0property\0p\0\0",
    b"request\0save_endp\0ttl\x0090\0label\0f\0property\0q\0\0",
    b"request\0find_endp\0label\0e\0\0",
    b"request\0find_endp\0label\0f\0\0",
    b"request\0save_dest\0ttl\x007\0label\0d\0property\0p\0label\0e\0\0",
    b"request\0save_dest\0ttl\x0090\0label\0d\0property\0q\0label\0f\0\0",
    b"request\0find_dest\0label\0d\0\0",
    b"dummy\0\0\0",
];

struct Conn {
    ours: UnixStream,
    stream: Stream,
    state: Client,
    wait: Wait,
}

struct World {
    service: Scache,
    conns: [Option<Conn>; 4],
    session: UnixStream,
    now: Instant,
}

impl World {
    fn act(&mut self, what: u8, more: u8) {
        let who = usize::from(what >> 6);
        if self.conns[who].is_none() {
            self.conns[who] = Some(self.connect());
        }
        let conn = self.conns[who].as_mut().expect("just connected");
        match what & 15 {
            list @ 0..8 => {
                let _ = conn.ours.write_all(LISTS[usize::from(list)]);
            }
            8 => {
                let _ = unix_send_fd(conn.ours.as_fd(), self.session.as_fd());
            }
            9 => {
                let _ = conn.ours.write_all(&[more]);
            }
            10 => {
                // A part of a list.
                let list = LISTS[usize::from(more & 7)];
                let _ = conn.ours.write_all(&list[..usize::from(more >> 3).min(list.len())]);
            }
            11 => {
                let _ = conn.ours.read(&mut [0; 4096]);
            }
            12 => return self.disconnect(who),
            13 if conn.wait != Wait::Request => {
                conn.wait = self.service.timeout(&mut conn.state, &mut conn.stream, turn(self.now));
                return self.served(who);
            }
            14 => {
                self.now += Duration::from_millis(u64::from(more) * 20);
                return self.service.timers(self.now);
            }
            15 if more == 1 => {
                self.service.make_room();
            }
            _ => {
                let _ = conn.ours.write_all(&[b'x'; 4000]);
            }
        }
        self.ready(who);
    }

    fn connect(&mut self) -> Conn {
        let (ours, theirs) = UnixStream::pair().expect("socketpair");
        ours.set_nonblocking(true).expect("fcntl");
        theirs.set_nonblocking(true).expect("fcntl");
        let mut stream = Stream::new(theirs.into(), "fuzz socket".into());
        self.service.connected(&mut stream);
        Conn { ours, stream, state: Client::default(), wait: Wait::Request }
    }

    /// As the event loop does it.
    fn ready(&mut self, who: usize) {
        let conn = self.conns[who].as_mut().expect("connected");
        match conn.wait {
            Wait::Request | Wait::Input => conn.stream.set_readable(),
            Wait::Nothing => unreachable!("it has had all its turns"),
            Wait::Output => {
                conn.stream.fflush();
                if conn.stream.has_unwritten() {
                    return;
                }
            }
        }
        conn.wait = self.service.service(&mut conn.state, &mut conn.stream, turn(self.now));
        self.served(who);
    }

    fn served(&mut self, who: usize) {
        let conn = self.conns[who].as_mut().expect("connected");
        while conn.wait == Wait::Nothing {
            conn.wait = self.service.service(&mut conn.state, &mut conn.stream, turn(self.now));
        }
        if conn.wait != Wait::Output {
            assert!(!conn.stream.has_unwritten(), "nobody will write it");
        }
        if conn.wait == Wait::Request && conn.stream.ended().is_some() {
            self.disconnect(who);
        }
    }

    fn disconnect(&mut self, who: usize) {
        let conn = self.conns[who].take().expect("connected");
        self.service.disconnected(conn.state);
    }

    /// The descriptors of this process are those of the clients, those of the
    /// service and those that were there before.
    fn account(&self, before: usize) {
        let clients = self.conns.iter().flatten().count();
        assert_eq!(open_fds(), before + 2 * clients + self.service.descriptors());
    }
}

fuzz_target!(|steps: Vec<(u8, u8)>| {
    let (session, _other) = UnixStream::pair().expect("socketpair");
    let before = open_fds();
    let mut conf = MailConf::new(Path::new("/nowhere"), MailVersion::BUILT_IN);
    conf.update(b"connection_cache_ttl_limit", b"10s");
    let params = scache_params_init(&mut conf).expect("defaults");
    let now = Instant::now();
    let mut world = World {
        service: Scache::new(params, true, now),
        conns: [None, None, None, None],
        session,
        now,
    };
    for (what, more) in steps {
        world.act(what, more);
    }
    world.account(before);
    for who in 0..4 {
        if world.conns[who].is_some() {
            world.disconnect(who);
        }
    }
    world.account(before);
    world.now += Duration::from_secs(11);
    for _ in 0..100 {
        world.service.timers(world.now);
    }
    assert_eq!(world.service.descriptors(), 0, "all time is over");
    assert_eq!(open_fds(), before);
});

fn turn(now: Instant) -> Turn {
    Turn { now, free_fds: 1000 }
}

fn open_fds() -> usize {
    let is_open = |&fd: &i32| {
        // SAFETY: F_GETFD only reads the flags of a descriptor, if it is open.
        unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
    };
    (0..256).filter(is_open).count()
}
