//! Starts a daemon in a mount namespace, in which some names, such as /dev/log, are other
//! files. Only root can make one.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{need, privilege};

/// Writes a script to `directory` that makes a namespace, runs the shell command
/// `prepare` in it and executes `program`. None if no namespace can be made; then the
/// test is skipped.
pub fn script(directory: &Path, program: &Path, prepare: &str) -> Option<PathBuf> {
    let probe = || Command::new("unshare").args(["-m", "true"]).status();
    if !privilege::is_root() || !probe().is_ok_and(|status| status.success()) {
        need::skip("only root can make a mount namespace");
        return None;
    }
    let path = directory.join("in-namespace");
    let program = program.display();
    let content = format!(
        "#!/bin/sh\n\
         exec unshare -m sh -c '{prepare} && exec \"$@\"' sh '{program}' \"$@\"\n"
    );
    fs::write(&path, content).expect("write");
    fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("chmod");
    Some(path)
}
