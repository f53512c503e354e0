//! `event_loop`: the event loop of a server with many clients in one process. The
//! second part of the original's `multi_server.c`.
//!
//! Accepts clients, and runs the service for each of them. Ends when master(8) has
//! gone, at SIGTERM, and when there was no client for `max_idle`; requests that
//! have begun are finished first. The loop never blocks on a client: the work for
//! it is a [`Task`](crate::util::wait::Task) that runs until it waits, and
//! `ipc_timeout` limits each wait. A failure to wait for events is an error. All other
//! failures are logged, and end at most one client.

mod clients;

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub use self::clients::multi_server_execute;
use self::clients::Client;
use super::master_proto::MasterPipe;
use crate::util::event::Events;
use crate::util::msg::msg_verbose;
use crate::util::open_limit::open_files;
use crate::util::rate_limit::RateLimit;
use crate::util::signal_pipe::SignalPipe;
use crate::util::stream::{ReadSpace, Stream};
use crate::util::strerror::strerror;
use crate::util::timer::{TimerId, TimerQueue};
use crate::util::wait::Wait;
use crate::util::watchdog::Watchdog;
use crate::{msg_info, msg_warn};

/// A service for many clients.
pub trait MultiService {
    /// Buffers of one client.
    type Client: Default;

    /// Greets a client that has connected.
    fn post_accept(&self, stream: &Stream) -> impl Future<Output = ()>;

    /// Answers the request that has begun to arrive, and the requests that were read
    /// with it.
    fn service(&self, stream: &Stream, client: &mut Self::Client) -> impl Future<Output = ()>;

    /// Number of descriptors that the service holds.
    fn descriptors(&self) -> usize;

    /// Sets the maximum number of descriptors that the service holds.
    fn limit_descriptors(&self, limit: usize);

    /// Evicts the entry that expires next, if there is one, to free its descriptor.
    fn evict(&self);

    /// Time between two reports of statistics. Also the minimum time between two
    /// warnings of the same kind.
    fn status_update_time(&self) -> Duration;

    /// Time of the next call of [`MultiService::run_timers`].
    fn next_deadline(&self) -> Option<Instant>;

    /// Handles timers that are due, up to a limit.
    fn run_timers(&self, now: Instant);

    /// Ends the service before the process exits.
    fn exit(&self);
}

/// Limits from main.cf and from the system.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum time to wait for a client in the middle of a request.
    pub ipc_timeout: Duration,
    /// Maximum time without clients.
    pub max_idle: Duration,
    /// Maximum number of open files of the process.
    pub open_files: usize,
}

/// The reason for the end of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// No client for `max_idle`.
    Idle,
    /// master(8) has gone, or has closed the status pipe.
    MasterGone,
    /// SIGTERM.
    Terminated,
}

/// A server with its clients.
pub struct EventLoop<'a, S: MultiService> {
    service: &'a S,
    limits: Limits,
    path: Rc<str>,
    read_space: ReadSpace,
    events: Events,
    /// The owner of each descriptor, by its number. The original's `event_fdtable`.
    fdtable: Vec<Option<Owner<'a>>>,
    master: &'a MasterPipe,
    sigterm: SignalPipe,
    client_count: usize,
    /// Number of descriptors that belong neither to clients nor to the service.
    own_fds: usize,
    /// Clients that have yielded.
    run_queue: VecDeque<RawFd>,
    timers: TimerQueue<Timer>,
    idle_timer: Option<TimerId>,
    /// None unless accepting clients is paused.
    pause_timer: Option<TimerId>,
    clients_warning: RateLimit,
    accept_warning: RateLimit,
    /// True when requests that have begun are finished, and no others are begun.
    is_ending: bool,
}

enum Owner<'a> {
    Master,
    Sigterm,
    Listener(UnixListener),
    Client(Client<'a>),
}

/// The event of a timer.
#[derive(Clone, Copy, Debug)]
enum Timer {
    /// There was no client for `max_idle`.
    Idle,
    /// The end of a pause in accepting clients.
    Accept,
    /// The end of a client's wait, see [`EventLoop::client_timer_event`].
    Client(RawFd),
}

/// Maximum number of timer events in one round.
const MAX_TIMER_EVENTS: usize = 100;

/// Maximum time to finish requests when the process ends, so that it ends within a
/// second.
const FINISH_TIME: Duration = Duration::from_millis(900);

impl<'a, S: MultiService> EventLoop<'a, S> {
    /// A server without clients. Messages call the connection of a client `path`.
    /// Fails with the text of a fatal message.
    pub fn new(
        service: &'a S,
        limits: Limits,
        path: &str,
        master: &'a MasterPipe,
        listeners: Vec<UnixListener>,
    ) -> Result<Self, String> {
        const ADD: &str = "event_enable_read: epoll_ctl EPOLL_CTL_ADD";
        let failed = |call| move |err| format!("{call}: {}", strerror(&err));
        let mut new = EventLoop {
            service,
            limits,
            path: path.into(),
            read_space: ReadSpace::default(),
            events: Events::event_init().map_err(failed("epoll_create"))?,
            fdtable: Vec::new(),
            master,
            sigterm: SignalPipe::new(libc::SIGTERM).map_err(failed("sigaction(SIGTERM)"))?,
            client_count: 0,
            own_fds: 0,
            run_queue: VecDeque::new(),
            timers: TimerQueue::default(),
            idle_timer: None,
            pause_timer: None,
            clients_warning: RateLimit::new(service.status_update_time()),
            accept_warning: RateLimit::new(service.status_update_time()),
            is_ending: false,
        };
        new.add_fd(master.as_fd().as_raw_fd(), Owner::Master)
            .map_err(failed(ADD))?;
        for listener in listeners {
            new.add_fd(listener.as_raw_fd(), Owner::Listener(listener))
                .map_err(failed(ADD))?;
        }
        new.add_fd(new.sigterm.as_fd().as_raw_fd(), Owner::Sigterm)
            .map_err(failed(ADD))?;
        // All open descriptors: there are no clients and no sessions yet.
        new.own_fds = open_files(limits.open_files).map_err(failed("poll"))?;
        new.limit_service();
        Ok(new)
    }

    /// Serves clients until there is a reason to end. Fails if the system's
    /// interface to events does. The original's `event_loop()`: all rounds, not one.
    pub fn event_loop(mut self, watchdog: &Watchdog) -> io::Result<()> {
        let (mut now, mut ready) = (Instant::now(), Vec::new());
        self.start_idle_timer();
        let end = loop {
            let deadline = self.next_deadline(now);
            now = self.wait(deadline, watchdog, &mut ready)?;
            if let Err(end) = self.round(&ready, now) {
                break end;
            }
        };
        match end {
            End::Idle => self.multi_server_timeout(),
            End::MasterGone => self.multi_server_abort("master disconnect", now, watchdog)?,
            End::Terminated => self.multi_server_abort("terminated", now, watchdog)?,
        }
        Ok(())
    }

    /// Waits until a descriptor is ready or the deadline has passed. Returns the
    /// time then.
    fn wait(
        &mut self,
        deadline: Option<Instant>,
        watchdog: &Watchdog,
        ready: &mut Vec<RawFd>,
    ) -> io::Result<Instant> {
        self.events.wait(deadline, ready)?;
        watchdog.pat();
        Ok(Instant::now())
    }

    /// Handles the timers of the service, descriptors that are ready, the run queue, and
    /// the other timers, in this order. The timers of clients come last because their
    /// input may have arrived while this process was stopped: then they have not timed
    /// out. The work of a round is limited, so that it does not delay other clients.
    fn round(&mut self, ready: &[RawFd], now: Instant) -> Result<(), End> {
        let queued = self.run_queue.len();
        self.service.run_timers(now);
        for &fd in ready {
            match &self.fdtable[fd as usize] {
                Some(Owner::Master) => return Err(End::MasterGone),
                Some(Owner::Sigterm) => return Err(End::Terminated),
                Some(Owner::Listener(_)) => self.multi_server_accept_local(fd, now),
                Some(Owner::Client(client)) if client.stream.wait() != Wait::Yield => {
                    self.run_client(fd);
                }
                Some(Owner::Client(_)) | None => {}
            }
        }
        for _ in 0..queued {
            let Some(fd) = self.run_queue.pop_front() else {
                break;
            };
            self.run_client(fd);
        }
        for _ in 0..MAX_TIMER_EVENTS {
            match self.timers.pop_due(now) {
                Some(Timer::Idle) => return Err(End::Idle),
                Some(Timer::Accept) => self.resume_accept(),
                Some(Timer::Client(fd)) => self.client_timer_event(fd, now),
                None => break,
            }
        }
        Ok(())
    }

    fn next_deadline(&self, now: Instant) -> Option<Instant> {
        if !self.run_queue.is_empty() {
            return Some(now);
        }
        let deadlines = [self.service.next_deadline(), self.timers.first_deadline()];
        deadlines.into_iter().flatten().min()
    }

    fn start_idle_timer(&mut self) {
        let deadline = Instant::now() + self.limits.max_idle;
        self.idle_timer = Some(self.timers.request(deadline, Timer::Idle));
    }

    /// Ends a server that had no client for `max_idle`.
    /// The original's `multi_server_timeout()`.
    fn multi_server_timeout(&self) {
        if msg_verbose() > 0 {
            msg_info!("idle timeout -- exiting");
        }
        self.multi_server_exit();
    }

    /// Ends a server whose master(8) has gone, or that was terminated.
    /// The original's `multi_server_abort()`: finishes the requests that have begun.
    fn multi_server_abort(
        &mut self,
        why: &str,
        now: Instant,
        watchdog: &Watchdog,
    ) -> io::Result<()> {
        self.finish_requests(now, watchdog)?;
        if msg_verbose() > 0 {
            msg_info!("{why} -- exiting");
        }
        self.multi_server_exit();
        Ok(())
    }

    /// Ends the service.
    /// The original's `multi_server_exit()`: the process exits after the loop.
    fn multi_server_exit(&self) {
        self.service.exit();
    }

    fn finish_requests(&mut self, mut now: Instant, watchdog: &Watchdog) -> io::Result<()> {
        let until = now + FINISH_TIME;
        self.is_ending = true;
        if let Some(timer) = self.idle_timer.take() {
            self.timers.cancel(timer);
        }
        self.resume_accept();
        let mut clients = Vec::new();
        for fd in 0..self.fdtable.len() as RawFd {
            match &self.fdtable[fd as usize] {
                Some(Owner::Client(_)) => clients.push(fd),
                Some(_) => self.remove_fd(fd),
                None => {}
            }
        }
        for &fd in &clients {
            let Some(Owner::Client(client)) = &self.fdtable[fd as usize] else {
                continue;
            };
            client.stream.set_last_request();
            if client.stream.wait() == Wait::Request {
                self.run_client(fd);
            }
        }
        let mut ready = Vec::new();
        while self.client_count > 0 && now < until {
            let deadline = self.next_deadline(now).map_or(until, |due| due.min(until));
            now = self.wait(Some(deadline), watchdog, &mut ready)?;
            let _ = self.round(&ready, now);
        }
        for fd in clients {
            self.cut_off(fd);
        }
        Ok(())
    }

    /// Adds a descriptor to the table, and watches it for input.
    fn add_fd(&mut self, fd: RawFd, owner: Owner<'a>) -> io::Result<()> {
        let index = fd as usize;
        if index >= self.fdtable.len() {
            self.fdtable.resize_with(index + 1, || None);
        }
        self.events.event_enable_read(match &owner {
            Owner::Master => self.master.as_fd(),
            Owner::Sigterm => self.sigterm.as_fd(),
            Owner::Listener(socket) => socket.as_fd(),
            Owner::Client(client) => client.stream.as_fd(),
        })?;
        self.fdtable[index] = Some(owner);
        Ok(())
    }

    /// Stops watching a descriptor that is not a client's. Closes a listener.
    fn remove_fd(&mut self, fd: RawFd) {
        match self.fdtable[fd as usize].take() {
            Some(Owner::Master) => self.stop_watching(self.master.as_fd()),
            Some(Owner::Sigterm) => self.stop_watching(self.sigterm.as_fd()),
            Some(Owner::Listener(socket)) => self.stop_watching(socket.as_fd()),
            Some(Owner::Client(_)) | None => {}
        }
    }

    fn stop_watching(&self, fd: BorrowedFd<'_>) {
        if let Err(err) = self.events.event_disable_readwrite(fd) {
            let fd = fd.as_raw_fd();
            msg_warn!("event_disable_readwrite: fd {fd}: {}", strerror(&err));
        }
    }
}
