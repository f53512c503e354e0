//! Who is let in, and what is done when that is not possible: the part of the
//! event loop that accepts clients.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use super::{Client, Clients};
use crate::master::multi_service::{MultiService, Wait};
use crate::master::tag::Tag;
use crate::util::msg::msg_verbose;
use crate::util::open_limit::is_out_of_fds;
use crate::util::poller::Interest;
use crate::util::stream::{is_temporary, Stream};
use crate::util::strerror::strerror;
use crate::{msg_info, msg_warn};

impl<S: MultiService> Clients<S> {
    /// The original's `multi_server_accept_local()` and `multi_server_wakeup()`.
    pub(super) fn accept(&mut self, index: u32, now: Instant) {
        if self.door.closed_until().is_some() {
            return;
        }
        if !self.descriptors.has_room_for_client(self.clients.len()) {
            return self.close_the_door(now);
        }
        if self.turn(now).free_fds <= self.descriptors.for_service() {
            self.service.make_room();
        }
        match self.door.accept(index) {
            Ok(socket) => self.let_in(socket),
            Err(err) if is_temporary(&err) || is_of_client(&err) => {}
            Err(err) if is_out_of_fds(&err) => {
                self.service.make_room();
                self.close_the_door(now);
            }
            Err(err) => self.door.close_after(&err, &self.events, now),
        }
    }

    fn let_in(&mut self, socket: UnixStream) {
        let fd = socket.as_raw_fd();
        if msg_verbose() > 0 {
            msg_info!("connection established fd {fd}");
        }
        let number = self.clients.next_number();
        let enabled = socket
            .set_nonblocking(true)
            .and_then(|()| self.events.enable_read(socket.as_fd(), Tag::Client(number)));
        if let Err(err) = enabled {
            return msg_warn!("cannot serve client fd {fd}: {}", strerror(&err));
        }
        let mut stream = Stream::new(socket.into(), self.path.clone());
        self.service.connected(&mut stream);
        stream.return_room(&mut self.room);
        self.clients.insert(Client {
            stream,
            wait: Wait::Request,
            interest: Interest::Read,
            deadline: None,
            timer: None,
            state: S::Client::default(),
        });
        self.idle_deadline = None;
    }

    fn close_the_door(&mut self, now: Instant) {
        self.door.warn_of_crowd(self.clients.len(), now);
        self.door.close(&self.events, now);
    }
}

/// The errors of accept(2) after which the original's `sane_accept()` tries
/// again: what they are about is a client that has gone.
fn is_of_client(err: &io::Error) -> bool {
    const OF_CLIENT: [libc::c_int; 10] = [
        libc::ECONNREFUSED,
        libc::ECONNRESET,
        libc::ECONNABORTED,
        libc::EHOSTDOWN,
        libc::EHOSTUNREACH,
        libc::ENETDOWN,
        libc::ENETUNREACH,
        libc::ENOTCONN,
        libc::ENOBUFS,
        libc::EPROTO,
    ];
    err.raw_os_error()
        .is_some_and(|number| OF_CLIENT.contains(&number))
}
