//! The rest of find_endp and find_dest: a handshake, the session, another
//! handshake. Up to that the session is ours, unless the client may have it.

use std::os::fd::AsFd;

use super::{Scache, State, Step, NO_ERROR};
use crate::global::mail_proto::MAIL_ATTR_DUMMY;
use crate::global::scache_multi::Session;
use crate::master::multi_service::Wait;
use crate::msg_warn_client;
use crate::util::attr_scan::{AttrFlag, AttrScan, RecvAttr};
use crate::util::stream::{is_temporary, Stream};
use crate::util::strerror::strerror;
use crate::util::unix_send_fd::unix_send_fd;

/// A session on its way to a client, and the function that hands it over.
#[derive(Debug)]
pub(super) struct HandOver {
    pub(super) session: Session,
    pub(super) service: &'static str,
}

impl Scache {
    pub(super) fn await_ready(
        &mut self,
        hand_over: HandOver,
        scan: &mut AttrScan,
        stream: &mut Stream,
    ) -> Step {
        match scan_dummy(scan, stream) {
            None => Err((State::Ready(hand_over), Wait::Input)),
            Some(true) => Ok(State::Send(hand_over)),
            Some(false) => Ok(self.send_failed(hand_over, no_dummy_reason(stream))),
        }
    }

    pub(super) fn send_session(&mut self, hand_over: HandOver, stream: &mut Stream) -> Step {
        match unix_send_fd(stream.as_fd(), hand_over.session.as_fd()) {
            Ok(()) => Ok(State::Taken(hand_over)),
            Err(err) if is_temporary(&err) => Err((State::Send(hand_over), Wait::Output)),
            Err(err) => Ok(self.send_failed(hand_over, strerror(&err))),
        }
    }

    pub(super) fn send_failed(&mut self, hand_over: HandOver, reason: String) -> State {
        warn_not_sent(hand_over.service, &reason);
        self.handed -= 1;
        self.cache.give_back(hand_over.session);
        State::Request
    }

    pub(super) fn await_taken(
        &mut self,
        hand_over: HandOver,
        scan: &mut AttrScan,
        stream: &mut Stream,
    ) -> Step {
        match scan_dummy(scan, stream) {
            None => return Err((State::Taken(hand_over), Wait::Input)),
            Some(true) => {}
            Some(false) if is_reset(stream) => {
                return Ok(self.send_failed(hand_over, no_dummy_reason(stream)));
            }
            Some(false) => warn_not_sent(hand_over.service, &no_dummy_reason(stream)),
        }
        Ok(self.give_away(hand_over))
    }

    /// The client has the session, or it may have it and has not said so.
    pub(super) fn give_away(&mut self, hand_over: HandOver) -> State {
        self.handed -= 1;
        self.cache.give_away(hand_over.session);
        State::Request
    }
}

/// Whether an empty list came, as it should; nothing when it is not all there.
fn scan_dummy(scan: &mut AttrScan, stream: &mut Stream) -> Option<bool> {
    Some(scan.attr_scan(stream, &[RecvAttr::Str(MAIL_ATTR_DUMMY)], AttrFlag::Strict)? == 1)
}

/// Whether the client has gone without having read all that was sent to it.
fn is_reset(stream: &Stream) -> bool {
    let error = stream.error().and_then(|error| error.raw_os_error());
    error == Some(libc::ECONNRESET)
}

fn no_dummy_reason(stream: &Stream) -> String {
    stream
        .error()
        .map_or_else(|| NO_ERROR.to_string(), strerror)
}

fn warn_not_sent(service: &str, reason: &str) {
    msg_warn_client!("{service}: cannot send file descriptor: {reason}");
}
