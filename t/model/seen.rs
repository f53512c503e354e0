//! What has happened in a run, so that nobody takes nothing for success.

/// How often what matters has happened, and how much there was.
#[derive(Debug, Default)]
pub struct Seen {
    pub given_back: usize,
    pub given_back_dead: usize,
    pub given_away: usize,
    pub left_behind: usize,
    pub told: usize,
    pub not_told: usize,
    /// Dead sessions that one lookup has closed, at most.
    pub most_dead: u64,
    pub most_bindings: usize,
    pub most_sessions: usize,
}

impl Seen {
    /// Adds what another run has seen, and prints it.
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

    /// Whether all that matters has happened more than now and then.
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
