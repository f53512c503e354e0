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

/// A facility by name, as the functions here want it. Not every system has all
/// of them.
pub fn msg_syslog_facility(name: &[u8]) -> Option<libc::c_int> {
    Some(match name {
        b"auth" => libc::LOG_AUTH,
        #[cfg(not(any(target_os = "illumos", target_os = "solaris")))]
        b"authpriv" => libc::LOG_AUTHPRIV,
        b"cron" => libc::LOG_CRON,
        b"daemon" => libc::LOG_DAEMON,
        #[cfg(not(any(target_os = "illumos", target_os = "solaris")))]
        b"ftp" => libc::LOG_FTP,
        b"kern" => libc::LOG_KERN,
        b"lpr" => libc::LOG_LPR,
        b"mail" => libc::LOG_MAIL,
        b"news" => libc::LOG_NEWS,
        b"syslog" => libc::LOG_SYSLOG,
        b"user" => libc::LOG_USER,
        b"uucp" => libc::LOG_UUCP,
        b"local0" => libc::LOG_LOCAL0,
        b"local1" => libc::LOG_LOCAL1,
        b"local2" => libc::LOG_LOCAL2,
        b"local3" => libc::LOG_LOCAL3,
        b"local4" => libc::LOG_LOCAL4,
        b"local5" => libc::LOG_LOCAL5,
        b"local6" => libc::LOG_LOCAL6,
        b"local7" => libc::LOG_LOCAL7,
        _ => return None,
    })
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
