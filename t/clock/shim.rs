//! The interposed clock, for programs that are started with it: a library that
//! is built for the test.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::harness::interposed::Interposed;
use crate::harness::master::Setup;
use crate::harness::need;

/// The library and the file that says what time it is, in a directory of their
/// own. It is off by nothing at first.
pub struct Shim(Interposed);

impl Shim {
    /// Builds the library. Nothing without a C compiler.
    pub fn build() -> Option<Shim> {
        let shim = Shim(Interposed::build("clock/wall_clock.c")?);
        File::create(shim.offset()).ok()?;
        Some(shim)
    }

    /// For a clock that stands still until it is set. Without a C compiler the
    /// test is skipped, which is said.
    pub fn to_stand_still() -> Option<Shim> {
        let shim = Shim::build();
        if shim.is_none() {
            need::skip("cc(1) and a program linked dynamically, to have the clock stand still");
        }
        shim
    }

    /// A daemon for which all clocks stand still.
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

    /// Sets the clock to so many seconds after (or before) the right time, or
    /// after the moment at which it stands still.
    pub fn off_by(&self, seconds: i64) {
        self.write_offset(seconds).expect("write");
    }

    /// Always as many bytes: a program may look at any moment.
    fn write_offset(&self, seconds: i64) -> io::Result<()> {
        let file = File::options().write(true).open(self.offset())?;
        file.write_all_at(format!("{seconds:+020}\n").as_bytes(), 0)
    }
}
