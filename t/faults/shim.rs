//! accept(2) that fails, for a daemon that is started with it: a library that
//! is built for the test.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::harness::interposed::Interposed;
use crate::harness::master::Setup;

/// The library and the file that says which error, in a directory of their own.
pub struct Shim(Interposed);

impl Shim {
    /// Builds the library; accept(2) does not fail yet. Nothing, which is said,
    /// without a C compiler, or when the daemon is static and loads nothing.
    pub fn build() -> Option<Shim> {
        let shim = Shim(Interposed::build_or_skip(
            "faults/accept_error.c",
            "have accept(2) fail",
        )?);
        File::create(shim.error()).expect("a file");
        shim.fail_with(0);
        Some(shim)
    }

    /// A daemon under it.
    pub fn under(&self, setup: Setup) -> Setup {
        setup
            .env("LD_PRELOAD", &self.0.path())
            .env("ACCEPT_ERROR", &self.error())
    }

    /// From now on accept(2) fails with this; 0 is not at all. Always as many
    /// bytes: the daemon may look at any moment.
    pub fn fail_with(&self, number: i32) {
        let file = File::options().write(true).open(self.error());
        let text = format!("{number:08}\n");
        file.and_then(|file| file.write_all_at(text.as_bytes(), 0))
            .expect("write");
    }

    fn error(&self) -> String {
        self.0.file("error")
    }
}
