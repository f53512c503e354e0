//! The order in which the service serves clients, its timers, and its end: see
//! [`service`](super). As in the event loop of the daemon, each round has the timers
//! of the cache, clients with input in the order in which it came, clients with
//! another request that was read already, and clients that are late. One read and one
//! list for each client and round.

use super::*;

/// A descriptor that has something to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Listener,
    Client(usize),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Timer {
    Accept,
    Client(usize),
}

/// The reason for which the task of a client goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Ready,
    Turn,
    Late,
    CutOff,
}

impl Service {
    /// The process goes on after it was stopped: the first round has no events.
    pub fn go_on(&mut self) {
        self.round(&[]);
        self.settle();
    }

    /// Serves until there is nothing to do.
    pub fn settle(&mut self) {
        loop {
            let mut ready = std::mem::take(&mut self.ready);
            ready.retain(|source| match *source {
                Source::Listener => self.is_listening && !self.waiting.is_empty(),
                Source::Client(number) => {
                    let connection = &self.connections[number];
                    connection.life == Life::Served && connection.is_readable()
                }
            });
            if self.pause.is_some() {
                ready.retain(|source| *source != Source::Listener);
            }
            self.ready.clone_from(&ready);
            // (A session that was given back may be late.)
            let is_due = self
                .cache
                .next_deadline()
                .is_some_and(|due| due <= self.now);
            if ready.is_empty() && self.run_queue.is_empty() && !is_due {
                break;
            }
            self.round(&ready);
        }
        for (age, told) in self.cache.take_ended() {
            let id = self.ids.remove(&age).expect("a session");
            if told {
                self.told.insert(id);
            }
        }
    }

    pub(super) fn is_ready(&mut self, source: Source) {
        if !self.ready.contains(&source) {
            self.ready.push(source);
        }
    }

    fn round(&mut self, ready: &[Source]) {
        let queued = self.run_queue.len();
        self.cache.expire(self.now, usize::MAX);
        if self.statistics_at <= self.now {
            self.report();
            self.statistics_at = self.now + STATUS_UPDATE_TIME;
        }
        for &source in ready {
            match source {
                Source::Listener => self.accept(),
                Source::Client(number) if self.connections[number].has_yielded => {}
                Source::Client(number) => self.run(number, Why::Ready),
            }
        }
        for _ in 0..queued {
            let number = self.run_queue.pop_front().expect("not empty");
            self.run(number, Why::Turn);
        }
        while let Some(entry) = self.timers.first_entry().filter(|t| t.key().0 <= self.now) {
            match entry.remove() {
                Timer::Accept => self.resume_accept(),
                Timer::Client(number) => self.client_timer(number),
            }
        }
    }

    fn request_timer(&mut self, due: u64, timer: Timer) -> (u64, u64) {
        self.timer_count += 1;
        self.timers.insert((due, self.timer_count), timer);
        (due, self.timer_count)
    }

    fn client_timer(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        connection.timer = None;
        match connection.deadline {
            Some(deadline) if deadline > self.now => {
                let timer = self.request_timer(deadline, Timer::Client(number));
                self.connections[number].timer = Some(timer);
            }
            Some(_) if connection.is_readable() => self.run(number, Why::Ready),
            Some(_) => self.run(number, Why::Late),
            None => {}
        }
    }

    fn accept(&mut self) {
        if self.pause.is_some() || self.waiting.is_empty() {
            return;
        }
        let shared = self.config.open_files - self.config.own_fds;
        let for_service = SERVICE_FDS.min(shared / 2);
        let free = shared.saturating_sub(self.clients);
        if free <= for_service {
            return self.pause();
        }
        if free.saturating_sub(self.descriptors()) <= for_service {
            self.evict();
        }
        if self
            .real_limit
            .is_some_and(|limit| self.open_files() >= limit)
        {
            self.evict();
            return self.pause();
        }
        let number = self.waiting.pop_front().expect("not empty");
        self.connections[number].life = Life::Served;
        self.clients += 1;
        self.reply(number, "protocol=connection_cache_protocol .");
        self.next_request(number);
        if self.connections[number].is_readable() {
            self.is_ready(Source::Client(number));
        }
    }

    fn pause(&mut self) {
        let may_warn = |at| at + STATUS_UPDATE_TIME <= self.now;
        if self.warned_at.is_none_or(may_warn) {
            self.warned_at = Some(self.now);
            let count = self.clients;
            self.warn(&format!(
                "out of file descriptors: {count} clients, others have to wait"
            ));
        }
        self.pause = Some(self.request_timer(self.now + 1, Timer::Accept));
    }

    pub(super) fn resume_accept(&mut self) {
        if let Some(timer) = self.pause.take() {
            self.timers.remove(&timer);
            self.is_ready(Source::Listener);
        }
    }

    pub(super) fn disconnect(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        connection.life = Life::Over;
        connection.to_daemon.clear();
        if let Some(timer) = connection.timer.take() {
            self.timers.remove(&timer);
        }
        self.clients -= 1;
        self.resume_accept();
    }

    /// master(8) has gone, or SIGTERM has come.
    pub fn end(&mut self, by_sigterm: bool) {
        (self.is_ending, self.is_silent) = (true, by_sigterm);
        self.resume_accept();
        self.is_listening = false;
        for number in 0..self.connections.len() {
            let connection = &self.connections[number];
            if connection.life == Life::Served && connection.is_idle() {
                self.disconnect(number);
            }
        }
        self.settle();
    }

    /// The time to finish requests is over, or there are none.
    pub fn exit(&mut self) {
        for number in 0..self.connections.len() {
            if self.connections[number].life == Life::Served {
                self.run(number, Why::CutOff);
            }
        }
        self.report();
        self.cache.close_all();
        self.settle();
    }

    /// Waits for the rest of a list, for a limited time.
    pub(super) fn wait(&mut self, number: usize) {
        let deadline = self.now + IPC_TIMEOUT;
        self.connections[number].deadline = Some(deadline);
        if self.connections[number].timer.is_none() {
            let timer = self.request_timer(deadline, Timer::Client(number));
            self.connections[number].timer = Some(timer);
        }
    }

    /// Runs the task of a client until it waits.
    fn run(&mut self, number: usize, why: Why) {
        let connection = &mut self.connections[number];
        if connection.life != Life::Served {
            return;
        }
        connection.has_yielded = false;
        let receives = matches!(connection.phase, Phase::Descriptor(_));
        match (why, receives) {
            (Why::Ready, true) => return self.receive_session(number),
            (Why::Late, true) => return self.not_received(number, TIMED_OUT),
            (Why::CutOff, true) => return self.not_received(number, APPLICATION),
            (Why::Ready, false) => connection.read(),
            (Why::Late, false) => {
                connection.input_end.get_or_insert(End::Timeout);
                connection.output_ended = true;
                connection.error = Some(TIMED_OUT);
            }
            (Why::CutOff, false) => {
                connection.input_end.get_or_insert(End::Eof);
                connection.output_ended = true;
            }
            (Why::Turn, _) => {}
        }
        self.go_on_with(number);
    }
}
