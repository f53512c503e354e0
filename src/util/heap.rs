//! `heap`: memory that is not needed any more, back to the system.

/// What is at least as large as this has memory of its own, in bytes, which goes
/// back to the system when it is not needed any more.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OWN_MEMORY: libc::c_int = 32 * 1024;

/// Prepares for a long life in which much is needed now and then. Otherwise the
/// allocator learns from the first large thing to keep those to come, and joins
/// small things that were freed all at once, which takes long.
pub fn set_up() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt() only sets a limit, which is used from the next
    // allocation on.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_MEMORY);
        libc::mallopt(libc::M_MXFAST, 0);
    }
}

/// Fewer things than this are no crowd: what they needed can stay.
const CROWD: usize = 500;

/// How many things there were, to know when many have gone.
#[derive(Debug, Default)]
pub struct Ebb {
    most: usize,
}

impl Ebb {
    /// Notes how many there are now, and gives memory back after every `step`
    /// that have gone, or when few are left of a crowd. A step is small enough
    /// for that to be done in a moment, and too large for every day.
    pub fn note(&mut self, count: usize, step: usize) {
        if self.is_time(count, step) {
            give_back();
        }
    }

    fn is_time(&mut self, count: usize, step: usize) -> bool {
        self.most = self.most.max(count);
        let gone = self.most - count;
        let is_time = gone >= step || gone >= CROWD && count < self.most / 4;
        if is_time {
            self.most = count;
        }
        is_time
    }
}

/// Gives back what the allocator keeps for later.
fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim() changes nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Gives back what a vector has too much room, when less than a quarter of it is
/// in use.
pub fn shrink<T>(vector: &mut Vec<T>) {
    if vector.len() + 1 < vector.capacity() / 4 {
        vector.shrink_to(2 * vector.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_goes_back_after_each_step_and_when_few_are_left_of_a_crowd() {
        const STEP: usize = 4000;
        let mut ebb = Ebb::default();
        for (count, is_time) in [
            (10_000, false),
            (6001, false),
            (6000, true),
            (2001, false),
            (2000, true),
            // No step any more: now it has to be less than a quarter.
            (500, false),
            (499, true),
            (600, false),
            // And many that have gone.
            (101, false),
            (100, true),
            (0, false),
            (700, false),
            (180, false),
            (100, true),
        ] {
            assert_eq!(ebb.is_time(count, STEP), is_time, "{count}");
        }
    }

    #[test]
    fn a_vector_of_which_a_quarter_is_in_use_stays_as_it_is() {
        let mut vector = Vec::with_capacity(400);
        vector.resize(99, 0);
        shrink(&mut vector);
        assert_eq!(vector.capacity(), 400);
        vector.pop();
        shrink(&mut vector);
        assert_eq!(vector.capacity(), 196);
    }
}
