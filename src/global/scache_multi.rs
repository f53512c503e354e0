//! `scache_multi`: the session cache, with any number of sessions per endpoint. The
//! original's `scache_multi`.
//!
//! As in the C program there are two tables: sessions by endpoint label, oldest
//! first, and bindings from a destination label to endpoint labels, in the order in
//! which they were made. A lookup by destination tries its endpoints in that order.
//! Sessions and bindings expire after their time to live. When a session expires, a
//! farewell is sent and the descriptor closed. A session is dead if its peer has
//! closed the connection or has sent something. A lookup closes dead sessions.
//!
//! Where the C program has a pointer and a timer, there is an `Id` here. A session
//! is found by binary search, in the sessions of its endpoint and in all sessions in
//! the order in which they expire. A lookup by destination walks its bindings.
//!
//! The cache has no clock: the caller passes the time. No function fails.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::msg_info;
use crate::util::held_socket::{close_at_once, is_silent, send_at_once};
use crate::util::msg::msg_verbose;
use crate::util::printable::printable;

/// Maximum number of sessions that one lookup closes. A lookup that closed
/// more would delay other clients.
const MAX_CLOSE: usize = 100;

/// Size of the cache. The original's `SCACHE_SIZE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScacheSize {
    /// Number of destination labels with a binding.
    pub dest_count: usize,
    /// Number of endpoint labels with a session.
    pub endp_count: usize,
    /// Number of sessions.
    pub sess_count: usize,
}

/// The cache. The original's `SCACHE_MULTI`.
#[derive(Debug, Default)]
pub struct ScacheMulti {
    endp_cache: EndpCache,
    dest_cache: HashMap<Rc<[u8]>, Vec<Binding>>,
    /// The destination label of each binding, in the order in which they expire.
    dest_timers: BTreeMap<Id, Rc<[u8]>>,
    /// The last serial number.
    serial: u64,
}

/// The sessions.
#[derive(Debug, Default)]
struct EndpCache {
    /// The sessions of each endpoint label, oldest first. No list is empty.
    labels: HashMap<Rc<[u8]>, VecDeque<Id>>,
    /// All sessions, in the order in which they expire.
    sessions: BTreeMap<Id, Session>,
    /// Text that is sent before a session is closed.
    farewell: Vec<u8>,
    /// Maximum number of sessions per endpoint; no limit if 0.
    endpoint_limit: usize,
    /// Number of dead sessions that lookups have closed.
    dead_count: u64,
}

/// Identifies a session, or a binding until it is renewed. Sorted by deadline, then
/// by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id {
    deadline: Instant,
    serial: u64,
}

/// A session. The original's `SCACHE_MULTI_ENDP`.
///
/// A lookup removes it from the cache. After it was handed over, dropping it closes
/// the descriptor of this process; [`ScacheMulti::give_back`] puts it back.
#[derive(Debug)]
pub struct Session {
    id: Id,
    fd: OwnedFd,
    endp_label: Rc<[u8]>,
    endp_prop: Box<[u8]>,
}

/// A binding of a destination to an endpoint. The original's
/// `SCACHE_MULTI_DEST`.
#[derive(Debug)]
struct Binding {
    id: Id,
    endp_label: Box<[u8]>,
    dest_prop: Box<[u8]>,
}

impl ScacheMulti {
    /// Creates an empty cache. `farewell` is a line that is sent to a session before the
    /// session is closed; none if empty. `endpoint_limit` is the maximum number of
    /// sessions per endpoint; no limit if 0.
    /// The original's `scache_multi_create()`.
    pub fn new(farewell: &[u8], endpoint_limit: usize) -> ScacheMulti {
        let end: &[u8] = if farewell.is_empty() { b"" } else { b"\r\n" };
        ScacheMulti {
            endp_cache: EndpCache {
                farewell: [farewell, end].concat(),
                endpoint_limit,
                ..EndpCache::default()
            },
            ..ScacheMulti::default()
        }
    }

    /// Adds a session to those of an endpoint. If they exceed the limit, evicts the
    /// one that expires next. The original's `scache_multi_save_endp()`.
    pub fn save_endp(
        &mut self,
        ttl: Duration,
        endp_label: &[u8],
        endp_prop: &[u8],
        fd: OwnedFd,
        now: Instant,
    ) {
        let session = Session {
            id: self.next_id(now + ttl),
            fd,
            endp_label: endp_label.into(),
            endp_prop: endp_prop.into(),
        };
        session.log("scache_multi_save_endp");
        self.endp_cache.insert(session);
    }

    /// Removes and returns the oldest session of an endpoint that is not dead. Closes
    /// the dead ones before it, `MAX_CLOSE` at most. None if no session is found.
    /// The original's `scache_multi_find_endp()`.
    pub fn find_endp(&mut self, endp_label: &[u8], now: Instant) -> Option<Session> {
        self.endp_cache
            .find_endp(endp_label, now, &mut { MAX_CLOSE })
    }

    /// Puts a session back into its place, for the rest of its time to live. As in
    /// [`ScacheMulti::save_endp`], a session may be evicted.
    pub fn give_back(&mut self, session: Session) {
        if msg_verbose() > 0 {
            let (prop, fd) = (printable(&session.endp_prop), session.fd.as_raw_fd());
            msg_info!("scache_multi_give_back: endp_prop={prop} fd={fd}");
        }
        self.endp_cache.insert(session);
    }

    /// Binds a destination to an endpoint, or renews the time to live of the
    /// same binding. The original's `scache_multi_save_dest()`.
    pub fn save_dest(
        &mut self,
        ttl: Duration,
        dest_label: &[u8],
        dest_prop: &[u8],
        endp_label: &[u8],
        now: Instant,
    ) {
        let id = self.next_id(now + ttl);
        let is_same = |binding: &&mut Binding| {
            *binding.endp_label == *endp_label && *binding.dest_prop == *dest_prop
        };
        let known = self.dest_cache.get_mut(dest_label);
        let known = known.and_then(|bindings| bindings.iter_mut().find(is_same));
        if msg_verbose() > 0 {
            msg_info!(
                "scache_multi_save_dest: dest_label={} -> dest_prop={} endp_label={}{}",
                printable(dest_label),
                printable(dest_prop),
                printable(endp_label),
                if known.is_some() { " (refreshed)" } else { "" }
            );
        }
        if let Some(binding) = known {
            let label = self.dest_timers.remove(&binding.id);
            self.dest_timers.extend(label.map(|label| (id, label)));
            binding.id = id;
            return;
        }
        let entry = self.dest_cache.entry(dest_label.into());
        self.dest_timers.insert(id, Rc::clone(entry.key()));
        entry.or_default().push(Binding {
            id,
            endp_label: endp_label.into(),
            dest_prop: dest_prop.into(),
        });
    }

    /// Removes and returns the first session of the endpoints of a destination, with
    /// the property of the binding. Closes the dead ones before it, `MAX_CLOSE` at most.
    /// None if no session is found.
    /// The original's `scache_multi_find_dest()`.
    pub fn find_dest(&mut self, dest_label: &[u8], now: Instant) -> Option<(Session, &[u8])> {
        let Some(bindings) = self.dest_cache.get(dest_label) else {
            if msg_verbose() > 0 {
                let label = printable(dest_label);
                msg_info!("scache_multi_find_dest: no destination cache: dest_label={label}");
            }
            return None;
        };
        let mut limit = MAX_CLOSE;
        for binding in bindings.iter().filter(|binding| binding.id.deadline > now) {
            let endp_label = &*binding.endp_label;
            if !self.endp_cache.has_session(endp_label, now) {
                log_no_endpoint(endp_label);
                continue;
            }
            let found = self.endp_cache.find_endp(endp_label, now, &mut limit);
            if let Some(session) = found {
                return Some((session, &binding.dest_prop));
            }
            if self.endp_cache.has_session(endp_label, now) {
                break;
            }
        }
        if msg_verbose() > 0 {
            let label = printable(dest_label);
            msg_info!("scache_multi_find_dest: not found: dest_label={label}");
        }
        None
    }

    /// Removes up to `limit` sessions and bindings that have expired at `now`, in the
    /// order of their deadlines. If there are more, [`ScacheMulti::next_deadline`] is
    /// not later than `now`.
    pub fn expire(&mut self, now: Instant, limit: usize) {
        for _ in 0..limit {
            let session = self.endp_cache.first_deadline();
            let binding = first_deadline(&self.dest_timers);
            match (session, binding) {
                (Some(session), _)
                    if session <= now && binding.is_none_or(|binding| session <= binding) =>
                {
                    self.expire_endp();
                }
                (_, Some(binding)) if binding <= now => self.expire_dest(),
                _ => return,
            }
        }
    }

    /// The time when the next session or binding expires. None if there is none.
    pub fn next_deadline(&self) -> Option<Instant> {
        let session = self.endp_cache.first_deadline();
        let binding = first_deadline(&self.dest_timers);
        session.into_iter().chain(binding).min()
    }

    /// Closes the session that expires next, at its time or to evict it. Returns
    /// false if there is none. The original's `scache_multi_expire_endp()`.
    pub fn expire_endp(&mut self) -> bool {
        let Some(session) = self.endp_cache.remove_first() else {
            return false;
        };
        session.drop_endp(&self.endp_cache.farewell);
        true
    }

    /// Closes all sessions, without logging.
    /// The original's `scache_multi_free()`: does not free the memory.
    pub fn close_all(&mut self) {
        while let Some(session) = self.endp_cache.remove_first() {
            session.close(&self.endp_cache.farewell);
        }
    }

    /// Returns the number of dead sessions that lookups have closed since the last
    /// call.
    pub fn take_dead_count(&mut self) -> u64 {
        std::mem::take(&mut self.endp_cache.dead_count)
    }

    /// Size of the cache. The original's `scache_multi_size()`.
    pub fn size(&self) -> ScacheSize {
        ScacheSize {
            dest_count: self.dest_cache.len(),
            endp_count: self.endp_cache.labels.len(),
            sess_count: self.endp_cache.sessions.len(),
        }
    }

    fn next_id(&mut self, deadline: Instant) -> Id {
        self.serial += 1;
        let serial = self.serial;
        Id { deadline, serial }
    }

    /// Removes the binding that expires next.
    /// The original's `scache_multi_expire_dest()`.
    fn expire_dest(&mut self) {
        let Some((id, dest_label)) = self.dest_timers.pop_first() else {
            return;
        };
        let Some(bindings) = self.dest_cache.get_mut(&dest_label) else {
            return;
        };
        if let Some(place) = bindings.iter().position(|binding| binding.id == id) {
            bindings.remove(place).drop_dest();
        }
        if bindings.is_empty() {
            self.dest_cache.remove(&dest_label);
        }
    }
}

impl EndpCache {
    /// Inserts a session after the older ones of its endpoint, and enforces the
    /// limit. A session that is given back may not be the youngest.
    fn insert(&mut self, mut session: Session) {
        let id = session.id;
        let entry = self.labels.entry(Rc::clone(&session.endp_label));
        // All sessions of an endpoint share one copy of the label.
        session.endp_label = Rc::clone(entry.key());
        // Most endpoints have one session; the default capacity is four.
        let ids = entry.or_insert_with(|| VecDeque::with_capacity(1));
        let place = ids.partition_point(|other| other.serial < id.serial);
        ids.insert(place, id);
        self.sessions.insert(id, session);

        if self.endpoint_limit > 0 && ids.len() > self.endpoint_limit {
            let next = ids.iter().min().copied();
            if let Some(session) = next.and_then(|id| self.remove(id)) {
                session.drop_endp(&self.farewell);
            }
        }
    }

    fn remove(&mut self, id: Id) -> Option<Session> {
        let session = self.sessions.remove(&id)?;
        let ids = self.labels.get_mut(&session.endp_label)?;
        if let Ok(place) = ids.binary_search_by_key(&id.serial, |other| other.serial) {
            ids.remove(place);
        }
        if ids.is_empty() {
            self.labels.remove(&session.endp_label);
        }
        Some(session)
    }

    /// Removes the session that expires next.
    fn remove_first(&mut self) -> Option<Session> {
        let (&id, _) = self.sessions.first_key_value()?;
        self.remove(id)
    }

    /// Removes and returns the oldest session of an endpoint that is neither expired
    /// nor dead. Closes the sessions before it, `limit` at most, and subtracts their
    /// number from `limit`.
    fn find_endp(&mut self, endp_label: &[u8], now: Instant, limit: &mut usize) -> Option<Session> {
        while *limit > 0 {
            let Some(session) = self.remove_oldest(endp_label) else {
                log_no_endpoint(endp_label);
                return None;
            };
            if session.id.deadline <= now {
                session.drop_endp(&self.farewell);
            } else if session.is_dead() {
                session.log("scache_multi_find_endp: dead");
                self.dead_count += 1;
                session.drop_endp(b"");
            } else {
                session.log("scache_multi_find_endp: found");
                log_drop_endp(&session.endp_prop, -1);
                return Some(session);
            }
            *limit -= 1;
        }
        match self.has_session(endp_label, now) {
            true => log_gave_up(endp_label),
            false => log_no_endpoint(endp_label),
        }
        None
    }

    fn remove_oldest(&mut self, endp_label: &[u8]) -> Option<Session> {
        let ids = self.labels.get_mut(endp_label)?;
        let id = ids.pop_front()?;
        if ids.is_empty() {
            self.labels.remove(endp_label);
        }
        self.sessions.remove(&id)
    }

    /// Returns true if an endpoint has a session that has not expired.
    fn has_session(&self, endp_label: &[u8], now: Instant) -> bool {
        self.labels
            .get(endp_label)
            .is_some_and(|ids| ids.iter().any(|id| id.deadline > now))
    }

    fn first_deadline(&self) -> Option<Instant> {
        first_deadline(&self.sessions)
    }
}

impl Session {
    /// The property of the endpoint.
    pub fn prop(&self) -> &[u8] {
        &self.endp_prop
    }

    /// Returns true if the peer has closed the connection, or has sent something: a
    /// server that was sent no command sends only its reason for closing.
    fn is_dead(&self) -> bool {
        !is_silent(self.fd.as_fd())
    }

    /// Sends a farewell and closes the session.
    /// The original's `scache_multi_drop_endp()`.
    fn drop_endp(self, farewell: &[u8]) {
        log_drop_endp(&self.endp_prop, self.fd.as_raw_fd());
        self.close(farewell);
    }

    /// Sends a farewell and closes the session, without logging.
    fn close(self, farewell: &[u8]) {
        if !farewell.is_empty() {
            send_at_once(self.fd.as_fd(), farewell);
        }
        close_at_once(self.fd);
    }

    fn log(&self, what: &str) {
        if msg_verbose() > 0 {
            let (label, prop) = (printable(&self.endp_label), printable(&self.endp_prop));
            let fd = self.fd.as_raw_fd();
            msg_info!("{what}: endp_label={label} -> endp_prop={prop} fd={fd}");
        }
    }
}

impl AsFd for Session {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Binding {
    /// Logs that a binding is removed. The original's `scache_multi_drop_dest()`.
    fn drop_dest(self) {
        if msg_verbose() > 0 {
            let (prop, label) = (printable(&self.dest_prop), printable(&self.endp_label));
            msg_info!("scache_multi_drop_dest: dest_prop={prop} endp_label={label}");
        }
    }
}

fn first_deadline<T>(timers: &BTreeMap<Id, T>) -> Option<Instant> {
    timers.first_key_value().map(|(id, _)| id.deadline)
}

/// Logs that a session is closed, or, with descriptor -1, that a lookup has removed it.
/// The C program logs both in this form.
fn log_drop_endp(endp_prop: &[u8], fd: i32) {
    if msg_verbose() > 0 {
        let prop = printable(endp_prop);
        msg_info!("scache_multi_drop_endp: endp_prop={prop} fd={fd}");
    }
}

fn log_no_endpoint(endp_label: &[u8]) {
    if msg_verbose() > 0 {
        let label = printable(endp_label);
        msg_info!("scache_multi_find_endp: no endpoint cache: endp_label={label}");
    }
}

/// Logs that a lookup has reached its limit. The next one continues.
fn log_gave_up(endp_label: &[u8]) {
    if msg_verbose() > 0 {
        let label = printable(endp_label);
        msg_info!("scache_multi_find_endp: gave up after {MAX_CLOSE}: endp_label={label}");
    }
}
