//! A daemon that sees other files than everybody else: it is started in a mount
//! namespace of its own, which only root can make.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{need, privilege};

/// Makes a script in `directory` that makes a namespace, runs the shell command
/// `prepare` in it and becomes `program`. None where that cannot be done.
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
