//! The service: the four requests, and the statistics. The original's `scache.c`.
//!
//! The request functions are the original's, one under the other: scan, act,
//! print. Where one has `.await` the original blocks, and this one lets other
//! clients have their turn. What requests share, the cache and the statistics, is
//! never borrowed across an `.await`.

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
    /// Whether clients expect the protocol to be announced.
    announce: bool,
    cache: RefCell<ScacheMulti>,
    /// Number of sessions that are on their way to a client.
    on_their_way: Cell<usize>,
    /// Number of descriptors that there may be for sessions.
    fds_most: Cell<usize>,
    stats: RefCell<Statistics>,
    stats_deadline: Cell<Instant>,
}

/// The strings of a client's request, kept for the next one. The original's
/// `scache_request` and its like, of which there is one for all clients.
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

/// Number of sessions and bindings that are ended before clients are served again.
const EXPIRE_MOST: usize = 100;

/// Number of descriptors that are kept free: for a client to be accepted, a session
/// to be received, and the system's log to be connected to again.
const FREE_FDS: usize = 4;

/// Why a hand-over failed when the system reported nothing: the original's
/// words for error number zero.
const NO_ERROR: &str = "Application error";

impl Scache {
    /// A service with an empty cache.
    pub fn new(params: ScacheParams, announce: bool, now: Instant) -> Scache {
        Scache {
            stats_deadline: Cell::new(now + params.status_update_time),
            cache: RefCell::new(ScacheMulti::new(&params.farewell, params.endpoint_limit)),
            params,
            announce,
            on_their_way: Cell::new(0),
            fds_most: Cell::new(usize::MAX),
            stats: RefCell::new(Statistics::new()),
        }
    }

    /// Takes a session into the cache. The original's `scache_save_endp_service()`.
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

    /// Hands out the session of an endpoint. The original's
    /// `scache_find_endp_service()`.
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

    /// Binds a destination to an endpoint. The original's
    /// `scache_save_dest_service()`.
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

    /// Hands out a session of a destination. The original's
    /// `scache_find_dest_service()`.
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

    /// Takes a session from a client. Where there is no descriptor left for it, the
    /// session that is nearest to its end makes room. Fails with the reason.
    async fn receive_session(&self, stream: &Stream) -> Result<OwnedFd, String> {
        if let Some(err) = stream.error() {
            return Err(strerror(&err));
        }
        loop {
            stream.readable().await.map_err(reason_of)?;
            if self.descriptors() + FREE_FDS >= self.fds_most.get() {
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

    /// The rest of find_endp and find_dest (`myname`): a handshake, the session,
    /// another handshake. A session that the client does not have goes back to its
    /// place, where the original closes it.
    async fn hand_over(
        &self,
        myname: &str,
        session: Session,
        stream: &Stream,
        strings: &mut Strings,
    ) {
        self.on_their_way.set(self.on_their_way.get() + 1);
        stream.fflush().await;
        let mut may_have_it = false;
        let mut result = scan_dummy(stream, strings).await;
        if result.is_ok() {
            result = send_session(stream, &session).await;
            may_have_it = result.is_ok();
        }
        if result.is_ok() {
            result = scan_dummy(stream, strings).await;
        }
        self.on_their_way.set(self.on_their_way.get() - 1);
        if let Err(reason) = result {
            msg_warn_client!("{myname}: cannot send file descriptor: {reason}");
            if !may_have_it || has_left_unread(stream) {
                self.cache.borrow_mut().give_back(session);
            }
        }
    }

    /// The time to live that a client asked for, in seconds, within the limit.
    fn limit_ttl(&self, ttl: i32) -> Duration {
        let asked = Duration::from_secs(u64::try_from(ttl).unwrap_or(0));
        if asked > self.params.ttl_limit {
            self.stats.borrow_mut().note_long_ttl(asked);
        }
        asked.min(self.params.ttl_limit)
    }

    /// Logs the statistics, and begins new ones. The original's
    /// `scache_status_dump()`.
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

    /// Answers requests for as long as there is input that was read. The original's
    /// `scache_service()`.
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
            stream.end_list();
            if !stream.has_unread() {
                return;
            }
            stream.turn().await;
        }
    }

    fn descriptors(&self) -> usize {
        self.cache.borrow().size().sess_count + self.on_their_way.get()
    }

    fn limit_descriptors(&self, most: usize) {
        self.fds_most.set(most);
    }

    fn evict(&self) -> bool {
        let dropped = self.cache.borrow_mut().drop_nearest_session();
        self.stats.borrow_mut().early_ends += u64::from(dropped);
        dropped
    }

    fn status_update_time(&self) -> Duration {
        self.params.status_update_time
    }

    fn next_deadline(&self) -> Option<Instant> {
        let cache = self.cache.borrow().next_deadline();
        cache.into_iter().chain([self.stats_deadline.get()]).min()
    }

    /// Expiry, and the original's `scache_status_update()`.
    fn timers(&self, now: Instant) {
        self.cache.borrow_mut().expire(now, EXPIRE_MOST);
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

/// Scans an empty list, the client's part of a handshake. Fails with the reason.
async fn scan_dummy(stream: &Stream, strings: &mut Strings) -> Result<(), String> {
    let wanted = &mut [RecvAttr::Str(MAIL_ATTR_DUMMY, &mut strings.dummy)];
    match attr_scan(stream, AttrFlag::Strict, wanted).await {
        1 => Ok(()),
        _ => Err(stream.error().map_or(NO_ERROR.into(), |err| strerror(&err))),
    }
}

/// Sends a session when the client can take it. Fails with the reason.
async fn send_session(stream: &Stream, session: &Session) -> Result<(), String> {
    loop {
        match unix_send_fd(stream.as_fd(), session.as_fd()) {
            Ok(()) => return Ok(()),
            Err(err) if is_temporary(&err) => {}
            Err(err) => return Err(strerror(&err)),
        }
        if let Err(why) = stream.writable().await {
            stream.end_in_vain(why);
            return Err(reason_of(why));
        }
    }
}

/// Why a descriptor could not be waited for.
fn reason_of(why: NoInput) -> String {
    match why {
        NoInput::Timeout => strerror(&std::io::Error::from_raw_os_error(libc::ETIMEDOUT)),
        NoInput::Eof | NoInput::TooLong => NO_ERROR.into(),
    }
}

/// Whether the client has gone without having read all that was sent to it.
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
