//! The service as its users see it, written a second time and naively: what it answers,
//! logs, keeps and closes. [`run`](super::run) compares the daemon with it after each
//! step.
//!
//! It has the bytes that clients have sent, as the system's queues have them, and
//! the time in seconds. It also has the order in which the event loop serves clients:
//! that decides who gets a session if several ask while the process is stopped.

#[path = "statistics.rs"]
mod statistics;
#[path = "turns.rs"]
mod turns;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use self::statistics::{note, Statistics};
use self::turns::{Source, Timer};
pub use crate::connection::Life;
use crate::connection::{Connection, Message, Phase};
use crate::harness::client::list;
use crate::harness::log_text::in_words_of_libc;
use crate::lists::{scan_dummy, scan_request, End, Scan};
use crate::naive::Naive;

/// Values of main.cf, and the limit on open files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Config {
    /// Number of descriptors of the daemon without clients.
    pub own_fds: usize,
    pub open_files: usize,
    pub endpoint_limit: usize,
}

/// Other values of main.cf, in seconds.
pub const TTL_LIMIT: u64 = 500;
pub const IPC_TIMEOUT: u64 = 30;
pub const STATUS_UPDATE_TIME: u64 = 200;

/// Number of descriptors that are kept for sessions when clients are accepted (but at
/// most half of all), and that are left free when a session is received.
const SERVICE_FDS: usize = 8;
const FREE_FDS: usize = 4;

/// With fewer, there is a warning.
const FEW_OPEN_FILES: usize = 256;

/// Reasons in messages.
const APPLICATION: &str = "Application error";
const BROKEN: &str = "Broken pipe";
pub const RESET: &str = "Connection reset by peer";
const TIMED_OUT: &str = "Connection timed out";
const REFUSED: &str = "refused by the system: too many open files, or its security rules";

/// The number of a session.
pub type Id = usize;

/// The service. Connections have numbers, in the order in which they were made.
#[derive(Default)]
pub struct Service {
    config: Config,
    /// A limit on open files that it does not know of.
    pub real_limit: Option<usize>,
    pub now: u64,
    cache: Naive,
    /// Sessions by their age in the cache.
    ids: BTreeMap<u64, Id>,
    /// Sessions whose server has hung up or spoken.
    pub dead: BTreeSet<Id>,
    /// Sessions that were told QUIT.
    pub told: BTreeSet<Id>,
    connections: Vec<Connection>,
    clients: usize,
    waiting: VecDeque<usize>,
    is_listening: bool,
    pause: Option<(u64, u64)>,
    ready: Vec<Source>,
    run_queue: VecDeque<usize>,
    timers: BTreeMap<(u64, u64), Timer>,
    timer_count: u64,
    warned_at: Option<u64>,
    statistics: Statistics,
    statistics_at: u64,
    /// No other request is begun.
    is_ending: bool,
    /// Nothing is said of clients any more.
    is_silent: bool,
    log: Vec<String>,
}

impl Service {
    /// A process that was just started.
    pub fn new(config: Config, now: u64) -> Service {
        let mut new = Service {
            config,
            now,
            cache: Naive::new(config.endpoint_limit),
            is_listening: true,
            statistics_at: now + STATUS_UPDATE_TIME,
            ..Service::default()
        };
        let limit = config.open_files;
        if limit < FEW_OPEN_FILES {
            new.warn(&format!("could allocate space for only {limit} open files"));
        }
        new
    }

    /// The next process, after the end of this one. Clients that wait to be accepted
    /// still do.
    pub fn restart(&mut self) {
        let mut next = Service::new(self.config, self.now);
        next.dead = std::mem::take(&mut self.dead);
        next.told = std::mem::take(&mut self.told);
        next.connections = std::mem::take(&mut self.connections);
        next.waiting = std::mem::take(&mut self.waiting);
        next.ready = vec![Source::Listener];
        *self = next;
    }

    // What clients and time do to it.

    pub fn connect(&mut self) -> usize {
        let number = self.connections.len();
        self.connections.push(Connection::default());
        self.waiting.push_back(number);
        // (While it pauses, it does not look at the listener.)
        if self.pause.is_none() {
            self.is_ready(Source::Listener);
        }
        number
    }

    pub fn send(&mut self, number: usize, bytes: &[u8], ids: &[Id]) {
        let (bytes, ids) = (bytes.to_vec(), ids.to_vec());
        let message = Message { bytes, ids };
        self.connections[number].to_daemon.push_back(message);
        self.is_ready(Source::Client(number));
    }

    pub fn half_close(&mut self, number: usize) {
        self.connections[number].half_closed = true;
        self.is_ready(Source::Client(number));
    }

    pub fn close(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        connection.closed = true;
        connection.reset = !connection.to_client.is_empty();
        connection.to_client.clear();
        connection.sessions_to_client.clear();
        self.is_ready(Source::Client(number));
    }

    /// The client reads all that has come.
    pub fn receive(&mut self, number: usize) -> (Vec<u8>, Vec<Id>) {
        let connection = &mut self.connections[number];
        let ids = std::mem::take(&mut connection.sessions_to_client);
        (std::mem::take(&mut connection.to_client), ids)
    }

    /// The server of a session hangs up or says something.
    pub fn die(&mut self, id: Id) {
        self.dead.insert(id);
        for (&age, _) in self.ids.iter().filter(|(_, &other)| other == id) {
            self.cache.die(age);
        }
        for connection in &mut self.connections {
            match &mut connection.phase {
                Phase::Before(session, _) | Phase::After(session, _) if session.fd == id as i32 => {
                    session.dead = true;
                }
                _ => {}
            }
        }
    }

    // What is seen from outside.

    /// Number of descriptors of the daemon.
    pub fn open_files(&self) -> usize {
        self.config.own_fds + self.clients + self.descriptors()
    }

    pub fn life(&self, number: usize) -> Life {
        self.connections[number].life
    }

    /// Returns true if the daemon has read all that the client sent.
    pub fn has_read(&self, number: usize) -> bool {
        self.connections[number].to_daemon.is_empty()
    }

    pub fn clients(&self) -> usize {
        self.clients
    }

    /// Number of clients that wait to be accepted.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Returns true if the daemon has the session, or it is on its way.
    pub fn holds(&self, id: Id) -> bool {
        let on_its_way = |connection: &Connection| {
            let messages = connection.to_daemon.iter();
            matches!(&connection.phase, Phase::Before(session, _) | Phase::After(session, _) if session.fd == id as i32)
                || connection.sessions_to_client.contains(&id)
                || messages
                    .flat_map(|message| &message.ids)
                    .any(|&other| other == id)
        };
        self.cache.fds().any(|other| other == id as i32) || self.connections.iter().any(on_its_way)
    }

    /// What a client of Postfix would do next: true to send a descriptor, false to
    /// send a handshake. None if it is to make a request.
    pub fn expects_descriptor(&self, number: usize) -> Option<bool> {
        match self.connections[number].phase {
            Phase::Request => None,
            Phase::Descriptor(_) => Some(true),
            Phase::Before(..) | Phase::After(..) => Some(false),
        }
    }

    /// The lines that were logged since the last call.
    pub fn take_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    fn info(&mut self, text: &str) {
        let text = in_words_of_libc(text);
        self.log.push(text);
    }

    fn warn(&mut self, text: &str) {
        self.info(&format!("warning: {text}"));
    }

    fn warn_client(&mut self, text: &str) {
        if !self.is_silent {
            self.warn(text);
        }
    }

    // The requests.

    fn go_on_with(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        if !matches!(connection.phase, Phase::Request) {
            return self.hand_over(number);
        }
        if connection.pending.is_empty() {
            return self.next_request(number);
        }
        let pending = std::mem::take(&mut connection.pending);
        let scan = scan_request(&pending, connection.input_end);
        self.has_scanned(number, &pending, scan.as_ref());
        match scan {
            None => self.wait(number),
            Some(Scan {
                values: Some(words),
                ..
            }) => self.act(number, words),
            Some(Scan { refusal, .. }) => {
                if !refusal.is_empty() {
                    self.reply(number, refusal);
                }
                self.finished(number);
            }
        }
    }

    /// Keeps what a scan has left of the input, and logs its warnings.
    fn has_scanned(&mut self, number: usize, pending: &[u8], scan: Option<&Scan<'_>>) {
        let connection = &mut self.connections[number];
        connection.pending = pending[scan.map_or(0, |scan| scan.used)..].to_vec();
        if scan.is_some_and(|scan| scan.is_too_long) {
            connection.input_end = Some(End::TooLong);
        }
        for text in scan.iter().flat_map(|scan| &scan.warnings) {
            self.warn_client(text);
        }
    }

    /// Does what a good request asks for.
    fn act(&mut self, number: usize, words: Vec<String>) {
        let words_of: Vec<&str> = words.iter().map(String::as_str).collect();
        let (session, myname) = match words_of[..] {
            ["save_dest", ttl, dest, prop, endp] => {
                let deadline = self.deadline(ttl);
                self.cache.save_dest(deadline, dest, prop, endp);
                let (dests, endps, _) = self.cache.size();
                let most = &mut self.statistics.most;
                (most.0, most.1) = (most.0.max(dests), most.1.max(endps));
                self.reply(number, "status=0 .");
                return self.finished(number);
            }
            ["find_endp", endp] => {
                let found = self.cache.find_endp(endp, self.now);
                note(&mut self.statistics.address, found.is_some());
                let Some(session) = found else {
                    self.reply(number, "status=2 property= .");
                    return self.finished(number);
                };
                self.reply(number, &format!("status=0 property={} .", session.prop));
                (session, "scache_find_endp_service")
            }
            ["find_dest", dest] => {
                let found = self.cache.find_dest(dest, self.now);
                note(&mut self.statistics.domain, found.is_some());
                let Some((session, prop)) = found else {
                    self.reply(number, "status=2 property= property= .");
                    return self.finished(number);
                };
                let props = format!("property={prop} property={}", session.prop);
                self.reply(number, &format!("status=0 {props} ."));
                (session, "scache_find_dest_service")
            }
            _ => {
                self.reply(number, "dummy= .");
                let connection = &mut self.connections[number];
                connection.phase = Phase::Descriptor(words);
                return match connection.error {
                    Some(reason) => self.not_received(number, reason),
                    None => self.wait(number),
                };
            }
        };
        self.connections[number].phase = Phase::Before(session, myname);
        self.hand_over(number);
    }

    /// Receives one byte with its descriptors.
    fn receive_session(&mut self, number: usize) {
        let others = self.config.own_fds + self.clients;
        if self.descriptors() + FREE_FDS >= self.config.open_files.saturating_sub(others) {
            self.evict();
        }
        let has_space = self
            .real_limit
            .is_none_or(|limit| self.open_files() < limit);
        let connection = &mut self.connections[number];
        let Some(message) = connection.to_daemon.front_mut() else {
            let is_reset = std::mem::take(&mut connection.reset);
            return self.not_received(number, if is_reset { RESET } else { APPLICATION });
        };
        let ids = std::mem::take(&mut message.ids);
        message.bytes.remove(0);
        if message.bytes.is_empty() {
            connection.to_daemon.pop_front();
        }
        match ids[..] {
            [] => self.not_received(number, APPLICATION),
            _ if !has_space => {
                self.evict();
                self.not_received(number, REFUSED);
            }
            [id] => self.received(number, id),
            _ => self.not_received(number, APPLICATION),
        }
    }

    fn not_received(&mut self, number: usize, reason: &str) {
        self.warn_client(&format!(
            "scache_save_endp_service: unable to receive file descriptor: {reason}"
        ));
        self.reply(number, "status=2 .");
        self.finished(number);
    }

    fn received(&mut self, number: usize, id: Id) {
        let phase = std::mem::take(&mut self.connections[number].phase);
        let Phase::Descriptor(words) = phase else {
            unreachable!("it waits for a descriptor");
        };
        let deadline = self.deadline(&words[1]);
        let age = self
            .cache
            .save_endp(deadline, &words[2], &words[3], id as i32);
        self.ids.insert(age, id);
        if self.dead.contains(&id) {
            self.cache.die(age);
        }
        let (_, endps, sessions) = self.cache.size();
        let most = &mut self.statistics.most;
        (most.1, most.2) = (most.1.max(endps), most.2.max(sessions));
        self.reply(number, "status=0 .");
        self.finished(number);
    }

    /// Goes on with the hand-over of a session.
    fn hand_over(&mut self, number: usize) {
        loop {
            let connection = &mut self.connections[number];
            let pending = std::mem::take(&mut connection.pending);
            let scan = scan_dummy(&pending, connection.input_end);
            self.has_scanned(number, &pending, scan.as_ref());
            let Some(scan) = scan else {
                return self.wait(number);
            };
            let connection = &mut self.connections[number];
            let error = connection.error;
            let mut result = match scan.values {
                Some(_) => Ok(()),
                None => Err(error.unwrap_or(APPLICATION)),
            };
            let (session, myname, was_sent) = match std::mem::take(&mut connection.phase) {
                Phase::Before(session, myname) => (session, myname, false),
                Phase::After(session, myname) => (session, myname, true),
                other => unreachable!("{other:?}"),
            };
            if result.is_ok() && !was_sent && connection.closed {
                result = Err(BROKEN);
            } else if result.is_ok() && !was_sent {
                connection.to_client.push(0);
                connection.sessions_to_client.push(session.fd as Id);
                connection.phase = Phase::After(session, myname);
                continue;
            }
            if let Err(reason) = result {
                self.warn_client(&format!("{myname}: cannot send file descriptor: {reason}"));
                if !was_sent || error == Some(RESET) {
                    self.cache.give_back(session);
                }
            }
            return self.finished(number);
        }
    }

    /// The request is finished: the next one, if it was read already, in its turn.
    fn finished(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        connection.phase = Phase::Request;
        if connection.pending.is_empty() {
            return self.next_request(number);
        }
        connection.has_yielded = true;
        connection.deadline = None;
        self.run_queue.push_back(number);
    }

    fn next_request(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        connection.deadline = None;
        if connection.input_end.is_some() || self.is_ending {
            self.disconnect(number);
        }
    }

    /// Answers a client, and forgets what was read from it.
    fn reply(&mut self, number: usize, text: &str) {
        let connection = &mut self.connections[number];
        connection.pending.clear();
        if connection.closed && !connection.output_ended {
            connection.output_ended = true;
            connection.input_end.get_or_insert(End::Eof);
            connection.error.get_or_insert(BROKEN);
        }
        if !connection.output_ended {
            connection.to_client.extend(list(text));
        }
    }

    /// The end of a time to live that was asked for.
    fn deadline(&mut self, ttl: &str) -> u64 {
        let ttl: u64 = ttl.parse().expect("a number");
        if ttl > TTL_LIMIT {
            self.statistics.longest_ttl = self.statistics.longest_ttl.max(ttl);
        }
        self.now + ttl.min(TTL_LIMIT)
    }

    /// Number of descriptors of sessions.
    fn descriptors(&self) -> usize {
        let is_on_its_way = |connection: &&Connection| {
            matches!(connection.phase, Phase::Before(..) | Phase::After(..))
        };
        self.cache.size().2 + self.connections.iter().filter(is_on_its_way).count()
    }

    fn evict(&mut self) {
        self.statistics.evicted += u64::from(self.cache.expire_endp());
    }
}
