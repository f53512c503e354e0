//! `scache`: the service, with its four requests and its statistics. The original's
//! `scache.c`.
//!
//! Each request function scans the request, acts, and prints the reply. Where the C
//! program blocks, it has `.await`, and other clients are served meanwhile. The cache
//! and the statistics are shared by all requests and never borrowed across an
//! `.await`. A request that fails is answered with a status and logged.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::global::mail_params::ScacheParams;
use crate::global::mail_proto::*;
use crate::global::scache_multi::{ScacheMulti, Session};
use crate::master::event_loop::MultiService;
use crate::msg_warn_client;
use crate::scache_stats::Statistics;
use crate::util::attr_print::{attr_print, SendAttr};
use crate::util::attr_scan::{attr_scan, AttrFlag, RecvAttr};
use crate::util::open_limit::is_out_of_fds;
use crate::util::printable::printable;
use crate::util::stream::{is_temporary, NoInput, Stream};
use crate::util::strerror::strerror;
use crate::util::unix_recv_fd::unix_recv_fd;
use crate::util::unix_send_fd::unix_send_fd;

/// The service with its cache and its statistics.
#[derive(Debug)]
pub struct Scache {
    params: ScacheParams,
    /// True if the protocol is announced to clients that connect.
    announce: bool,
    cache: RefCell<ScacheMulti>,
    /// Number of sessions that are being handed over to clients.
    in_transit: Cell<usize>,
    /// Maximum number of descriptors for sessions.
    fd_limit: Cell<usize>,
    stats: RefCell<Statistics>,
    stats_deadline: Cell<Instant>,
}

/// Buffers for the strings of a client's requests. In the C program all clients share
/// them (`scache_request` and others).
#[derive(Debug, Default)]
pub struct Client {
    request: Vec<u8>,
    strings: Strings,
}

#[derive(Debug, Default)]
struct Strings {
    dest_label: Vec<u8>,
    dest_prop: Vec<u8>,
    endp_label: Vec<u8>,
    endp_prop: Vec<u8>,
    dummy: Vec<u8>,
}

/// Maximum number of sessions and bindings that expire in one round.
const MAX_EXPIRE: usize = 100;

/// Number of descriptors that are kept free to accept a client, to receive a session,
/// and to reconnect to the system's log.
const FREE_FDS: usize = 4;

/// The reason in messages if no system call failed: the C program's text for errno 0.
const NO_ERROR: &str = "Application error";

impl Scache {
    /// A service with an empty cache.
    pub fn new(params: ScacheParams, announce: bool, now: Instant) -> Scache {
        Scache {
            stats_deadline: Cell::new(now + params.status_update_time),
            cache: RefCell::new(ScacheMulti::new(&params.farewell, params.endpoint_limit)),
            params,
            announce,
            in_transit: Cell::new(0),
            fd_limit: Cell::new(usize::MAX),
            stats: RefCell::new(Statistics::new()),
        }
    }

    /// Saves a session under an endpoint label.
    /// The original's `scache_save_endp_service()`.
    async fn scache_save_endp_service(&self, stream: &Stream, strings: &mut Strings) {
        let mut ttl = 0;
        let wanted = &mut [
            RecvAttr::Int(MAIL_ATTR_TTL, &mut ttl),
            RecvAttr::Str(MAIL_ATTR_LABEL, &mut strings.endp_label),
            RecvAttr::Str(MAIL_ATTR_PROP, &mut strings.endp_prop),
        ];
        if attr_scan(stream, AttrFlag::Strict, wanted).await != 3 || ttl <= 0 {
            msg_warn_client!("scache_save_endp_service: bad or missing request parameter");
            return attr_print(stream, &[status(SCACHE_STAT_BAD)]);
        }
        attr_print(stream, &[SendAttr::Str(MAIL_ATTR_DUMMY, b"")]);
        stream.fflush().await;
        match self.receive_session(stream).await {
            Err(reason) => {
                msg_warn_client!(
                    "scache_save_endp_service: unable to receive file descriptor: {reason}"
                );
                attr_print(stream, &[status(SCACHE_STAT_FAIL)]);
            }
            Ok(fd) => {
                let (ttl, now) = (self.limit_ttl(ttl), Instant::now());
                let mut cache = self.cache.borrow_mut();
                cache.save_endp(ttl, &strings.endp_label, &strings.endp_prop, fd, now);
                self.stats.borrow_mut().note_endp(cache.size());
                attr_print(stream, &[status(SCACHE_STAT_OK)]);
            }
        }
    }

    /// Hands over a session of an endpoint.
    /// The original's `scache_find_endp_service()`.
    async fn scache_find_endp_service(&self, stream: &Stream, strings: &mut Strings) {
        let wanted = &mut [RecvAttr::Str(MAIL_ATTR_LABEL, &mut strings.endp_label)];
        if attr_scan(stream, AttrFlag::Strict, wanted).await != 1 {
            msg_warn_client!("scache_find_endp_service: bad or missing request parameter");
            return attr_print(stream, &[status(SCACHE_STAT_BAD), prop(b"")]);
        }
        let (label, now) = (&strings.endp_label, Instant::now());
        let found = self.cache.borrow_mut().find_endp(label, now);
        let Some(session) = found else {
            self.stats.borrow_mut().endp_miss += 1;
            return attr_print(stream, &[status(SCACHE_STAT_FAIL), prop(b"")]);
        };
        attr_print(stream, &[status(SCACHE_STAT_OK), prop(session.prop())]);
        self.stats.borrow_mut().endp_hits += 1;
        self.hand_over("scache_find_endp_service", session, stream, strings)
            .await;
    }

    /// Binds a destination label to an endpoint label.
    /// The original's `scache_save_dest_service()`.
    async fn scache_save_dest_service(&self, stream: &Stream, strings: &mut Strings) {
        let mut ttl = 0;
        let wanted = &mut [
            RecvAttr::Int(MAIL_ATTR_TTL, &mut ttl),
            RecvAttr::Str(MAIL_ATTR_LABEL, &mut strings.dest_label),
            RecvAttr::Str(MAIL_ATTR_PROP, &mut strings.dest_prop),
            RecvAttr::Str(MAIL_ATTR_LABEL, &mut strings.endp_label),
        ];
        if attr_scan(stream, AttrFlag::Strict, wanted).await != 4 || ttl <= 0 {
            msg_warn_client!("scache_save_dest_service: bad or missing request parameter");
            return attr_print(stream, &[status(SCACHE_STAT_BAD)]);
        }
        let Strings {
            dest_label,
            dest_prop,
            endp_label,
            ..
        } = strings;
        let (ttl, now) = (self.limit_ttl(ttl), Instant::now());
        let mut cache = self.cache.borrow_mut();
        cache.save_dest(ttl, dest_label, dest_prop, endp_label, now);
        self.stats.borrow_mut().note_dest(cache.size());
        attr_print(stream, &[status(SCACHE_STAT_OK)]);
    }

    /// Hands over a session of a destination.
    /// The original's `scache_find_dest_service()`.
    async fn scache_find_dest_service(&self, stream: &Stream, strings: &mut Strings) {
        let wanted = &mut [RecvAttr::Str(MAIL_ATTR_LABEL, &mut strings.dest_label)];
        if attr_scan(stream, AttrFlag::Strict, wanted).await != 1 {
            msg_warn_client!("scache_find_dest_service: bad or missing request parameter");
            return attr_print(stream, &[status(SCACHE_STAT_BAD), prop(b""), prop(b"")]);
        }
        let (label, now) = (&strings.dest_label, Instant::now());
        let found = {
            let mut cache = self.cache.borrow_mut();
            let found = cache.find_dest(label, now);
            found.map(|(session, dest_prop)| {
                dest_prop.clone_into(&mut strings.dest_prop);
                session
            })
        };
        let Some(session) = found else {
            self.stats.borrow_mut().dest_miss += 1;
            return attr_print(stream, &[status(SCACHE_STAT_FAIL), prop(b""), prop(b"")]);
        };
        let (dest_prop, endp_prop) = (prop(&strings.dest_prop), prop(session.prop()));
        attr_print(stream, &[status(SCACHE_STAT_OK), dest_prop, endp_prop]);
        self.stats.borrow_mut().dest_hits += 1;
        self.hand_over("scache_find_dest_service", session, stream, strings)
            .await;
    }

    /// Receives a session from a client. Evicts one if too few descriptors are free.
    /// Fails with the reason.
    async fn receive_session(&self, stream: &Stream) -> Result<OwnedFd, String> {
        if let Some(err) = stream.error() {
            return Err(strerror(&err));
        }
        loop {
            stream.readable().await.map_err(reason_text)?;
            if self.descriptors() + FREE_FDS >= self.fd_limit.get() {
                self.evict();
            }
            match unix_recv_fd(stream.as_fd()) {
                Ok(fd) => return fd.ok_or_else(|| NO_ERROR.into()),
                Err(err) if is_temporary(&err) => {}
                Err(err) => {
                    if is_out_of_fds(&err) {
                        self.evict();
                    }
                    return Err(strerror(&err));
                }
            }
        }
    }

    /// Sends a session to a client, between two handshakes. Messages name the caller,
    /// `myname`. If this fails and the client does not have the session, the session
    /// goes back to its place in the cache. (The C program closes it.)
    async fn hand_over(
        &self,
        myname: &str,
        session: Session,
        stream: &Stream,
        strings: &mut Strings,
    ) {
        self.in_transit.set(self.in_transit.get() + 1);
        stream.fflush().await;
        let mut was_sent = false;
        let mut result = scan_dummy(stream, strings).await;
        if result.is_ok() {
            result = send_session(stream, &session).await;
            was_sent = result.is_ok();
        }
        if result.is_ok() {
            result = scan_dummy(stream, strings).await;
        }
        self.in_transit.set(self.in_transit.get() - 1);
        if let Err(reason) = result {
            msg_warn_client!("{myname}: cannot send file descriptor: {reason}");
            if !was_sent || has_left_unread(stream) {
                self.cache.borrow_mut().give_back(session);
            }
        }
    }

    /// Limits a requested time to live, in seconds, to `connection_cache_ttl_limit`.
    fn limit_ttl(&self, ttl: i32) -> Duration {
        let requested = Duration::from_secs(u64::try_from(ttl).unwrap_or(0));
        if requested > self.params.ttl_limit {
            self.stats.borrow_mut().note_long_ttl(requested);
        }
        requested.min(self.params.ttl_limit)
    }

    /// Logs the statistics, and starts a new interval.
    /// The original's `scache_status_dump()`.
    fn scache_status_dump(&self) {
        let mut stats = self.stats.replace(Statistics::new());
        stats.dead = self.cache.borrow_mut().take_dead_count();
        stats.log(self.params.ttl_limit);
    }
}

impl MultiService for Scache {
    type Client = Client;

    /// Announces the protocol. The original's `scache_post_accept()`.
    async fn post_accept(&self, stream: &Stream) {
        if self.announce {
            let protocol = MAIL_ATTR_PROTO_SCACHE.as_bytes();
            attr_print(stream, &[SendAttr::Str(MAIL_ATTR_PROTO, protocol)]);
            stream.fflush().await;
        }
    }

    /// Answers requests until there is no unread input in the buffer.
    /// The original's `scache_service()`.
    async fn service(&self, stream: &Stream, client: &mut Client) {
        let Client { request, strings } = client;
        loop {
            let wanted = &mut [RecvAttr::Str(MAIL_ATTR_REQ, request)];
            if attr_scan(stream, AttrFlag::StrictMore, wanted).await == 1 {
                if request == SCACHE_REQ_SAVE_ENDP.as_bytes() {
                    self.scache_save_endp_service(stream, strings).await;
                } else if request == SCACHE_REQ_FIND_ENDP.as_bytes() {
                    self.scache_find_endp_service(stream, strings).await;
                } else if request == SCACHE_REQ_SAVE_DEST.as_bytes() {
                    self.scache_save_dest_service(stream, strings).await;
                } else if request == SCACHE_REQ_FIND_DEST.as_bytes() {
                    self.scache_find_dest_service(stream, strings).await;
                } else {
                    let request = printable(request);
                    msg_warn_client!("unrecognized request: \"{request}\", ignored");
                    attr_print(stream, &[status(SCACHE_STAT_BAD)]);
                }
            }
            stream.fflush().await;
            stream.end_request();
            if !stream.has_unread() {
                return;
            }
            stream.yield_now().await;
        }
    }

    fn descriptors(&self) -> usize {
        self.cache.borrow().size().sess_count + self.in_transit.get()
    }

    fn limit_descriptors(&self, limit: usize) {
        self.fd_limit.set(limit);
    }

    fn evict(&self) {
        let evicted = self.cache.borrow_mut().expire_endp();
        self.stats.borrow_mut().evictions += u64::from(evicted);
    }

    fn status_update_time(&self) -> Duration {
        self.params.status_update_time
    }

    fn next_deadline(&self) -> Option<Instant> {
        let cache = self.cache.borrow().next_deadline();
        cache.into_iter().chain([self.stats_deadline.get()]).min()
    }

    /// Removes sessions and bindings that have expired, and logs the statistics when
    /// they are due.
    /// The original's `scache_status_update()`.
    fn run_timers(&self, now: Instant) {
        self.cache.borrow_mut().expire(now, MAX_EXPIRE);
        if self.stats_deadline.get() <= now {
            self.scache_status_dump();
            self.stats_deadline
                .set(now + self.params.status_update_time);
        }
    }

    /// Logs the last statistics and closes the sessions.
    fn exit(&self) {
        self.scache_status_dump();
        self.cache.borrow_mut().close_all();
    }
}

/// Scans the client's part of a handshake. Fails with the reason.
async fn scan_dummy(stream: &Stream, strings: &mut Strings) -> Result<(), String> {
    let wanted = &mut [RecvAttr::Str(MAIL_ATTR_DUMMY, &mut strings.dummy)];
    match attr_scan(stream, AttrFlag::Strict, wanted).await {
        1 => Ok(()),
        _ => Err(stream.error().map_or(NO_ERROR.into(), |err| strerror(&err))),
    }
}

/// Sends a session to a client. Fails with the reason.
async fn send_session(stream: &Stream, session: &Session) -> Result<(), String> {
    loop {
        match unix_send_fd(stream.as_fd(), session.as_fd()) {
            Ok(()) => return Ok(()),
            Err(err) if is_temporary(&err) => {}
            Err(err) => return Err(strerror(&err)),
        }
        if let Err(why) = stream.writable().await {
            stream.end_both(why);
            return Err(reason_text(why));
        }
    }
}

/// The reason for a failed wait, in messages.
fn reason_text(why: NoInput) -> String {
    match why {
        NoInput::Timeout => strerror(&std::io::Error::from_raw_os_error(libc::ETIMEDOUT)),
        NoInput::Eof | NoInput::TooLong => NO_ERROR.into(),
    }
}

/// Returns true if the client has closed its side without reading all output, which
/// the system reports as ECONNRESET.
fn has_left_unread(stream: &Stream) -> bool {
    let errno = stream.error().and_then(|err| err.raw_os_error());
    errno == Some(libc::ECONNRESET)
}

fn status(code: u32) -> SendAttr<'static> {
    SendAttr::Int(MAIL_ATTR_STATUS, code)
}

fn prop(text: &[u8]) -> SendAttr<'_> {
    SendAttr::Str(MAIL_ATTR_PROP, text)
}
