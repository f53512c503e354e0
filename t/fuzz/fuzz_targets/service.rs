//! Runs the whole service with four clients that do anything, and lets time pass. No
//! descriptor is lost: all descriptors of the service are open, and when all clients
//! have disconnected and all sessions have expired, it has none. Each client's task
//! ends when the client has disconnected or is cut off.
#![no_main]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use scache::global::mail_conf::MailConf;
use scache::global::mail_params::scache_params_init;
use scache::global::mail_version::MailVersion;
use scache::master::event_loop::{multi_server_execute, MultiService};
use scache::master::master_proto::MasterPipe;
use scache::scache::Scache;
use scache::util::stream::{ReadSpace, Stream};
use scache::util::unix_send_fd::unix_send_fd;
use scache::util::wait::{run, Task, Wait};

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

/// Above all descriptors of the process.
const FDS_MOST: i32 = 256;

struct Client<'a> {
    ours: UnixStream,
    stream: Rc<Stream>,
    task: Task<'a>,
}

struct World<'a> {
    service: &'a Scache,
    master: &'a MasterPipe,
    read_space: ReadSpace,
    clients: [Option<Client<'a>>; 4],
    session: UnixStream,
    server: UnixStream,
    now: Instant,
}

impl World<'_> {
    fn act(&mut self, what: u8, more: u8) {
        let who = usize::from(what >> 6);
        if self.clients[who].is_none() {
            self.connect(who);
        }
        let Some(client) = &mut self.clients[who] else {
            return;
        };
        match what & 15 {
            list @ 0..8 => {
                let _ = client.ours.write_all(LISTS[usize::from(list)]);
            }
            8 => {
                let _ = unix_send_fd(client.ours.as_fd(), self.session.as_fd());
            }
            9 => {
                let _ = client.ours.write_all(&[more]);
            }
            10 => {
                // Send a part of a list.
                let list = LISTS[usize::from(more & 7)];
                let part = &list[..usize::from(more >> 3).min(list.len())];
                let _ = client.ours.write_all(part);
            }
            11 => {
                let _ = client.ours.read(&mut [0; 4096]);
            }
            12 => return self.hang_up(who),
            13 => {
                if matches!(client.stream.wait(), Wait::Input | Wait::Output) {
                    client.stream.time_out();
                }
            }
            14 => {
                self.now += Duration::from_millis(u64::from(more) * 20);
                return self.service.run_timers(self.now);
            }
            _ => match more {
                0 => client.stream.set_last_request(),
                1 => return self.cut_off(who),
                2 => {
                    self.service.evict();
                }
                // Then all sessions in the cache are dead.
                3 => {
                    let _ = self.server.write(b"421");
                }
                4..32 => self.service.limit_descriptors(usize::from(more)),
                _ => {
                    let _ = client.ours.write_all(&[b'x'; 4000]);
                }
            },
        }
        self.run_client(who);
    }

    /// Connects a client, as the event loop does.
    fn connect(&mut self, who: usize) {
        let (ours, theirs) = UnixStream::pair().expect("socketpair");
        ours.set_nonblocking(true).expect("fcntl");
        theirs.set_nonblocking(true).expect("fcntl");
        let stream = Rc::new(Stream::new(
            theirs.into(),
            "fuzz socket".into(),
            self.read_space.clone(),
        ));
        let task = multi_server_execute(self.service, self.master, stream.clone());
        let task = Box::pin(task);
        self.clients[who] = Some(Client { ours, stream, task });
        self.run_client(who);
    }

    fn run_client(&mut self, who: usize) {
        if let Some(client) = &mut self.clients[who] {
            if run(&mut client.task) {
                self.clients[who] = None;
            }
        }
    }

    /// Disconnects a client, and runs its task to the end.
    fn hang_up(&mut self, who: usize) {
        if let Some(Client { ours, mut task, .. }) = self.clients[who].take() {
            drop(ours);
            while !run(&mut task) {}
        }
    }

    fn cut_off(&mut self, who: usize) {
        if let Some(client) = &self.clients[who] {
            client.stream.cut_off();
            self.run_client(who);
            assert!(self.clients[who].is_none(), "it still waits");
        }
    }

    /// Asserts that the open descriptors are those of the clients, those of the service
    /// and those that were open before.
    fn account(&self, before: usize) {
        let clients = self.clients.iter().flatten().count();
        assert_eq!(
            open_fds(),
            before + 2 * clients + self.service.descriptors()
        );
    }
}

fuzz_target!(init: ignore_sigpipe(), |steps: Vec<(u8, u8)>| {
    let (session, server) = UnixStream::pair().expect("socketpair");
    server.set_nonblocking(true).expect("fcntl");
    let nobody = File::options().write(true).open("/dev/null").expect("/dev/null");
    let master = MasterPipe::new(nobody.into(), 1);
    let before = open_fds();
    let mut conf = MailConf::new(Path::new("/nowhere"), MailVersion::BUILT_IN);
    conf.update(b"connection_cache_ttl_limit", b"10s");
    let params = scache_params_init(&mut conf).expect("defaults");
    let now = Instant::now();
    let service = Scache::new(params, true, now);
    service.limit_descriptors(100);
    let mut world = World {
        service: &service,
        master: &master,
        read_space: ReadSpace::default(),
        clients: [None, None, None, None],
        session,
        server,
        now,
    };
    for (what, more) in steps {
        world.act(what, more);
    }
    world.account(before);
    for who in 0..4 {
        world.cut_off(who);
    }
    world.account(before);
    // Some were saved at the real time, others at the time that was added to it.
    world.now = world.now.max(Instant::now()) + Duration::from_secs(11);
    for _ in 0..100 {
        service.run_timers(world.now);
    }
    assert_eq!(service.descriptors(), 0, "all have expired");
    assert_eq!(open_fds(), before);
});

/// Ignores SIGPIPE, as the main() of a Rust program does.
fn ignore_sigpipe() {
    // SAFETY: signal() takes plain numbers here; no other handler is set.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

fn open_fds() -> usize {
    let is_open = |&fd: &i32| {
        // SAFETY: F_GETFD only reads the flags of a descriptor, if it is open.
        unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
    };
    (0..FDS_MOST).filter(is_open).count()
}
