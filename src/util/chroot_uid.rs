//! `chroot_uid`: chroot(2), user and groups of the process. Privileges are dropped
//! here and nowhere else.

use std::ffi::CStr;
use std::io;

use super::msg::msg_verbose;
use super::strerror::strerror;
use super::sys_pw::Passwd;
use crate::msg_info;

/// Changes the root directory to `root_dir`, and user and groups to those of `account`.
/// None changes nothing. Fails with the text of a fatal message.
/// The original's `chroot_uid()`.
pub fn chroot_uid(root_dir: Option<&CStr>, account: Option<&Passwd>) -> Result<(), String> {
    if let Some(account) = account {
        set_groups(account)?;
    }
    if let Some(dir) = root_dir {
        // SAFETY: `dir` is a NUL-terminated string.
        check(unsafe { libc::chroot(dir.as_ptr()) }, || {
            format!("chroot({})", dir.to_string_lossy())
        })?;
        // SAFETY: the literal is a NUL-terminated string.
        check(unsafe { libc::chdir(c"/".as_ptr()) }, || "chdir(/)".into())?;
    }
    if let Some(account) = account {
        // SAFETY: setuid() takes a plain number.
        check(unsafe { libc::setuid(account.uid) }, || {
            format!("setuid({})", account.uid)
        })?;
    }
    if msg_verbose() > 1 {
        let dir = root_dir.map_or("(none)".into(), CStr::to_string_lossy);
        let user = account.map_or("(none)".into(), |account| account.name.to_string_lossy());
        msg_info!("chroot {dir} user {user}");
    }
    Ok(())
}

fn set_groups(account: &Passwd) -> Result<(), String> {
    // SAFETY: setgid() takes a plain number.
    check(unsafe { libc::setgid(account.gid) }, || {
        format!("setgid({})", account.gid)
    })?;
    // SAFETY: the name is a NUL-terminated string.
    check(
        unsafe { libc::initgroups(account.name.as_ptr(), account.gid as _) },
        || "initgroups".into(),
    )
}

fn check(result: libc::c_int, what: impl FnOnce() -> String) -> Result<(), String> {
    match result {
        0 => Ok(()),
        _ => Err(format!(
            "{}: {}",
            what(),
            strerror(&io::Error::last_os_error())
        )),
    }
}
