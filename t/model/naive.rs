//! A cache that is simple enough to be obviously right, for the comparison in t/model.rs:
//! a list for each name, which is searched from its start to its end, and all lists are
//! searched for the next deadline. Times are in milliseconds. A session that was found is
//! not in the cache until it is given back.

use std::collections::BTreeMap;

/// Maximum number of sessions that one lookup closes.
const CLOSE_MOST: usize = 100;

/// A session, identified by `fd` while it is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub age: u64,
    pub deadline: u64,
    pub endp: String,
    pub prop: String,
    pub fd: i32,
    /// Its peer has sent something or closed the connection.
    pub dead: bool,
}

#[derive(Clone, Debug)]
struct Binding {
    age: u64,
    renewed: u64,
    deadline: u64,
    dest: String,
    endp: String,
    prop: String,
}

/// Sessions by endpoint and bindings by destination, each list in the order in
/// which they were made; none is empty.
#[derive(Default)]
pub struct Naive {
    clock: u64,
    sessions: BTreeMap<String, Vec<Session>>,
    bindings: BTreeMap<String, Vec<Binding>>,
    /// Maximum number of sessions of an endpoint, unless 0.
    endpoint_limit: usize,
    /// The ages of sessions that were closed, and true if the farewell was sent.
    ended: Vec<(u64, bool)>,
    dead_count: u64,
}

impl Naive {
    /// An empty cache with this maximum number of sessions of an endpoint, unless 0.
    pub fn new(endpoint_limit: usize) -> Naive {
        Naive {
            endpoint_limit,
            ..Naive::default()
        }
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Adds a session. Returns its age.
    pub fn save_endp(&mut self, deadline: u64, endp: &str, prop: &str, fd: i32) -> u64 {
        let age = self.tick();
        let of_endp = self.sessions.entry(endp.into()).or_default();
        of_endp.push(Session {
            age,
            deadline,
            endp: endp.into(),
            prop: prop.into(),
            fd,
            dead: false,
        });
        self.keep_to_limit(endp);
        age
    }

    /// Takes a session out.
    pub fn find_endp(&mut self, endp: &str, now: u64) -> Option<Session> {
        self.take(endp, now, &mut { CLOSE_MOST })
    }

    /// Takes the first session that is neither expired nor dead. Ends the sessions before
    /// it, up to `most`.
    fn take(&mut self, endp: &str, now: u64, most: &mut usize) -> Option<Session> {
        while *most > 0 {
            let session = self.sessions.get(endp)?.first()?.clone();
            if session.deadline > now && !session.dead {
                remove(&mut self.sessions, endp, |s| s.age == session.age);
                return Some(session);
            }
            let late = session.deadline <= now;
            self.dead_count += u64::from(!late);
            self.end(endp, session.age, late);
            *most -= 1;
        }
        None
    }

    /// Puts a session back in its place.
    pub fn give_back(&mut self, session: Session) {
        let of_endp = self.sessions.entry(session.endp.clone()).or_default();
        let endp = session.endp.clone();
        of_endp.push(session);
        of_endp.sort_by_key(|s| s.age);
        self.keep_to_limit(&endp);
    }

    fn keep_to_limit(&mut self, endp: &str) {
        if self.endpoint_limit > 0 {
            let of_endp = self.sessions[endp].iter();
            let mut in_turn: Vec<_> = of_endp.map(|s| (s.deadline, s.age)).collect();
            in_turn.sort();
            let too_many = in_turn.len().saturating_sub(self.endpoint_limit);
            for (_, age) in in_turn.drain(..too_many) {
                self.end(endp, age, true);
            }
        }
    }

    /// Notes that the peer of a session sent something or closed the connection.
    /// Returns false if the session is not here, or is dead already.
    pub fn die(&mut self, age: u64) -> bool {
        let mut all = self.sessions.values_mut().flatten();
        let session = all.find(|s| s.age == age && !s.dead);
        session.map(|s| s.dead = true).is_some()
    }

    /// Adds a binding, or changes its deadline if it exists.
    pub fn save_dest(&mut self, deadline: u64, dest: &str, prop: &str, endp: &str) {
        let renewed = self.tick();
        let of_dest = self.bindings.entry(dest.into()).or_default();
        let same = |b: &&mut Binding| b.endp == endp && b.prop == prop;
        if let Some(binding) = of_dest.iter_mut().find(same) {
            (binding.deadline, binding.renewed) = (deadline, renewed);
            return;
        }
        of_dest.push(Binding {
            age: renewed,
            renewed,
            deadline,
            dest: dest.into(),
            endp: endp.into(),
            prop: prop.into(),
        });
    }

    /// Takes a session out. Also returns the property of its binding.
    pub fn find_dest(&mut self, dest: &str, now: u64) -> Option<(Session, String)> {
        let mut most = CLOSE_MOST;
        let bindings = self.bindings.get(dest)?.clone();
        for binding in bindings.iter().filter(|b| b.deadline > now) {
            let holds = |of_endp: &Vec<Session>| of_endp.iter().any(|s| s.deadline > now);
            if self.sessions.get(&binding.endp).is_some_and(holds) {
                if let Some(session) = self.take(&binding.endp, now, &mut most) {
                    return Some((session, binding.prop.clone()));
                }
            }
        }
        None
    }

    /// Ends up to `most` sessions and bindings in the order of their deadlines; of the
    /// same deadline, sessions before bindings, then in the order of saving.
    pub fn expire(&mut self, now: u64, most: usize) {
        let sessions = self.sessions.values().flatten();
        let sessions = sessions.filter(|s| s.deadline <= now);
        let sessions = sessions.map(|s| (s.deadline, 0, s.age, &s.endp));
        let bindings = self.bindings.values().flatten();
        let bindings = bindings.filter(|b| b.deadline <= now);
        let bindings = bindings.map(|b| (b.deadline, 1, b.renewed, &b.dest));
        let mut due: Vec<_> = sessions.chain(bindings).collect();
        due.sort();
        let due = due.into_iter().take(most);
        let due: Vec<_> = due
            .map(|(_, kind, at, name)| (kind, at, name.clone()))
            .collect();
        for (kind, at, name) in due {
            match kind {
                0 => self.end(&name, at, true),
                _ => remove(&mut self.bindings, &name, |b| b.renewed == at),
            }
        }
    }

    /// The next deadline. None if the cache is empty.
    pub fn next_deadline(&self) -> Option<u64> {
        let sessions = self.sessions.values().flatten().map(|s| s.deadline);
        let bindings = self.bindings.values().flatten().map(|b| b.deadline);
        sessions.chain(bindings).min()
    }

    /// Ends the session with the next deadline. Returns false if there is none.
    pub fn expire_endp(&mut self) -> bool {
        let all = self.sessions.values().flatten();
        let nearest = all.map(|s| (s.deadline, s.age, &s.endp)).min();
        let nearest = nearest.map(|(_, age, endp)| (age, endp.clone()));
        nearest
            .map(|(age, endp)| self.end(&endp, age, true))
            .is_some()
    }

    pub fn close_all(&mut self) {
        while self.expire_endp() {}
    }

    fn end(&mut self, endp: &str, age: u64, told: bool) {
        remove(&mut self.sessions, endp, |s| s.age == age);
        self.ended.push((age, told));
    }

    /// The ages of sessions that were closed since the last call, and true if the
    /// farewell was sent.
    pub fn take_ended(&mut self) -> Vec<(u64, bool)> {
        std::mem::take(&mut self.ended)
    }

    /// Number of dead sessions that were found since the last call.
    pub fn take_dead_count(&mut self) -> u64 {
        std::mem::take(&mut self.dead_count)
    }

    /// Number of destinations, endpoints and sessions.
    pub fn size(&self) -> (usize, usize, usize) {
        let sessions = self.sessions.values().map(Vec::len).sum();
        (self.bindings.len(), self.sessions.len(), sessions)
    }

    pub fn bindings(&self) -> usize {
        self.bindings.values().map(Vec::len).sum()
    }

    pub fn fds(&self) -> impl Iterator<Item = i32> + '_ {
        self.sessions.values().flatten().map(|s| s.fd)
    }

    /// Returns true if no list is empty and all are in the order of ages.
    pub fn is_sound(&self) -> bool {
        let mut sessions = self.sessions.values();
        let mut bindings = self.bindings.values();
        sessions.all(|list| !list.is_empty() && list.is_sorted_by_key(|s| s.age))
            && bindings.all(|list| !list.is_empty() && list.is_sorted_by_key(|b| b.age))
    }
}

/// Removes one thing from the list of a name, and the list if it is empty then.
fn remove<T>(lists: &mut BTreeMap<String, Vec<T>>, name: &str, is_it: impl Fn(&T) -> bool) {
    let list = lists.get_mut(name).expect("a name in use");
    let before = list.len();
    list.retain(|thing| !is_it(thing));
    assert_eq!(list.len() + 1, before, "one thing is removed");
    if list.is_empty() {
        lists.remove(name);
    }
}
