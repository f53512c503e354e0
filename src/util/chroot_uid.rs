//! `chroot_uid`: the one place where privileges are given up, in one order.

use std::ffi::{CStr, CString};
use std::io;

use super::msg::msg_verbose;
use crate::msg_info;

/// Whom to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The name of the account.
    pub name: String,
    /// Its user number.
    pub uid: u32,
    /// Its primary group.
    pub gid: u32,
}

/// Becomes `account` and makes `root_dir` the root, each when asked for. The
/// original's `chroot_uid()`. Fails with the text of a fatal message.
pub fn chroot_uid(root_dir: Option<&CStr>, account: Option<&Account>) -> Result<(), String> {
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
        // SAFETY: no memory is involved.
        check(unsafe { libc::setuid(account.uid) }, || {
            format!("setuid({})", account.uid)
        })?;
    }
    if msg_verbose() > 1 {
        let dir = root_dir.map_or("(none)".into(), CStr::to_string_lossy);
        msg_info!(
            "chroot {dir} user {}",
            account.map_or("(none)", |account| &account.name)
        );
    }
    Ok(())
}

fn set_groups(account: &Account) -> Result<(), String> {
    let name = CString::new(account.name.as_str()).map_err(|err| err.to_string())?;
    // SAFETY: no memory is involved.
    check(unsafe { libc::setgid(account.gid) }, || {
        format!("setgid({})", account.gid)
    })?;
    // SAFETY: `name` is a NUL-terminated string.
    check(
        unsafe { libc::initgroups(name.as_ptr(), account.gid as _) },
        || format!("initgroups({}, {})", account.name, account.gid),
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

/// The text of a system error as C's `strerror()` has it, without the number
/// that Rust adds.
pub fn strerror(err: &io::Error) -> String {
    let text = err.to_string();
    match text.split_once(" (os error ") {
        Some((text, _)) => text.to_string(),
        None => text,
    }
}
