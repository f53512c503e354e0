//! The cache as protocol.md would have it and nobody would build it: two
//! lists, searched from end to end. Times are milliseconds. A session that was
//! found is nobody's until it is given back or given away, when it changes hands.

/// A session; `fd` tells it from others while it is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub age: u64,
    pub deadline: u64,
    pub endp: String,
    pub prop: String,
    pub fd: i32,
    /// The other side has spoken or hung up.
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

/// Sessions and bindings, each list in the order in which they were made.
#[derive(Default)]
pub struct Naive {
    clock: u64,
    sessions: Vec<Session>,
    bindings: Vec<Binding>,
    /// How many sessions an endpoint may have, if not 0.
    endpoint_limit: usize,
    /// The ages of sessions that were closed, and whether they were told.
    ended: Vec<(u64, bool)>,
    dead_count: u64,
}

impl Naive {
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

    /// Adds a session; its age.
    pub fn save_endp(&mut self, deadline: u64, endp: &str, prop: &str, fd: i32) -> u64 {
        let age = self.tick();
        self.sessions.push(Session {
            age,
            deadline,
            endp: endp.into(),
            prop: prop.into(),
            fd,
            dead: false,
        });
        while self.endpoint_limit > 0 && self.of_endp(endp).count() > self.endpoint_limit {
            let nearest = self.of_endp(endp).map(|s| (s.deadline, s.age)).min();
            self.end(nearest.expect("more than none").1);
        }
        age
    }

    fn of_endp<'a>(&'a self, endp: &'a str) -> impl Iterator<Item = &'a Session> {
        self.sessions.iter().filter(move |s| s.endp == endp)
    }

    /// Lets one of the sessions die whose other side is known; the other side.
    pub fn end_one<T>(&mut self, which: usize, other: impl Fn(u64) -> Option<T>) -> Option<T> {
        let count = self.sessions.len().max(1);
        let session = self.sessions.get_mut(which % count)?;
        let other = other(session.age).filter(|_| !session.dead)?;
        session.dead = true;
        Some(other)
    }

    pub fn find_endp(&mut self, endp: &str, now: u64) -> Option<Session> {
        while let Some(at) = self.sessions.iter().position(|s| s.endp == endp) {
            let session = self.sessions.remove(at);
            if session.deadline > now && !session.dead {
                return Some(session);
            }
            let late = session.deadline <= now;
            self.dead_count += u64::from(!late);
            self.ended.push((session.age, late));
        }
        None
    }

    pub fn give_back(&mut self, session: Session) {
        self.sessions.push(session);
        self.sessions.sort_by_key(|s| s.age);
    }

    pub fn save_dest(&mut self, deadline: u64, dest: &str, prop: &str, endp: &str) {
        let renewed = self.tick();
        let same = |b: &&mut Binding| b.dest == dest && b.endp == endp && b.prop == prop;
        if let Some(binding) = self.bindings.iter_mut().find(same) {
            (binding.deadline, binding.renewed) = (deadline, renewed);
            return;
        }
        let (dest, endp, prop) = (dest.into(), endp.into(), prop.into());
        self.bindings.push(Binding {
            age: renewed,
            renewed,
            deadline,
            dest,
            endp,
            prop,
        });
    }

    pub fn find_dest(&mut self, dest: &str, now: u64) -> Option<(Session, String)> {
        let bindings = self.bindings.clone();
        for binding in bindings
            .iter()
            .filter(|b| b.dest == dest && b.deadline > now)
        {
            let holds = |s: &Session| s.endp == binding.endp && s.deadline > now;
            if self.sessions.iter().any(holds) {
                if let Some(session) = self.find_endp(&binding.endp, now) {
                    return Some((session, binding.prop.clone()));
                }
            }
        }
        None
    }

    /// What ends first ends first; of two at the same time, sessions, then
    /// what was saved first.
    pub fn expire(&mut self, now: u64, most: usize) {
        for _ in 0..most {
            let session = self.sessions.iter().map(|s| (s.deadline, 0, s.age)).min();
            let binding = self
                .bindings
                .iter()
                .map(|b| (b.deadline, 1, b.renewed))
                .min();
            match session.into_iter().chain(binding).min() {
                Some((deadline, 0, age)) if deadline <= now => {
                    self.end(age);
                }
                Some((deadline, _, renewed)) if deadline <= now => {
                    self.bindings.retain(|b| b.renewed != renewed);
                }
                _ => return,
            }
        }
    }

    pub fn next_deadline(&self) -> Option<u64> {
        let bindings = self.bindings.iter().map(|b| b.deadline);
        self.sessions
            .iter()
            .map(|s| s.deadline)
            .chain(bindings)
            .min()
    }

    pub fn drop_nearest_session(&mut self) -> bool {
        let nearest = self.sessions.iter().map(|s| (s.deadline, s.age)).min();
        nearest.inspect(|&(_, age)| self.end(age)).is_some()
    }

    pub fn close_all(&mut self) {
        while self.drop_nearest_session() {}
    }

    fn end(&mut self, age: u64) {
        self.sessions.retain(|s| s.age != age);
        self.ended.push((age, true));
    }

    /// The ages of sessions that were closed since this was asked last, and
    /// whether farewell was said.
    pub fn take_ended(&mut self) -> Vec<(u64, bool)> {
        std::mem::take(&mut self.ended)
    }

    pub fn take_dead_count(&mut self) -> u64 {
        std::mem::take(&mut self.dead_count)
    }

    /// Destinations, endpoints, sessions; and whether `dest` has more bindings
    /// than there are endpoints.
    pub fn size(&self) -> (usize, usize, usize) {
        let endps = self.sessions.iter().map(|s| &s.endp);
        let dests = self.bindings.iter().map(|b| &b.dest);
        (distinct(dests), distinct(endps), self.sessions.len())
    }

    pub fn bindings_of(&self, dest: &str) -> usize {
        self.bindings.iter().filter(|b| b.dest == dest).count()
    }

    pub fn fds(&self) -> Vec<i32> {
        let mut fds: Vec<i32> = self.sessions.iter().map(|s| s.fd).collect();
        fds.sort();
        fds
    }

    /// In the order of their ages, which the lists always have.
    pub fn is_sound(&self) -> bool {
        self.sessions.is_sorted_by_key(|s| s.age) && self.bindings.is_sorted_by_key(|b| b.age)
    }
}

fn distinct<'a>(names: impl Iterator<Item = &'a String>) -> usize {
    names.collect::<std::collections::BTreeSet<_>>().len()
}
