//! The event loop of a server with many clients in one process: the rest of the
//! original's `multi_server.c`, whose functions are here under their names.
//!
//! Accepts clients, runs the service for one of them when it can go on, and ends
//! with master(8), at SIGTERM, or after having been idle for too long. Nothing in
//! here waits for a client: what is done for it is a [`Task`], which is run until
//! it waits, and `ipc_timeout` limits how long that may take. At the end what has
//! begun is finished.

mod clients;

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::time::{Duration, Instant};

use self::clients::Client;
use super::master_proto::MasterPipe;
use crate::util::event::Events;
use crate::util::msg::msg_verbose;
use crate::util::open_limit::open_files;
use crate::util::rate_limit::RateLimit;
use crate::util::signal_pipe::SignalPipe;
use crate::util::stream::Stream;
use crate::util::strerror::strerror;
use crate::util::timer::{TimerId, TimerQueue};
use crate::util::wait::Wait;
use crate::util::watchdog::Watchdog;
use crate::{msg_info, msg_warn};

/// A service for many clients.
pub trait MultiService {
    /// What is kept of one client.
    type Client: Default;

    /// A client has connected.
    fn post_accept(&self, stream: &Stream) -> impl Future<Output = ()>;

    /// Answers what a client asks for: the request that has begun to come, and
    /// those that were read with it.
    fn service(&self, stream: &Stream, client: &mut Self::Client) -> impl Future<Output = ()>;

    /// Number of descriptors that the service holds.
    fn descriptors(&self) -> usize;

    /// Number of descriptors that it may hold from now on.
    fn limit_descriptors(&self, most: usize);

    /// Gives up the descriptor that can best be spared. Returns false when there
    /// is none.
    fn evict(&self) -> bool;

    /// How often it says how it is used. What goes wrong all the time is not
    /// logged more often either.
    fn status_update_time(&self) -> Duration;

    /// When [`MultiService::timers`] is to be called next.
    fn next_deadline(&self) -> Option<Instant>;

    /// Does what is due, or some of it.
    fn timers(&self, now: Instant);

    /// The process ends.
    fn exit(&self);
}

/// What the event loop wants to know of main.cf and of the system.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a client may leave things half done.
    pub ipc_timeout: Duration,
    /// How long to stay without clients.
    pub max_idle: Duration,
    /// Number of files that the process may have open.
    pub open_files: usize,
}

/// Why the loop has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// No client for `max_idle`.
    Idle,
    /// master(8) is gone, or does not listen any more.
    MasterGone,
    /// SIGTERM.
    Terminated,
}

/// A server with its clients.
pub struct EventLoop<'a, S: MultiService> {
    service: &'a S,
    limits: Limits,
    path: Rc<str>,
    events: Events,
    /// Whose descriptor it is, by its number. The original's `event_fdtable`.
    fdtable: Vec<Option<Owner<'a>>>,
    master: &'a MasterPipe,
    client_count: usize,
    /// Number of descriptors that belong neither to clients nor to the service.
    own_fds: usize,
    /// Clients that can go on, in the order of their turns.
    run_queue: VecDeque<RawFd>,
    timers: TimerQueue<Timer>,
    idle_timer: Option<TimerId>,
    /// Runs while no client is accepted.
    pause_timer: Option<TimerId>,
    clients_warning: RateLimit,
    accept_warning: RateLimit,
    /// What has begun is finished, and nothing else is begun.
    is_ending: bool,
}

enum Owner<'a> {
    Master,
    Sigterm(SignalPipe),
    Listener(UnixListener),
    Client(Client<'a>),
}

/// What is to be done when a timer is due.
#[derive(Clone, Copy, Debug)]
enum Timer {
    /// [`EventLoop::multi_server_timeout`].
    Idle,
    /// Accept clients again.
    Accept,
    /// A client may have taken too long.
    Client(RawFd),
}

/// Timers that are looked at in one round.
const TIMERS_MOST: usize = 100;

/// How long the requests that have begun may take when the process ends: all
/// is over within a second.
const FINISH_TIME: Duration = Duration::from_millis(900);

impl<'a, S: MultiService> EventLoop<'a, S> {
    /// A server without clients; `path` names their connections in messages.
    /// Fails when the system's interface to events does.
    pub fn new(
        service: &'a S,
        limits: Limits,
        path: &str,
        master: &'a MasterPipe,
        listeners: Vec<UnixListener>,
    ) -> io::Result<Self> {
        let mut new = EventLoop {
            service,
            limits,
            path: path.into(),
            events: Events::event_init()?,
            fdtable: Vec::new(),
            master,
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
        new.own(master.as_fd().as_raw_fd(), Owner::Master)?;
        for listener in listeners {
            new.own(listener.as_raw_fd(), Owner::Listener(listener))?;
        }
        let sigterm = SignalPipe::new(libc::SIGTERM)?;
        new.own(sigterm.as_fd().as_raw_fd(), Owner::Sigterm(sigterm))?;
        // Those that are open now, before there are clients.
        new.own_fds = open_files(limits.open_files)?;
        new.limit_service();
        Ok(new)
    }

    /// Serves until there is a reason to end. Fails when the system's interface
    /// to events does. The original's `event_loop()`, again and again.
    pub fn event_loop(mut self, watchdog: &Watchdog) -> io::Result<()> {
        let (mut now, mut ready) = (Instant::now(), Vec::new());
        self.start_idle_timer(now);
        let end = loop {
            let deadline = self.next_deadline(now);
            now = self.wait(deadline, now, watchdog, &mut ready)?;
            let is_due = deadline.is_some_and(|deadline| deadline <= now);
            if let Err(end) = self.round(&ready, now, is_due) {
                break end;
            }
        };
        match end {
            End::Idle => self.multi_server_timeout(),
            End::MasterGone | End::Terminated => self.multi_server_abort(end, now, watchdog)?,
        }
        Ok(())
    }

    /// Waits until something is ready, or the deadline; what time it is then.
    fn wait(
        &mut self,
        deadline: Option<Instant>,
        now: Instant,
        watchdog: &Watchdog,
        ready: &mut Vec<RawFd>,
    ) -> io::Result<Instant> {
        self.events.wait(deadline, now, ready)?;
        watchdog.pat();
        Ok(Instant::now())
    }

    /// What is ready comes before what is late: after this process has been
    /// stopped for a while, a client that has long done its part is not late.
    /// Timers are looked at when one was due. Whatever there is to do, a round
    /// does a limited piece of it, so that nobody waits for long.
    fn round(&mut self, ready: &[RawFd], now: Instant, is_due: bool) -> Result<(), End> {
        let turns = self.run_queue.len();
        if is_due {
            self.service.timers(now);
        }
        for &fd in ready {
            match &self.fdtable[fd as usize] {
                Some(Owner::Master) => return Err(End::MasterGone),
                Some(Owner::Sigterm(_)) => return Err(End::Terminated),
                Some(Owner::Listener(_)) => self.multi_server_accept_local(fd, now)?,
                Some(Owner::Client(client)) if client.stream.wait() != Wait::Turn => {
                    self.run_client(fd, now)?;
                }
                Some(Owner::Client(_)) | None => {}
            }
        }
        for _ in 0..turns {
            let Some(fd) = self.run_queue.pop_front() else {
                break;
            };
            self.run_client(fd, now)?;
        }
        if !is_due {
            return Ok(());
        }
        for _ in 0..TIMERS_MOST {
            match self.timers.pop_due(now) {
                Some(Timer::Idle) => return Err(End::Idle),
                Some(Timer::Accept) => self.accept_again(),
                Some(Timer::Client(fd)) => self.client_is_due(fd, now)?,
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

    fn start_idle_timer(&mut self, now: Instant) {
        let deadline = now + self.limits.max_idle;
        self.idle_timer = Some(self.timers.request(deadline, Timer::Idle));
    }

    /// No client has come for `max_idle`. The original's `multi_server_timeout()`.
    fn multi_server_timeout(&self) {
        if msg_verbose() > 0 {
            msg_info!("idle timeout -- exiting");
        }
        self.multi_server_exit();
    }

    /// master(8) is gone, or wants this process to end. Where the original breaks
    /// off, requests that have begun, or whose first byte is there, are finished;
    /// no other client is accepted, and no other request begun. The original's
    /// `multi_server_abort()`.
    fn multi_server_abort(
        &mut self,
        end: End,
        now: Instant,
        watchdog: &Watchdog,
    ) -> io::Result<()> {
        self.finish(now, watchdog)?;
        if msg_verbose() > 0 {
            let why = match end {
                End::Terminated => "terminated",
                End::MasterGone | End::Idle => "master disconnect",
            };
            msg_info!("{why} -- exiting");
        }
        self.multi_server_exit();
        Ok(())
    }

    /// The original's `multi_server_exit()`; the process exits when the loop has
    /// returned.
    fn multi_server_exit(&self) {
        self.service.exit();
    }

    fn finish(&mut self, mut now: Instant, watchdog: &Watchdog) -> io::Result<()> {
        let until = now + FINISH_TIME;
        self.is_ending = true;
        if let Some(timer) = self.idle_timer.take() {
            self.timers.cancel(timer);
        }
        self.accept_again();
        let mut clients = Vec::new();
        for fd in 0..self.fdtable.len() as RawFd {
            match &self.fdtable[fd as usize] {
                Some(Owner::Client(_)) => clients.push(fd),
                Some(_) => self.disown(fd),
                None => {}
            }
        }
        for &fd in &clients {
            let Some(Owner::Client(client)) = &self.fdtable[fd as usize] else {
                continue;
            };
            client.stream.begin_no_other();
            if client.stream.wait() == Wait::Request {
                // There is no other reason to end now.
                let _ = self.run_client(fd, now);
            }
        }
        let mut ready = Vec::new();
        while self.client_count > 0 && now < until {
            let deadline = self.next_deadline(now).map_or(until, |due| due.min(until));
            now = self.wait(Some(deadline), now, watchdog, &mut ready)?;
            let _ = self.round(&ready, now, deadline <= now);
        }
        for fd in clients {
            self.cut_off(fd, now);
        }
        Ok(())
    }

    /// Enters a descriptor into the table, and watches it for input.
    fn own(&mut self, fd: RawFd, owner: Owner<'a>) -> io::Result<()> {
        let index = fd as usize;
        if index >= self.fdtable.len() {
            self.fdtable.resize_with(index + 1, || None);
        }
        self.events.event_enable_read(match &owner {
            Owner::Master => self.master.as_fd(),
            Owner::Sigterm(pipe) => pipe.as_fd(),
            Owner::Listener(socket) => socket.as_fd(),
            Owner::Client(client) => client.stream.as_fd(),
        })?;
        self.fdtable[index] = Some(owner);
        Ok(())
    }

    /// Takes what is not a client's out of the table.
    fn disown(&mut self, fd: RawFd) {
        match self.fdtable[fd as usize].take() {
            Some(Owner::Master) => self.forget(self.master.as_fd()),
            Some(Owner::Sigterm(pipe)) => self.forget(pipe.as_fd()),
            Some(Owner::Listener(socket)) => self.forget(socket.as_fd()),
            Some(Owner::Client(_)) | None => {}
        }
    }

    fn forget(&self, fd: BorrowedFd<'_>) {
        if let Err(err) = self.events.event_disable_readwrite(fd) {
            let fd = fd.as_raw_fd();
            msg_warn!("event_disable_readwrite: fd {fd}: {}", strerror(&err));
        }
    }
}
