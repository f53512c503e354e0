//! `scache_multi`: the cache of sessions, many under each name.
//!
//! Sessions are kept under the name of their endpoint, oldest first.
//! Destination names are bound to endpoint names; a destination is looked up
//! by trying its endpoints in the order in which they were bound. Sessions and
//! bindings end with their time to live, and the descriptor of a session is
//! closed, after a farewell, when the session ends. A session whose other side
//! has hung up, or has said something, is dead: that is found out when it is
//! its turn to be found, and then it is closed.
//!
//! A session that was found is out of the cache but still ours: it changes
//! hands when its new owner has confirmed that it has come, or has left having
//! read everything that was sent to it. Until then it can go back.
//!
//! The cache knows no clock: every call says what time it is. Saving and
//! finding cost O(log n) at most in all that is cached, and a look at each
//! session of the endpoint when one has to go because of its limit; a
//! destination is looked up in the time it takes to walk its bindings or the
//! endpoints that have sessions, whichever are fewer.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

mod session;

pub use session::Session;

use crate::msg_info;
use crate::util::msg::msg_verbose;
use crate::util::names::{NameId, Names};
use crate::util::printable::printable;
use crate::util::ring::{Link, Ring, RingMember};
use crate::util::slab::Slab;
use crate::util::timer::{TimerId, TimerQueue};

/// How much is cached. The original's `SCACHE_SIZE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScacheSize {
    /// Destination names with a binding.
    pub dest_count: usize,
    /// Endpoint names with a session.
    pub endp_count: usize,
    /// Sessions.
    pub sess_count: usize,
}

/// The cache. The original's `SCACHE_MULTI`.
#[derive(Debug, Default)]
pub struct ScacheMulti {
    /// What a session is sent before it is closed.
    farewell: Vec<u8>,
    /// How many sessions an endpoint may have, if not 0.
    endpoint_limit: usize,
    names: Names<Uses>,
    /// The endpoints that have sessions.
    live: Vec<NameId>,
    sessions: Slab<Session>,
    session_timers: TimerQueue<u32>,
    dest_count: usize,
    bindings: Slab<Binding>,
    binding_index: BTreeMap<BindingKey, u32>,
    /// The bindings between two names, in the order in which they were made.
    binding_order: BTreeMap<(NameId, NameId, u64), u32>,
    binding_timers: TimerQueue<u32>,
    dead_count: u64,
}

/// What there is under one name.
#[derive(Debug, Default)]
struct Uses {
    /// The sessions of this endpoint.
    sessions: Ring,
    /// None of them lasts longer than this, or all have been seen to be over.
    last_end: Cell<Option<Instant>>,
    /// Its place in [`ScacheMulti::live`], if it has any.
    live_place: usize,
    /// The bindings of this destination.
    bindings: Ring,
}

/// A destination name bound to an endpoint name. The original's
/// `SCACHE_MULTI_DEST`.
#[derive(Debug)]
struct Binding {
    key: BindingKey,
    order: u64,
    timer: TimerId,
    link: Link,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct BindingKey {
    dest: NameId,
    endp: NameId,
    prop: NameId,
}

impl RingMember for Binding {
    fn link(&mut self) -> &mut Link {
        &mut self.link
    }
    fn neighbours(&self) -> Link {
        self.link
    }
}

/// How many sessions are closed by one lookup at most.
const CLOSE_MOST: usize = 100;

impl ScacheMulti {
    /// A cache whose sessions are sent this line before they are closed, unless
    /// it is empty. After a session was saved its endpoint has no more than
    /// `endpoint_limit`, unless that is 0.
    pub fn new(farewell: &[u8], endpoint_limit: usize) -> ScacheMulti {
        let end: &[u8] = if farewell.is_empty() { b"" } else { b"\r\n" };
        ScacheMulti {
            farewell: [farewell, end].concat(),
            endpoint_limit,
            ..ScacheMulti::default()
        }
    }

    /// Adds a session behind those of the same endpoint. Where that makes too
    /// many, the one that is nearest to its end goes. The original's
    /// `scache_multi_save_endp()`.
    pub fn save_endp(
        &mut self,
        ttl: Duration,
        label: &[u8],
        prop: &[u8],
        fd: OwnedFd,
        now: Instant,
    ) {
        if msg_verbose() > 0 {
            let (label, prop, fd) = (printable(label), printable(prop), fd.as_raw_fd());
            msg_info!("scache_multi_save_endp: endp_label={label} -> endp_prop={prop} fd={fd}");
        }
        let endp = self.names.hold(label);
        let number = self.sessions.next_number();
        let timer = self.session_timers.request(now + ttl, number);
        self.sessions.insert(Session {
            fd,
            prop: prop.into(),
            endp,
            timer,
            link: Link::default(),
        });
        self.link_session(number);
        self.enforce_endpoint_limit(endp);
    }

    /// Takes out the oldest session of an endpoint that is not dead; those
    /// before it are closed. A hundred of them make it a miss, because others
    /// are waiting. The session belongs to the caller, who says what became of
    /// it with [`ScacheMulti::give_back`] or [`ScacheMulti::give_away`]. The
    /// original's `scache_multi_find_endp()`.
    pub fn find_endp(&mut self, label: &[u8], now: Instant) -> Option<Session> {
        let session = match self.names.find(label) {
            Some(endp) => self.take_session(endp, now, &mut { CLOSE_MOST }),
            None => None,
        };
        if session.is_none() && msg_verbose() > 0 {
            let endp = self.names.find(label);
            match endp.is_some_and(|endp| self.has_session(endp, now)) {
                true => log_gave_up(label),
                false => log_no_endpoint(label),
            }
        }
        session
    }

    /// Puts a session back in its place, for the rest of its time; as with a new
    /// one, another may have to go.
    pub fn give_back(&mut self, session: Session) {
        if msg_verbose() > 0 {
            let (prop, fd) = (printable(&session.prop), session.fd.as_raw_fd());
            msg_info!("scache_multi_give_back: endp_prop={prop} fd={fd}");
        }
        let Session { endp, timer, .. } = session;
        let number = self.sessions.insert(session);
        self.session_timers.put_back(timer, number);
        self.link_session(number);
        self.enforce_endpoint_limit(endp);
    }

    /// Closes our side of a session that has changed hands.
    pub fn give_away(&mut self, session: Session) {
        self.names.release(session.endp);
    }

    /// Binds a destination name to an endpoint name, or renews the time to
    /// live of the same binding. The original's `scache_multi_save_dest()`.
    pub fn save_dest(
        &mut self,
        ttl: Duration,
        dest_label: &[u8],
        dest_prop: &[u8],
        endp_label: &[u8],
        now: Instant,
    ) {
        let key = BindingKey {
            dest: self.names.hold(dest_label),
            endp: self.names.hold(endp_label),
            prop: self.names.hold(dest_prop),
        };
        let known = self.binding_index.get(&key).copied();
        if msg_verbose() > 0 {
            msg_info!(
                "scache_multi_save_dest: dest_label={} -> dest_prop={} endp_label={}{}",
                printable(dest_label),
                printable(dest_prop),
                printable(endp_label),
                if known.is_some() { " (refreshed)" } else { "" }
            );
        }
        match known {
            Some(number) => {
                self.binding_timers.cancel(self.bindings[number].timer);
                self.bindings[number].timer = self.binding_timers.request(now + ttl, number);
                self.release_names(key);
            }
            None => self.add_binding(key, now + ttl),
        }
    }

    /// Takes out the first session that any endpoint of a destination has, in
    /// the order in which they were bound, with the properties of the binding.
    /// Dead ones are closed as in [`ScacheMulti::find_endp`]. The original's
    /// `scache_multi_find_dest()`.
    pub fn find_dest(&mut self, dest_label: &[u8], now: Instant) -> Option<(Session, &[u8])> {
        let Some(dest) = self
            .names
            .find(dest_label)
            .filter(|&dest| !self.names[dest].bindings.is_empty())
        else {
            if msg_verbose() > 0 {
                let label = printable(dest_label);
                msg_info!("scache_multi_find_dest: no destination cache: dest_label={label}");
            }
            return None;
        };
        let (mut tried, mut most) = (None, CLOSE_MOST);
        let mut next = self.first_live_binding(dest, now);
        let mut others = None;
        loop {
            self.log_bindings(dest, tried, next);
            let Some(number) = next else { break };
            let key = self.bindings[number].key;
            if most == 0 {
                log_gave_up(self.names.text(key.endp));
                break;
            }
            if let Some(session) = self.take_session(key.endp, now, &mut most) {
                return Some((session, self.names.text(key.prop)));
            }
            tried = next;
            // The endpoint may have more than may be closed.
            if !self.has_session(key.endp, now) {
                next = self.next_live_binding(number, now, &mut others);
            }
        }
        if msg_verbose() > 0 {
            let label = printable(dest_label);
            msg_info!("scache_multi_find_dest: not found: dest_label={label}");
        }
        None
    }

    /// Ends up to `most` sessions and bindings whose time is over at `now`;
    /// [`ScacheMulti::next_deadline`] says whether there are more.
    pub fn expire(&mut self, now: Instant, most: usize) {
        for _ in 0..most {
            let session = self.session_timers.first_deadline();
            let binding = self.binding_timers.first_deadline();
            match (session, binding) {
                (Some(session), _)
                    if session <= now && binding.is_none_or(|binding| session <= binding) =>
                {
                    self.drop_first_session();
                }
                (_, Some(binding)) if binding <= now => self.drop_first_binding(),
                _ => return,
            }
        }
    }

    /// When the next session or binding ends.
    pub fn next_deadline(&self) -> Option<Instant> {
        let session = self.session_timers.first_deadline();
        let binding = self.binding_timers.first_deadline();
        session.into_iter().chain(binding).min()
    }

    /// Closes the session that is nearest to its end, to make room; false when
    /// there is none.
    pub fn drop_nearest_session(&mut self) -> bool {
        let any = !self.sessions.is_empty();
        if any {
            self.drop_first_session();
        }
        any
    }

    /// Closes all sessions: the process ends.
    pub fn close_all(&mut self) {
        while let Some(session) = self.remove_first_session() {
            self.names.release(session.endp);
            session.close(&self.farewell);
        }
    }

    /// How many sessions were found dead since this was asked last: ended by
    /// the other side while they were cached.
    pub fn take_dead_count(&mut self) -> u64 {
        std::mem::take(&mut self.dead_count)
    }

    /// How much is cached. The original's `scache_multi_size()`.
    pub fn size(&self) -> ScacheSize {
        ScacheSize {
            dest_count: self.dest_count,
            endp_count: self.live.len(),
            sess_count: self.sessions.len(),
        }
    }

    fn enforce_endpoint_limit(&mut self, endp: NameId) {
        while self.endpoint_limit > 0 && self.names[endp].sessions.len() > self.endpoint_limit {
            let nearest = self
                .sessions_of(endp)
                .min_by_key(|&number| self.sessions[number].timer);
            if let Some(session) = nearest.and_then(|number| self.remove_session(number)) {
                self.drop_session(session);
            }
        }
    }

    /// Takes out the first session of an endpoint that is good. Closes those
    /// before it, up to `most`, which it counts down.
    fn take_session(&mut self, endp: NameId, now: Instant, most: &mut usize) -> Option<Session> {
        while *most > 0 {
            let number = self.names.get(endp)?.sessions.first()?;
            let session = self.remove_session(number)?;
            let label = self.names.text(endp);
            if session.timer.deadline() <= now {
                self.drop_session(session);
            } else if session.is_dead() {
                session.log("scache_multi_find_endp: dead", label);
                self.dead_count += 1;
                self.names.release(endp);
                session.drop_endp(b"");
            } else {
                session.log("scache_multi_find_endp: found", label);
                session.log_leaves();
                return Some(session);
            }
            *most -= 1;
        }
        None
    }

    fn drop_first_session(&mut self) {
        if let Some(session) = self.remove_first_session() {
            self.drop_session(session);
        }
    }

    fn drop_session(&mut self, session: Session) {
        self.names.release(session.endp);
        session.drop_endp(&self.farewell);
    }

    fn remove_first_session(&mut self) -> Option<Session> {
        let (_, number) = self.session_timers.first()?;
        self.remove_session(number)
    }

    fn remove_session(&mut self, number: u32) -> Option<Session> {
        self.unlink_session(number);
        let session = self.sessions.remove(number)?;
        self.session_timers.cancel(session.timer);
        Some(session)
    }

    /// Puts a session into the list of its endpoint, behind all that are older:
    /// at the end when it is new, near the beginning when it was given back.
    fn link_session(&mut self, number: u32) {
        let Session { endp, timer, .. } = self.sessions[number];
        let mut ring = self.names[endp].sessions;
        if ring.is_empty() {
            self.names[endp].live_place = self.live.len();
            self.live.push(endp);
        }
        let is_older = |member: &u32| self.sessions[*member].timer.serial() < timer.serial();
        let succ = |&member: &u32| Ring::succ(&self.sessions, member);
        let pred = ring.last().filter(is_older).or_else(|| {
            std::iter::successors(ring.first(), succ)
                .take_while(is_older)
                .last()
        });
        ring.insert_after(&mut self.sessions, pred, number);
        let uses = &mut self.names[endp];
        uses.sessions = ring;
        let last_end = uses.last_end.get_mut();
        *last_end = (*last_end).max(Some(timer.deadline()));
    }

    fn unlink_session(&mut self, number: u32) {
        let endp = self.sessions[number].endp;
        let uses = &mut self.names[endp];
        uses.sessions.detach(&mut self.sessions, number);
        if !uses.sessions.is_empty() {
            return;
        }
        let place = uses.live_place;
        self.live.swap_remove(place);
        if let Some(&moved) = self.live.get(place) {
            self.names[moved].live_place = place;
        }
    }

    fn add_binding(&mut self, key: BindingKey, deadline: Instant) {
        let number = self.bindings.next_number();
        let timer = self.binding_timers.request(deadline, number);
        let order = timer.serial();
        self.bindings.insert(Binding {
            key,
            order,
            timer,
            link: Link::default(),
        });
        self.binding_index.insert(key, number);
        self.binding_order
            .insert((key.dest, key.endp, order), number);
        let ring = &mut self.names[key.dest].bindings;
        if ring.is_empty() {
            self.dest_count += 1;
        }
        ring.append(&mut self.bindings, number);
    }

    fn drop_first_binding(&mut self) {
        let Some((timer, number)) = self.binding_timers.first() else {
            return;
        };
        self.binding_timers.cancel(timer);
        let key = self.bindings[number].key;
        if msg_verbose() > 0 {
            let (prop, label) = (self.names.text(key.prop), self.names.text(key.endp));
            let (prop, label) = (printable(prop), printable(label));
            msg_info!("scache_multi_drop_dest: dest_prop={prop} endp_label={label}");
        }
        let ring = &mut self.names[key.dest].bindings;
        ring.detach(&mut self.bindings, number);
        if ring.is_empty() {
            self.dest_count -= 1;
        }
        self.binding_index.remove(&key);
        if let Some(binding) = self.bindings.remove(number) {
            self.binding_order
                .remove(&(key.dest, key.endp, binding.order));
        }
        self.release_names(key);
    }

    /// The first binding of a destination that has not ended and whose endpoint
    /// has a session. Walks the bindings or the live endpoints, whichever are
    /// fewer.
    fn first_live_binding(&self, dest: NameId, now: Instant) -> Option<u32> {
        if self.walks_bindings(dest) {
            return self.find_live(self.bindings_from(self.names[dest].bindings.first()), now);
        }
        self.bindings_to_live(dest, now)
            .min_by_key(|&number| self.bindings[number].order)
    }

    /// The same behind one that was tried: its endpoint has no session any more.
    /// Where the endpoints are walked, that is done once for all of a lookup.
    fn next_live_binding(
        &self,
        tried: u32,
        now: Instant,
        others: &mut Option<BTreeMap<u64, u32>>,
    ) -> Option<u32> {
        let dest = self.bindings[tried].key.dest;
        if others.is_none() && self.walks_bindings(dest) {
            return self.find_live(self.bindings_from(Some(tried)).skip(1), now);
        }
        let others = others.get_or_insert_with(|| {
            let mut first = BTreeMap::new();
            for number in self.bindings_to_live(dest, now) {
                first.insert(self.bindings[number].order, number);
                // A lookup closes a session of each.
                if first.len() > CLOSE_MOST {
                    first.pop_last();
                }
            }
            first
        });
        others.pop_first().map(|(_, number)| number)
    }

    fn walks_bindings(&self, dest: NameId) -> bool {
        self.names[dest].bindings.len() <= self.live.len()
    }

    /// The first of these bindings that has not ended and whose endpoint has a
    /// session.
    fn find_live(&self, mut bindings: impl Iterator<Item = u32>, now: Instant) -> Option<u32> {
        bindings.find(|&number| {
            self.is_on(number, now) && self.has_session(self.bindings[number].key.endp, now)
        })
    }

    /// The first binding of a destination to each endpoint that has a session.
    fn bindings_to_live(&self, dest: NameId, now: Instant) -> impl Iterator<Item = u32> + '_ {
        let live = self.live.iter();
        let live = live.filter(move |&&endp| self.has_session(endp, now));
        live.filter_map(move |&endp| {
            self.bindings_between(dest, endp)
                .find(|&number| self.is_on(number, now))
        })
    }

    /// Whether a binding has not ended, though it may not have been its turn.
    fn is_on(&self, number: u32, now: Instant) -> bool {
        self.bindings[number].timer.deadline() > now
    }

    /// Whether an endpoint has a session that has not ended, though it may not
    /// have been its turn to be closed yet. Those that have are looked at once,
    /// for the endpoint may be asked about for each of many bindings.
    fn has_session(&self, endp: NameId, now: Instant) -> bool {
        let last_end = &self.names[endp].last_end;
        if last_end.get() <= Some(now) {
            return false;
        }
        let mut sessions = self.sessions_of(endp);
        let any = sessions.any(|number| self.sessions[number].timer.deadline() > now);
        if !any {
            last_end.set(None);
        }
        any
    }

    fn sessions_of(&self, endp: NameId) -> impl Iterator<Item = u32> + '_ {
        let succ = |&number: &u32| Ring::succ(&self.sessions, number);
        std::iter::successors(self.names[endp].sessions.first(), succ)
    }

    fn bindings_from(&self, first: Option<u32>) -> impl Iterator<Item = u32> + '_ {
        let succ = |&number: &u32| Ring::succ(&self.bindings, number);
        std::iter::successors(first, succ)
    }

    fn bindings_between(&self, dest: NameId, endp: NameId) -> impl Iterator<Item = u32> + '_ {
        let range = (dest, endp, u64::MIN)..=(dest, endp, u64::MAX);
        self.binding_order.range(range).map(|(_, &number)| number)
    }

    fn release_names(&mut self, key: BindingKey) {
        for name in [key.dest, key.endp, key.prop] {
            self.names.release(name);
        }
    }

    /// Logs that there is nothing behind these bindings of a destination, from
    /// one to the one before another.
    fn log_bindings(&self, dest: NameId, from: Option<u32>, end: Option<u32>) {
        if msg_verbose() > 0 {
            let first = from.or(self.names[dest].bindings.first());
            let these = self.bindings_from(first);
            for number in these.take_while(|&number| Some(number) != end) {
                log_no_endpoint(self.names.text(self.bindings[number].key.endp));
            }
        }
    }
}

fn log_no_endpoint(label: &[u8]) {
    let label = printable(label);
    msg_info!("scache_multi_find_endp: no endpoint cache: endp_label={label}");
}

/// The rest of an endpoint's sessions is for the next lookup to look at.
fn log_gave_up(label: &[u8]) {
    if msg_verbose() > 0 {
        let label = printable(label);
        msg_info!("scache_multi_find_endp: gave up after {CLOSE_MOST}: endp_label={label}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    const SECOND: Duration = Duration::from_secs(1);

    fn save(cache: &mut ScacheMulti, ttl: u32, endp: &[u8], now: Instant) {
        let (fd, _other) = UnixStream::pair().unwrap();
        cache.save_endp(SECOND * ttl, endp, b"p", fd.into(), now);
    }

    #[test]
    fn sessions_that_are_over_are_looked_at_once_until_another_comes() {
        let (mut cache, now) = (ScacheMulti::new(b"", 0), Instant::now());
        save(&mut cache, 2, b"e", now);
        save(&mut cache, 1, b"e", now);
        let endp = cache.names.find(b"e").unwrap();
        let last_end = |cache: &ScacheMulti| cache.names[endp].last_end.get();
        assert!(cache.has_session(endp, now + SECOND));
        assert_eq!(last_end(&cache), Some(now + SECOND * 2));
        assert!(!cache.has_session(endp, now + SECOND * 2));
        // One that would have lasted longer was taken meanwhile.
        save(&mut cache, 9, b"e", now + SECOND * 2);
        assert!(cache.has_session(endp, now + SECOND * 10));
        let number = cache.sessions_of(endp).last().unwrap();
        drop(cache.remove_session(number));
        assert!(!cache.has_session(endp, now + SECOND * 10));
        assert_eq!(last_end(&cache), None);
    }
}
