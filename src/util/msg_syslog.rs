//! `msg_syslog`: messages to the system's log, through syslog(3).

use std::ffi::{CStr, CString};
use std::sync::Mutex;

use super::msg::{MsgOutput, Severity};

/// A facility of syslog(3), such as `LOG_MAIL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facility(pub libc::c_int);

impl Facility {
    /// The facility of this name, as main.cf has it.
    pub fn from_name(name: &[u8]) -> Option<Facility> {
        FACILITIES
            .iter()
            .find(|(known, _)| known.as_bytes() == name)
            .map(|&(_, code)| Facility(code))
    }
}

const FACILITIES: &[(&str, libc::c_int)] = &[
    ("auth", libc::LOG_AUTH),
    ("authpriv", libc::LOG_AUTHPRIV),
    ("cron", libc::LOG_CRON),
    ("daemon", libc::LOG_DAEMON),
    ("ftp", libc::LOG_FTP),
    ("kern", libc::LOG_KERN),
    ("lpr", libc::LOG_LPR),
    ("mail", libc::LOG_MAIL),
    ("news", libc::LOG_NEWS),
    ("security", libc::LOG_AUTH),
    ("syslog", libc::LOG_SYSLOG),
    ("user", libc::LOG_USER),
    ("uucp", libc::LOG_UUCP),
    ("local0", libc::LOG_LOCAL0),
    ("local1", libc::LOG_LOCAL1),
    ("local2", libc::LOG_LOCAL2),
    ("local3", libc::LOG_LOCAL3),
    ("local4", libc::LOG_LOCAL4),
    ("local5", libc::LOG_LOCAL5),
    ("local6", libc::LOG_LOCAL6),
    ("local7", libc::LOG_LOCAL7),
];

// openlog() keeps the pointer it is given, so the name must stay.
static IDENT: Mutex<Option<&'static CStr>> = Mutex::new(None);

/// Connects to the system's log as `ident` now, so that it works in a chroot.
/// The original's `msg_syslog_init()`.
pub fn msg_syslog_init(ident: &str, facility: Facility) -> MsgOutput {
    let ident = CString::new(ident.replace('\0', "?")).expect("no NUL is left");
    let mut current = IDENT
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let ident = match *current {
        Some(known) if known == ident.as_c_str() => known,
        _ => Box::leak(ident.into_boxed_c_str()),
    };
    // SAFETY: `ident` is a NUL-terminated string that is never freed.
    unsafe { libc::openlog(ident.as_ptr(), libc::LOG_PID | libc::LOG_NDELAY, facility.0) };
    *current = Some(ident);
    Box::new(msg_syslog_print)
}

fn msg_syslog_print(severity: Severity, text: &str) {
    let level = match severity {
        Severity::Info => libc::LOG_INFO,
        Severity::Warn => libc::LOG_WARNING,
        Severity::Error => libc::LOG_ERR,
        Severity::Fatal | Severity::Panic => libc::LOG_CRIT,
    };
    let Ok(line) = CString::new(format!("{}{text}", severity.prefix())) else {
        return;
    };
    // SAFETY: the format takes one string, and both are NUL-terminated.
    unsafe { libc::syslog(level, c"%s".as_ptr(), line.as_ptr()) };
}
