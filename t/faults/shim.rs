//! accept(2) that fails, for a daemon that is started with it: a library that
//! is built for the test.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Command;

use crate::harness::directory::Directory;
use crate::harness::master::Setup;
use crate::harness::need;

/// The library and the file that says which error, in a directory of their own.
pub struct Shim(Directory);

impl Shim {
    /// Builds the library; accept(2) does not fail yet. Nothing, which is said,
    /// without a C compiler, or when the daemon is static and loads nothing.
    pub fn build() -> Option<Shim> {
        let shim = Shim(Directory::new().expect("a directory"));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/t/faults/accept_error.c");
        let mut cc = Command::new("cc");
        cc.args([
            "-shared",
            "-fPIC",
            "-O",
            "-o",
            &shim.path("accept_error.so"),
        ]);
        cc.args([source, "-ldl"]);
        File::create(shim.path("error")).expect("a file");
        shim.fail_with(0);
        let is_built = !cfg!(target_feature = "crt-static")
            && cc.status().is_ok_and(|status| status.success());
        if !is_built {
            need::skip("cc(1) and a program linked dynamically, to have accept(2) fail");
        }
        is_built.then_some(shim)
    }

    /// A daemon under it.
    pub fn under(&self, setup: Setup) -> Setup {
        setup
            .env("LD_PRELOAD", &self.path("accept_error.so"))
            .env("ACCEPT_ERROR", &self.path("error"))
    }

    /// From now on accept(2) fails with this; 0 is not at all. Always as many
    /// bytes: the daemon may look at any moment.
    pub fn fail_with(&self, number: i32) {
        let file = File::options().write(true).open(self.path("error"));
        let text = format!("{number:08}\n");
        file.and_then(|file| file.write_all_at(text.as_bytes(), 0))
            .expect("write");
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}
