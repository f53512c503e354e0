//! Gives programs that tests start another clock, by a library that is built for the test
//! from wall_clock.c.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::harness::interposed::Interposed;
use crate::harness::master::Setup;
use crate::harness::need;

/// The library and the file with the offset, in a directory of their own. The offset
/// is 0 at first.
pub struct Shim(Interposed);

impl Shim {
    /// Builds the library. None if there is no C compiler.
    pub fn build() -> Option<Shim> {
        let shim = Shim(Interposed::build("clock/wall_clock.c")?);
        File::create(shim.offset()).ok()?;
        Some(shim)
    }

    /// Builds the library for a test with stopped clocks. None if there is no C
    /// compiler; then the test is skipped.
    pub fn to_stop() -> Option<Shim> {
        let shim = Shim::build();
        if shim.is_none() {
            need::skip("cc(1) and a program linked dynamically, to stop the clock");
        }
        shim
    }

    /// A daemon whose clocks are all stopped.
    pub fn stopped(&self, setup: Setup) -> Setup {
        setup
            .env("LD_PRELOAD", &self.library())
            .env("CLOCK_OFFSET", &self.offset())
            .env("CLOCK_STOPPED", "yes")
    }

    /// The value of LD_PRELOAD.
    pub fn library(&self) -> String {
        self.0.path()
    }

    /// The value of CLOCK_OFFSET.
    pub fn offset(&self) -> String {
        self.0.file("offset")
    }

    /// Sets the clock to a number of seconds after (or before) the right time, or
    /// after the time at which it was stopped.
    pub fn off_by(&self, seconds: i64) {
        self.write_offset(seconds).expect("write");
    }

    /// The file always has the same length: a program may read it at any moment.
    fn write_offset(&self, seconds: i64) -> io::Result<()> {
        let file = File::options().write(true).open(self.offset())?;
        file.write_all_at(format!("{seconds:+020}\n").as_bytes(), 0)
    }
}
