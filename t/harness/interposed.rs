//! A library that replaces functions of the C library, for tests of events that a test
//! cannot cause otherwise. It is built with cc(1); the daemon loads it by LD_PRELOAD.

use std::path::Path;
use std::process::Command;

use super::directory::Directory;
use super::need;

/// The library, removed when dropped.
pub struct Interposed(Directory);

impl Interposed {
    /// Builds it from a C file below t/. None if there is no cc(1), or programs are
    /// linked statically and load no library.
    pub fn build(source: &str) -> Option<Interposed> {
        if cfg!(target_feature = "crt-static") {
            return None;
        }
        let library = Interposed(Directory::new().expect("a directory"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("t").join(source);
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O", "-o", &library.path()]);
        cc.arg(source).arg("-ldl");
        let status = cc.status().ok()?;
        assert!(status.success(), "cc: {status}");
        Some(library)
    }

    /// Builds it for a test that is skipped without it; `purpose` is part of the
    /// message about that.
    pub fn build_or_skip(source: &str, purpose: &str) -> Option<Interposed> {
        let library = Interposed::build(source);
        if library.is_none() {
            need::skip(&format!(
                "cc(1) and a program linked dynamically, to {purpose}"
            ));
        }
        library
    }

    /// The name of the library, for LD_PRELOAD.
    pub fn path(&self) -> String {
        self.file("interposed.so")
    }

    /// The name of another file in its directory.
    pub fn file(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}
