//! Pseudo-random numbers, the same for the same seed, so that a failure can be repeated.

/// A sequence of numbers (xorshift64*).
pub struct Random(u64);

impl Random {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The seed in `SEED` in the environment, or else one made from the time. Prints the
    /// seed.
    pub fn seed() -> u64 {
        let now = || {
            std::time::UNIX_EPOCH
                .elapsed()
                .expect("after 1970")
                .as_nanos() as u64
        };
        let asked = std::env::var("SEED").ok();
        let seed = asked.map_or_else(now, |text| text.parse().expect("SEED is a number"));
        println!("SEED={seed}");
        seed
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (((self.next() >> 32) * limit as u64) >> 32) as usize
    }

    /// Returns true once in `times` calls, on average.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        &things[self.below(things.len())]
    }
}
