//! `msg_syslog`: messages to the system's log, through syslog(3).

use std::ffi::{CStr, CString};
use std::sync::{Mutex, PoisonError};

use super::msg::{log_text, MsgOutput, Severity};

// openlog() keeps the pointer it is given, so the name must stay.
static IDENT: Mutex<Option<&'static CStr>> = Mutex::new(None);

/// Connects to the system's log as `ident` now, so that it works in a chroot;
/// `facility` is one of syslog(3).
/// The original's `msg_syslog_init()`.
pub fn msg_syslog_init(ident: &str, facility: libc::c_int) -> MsgOutput {
    let ident = CString::new(ident.replace('\0', "?")).expect("no NUL is left");
    let mut current = IDENT.lock().unwrap_or_else(PoisonError::into_inner);
    let ident = match *current {
        Some(known) if known == ident.as_c_str() => known,
        _ => Box::leak(ident.into_boxed_c_str()),
    };
    // SAFETY: `ident` is a NUL-terminated string that is never freed.
    unsafe { libc::openlog(ident.as_ptr(), libc::LOG_PID | libc::LOG_NDELAY, facility) };
    *current = Some(ident);
    Box::new(msg_syslog_print)
}

/// Uses another facility from now on, if syslog(3) is used at all. The
/// original's `msg_syslog_set_facility()`.
pub fn msg_syslog_set_facility(facility: libc::c_int) {
    if let Some(ident) = *IDENT.lock().unwrap_or_else(PoisonError::into_inner) {
        // SAFETY: `ident` is a NUL-terminated string that is never freed.
        unsafe { libc::openlog(ident.as_ptr(), libc::LOG_PID | libc::LOG_NDELAY, facility) };
    }
}

fn msg_syslog_print(severity: Severity, text: &str) {
    let level = match severity {
        Severity::Info => libc::LOG_INFO,
        Severity::Warn => libc::LOG_WARNING,
        Severity::Error => libc::LOG_ERR,
        Severity::Fatal | Severity::Panic => libc::LOG_CRIT,
    };
    let Ok(line) = CString::new(log_text(severity, text)) else {
        return;
    };
    // SAFETY: the format takes one string, and both are NUL-terminated.
    unsafe { libc::syslog(level, c"%s".as_ptr(), line.as_ptr()) };
}
