//! Makes accept(2) of a daemon fail, by a library that is built for the test from
//! accept_error.c.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::harness::interposed::Interposed;
use crate::harness::master::Setup;

/// The library and the file with the error, in a directory of their own.
pub struct Shim(Interposed);

impl Shim {
    /// Builds the library; accept(2) does not fail yet. None if there is no C compiler
    /// or the daemon is linked statically; then the test is skipped.
    pub fn build() -> Option<Shim> {
        let shim = Shim(Interposed::build_or_skip(
            "faults/accept_error.c",
            "have accept(2) fail",
        )?);
        File::create(shim.error()).expect("a file");
        shim.fail_with(0);
        Some(shim)
    }

    /// A daemon that loads the library.
    pub fn under(&self, setup: Setup) -> Setup {
        setup
            .env("LD_PRELOAD", &self.0.path())
            .env("ACCEPT_ERROR", &self.error())
    }

    /// Makes accept(2) fail with this error from now on, or succeed if it is 0. The
    /// file always has the same length, since the daemon may read it at any moment.
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
