//! `clients`: the clients of the event loop, from accept to disconnect.
//!
//! The functions of the original's `multi_server.c` that deal with one client.
//! Failures are logged.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{EventLoop, MultiService, Owner, Timer};
use crate::master::master_proto::{MasterPipe, MasterStatus};
use crate::util::event::Interest;
use crate::util::msg::msg_verbose;
use crate::util::open_limit::is_out_of_fds;
use crate::util::poll_fd::{read_wait, write_wait};
use crate::util::sane_accept::sane_accept;
use crate::util::stream::{is_temporary, Stream};
use crate::util::strerror::strerror;
use crate::util::timer::TimerId;
use crate::util::wait::{run, Task, Wait};
use crate::{msg_info, msg_warn};

/// A client and its task.
pub(super) struct Client<'a> {
    pub(super) stream: Rc<Stream>,
    task: Task<'a>,
    interest: Interest,
    /// The end of `ipc_timeout`. None if the wait has no time limit. The timer may be due
    /// earlier; it is then requested again, which is cheaper than a timer for each wait.
    deadline: Option<Instant>,
    timer: Option<TimerId>,
}

/// Maximum time of a pause in accepting clients. The pause ends earlier if a client
/// disconnects. It is short because the end of a session also frees a descriptor.
const PAUSE_TIME: Duration = Duration::from_secs(1);

/// Number of descriptors that are reserved for the service, but at most half of
/// those that clients and service share.
const SERVICE_FDS: usize = 8;

impl<S: MultiService> EventLoop<'_, S> {
    /// Accepts a client. Pauses accepting if there is no free descriptor.
    /// The original's `multi_server_accept_local()`.
    pub(super) fn multi_server_accept_local(&mut self, listener: RawFd, now: Instant) {
        if self.pause_timer.is_some() {
            return;
        }
        let shared_fds = self.limits.open_files.saturating_sub(self.own_fds);
        let service_fds = SERVICE_FDS.min(shared_fds / 2);
        let free = shared_fds.saturating_sub(self.client_count);
        if free <= service_fds {
            self.pause_out_of_fds(now);
            return;
        }
        if free.saturating_sub(self.service.descriptors()) <= service_fds {
            self.service.evict();
        }
        let accepted = match &self.fdtable[listener as usize] {
            Some(Owner::Listener(socket)) => sane_accept(socket),
            _ => return,
        };
        match accepted {
            Ok(client) => self.multi_server_wakeup(client),
            Err(err) if is_temporary(&err) => {}
            Err(err) if is_out_of_fds(&err) => {
                self.service.evict();
                self.pause_out_of_fds(now);
            }
            Err(err) => {
                if self.accept_warning.allows(now) {
                    let reason = strerror(&err);
                    msg_warn!("accept connection: {reason}, clients have to wait");
                }
                self.pause_accept(now);
            }
        }
    }

    /// Pauses accepting because clients use all descriptors.
    fn pause_out_of_fds(&mut self, now: Instant) {
        if self.clients_warning.allows(now) {
            let count = self.client_count;
            msg_warn!("out of file descriptors: {count} clients, others have to wait");
        }
        self.pause_accept(now);
    }

    /// Pauses accepting, for [`PAUSE_TIME`] or until a client disconnects.
    fn pause_accept(&mut self, now: Instant) {
        self.pause_timer = Some(self.timers.request(now + PAUSE_TIME, Timer::Accept));
        for socket in self.listeners() {
            self.stop_watching(socket.as_fd());
        }
    }

    /// Resumes accepting, if it is paused.
    pub(super) fn resume_accept(&mut self) {
        let Some(timer) = self.pause_timer.take() else {
            return;
        };
        self.timers.cancel(timer);
        for socket in self.listeners() {
            if let Err(err) = self.events.event_enable_read(socket.as_fd()) {
                msg_warn!("event_enable_read: {}", strerror(&err));
            }
        }
    }

    fn listeners(&self) -> impl Iterator<Item = &UnixListener> {
        self.fdtable.iter().filter_map(|owner| match owner {
            Some(Owner::Listener(socket)) => Some(socket),
            _ => None,
        })
    }

    /// Starts the task of a client. The original's `multi_server_wakeup()`.
    fn multi_server_wakeup(&mut self, socket: UnixStream) {
        let fd = socket.as_raw_fd();
        if msg_verbose() > 0 {
            msg_info!("connection established fd {fd}");
        }
        if let Err(err) = socket.set_nonblocking(true) {
            msg_warn!("cannot serve client fd {fd}: {}", strerror(&err));
            return;
        }
        let stream = Rc::new(Stream::new(
            socket.into(),
            self.path.clone(),
            self.read_space.clone(),
        ));
        let task = multi_server_execute(self.service, self.master, stream.clone());
        let client = Owner::Client(Client {
            stream,
            task: Box::pin(task),
            interest: Interest::Read,
            deadline: None,
            timer: None,
        });
        if let Err(err) = self.add_fd(fd, client) {
            msg_warn!("cannot serve client fd {fd}: {}", strerror(&err));
            return;
        }
        if let Some(timer) = self.idle_timer.take() {
            self.timers.cancel(timer);
        }
        self.client_count += 1;
        self.limit_service();
        self.run_client(fd);
    }

    /// Runs the task of a client until it waits, and watches for the end of the wait.
    pub(super) fn run_client(&mut self, fd: RawFd) {
        let Some(Owner::Client(client)) = &mut self.fdtable[fd as usize] else {
            return;
        };
        if run(&mut client.task) {
            self.multi_server_disconnect(fd);
            return;
        }
        let wait = client.stream.wait();
        client.deadline = match wait {
            Wait::Request | Wait::Yield => None,
            // Not the time when the round began: it may have waited for the log since.
            Wait::Input | Wait::Output => Some(Instant::now() + self.limits.ipc_timeout),
        };
        if let (Some(deadline), None) = (client.deadline, client.timer) {
            client.timer = Some(self.timers.request(deadline, Timer::Client(fd)));
        }
        if wait == Wait::Yield {
            self.run_queue.push_back(fd);
        }
        let interest = match wait {
            Wait::Output => Interest::Write,
            Wait::Request | Wait::Input | Wait::Yield => Interest::Read,
        };
        if client.interest != interest {
            client.interest = interest;
            if let Err(err) = self.events.event_change(client.stream.as_fd(), interest) {
                msg_warn!("cannot serve client: {}", strerror(&err));
                self.cut_off(fd);
            }
        }
    }

    /// Handles a client's timer: the wait fails if its deadline has passed.
    pub(super) fn client_timer_event(&mut self, fd: RawFd, now: Instant) {
        let Some(Owner::Client(client)) = &mut self.fdtable[fd as usize] else {
            return;
        };
        client.timer = client
            .deadline
            .filter(|&deadline| deadline > now)
            .map(|deadline| self.timers.request(deadline, Timer::Client(fd)));
        if client.timer.is_some() || client.deadline.is_none() {
            return;
        }
        // The poller reports a limited number of descriptors. This one may be ready,
        // but not reported yet.
        let is_ready = match client.stream.wait() {
            Wait::Output => write_wait(client.stream.as_fd(), Duration::ZERO),
            _ => read_wait(client.stream.as_fd(), Duration::ZERO),
        };
        if !is_ready.unwrap_or(false) {
            client.stream.time_out();
        }
        self.run_client(fd);
    }

    /// Closes a connection. The original's `multi_server_disconnect()`.
    fn multi_server_disconnect(&mut self, fd: RawFd) {
        let Some(Owner::Client(client)) = self.fdtable[fd as usize].take() else {
            return;
        };
        if msg_verbose() > 0 {
            msg_info!("connection closed fd {fd}");
        }
        self.stop_watching(client.stream.as_fd());
        if let Some(timer) = client.timer {
            self.timers.cancel(timer);
        }
        self.client_count -= 1;
        self.limit_service();
        if self.client_count == 0 && !self.is_ending {
            self.start_idle_timer();
        }
        self.resume_accept();
    }

    /// Runs the task of a client to its end, with waits that fail.
    pub(super) fn cut_off(&mut self, fd: RawFd) {
        if let Some(Owner::Client(client)) = &self.fdtable[fd as usize] {
            client.stream.cut_off();
            self.run_client(fd);
        }
    }

    /// Sets the service's limit to the descriptors that others do not use.
    pub(super) fn limit_service(&self) {
        let others = self.own_fds + self.client_count;
        let limit = self.limits.open_files.saturating_sub(others);
        self.service.limit_descriptors(limit);
    }
}

/// The task of a client.
/// The original's `multi_server_execute()`: runs once for a client, not for a request.
pub async fn multi_server_execute<S: MultiService>(
    service: &S,
    master: &MasterPipe,
    stream: Rc<Stream>,
) {
    let mut client = S::Client::default();
    service.post_accept(&stream).await;
    while stream.next_request().await {
        master.master_notify(MasterStatus::Taken);
        service.service(&stream, &mut client).await;
        master.master_notify(MasterStatus::Available);
    }
}
