//! The service: the four requests, and the statistics.
//!
//! The original answers one request in one call and blocks where the client
//! has to do something first. Here each request function is cut at those
//! places, and a [`Client`] remembers where to go on: so no client waits for
//! another. What is the same: scan, act, print.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

mod hand_over;

use self::hand_over::HandOver;
use crate::global::mail_params::ScacheParams;
use crate::global::mail_proto::*;
use crate::global::scache_multi::ScacheMulti;
use crate::master::multi_service::{MultiService, Turn, Wait};
use crate::msg_warn_client;
use crate::scache_stats::Statistics;
use crate::util::attr_print::{attr_print, SendAttr};
use crate::util::attr_scan::{AttrFlag, AttrScan, RecvAttr};
use crate::util::open_limit::is_out_of_fds;
use crate::util::printable::printable;
use crate::util::stream::{is_temporary, Stream};
use crate::util::strerror::strerror;
use crate::util::unix_recv_fd::unix_recv_fd;

/// The service with its cache and its statistics.
#[derive(Debug)]
pub struct Scache {
    params: ScacheParams,
    /// Whether clients expect the protocol to be announced.
    announce: bool,
    cache: ScacheMulti,
    /// How many sessions are on their way to a client.
    handed: usize,
    stats: Statistics,
    stats_deadline: Instant,
}

/// Where the service stands with one client.
#[derive(Debug, Default)]
pub struct Client {
    state: State,
    scan: AttrScan,
}

/// What comes next from or to a client.
#[derive(Debug, Default)]
enum State {
    /// The name of a request.
    #[default]
    Request,
    /// The attribute list of this request.
    Params(Request),
    /// save_endp: the descriptor.
    Descriptor,
    /// find_*: the client's word that it waits for the session.
    Ready(HandOver),
    /// find_*: the session, to the client.
    Send(HandOver),
    /// find_*: the client's word that it has the session.
    Taken(HandOver),
}

#[derive(Clone, Copy, Debug)]
enum Request {
    SaveEndp,
    FindEndp,
    SaveDest,
    FindDest,
}

/// What a step comes to: another state, or the same one until the client has
/// done something.
type Step = Result<State, (State, Wait)>;

/// How many sessions and bindings are ended before clients are served again.
const EXPIRE_MOST: usize = 100;

/// So many descriptors are kept free: for a client to be let in, a session to
/// be received, and the system's log to be connected to again.
const FREE_FDS: usize = 4;

/// Why a hand-over failed when the system reported nothing: the original's
/// words for error number zero.
const NO_ERROR: &str = "Application error";

impl Scache {
    /// A service with an empty cache.
    pub fn new(params: ScacheParams, announce: bool, now: Instant) -> Scache {
        Scache {
            stats_deadline: now + params.status_update_time,
            cache: ScacheMulti::new(&params.farewell, params.endpoint_limit),
            params,
            announce,
            handed: 0,
            stats: Statistics::new(),
        }
    }

    /// Does one step of what a client asks for. The original's
    /// `scache_service()`.
    fn scache_service(
        &mut self,
        state: State,
        scan: &mut AttrScan,
        stream: &mut Stream,
        turn: Turn,
    ) -> Step {
        let next = match state {
            State::Request => self.scache_request(scan, stream),
            State::Params(Request::SaveEndp) => self.scache_save_endp_service(scan, stream),
            State::Params(Request::FindEndp) => self.scache_find_endp_service(scan, stream, turn),
            State::Params(Request::SaveDest) => self.scache_save_dest_service(scan, stream, turn),
            State::Params(Request::FindDest) => self.scache_find_dest_service(scan, stream, turn),
            State::Descriptor => self.receive_session(scan, stream, turn),
            State::Ready(hand_over) => return self.await_ready(hand_over, scan, stream),
            State::Send(hand_over) => return self.send_session(hand_over, stream),
            State::Taken(hand_over) => return self.await_taken(hand_over, scan, stream),
        };
        next.ok_or((state, Wait::Input))
    }

    fn scache_request(&mut self, scan: &mut AttrScan, stream: &mut Stream) -> Option<State> {
        let wanted = [RecvAttr::Str(MAIL_ATTR_REQ)];
        if scan.attr_scan(stream, &wanted, AttrFlag::StrictMore)? != 1 {
            return Some(State::Request);
        }
        let request = scan.str(stream, 0);
        for (name, known) in [
            (SCACHE_REQ_SAVE_ENDP, Request::SaveEndp),
            (SCACHE_REQ_FIND_ENDP, Request::FindEndp),
            (SCACHE_REQ_SAVE_DEST, Request::SaveDest),
            (SCACHE_REQ_FIND_DEST, Request::FindDest),
        ] {
            if request == name.as_bytes() {
                return Some(State::Params(known));
            }
        }
        msg_warn_client!("unrecognized request: \"{}\", ignored", printable(request));
        attr_print(stream, &[status(SCACHE_STAT_BAD)]);
        Some(State::Request)
    }

    fn scache_save_endp_service(
        &mut self,
        scan: &mut AttrScan,
        stream: &mut Stream,
    ) -> Option<State> {
        let wanted = [
            RecvAttr::Int(MAIL_ATTR_TTL),
            RecvAttr::Str(MAIL_ATTR_LABEL),
            RecvAttr::Str(MAIL_ATTR_PROP),
        ];
        if scan.attr_scan(stream, &wanted, AttrFlag::Strict)? != 3 || scan.int(0) <= 0 {
            msg_warn_client!("scache_save_endp_service: bad or missing request parameter");
            attr_print(stream, &[status(SCACHE_STAT_BAD)]);
            return Some(State::Request);
        }
        attr_print(stream, &[SendAttr::Str(MAIL_ATTR_DUMMY, b"")]);
        Some(State::Descriptor)
    }

    /// The rest of save_endp.
    fn receive_session(
        &mut self,
        scan: &mut AttrScan,
        stream: &mut Stream,
        turn: Turn,
    ) -> Option<State> {
        if let Some(reason) = stream.error().map(strerror) {
            return Some(self.receive_failed(stream, &reason));
        }
        if !stream.take_readable() {
            return None;
        }
        if turn.free_fds <= FREE_FDS {
            self.make_room();
        }
        let reason = match unix_recv_fd(stream.as_fd()) {
            Ok(Some(fd)) => {
                let (label, prop) = (scan.str(stream, 1), scan.str(stream, 2));
                let ttl = self.ttl(scan);
                self.cache.save_endp(ttl, label, prop, fd, turn.now);
                self.stats.note_endp(self.cache.size());
                attr_print(stream, &[status(SCACHE_STAT_OK)]);
                return Some(State::Request);
            }
            Ok(None) => NO_ERROR.to_string(),
            Err(err) if is_temporary(&err) => return None,
            Err(err) => {
                if is_out_of_fds(&err) {
                    self.make_room();
                }
                strerror(&err)
            }
        };
        Some(self.receive_failed(stream, &reason))
    }

    fn receive_failed(&mut self, stream: &mut Stream, reason: &str) -> State {
        msg_warn_client!("scache_save_endp_service: unable to receive file descriptor: {reason}");
        attr_print(stream, &[status(SCACHE_STAT_FAIL)]);
        State::Request
    }

    fn scache_find_endp_service(
        &mut self,
        scan: &mut AttrScan,
        stream: &mut Stream,
        turn: Turn,
    ) -> Option<State> {
        if scan.attr_scan(stream, &[RecvAttr::Str(MAIL_ATTR_LABEL)], AttrFlag::Strict)? != 1 {
            msg_warn_client!("scache_find_endp_service: bad or missing request parameter");
            attr_print(stream, &[status(SCACHE_STAT_BAD), prop(b"")]);
            return Some(State::Request);
        }
        let Some(session) = self.cache.find_endp(scan.str(stream, 0), turn.now) else {
            attr_print(stream, &[status(SCACHE_STAT_FAIL), prop(b"")]);
            self.stats.endp_miss += 1;
            return Some(State::Request);
        };
        attr_print(stream, &[status(SCACHE_STAT_OK), prop(session.prop())]);
        self.stats.endp_hits += 1;
        self.handed += 1;
        Some(State::Ready(HandOver {
            session,
            service: "scache_find_endp_service",
        }))
    }

    fn scache_save_dest_service(
        &mut self,
        scan: &mut AttrScan,
        stream: &mut Stream,
        turn: Turn,
    ) -> Option<State> {
        let wanted = [
            RecvAttr::Int(MAIL_ATTR_TTL),
            RecvAttr::Str(MAIL_ATTR_LABEL),
            RecvAttr::Str(MAIL_ATTR_PROP),
            RecvAttr::Str(MAIL_ATTR_LABEL),
        ];
        if scan.attr_scan(stream, &wanted, AttrFlag::Strict)? != 4 || scan.int(0) <= 0 {
            msg_warn_client!("scache_save_dest_service: bad or missing request parameter");
            attr_print(stream, &[status(SCACHE_STAT_BAD)]);
            return Some(State::Request);
        }
        let [dest_label, dest_prop, endp_label] = [1, 2, 3].map(|index| scan.str(stream, index));
        let ttl = self.ttl(scan);
        self.cache
            .save_dest(ttl, dest_label, dest_prop, endp_label, turn.now);
        self.stats.note_dest(self.cache.size());
        attr_print(stream, &[status(SCACHE_STAT_OK)]);
        Some(State::Request)
    }

    fn scache_find_dest_service(
        &mut self,
        scan: &mut AttrScan,
        stream: &mut Stream,
        turn: Turn,
    ) -> Option<State> {
        if scan.attr_scan(stream, &[RecvAttr::Str(MAIL_ATTR_LABEL)], AttrFlag::Strict)? != 1 {
            msg_warn_client!("scache_find_dest_service: bad or missing request parameter");
            attr_print(stream, &[status(SCACHE_STAT_BAD), prop(b""), prop(b"")]);
            return Some(State::Request);
        }
        let found = self.cache.find_dest(scan.str(stream, 0), turn.now);
        let Some((session, dest_prop)) = found else {
            attr_print(stream, &[status(SCACHE_STAT_FAIL), prop(b""), prop(b"")]);
            self.stats.dest_miss += 1;
            return Some(State::Request);
        };
        attr_print(
            stream,
            &[
                status(SCACHE_STAT_OK),
                prop(dest_prop),
                prop(session.prop()),
            ],
        );
        self.stats.dest_hits += 1;
        self.handed += 1;
        Some(State::Ready(HandOver {
            session,
            service: "scache_find_dest_service",
        }))
    }

    /// The time to live that a client asked for, within the limit.
    fn ttl(&mut self, scan: &AttrScan) -> Duration {
        let asked = Duration::from_secs(u64::try_from(scan.int(0)).unwrap_or(0));
        if asked > self.params.ttl_limit {
            self.stats.note_long_ttl(asked);
        }
        asked.min(self.params.ttl_limit)
    }

    fn log_cache_stats(&mut self) {
        let mut stats = std::mem::replace(&mut self.stats, Statistics::new());
        stats.dead = self.cache.take_dead_count();
        stats.log(self.params.ttl_limit);
    }
}

impl MultiService for Scache {
    type Client = Client;

    /// Announces the protocol. The original's `scache_post_accept()`.
    fn connected(&mut self, stream: &mut Stream) {
        if self.announce {
            attr_print(
                stream,
                &[SendAttr::Str(
                    MAIL_ATTR_PROTO,
                    MAIL_ATTR_PROTO_SCACHE.as_bytes(),
                )],
            );
            stream.fflush();
        }
    }

    fn service(&mut self, client: &mut Client, stream: &mut Stream, turn: Turn) -> Wait {
        loop {
            // The last word of a request and the next request are one piece.
            let is_last_word = matches!(client.state, State::Taken(_));
            let state = std::mem::take(&mut client.state);
            match self.scache_service(state, &mut client.scan, stream, turn) {
                Ok(state) => client.state = state,
                Err((State::Request, _)) if !client.scan.is_begun() => return Wait::Request,
                Err((state, wait)) => {
                    client.state = state;
                    return wait;
                }
            }
            stream.fflush();
            if !matches!(client.state, State::Descriptor) {
                client.scan.reset();
                stream.forget_strings();
            }
            if !matches!(client.state, State::Params(_)) {
                stream.end_list();
            }
            let is_done = matches!(client.state, State::Request);
            if stream.has_unwritten() {
                return Wait::Output;
            }
            if is_done && !stream.has_unread() {
                return Wait::Request;
            }
            if is_done && !is_last_word {
                return Wait::Nothing;
            }
        }
    }

    fn timeout(&mut self, client: &mut Client, stream: &mut Stream, turn: Turn) -> Wait {
        let timed_out = std::io::Error::from_raw_os_error(libc::ETIMEDOUT);
        match std::mem::take(&mut client.state) {
            State::Descriptor => {
                client.state = self.receive_failed(stream, &strerror(&timed_out));
                client.scan.reset();
                stream.forget_strings();
                stream.end_list();
                stream.fflush();
                return match stream.has_unwritten() {
                    true => Wait::Output,
                    false => Wait::Request,
                };
            }
            State::Send(hand_over) => {
                client.state = self.send_failed(hand_over, strerror(&timed_out));
            }
            state => client.state = state,
        }
        stream.time_out();
        self.service(client, stream, turn)
    }

    fn disconnected(&mut self, client: Client) {
        match client.state {
            State::Ready(hand_over) | State::Send(hand_over) => {
                self.send_failed(hand_over, NO_ERROR.to_string());
            }
            State::Taken(hand_over) => {
                self.give_away(hand_over);
            }
            _ => {}
        }
    }

    fn descriptors(&self) -> usize {
        self.cache.size().sess_count + self.handed
    }

    fn make_room(&mut self) -> bool {
        let dropped = self.cache.drop_nearest_session();
        self.stats.early_ends += u64::from(dropped);
        dropped
    }

    fn status_update_time(&self) -> Duration {
        self.params.status_update_time
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.cache
            .next_deadline()
            .into_iter()
            .chain([self.stats_deadline])
            .min()
    }

    fn timers(&mut self, now: Instant) {
        self.cache.expire(now, EXPIRE_MOST);
        if self.stats_deadline <= now {
            self.log_cache_stats();
            self.stats_deadline = now + self.params.status_update_time;
        }
    }

    /// Logs the statistics, as the original's `scache_status_dump()`, and closes
    /// the sessions.
    fn exit(&mut self) {
        self.log_cache_stats();
        self.cache.close_all();
    }
}

fn status(code: u32) -> SendAttr<'static> {
    SendAttr::Int(MAIL_ATTR_STATUS, code)
}

fn prop(text: &[u8]) -> SendAttr<'_> {
    SendAttr::Str(MAIL_ATTR_PROP, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::unix_send_fd::unix_send_fd;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    /// Saves a session when so many descriptors are free; how many are cached
    /// then.
    fn save_with(service: &mut Scache, free_fds: usize) -> usize {
        let (mut peer, socket) = UnixStream::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut stream = Stream::new(socket.into(), "test socket".into());
        let mut client = Client::default();
        let now = Instant::now();
        peer.write_all(b"request\0save_endp\0ttl\x00100\0label\0e\0property\0p\0\0")
            .unwrap();
        stream.set_readable();
        let wait = service.service(&mut client, &mut stream, Turn { now, free_fds });
        assert_eq!(wait, Wait::Input);
        unix_send_fd(peer.as_fd(), peer.as_fd()).unwrap();
        stream.set_readable();
        let wait = service.service(&mut client, &mut stream, Turn { now, free_fds });
        assert_eq!(wait, Wait::Request);
        service.descriptors()
    }

    #[test]
    fn a_session_is_given_up_for_another_when_no_more_than_the_spare_ones_are_free() {
        let params = ScacheParams {
            ttl_limit: Duration::from_secs(1000),
            status_update_time: Duration::from_secs(1000),
            farewell: Vec::new(),
            endpoint_limit: 0,
        };
        let mut service = Scache::new(params, false, Instant::now());
        assert_eq!(save_with(&mut service, FREE_FDS + 1), 1);
        assert_eq!(save_with(&mut service, FREE_FDS + 1), 2);
        assert_eq!(save_with(&mut service, FREE_FDS), 2);
        assert_eq!(service.stats.early_ends, 1);
    }
}
