//! The daemon allocates what it stores, and nothing else: a request that stores
//! nothing costs no allocation, and what a session needed is free when it has
//! gone. The service is called in this process, with an allocator that counts.

#[path = "no_alloc/counting.rs"]
mod counting;
mod harness;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::{Duration, Instant, SystemTime};

use counting::{allocated, Count};
use harness::client::list;
use harness::directory::Directory;
use scache::global::mail_params::ScacheParams;
use scache::master::multi_service::{MultiService, Turn, Wait};
use scache::scache::{Client, Scache};
use scache::util::local_time::LocalTime;
use scache::util::log_socket::LogSocket;
use scache::util::msg::{log_text, MsgOutput, Severity};
use scache::util::stream::Stream;
use scache::util::unix_recv_fd::unix_recv_fd;
use scache::util::unix_send_fd::unix_send_fd;

/// The service with one client, of which both sides are here.
struct Both {
    service: Scache,
    client: Client,
    stream: Stream,
    peer: UnixStream,
    /// What the service's side has allocated.
    cost: Count,
}

impl Both {
    fn new() -> Both {
        let (peer, socket) = UnixStream::pair().expect("socketpair");
        socket.set_nonblocking(true).expect("fcntl");
        let params = ScacheParams {
            ttl_limit: Duration::from_secs(1000),
            status_update_time: Duration::from_secs(1000),
            farewell: Vec::new(),
            endpoint_limit: 0,
        };
        Both {
            service: Scache::new(params, false, Instant::now()),
            client: Client::default(),
            stream: Stream::new(socket.into(), "test socket".into()),
            peer,
            cost: Count::default(),
        }
    }

    /// The service does what it can.
    fn serve(&mut self) {
        let turn = Turn {
            now: Instant::now(),
            free_fds: 1000,
        };
        let before = allocated();
        self.stream.set_readable();
        let wait = self
            .service
            .service(&mut self.client, &mut self.stream, turn);
        let after = allocated();
        self.cost.allocated += after.allocated - before.allocated;
        self.cost.freed += after.freed - before.freed;
        self.cost.bytes += after.bytes - before.bytes;
        assert_ne!(wait, Wait::Output);
    }

    fn say(&mut self, text: &str) {
        self.peer.write_all(&list(text)).expect("write");
        self.serve();
    }

    fn hear(&mut self, text: &str) {
        let expected = list(text);
        let mut reply = vec![0; expected.len()];
        self.peer.read_exact(&mut reply).expect("read");
        assert_eq!(reply, expected, "{text}");
    }

    fn find_nothing(&mut self) {
        self.say("request=find_endp label=nobody .");
        self.hear("status=2 property= .");
    }

    fn save(&mut self) {
        self.say("request=save_endp ttl=100 label=endpoint property=prop .");
        self.hear("dummy= .");
        let session = File::open("/dev/null").expect("open");
        unix_send_fd(self.peer.as_fd(), session.as_fd()).expect("sendmsg");
        self.serve();
        self.hear("status=0 .");
    }

    fn bind(&mut self) {
        self.say("request=save_dest ttl=100 label=dest property=dest_prop label=endpoint .");
        self.hear("status=0 .");
    }

    fn find(&mut self, request: &str, reply: &str) {
        self.say(request);
        self.hear(reply);
        self.say("dummy= .");
        let session = unix_recv_fd(self.peer.as_fd()).expect("recvmsg");
        assert!(session.is_some());
        self.say("dummy= .");
    }

    /// What this costs each time, once it has been done before.
    fn cost_of(&mut self, times: usize, request: impl Fn(&mut Both)) -> Count {
        request(self);
        self.cost = Count::default();
        (0..times).for_each(|_| request(self));
        self.cost
    }
}

#[test]
fn a_request_that_finds_nothing_allocates_nothing() {
    let cost = Both::new().cost_of(100, Both::find_nothing);
    assert_eq!(cost, Count::default());
}

/// Its properties, and the name of its endpoint.
const ALLOCATIONS_OF_A_SESSION: usize = 2;

#[test]
fn a_session_allocates_its_two_strings_and_they_are_freed_when_it_is_found() {
    let cost = Both::new().cost_of(100, |both| {
        both.save();
        both.find(
            "request=find_endp label=endpoint .",
            "status=0 property=prop .",
        );
    });
    let each = Count {
        allocated: 100 * ALLOCATIONS_OF_A_SESSION,
        freed: 100 * ALLOCATIONS_OF_A_SESSION,
        bytes: 0,
    };
    assert_eq!(cost, each);
}

#[test]
fn a_binding_that_is_renewed_and_used_allocates_nothing() {
    let cost = Both::new().cost_of(100, |both| {
        both.save();
        both.bind();
        both.find(
            "request=find_dest label=dest .",
            "status=0 property=dest_prop property=prop .",
        );
    });
    let each = Count {
        allocated: 100, // the properties: the binding keeps the name
        freed: 100,
        bytes: 0,
    };
    assert_eq!(cost, each);
}

/// It may have to say that there is no memory.
#[test]
fn a_line_of_the_log_allocates_nothing() {
    let directory = Directory::new().expect("a directory");
    let path = directory.path().join("log");
    let receiver = UnixDatagram::bind(&path).expect("bind");
    let mut log = LogSocket::new(
        &path,
        &[libc::SOCK_DGRAM],
        Box::new(|severity, text, line| {
            let stamp = LocalTime::at(SystemTime::now()).log_stamp();
            let _ = write!(line, "{stamp} host task[1]: ");
            log_text(severity, text, line);
        }),
    );
    let text = "x".repeat(3000);
    log.print(Severity::Warn, &text);
    let before = allocated();
    log.print(Severity::Warn, &text);
    log.print(Severity::Fatal, "the last line");
    assert_eq!(allocated(), before);
    let mut lines = [0; 3].map(|_| [0; 4096]);
    let lengths = lines
        .each_mut()
        .map(|line| receiver.recv(line).expect("a line"));
    let head = "Nov 25 01:02:03 host task[1]: ".len();
    let whole = head + "warning: ".len() + 2000;
    assert_eq!(lengths[..2], [whole, whole]);
    assert!(lines[2][..lengths[2]].ends_with(b": fatal: the last line"));
}

#[test]
fn an_allocation_would_be_noticed() {
    let before = allocated();
    drop(std::hint::black_box(Box::new(0u64)));
    let after = allocated();
    assert_eq!(after.allocated - before.allocated, 1);
    assert_eq!(after.freed - before.freed, 1);
}
