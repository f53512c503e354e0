//! `msg_syslog`: messages to the system's log. The original's `msg_syslog`.
//!
//! syslog(3) waits for a syslogd(8) that does not read, and reconnects to one that
//! was restarted. A message is lost only while no syslogd(8) runs.

use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

use super::msg::{log_text, MsgOutput, Severity, LOG_LINE_SIZE};

// A static, because main.cf sets it while the output is in use.
static FACILITY: AtomicI32 = AtomicI32::new(libc::LOG_MAIL);

/// The name that openlog() was given last.
static IDENT: Mutex<Option<CString>> = Mutex::new(None);

/// Connects to the system's log as `ident`, at once, so that it works after
/// chroot(2). `facility` is one of syslog(3). Another call changes the name and
/// keeps the connection.
/// The original's `msg_syslog_init()` and `msg_syslog_print()`: the closure prints.
pub fn msg_syslog_init(ident: &str, facility: libc::c_int) -> MsgOutput {
    msg_syslog_set_facility(facility);
    let ident = CString::new(ident.replace('\0', "?")).expect("no NUL is left");
    let mut kept = IDENT.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: `ident` is a NUL-terminated string. openlog() keeps the pointer, and it
    // is kept here until the next call of openlog() has returned.
    unsafe { libc::openlog(ident.as_ptr(), libc::LOG_PID | libc::LOG_NDELAY, facility) };
    *kept = Some(ident);
    // Allocated in advance, for the message about a lack of memory.
    let mut line = Vec::with_capacity(LOG_LINE_SIZE);
    Box::new(move |severity, text| {
        line.clear();
        log_text(severity, text, &mut line);
        line.push(0);
        if let Ok(line) = CStr::from_bytes_until_nul(&line) {
            // SAFETY: the format has one argument, a string; both are NUL-terminated.
            unsafe { libc::syslog(priority(severity), c"%s".as_ptr(), line.as_ptr()) };
        }
    })
}

/// Changes the facility. The original's `msg_syslog_set_facility()`.
pub fn msg_syslog_set_facility(facility: libc::c_int) {
    FACILITY.store(facility, Ordering::Relaxed);
}

/// Returns the facility of that name. None if the system has none.
pub fn msg_syslog_facility(name: &[u8]) -> Option<libc::c_int> {
    Some(match name {
        b"auth" => libc::LOG_AUTH,
        b"authpriv" => libc::LOG_AUTHPRIV,
        b"cron" => libc::LOG_CRON,
        b"daemon" => libc::LOG_DAEMON,
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

fn priority(severity: Severity) -> libc::c_int {
    let level = match severity {
        Severity::Info => libc::LOG_INFO,
        Severity::Warn => libc::LOG_WARNING,
        Severity::Fatal | Severity::Panic => libc::LOG_CRIT,
    };
    FACILITY.load(Ordering::Relaxed) | level
}
