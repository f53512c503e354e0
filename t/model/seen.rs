//! Counts the events of a run. A run without some of them is a failure, because it would
//! not have tested them.

/// Numbers of events, and maximum numbers of things.
#[derive(Debug, Default)]
pub struct Seen {
    pub given_back: usize,
    pub given_back_dead: usize,
    pub given_away: usize,
    pub left_behind: usize,
    pub told: usize,
    pub not_told: usize,
    /// Maximum number of dead sessions that one lookup has closed.
    pub most_dead: u64,
    pub most_bindings: usize,
    pub most_sessions: usize,
}

impl Seen {
    /// Adds the counts of another run, and prints them.
    pub fn add(&mut self, more: Seen) {
        println!("{more:?}");
        self.given_back += more.given_back;
        self.given_back_dead += more.given_back_dead;
        self.given_away += more.given_away;
        self.left_behind += more.left_behind;
        self.told += more.told;
        self.not_told += more.not_told;
        self.most_dead = self.most_dead.max(more.most_dead);
        self.most_bindings = self.most_bindings.max(more.most_bindings);
        self.most_sessions = self.most_sessions.max(more.most_sessions);
    }

    /// Returns true if every event has happened often enough.
    pub fn is_all(&self) -> bool {
        let often = [
            self.given_back,
            self.given_back_dead,
            self.given_away,
            self.left_behind,
            self.told,
            self.not_told,
        ];
        often.iter().all(|&times| times > 100)
            && self.most_dead == 100
            && self.most_bindings > 10_000
    }
}
