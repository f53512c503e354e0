//! The event loop of a server with many clients in one process.
//!
//! Accepts clients, calls the service when one of them can go on, and ends
//! with master(8), at SIGTERM, or after having been idle for too long. Nothing
//! in here waits for a client: what is half done is kept with the client, and
//! `ipc_timeout` limits how long it may stay so. At the end it is finished.

mod accept;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use super::descriptors::Descriptors;
use super::door::Door;
use super::master_proto::{MasterPipe, MasterStatus};
use super::multi_service::{MultiService, Turn, Wait};
use super::tag::Tag;
use crate::util::event::Events;
use crate::util::msg::{msg_flush, msg_verbose};
use crate::util::poll_fd::{read_wait, write_wait};
use crate::util::poller::Interest;
use crate::util::signal_pipe::SignalPipe;
use crate::util::slab::Slab;
use crate::util::stream::{Input, Room, Stream};
use crate::util::strerror::strerror;
use crate::util::timer::{TimerId, TimerQueue};
use crate::util::watchdog::Watchdog;
use crate::{msg_info, msg_warn};

/// What the event loop wants to know of main.cf and of the system.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a client may leave things half done.
    pub ipc_timeout: Duration,
    /// How long to stay without clients.
    pub max_idle: Duration,
    /// How many files the process may have open.
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

/// A service with its clients.
#[derive(Debug)]
pub struct Clients<S: MultiService> {
    service: S,
    limits: Limits,
    path: String,
    events: Events<Tag>,
    master: MasterPipe,
    sigterm: SignalPipe,
    door: Door,
    clients: Slab<Client<S::Client>>,
    room: Room,
    /// Those that can go on, in the order of their turns.
    ready: VecDeque<u32>,
    timeouts: TimerQueue<u32>,
    idle_deadline: Option<Instant>,
    descriptors: Descriptors,
    /// What has begun is finished, and nothing else is begun.
    ending: bool,
}

#[derive(Debug)]
struct Client<C> {
    stream: Stream,
    wait: Wait,
    interest: Interest,
    /// When its time is over. The timer that runs may be due earlier; it is
    /// made again then, which is cheaper than a new one for each request.
    deadline: Option<Instant>,
    timer: Option<TimerId>,
    state: C,
}

/// How many clients that took too long are looked at in one round.
const LATE_MOST: usize = 100;

/// How long the requests that have begun may take when the process ends: all
/// is over within a second.
const FINISH_TIME: Duration = Duration::from_millis(900);

impl<S: MultiService> Clients<S> {
    /// A server without clients; `path` names their connections in messages.
    /// Fails when the system's interface to events does.
    pub fn new(
        service: S,
        limits: Limits,
        path: String,
        master: MasterPipe,
        listeners: Vec<UnixListener>,
    ) -> io::Result<Self> {
        let events = Events::new()?;
        let door = Door::new(listeners, service.status_update_time(), &events)?;
        events.enable_read(master.as_fd(), Tag::Master)?;
        let sigterm = SignalPipe::new(libc::SIGTERM)?;
        events.enable_read(sigterm.as_fd(), Tag::Sigterm)?;
        let descriptors = Descriptors::new(limits.open_files)?;
        Ok(Clients {
            service,
            limits,
            path,
            events,
            master,
            sigterm,
            door,
            clients: Slab::default(),
            room: Room::default(),
            ready: VecDeque::new(),
            timeouts: TimerQueue::default(),
            idle_deadline: None,
            descriptors,
            ending: false,
        })
    }

    /// Serves until there is a reason to end. Fails when the system's interface
    /// to events does. The original's `event_loop()`.
    pub fn event_loop(mut self, watchdog: &Watchdog) -> io::Result<()> {
        let mut now = Instant::now();
        self.idle_deadline = Some(now + self.limits.max_idle);
        let end = loop {
            let deadline = self.next_deadline(now);
            now = self.wait(deadline, now, watchdog)?;
            let is_due = deadline.is_some_and(|deadline| deadline <= now);
            if let Err(end) = self.round(now, is_due) {
                break end;
            }
        };
        if end != End::Idle {
            self.finish(now, watchdog)?;
        }
        if msg_verbose() > 0 {
            match end {
                End::Idle => msg_info!("idle timeout -- exiting"),
                End::MasterGone => msg_info!("master disconnect -- exiting"),
                End::Terminated => msg_info!("terminated -- exiting"),
            }
        }
        self.service.exit();
        Ok(())
    }

    /// Waits until something is ready, or the deadline; what time it is then.
    fn wait(
        &mut self,
        deadline: Option<Instant>,
        now: Instant,
        watchdog: &Watchdog,
    ) -> io::Result<Instant> {
        // What the log did not take is sent when it does.
        let deadline = deadline.into_iter().chain(msg_flush(now)).min();
        self.events.wait(deadline, now)?;
        watchdog.pat();
        Ok(Instant::now())
    }

    /// Lets nobody else in and begins no other request: those that have begun,
    /// or whose first byte is there, are finished.
    fn finish(&mut self, mut now: Instant, watchdog: &Watchdog) -> io::Result<()> {
        let until = now + FINISH_TIME;
        self.ending = true;
        self.idle_deadline = None;
        self.door.close_for_good(&self.events);
        self.events.disable(self.master.as_fd())?;
        self.events.disable(self.sigterm.as_fd())?;
        for number in self.clients.numbers() {
            if self.clients[number].wait == Wait::Request {
                // There is no other reason to end now.
                let _ = self.with_room(number, now, Self::client_ready);
            }
        }
        while !self.clients.is_empty() && now < until {
            let deadline = self.next_deadline(now).map_or(until, |due| due.min(until));
            now = self.wait(Some(deadline), now, watchdog)?;
            let _ = self.round(now, deadline <= now);
        }
        // Time is up for the others; the service gets back what is theirs.
        for number in self.clients.numbers() {
            self.disconnect(number, now);
        }
        Ok(())
    }

    /// What is ready comes before what is late: after this process has been
    /// stopped for a while, a client that has long done its part is not late.
    /// Timers are looked at when one was due. Whatever there is to do, a round
    /// does a limited piece of it, so that nobody waits for long.
    fn round(&mut self, now: Instant, is_due: bool) -> Result<(), End> {
        let turns = self.ready.len();
        if is_due {
            self.service.timers(now);
        }
        while let Some(tag) = self.events.next_ready() {
            match tag {
                Tag::Master => return Err(End::MasterGone),
                Tag::Sigterm => return Err(End::Terminated),
                Tag::Listener(index) => self.accept(index, now),
                Tag::Client(number) => self.with_room(number, now, Self::client_ready)?,
            }
        }
        for _ in 0..turns {
            let Some(number) = self.ready.pop_front() else {
                break;
            };
            self.with_room(number, now, Self::client_turn)?;
        }
        if !is_due {
            return Ok(());
        }
        for _ in 0..LATE_MOST {
            let Some(number) = self.timeouts.pop_due(now) else {
                break;
            };
            self.with_room(number, now, Self::client_late)?;
        }
        if self.door.closed_until().is_some_and(|until| until <= now) {
            self.door.open(&self.events);
        }
        match self.idle_deadline {
            Some(deadline) if deadline <= now => Err(End::Idle),
            _ => Ok(()),
        }
    }

    fn next_deadline(&self, now: Instant) -> Option<Instant> {
        if !self.ready.is_empty() {
            return Some(now);
        }
        let deadlines = [
            self.service.next_deadline(),
            self.timeouts.first_deadline(),
            self.idle_deadline,
            self.door.closed_until(),
        ];
        deadlines.into_iter().flatten().min()
    }

    fn turn(&self, now: Instant) -> Turn {
        Turn {
            now,
            free_fds: self.descriptors.free(self.held()),
        }
    }

    /// How many descriptors clients and the service hold, or held.
    fn held(&self) -> usize {
        self.clients.len() + self.service.descriptors()
    }

    /// Does something with a client that has room to read and write meanwhile.
    fn with_room(
        &mut self,
        number: u32,
        now: Instant,
        what: fn(&mut Self, u32, Instant) -> Result<(), End>,
    ) -> Result<(), End> {
        if let Some(client) = self.clients.get_mut(number) {
            client.stream.borrow_room(&mut self.room);
        }
        let result = what(self, number, now);
        if let Some(client) = self.clients.get_mut(number) {
            client.stream.return_room(&mut self.room);
        }
        result
    }

    /// The original's `multi_server_execute()`.
    fn client_ready(&mut self, number: u32, now: Instant) -> Result<(), End> {
        let turn = self.turn(now);
        let Some(client) = self.clients.get_mut(number) else {
            return Ok(());
        };
        match client.wait {
            Wait::Request => {
                client.stream.set_readable();
                match client.stream.peek() {
                    // A client that is there is served, even if master is not.
                    Input::Ready(()) => drop(self.master.master_notify(MasterStatus::Taken)),
                    Input::Wait if !self.ending => return Ok(()),
                    Input::Wait | Input::None(_) => {
                        self.disconnect(number, now);
                        return Ok(());
                    }
                }
            }
            Wait::Input => client.stream.set_readable(),
            Wait::Nothing => return Ok(()),
            Wait::Output => {
                client.stream.fflush();
                if client.stream.has_unwritten() {
                    return self.served(number, Wait::Output, now);
                }
            }
        }
        let wait = self
            .service
            .service(&mut client.state, &mut client.stream, turn);
        self.served(number, wait, now)
    }

    /// A client has its turn to go on with what it has sent.
    fn client_turn(&mut self, number: u32, now: Instant) -> Result<(), End> {
        let turn = self.turn(now);
        let Some(client) = self.clients.get_mut(number) else {
            return Ok(());
        };
        let wait = self
            .service
            .service(&mut client.state, &mut client.stream, turn);
        self.served(number, wait, now)
    }

    fn client_late(&mut self, number: u32, now: Instant) -> Result<(), End> {
        let turn = self.turn(now);
        let Some(client) = self.clients.get_mut(number) else {
            return Ok(());
        };
        client.timer = client
            .deadline
            .filter(|&deadline| deadline > now)
            .map(|deadline| self.timeouts.request(deadline, number));
        if client.timer.is_some() || client.deadline.is_none() {
            return Ok(());
        }
        // One wait reports so many and no more: this one may have done its part.
        let is_ready = match client.wait {
            Wait::Input => read_wait(client.stream.as_fd(), Duration::ZERO),
            Wait::Output => write_wait(client.stream.as_fd(), Duration::ZERO),
            Wait::Request | Wait::Nothing => Ok(false),
        };
        if is_ready.unwrap_or(false) {
            return self.client_ready(number, now);
        }
        let wait = self
            .service
            .timeout(&mut client.state, &mut client.stream, turn);
        self.served(number, wait, now)
    }

    /// A client was served; waits for what it has to do next.
    fn served(&mut self, number: u32, wait: Wait, now: Instant) -> Result<(), End> {
        let client = &mut self.clients[number];
        client.wait = wait;
        if wait == Wait::Request {
            client.deadline = None;
            let told = self.master.master_notify(MasterStatus::Available);
            if client.stream.ended().is_some() || self.ending {
                self.disconnect(number, now);
                return Ok(());
            }
            told.map_err(|_| End::MasterGone)?;
        } else if wait == Wait::Nothing {
            client.deadline = None;
            self.ready.push_back(number);
        } else {
            let deadline = now + self.limits.ipc_timeout;
            client.deadline = Some(deadline);
            client
                .timer
                .get_or_insert_with(|| self.timeouts.request(deadline, number));
        }
        let interest = match wait {
            Wait::Output => Interest::Write,
            Wait::Request | Wait::Input | Wait::Nothing => Interest::Read,
        };
        if client.interest != interest {
            client.interest = interest;
            if let Err(err) =
                self.events
                    .change(client.stream.as_fd(), interest, Tag::Client(number))
            {
                msg_warn!("cannot serve client: {}", strerror(&err));
                self.disconnect(number, now);
            }
        }
        Ok(())
    }

    /// The original's `multi_server_disconnect()`.
    fn disconnect(&mut self, number: u32, now: Instant) {
        let Some(mut client) = self.clients.remove(number) else {
            return;
        };
        client.stream.return_room(&mut self.room);
        if msg_verbose() > 0 {
            msg_info!("connection closed fd {}", client.stream.as_fd().as_raw_fd());
        }
        if let Err(err) = self.events.disable(client.stream.as_fd()) {
            msg_warn!("cannot forget client: {}", strerror(&err));
        }
        if let Some(timer) = client.timer {
            self.timeouts.cancel(timer);
        }
        self.service.disconnected(client.state);
        if self.clients.is_empty() && !self.ending {
            self.idle_deadline = Some(now + self.limits.max_idle);
        }
        self.door.open(&self.events);
    }
}
