//! The interposed clock, for programs that are started with it: a library that
//! is built for the test.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::process::Command;

use crate::harness::directory::Directory;

/// The library and the file that says what time it is, in a directory of their
/// own. It is off by nothing at first.
pub struct Shim(Directory);

impl Shim {
    /// Builds the library. Nothing without a C compiler.
    pub fn build() -> Option<Shim> {
        let shim = Shim(Directory::new().expect("a directory"));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/t/clock/wall_clock.c");
        let mut cc = Command::new("cc");
        cc.args([
            "-shared",
            "-fPIC",
            "-O",
            "-o",
            &shim.library(),
            source,
            "-ldl",
        ]);
        let is_built = cc.status().ok()?.success();
        File::create(shim.offset()).ok()?;
        is_built.then_some(shim)
    }

    /// The value of LD_PRELOAD.
    pub fn library(&self) -> String {
        self.0.path().join("wall_clock.so").display().to_string()
    }

    /// The value of CLOCK_OFFSET.
    pub fn offset(&self) -> String {
        self.0.path().join("offset").display().to_string()
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
