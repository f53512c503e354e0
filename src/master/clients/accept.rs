//! Who is let in, and what is done when that is not possible: the part of the
//! event loop that accepts clients.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::{Client, Clients, CROWD};
use crate::master::multi_service::{MultiService, Wait};
use crate::master::tag::Tag;
use crate::util::held_socket::close_at_once;
use crate::util::msg::msg_verbose;
use crate::util::mymalloc::{reserve, NO_MEMORY};
use crate::util::open_limit::can_open;
use crate::util::poll_fd::read_wait;
use crate::util::poller::Interest;
use crate::util::stream::{is_temporary, Stream};
use crate::util::strerror::strerror;
use crate::util::unix_recv_fd::unix_keep_urgent;
use crate::{msg_info, msg_warn};

/// So many clients are looked at to find one that has been idle for long and
/// has not just sent a request.
const IDLE_TRIES: usize = 10;

impl<S: MultiService> Clients<S> {
    /// The original's `multi_server_accept_local()` and `multi_server_wakeup()`.
    pub(super) fn accept(&mut self, index: u32, now: Instant) {
        if self.door.closed_until().is_some() {
            return;
        }
        let has_room = self.descriptors.has_room_for_client(self.clients.len());
        if !has_room && !self.disconnect_idle(now) {
            return self.close_the_door(now);
        }
        if self.turn(now).free_fds <= self.descriptors.for_service() {
            self.service.make_room();
        }
        let mut accepted = self.door.accept(index);
        if accepted.as_ref().is_err_and(is_out_of_fds) {
            if !can_open(self.master.as_fd()) {
                self.descriptors.ran_out(self.held());
            }
            // One is given up, and if that is in vain no other for a while.
            if self.service.make_room() || self.disconnect_idle(now) {
                accepted = self.door.accept(index);
            }
        }
        match accepted {
            Ok(socket) => self.let_in(socket, now),
            Err(err) if is_temporary(&err) || is_of_client(&err) => {}
            Err(err) if is_out_of_fds(&err) => self.close_the_door(now),
            Err(err) => self.door.close_after(&err, &self.events, now),
        }
    }

    fn let_in(&mut self, socket: UnixStream, now: Instant) {
        let fd = socket.as_raw_fd();
        if msg_verbose() > 0 {
            msg_info!("connection established fd {fd}");
        }
        if !reserve() {
            close_at_once(socket.into());
            return msg_warn!("cannot serve client fd {fd}: {NO_MEMORY}");
        }
        let number = self.clients.next_number();
        let enabled = socket
            .set_nonblocking(true)
            .and_then(|()| self.events.enable_read(socket.as_fd(), Tag::Client(number)));
        if let Err(err) = enabled {
            close_at_once(socket.into());
            return msg_warn!("cannot serve client fd {fd}: {}", strerror(&err));
        }
        unix_keep_urgent(socket.as_fd());
        let mut stream = Stream::new(socket.into(), self.path.clone());
        self.service.connected(&mut stream);
        stream.return_room(&mut self.room);
        self.clients.insert(Client {
            stream,
            wait: Wait::Request,
            interest: Interest::Read,
            idle_since: now,
            deadline: None,
            timer: None,
            state: S::Client::default(),
        });
        self.ebb.note(self.clients.len(), CROWD);
        self.idle_deadline = None;
    }

    /// Disconnects the client that has been idle between requests for longest;
    /// false when all have something to do.
    fn disconnect_idle(&mut self, now: Instant) -> bool {
        for _ in 0..IDLE_TRIES {
            let idle = self.clients.iter();
            let idle = idle.filter(|(_, client)| client.wait == Wait::Request);
            let Some((number, client)) = idle.min_by_key(|(_, client)| client.idle_since) else {
                return false;
            };
            if !read_wait(client.stream.as_fd(), Duration::ZERO).unwrap_or(false) {
                self.door.warn_of_crowd(self.clients.len(), now);
                self.disconnect(number, now);
                return true;
            }
            self.clients[number].idle_since = now;
        }
        false
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

fn is_out_of_fds(err: &io::Error) -> bool {
    matches!(err.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}
