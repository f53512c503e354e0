//! Descriptors: how many may still be opened. That is counted, which costs
//! nothing.

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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_leave_the_service_eight_descriptors_or_half_of_them() {
        for (most, own, for_service, clients) in [
            (30, 10, 8, 12),
            (20, 10, 5, 5),
            (21, 10, 5, 6),
            (10, 10, 0, 0),
            (10, 12, 0, 0),
        ] {
            let descriptors = Descriptors { most, own };
            assert_eq!(descriptors.for_service(), for_service, "{most} {own}");
            let room = (0..most).take_while(|&held| descriptors.has_room_for_client(held));
            assert_eq!(room.count(), clients, "{most} {own}");
        }
    }
}
