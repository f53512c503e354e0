//! Descriptors: how many may still be opened. That is counted, which costs
//! nothing, and corrected when the system says that there is none left.

use std::io;

use crate::util::open_limit::open_files;

/// What is counted. The rest is given with each question: how many descriptors
/// clients and the service hold.
#[derive(Debug)]
pub(super) struct Descriptors {
    /// How many there may be.
    most: usize,
    /// How many belong neither to clients nor to the service.
    own: usize,
}

/// So many descriptors are left to the service when clients crowd in, or half
/// of those that there are.
const SERVICE_FDS: usize = 8;

impl Descriptors {
    /// Those that are open now, before there are clients, are our own. Fails
    /// when the system does not tell.
    pub fn new(most: usize) -> io::Result<Descriptors> {
        let own = open_files(most)?;
        Ok(Descriptors { most, own })
    }

    /// How many may still be opened.
    pub fn free(&self, held: usize) -> usize {
        self.most.saturating_sub(self.own + held)
    }

    /// How many of them are for the service.
    pub fn for_service(&self) -> usize {
        SERVICE_FDS.min(self.most.saturating_sub(self.own) / 2)
    }

    /// Whether another client can be let in.
    pub fn has_room_for_client(&self, clients: usize) -> bool {
        self.free(clients) > self.for_service()
    }

    /// No other one could be opened: there are fewer than was thought.
    pub fn ran_out(&mut self, held: usize) {
        self.most = self.most.min(self.own + held);
    }
}
