//! `msg_syslog`: messages to the system's log.
//!
//! What syslog(3) sends, byte for byte, but not through it, because it waits
//! for a syslogd that does not read (see [`log_socket`](super::log_socket)). So
//! it is on Linux, whatever its C library; other systems have other protocols,
//! and there it is left to syslog(3).

use std::sync::atomic::{AtomicI32, Ordering};

use super::msg::{MsgOutput, Severity};

// main.cf names it while the output is in use.
static FACILITY: AtomicI32 = AtomicI32::new(libc::LOG_MAIL);

/// Connects to the system's log as `ident` now, so that it works in a chroot;
/// `facility` is one of syslog(3).
/// The original's `msg_syslog_init()`.
pub fn msg_syslog_init(ident: &str, facility: libc::c_int) -> Box<dyn MsgOutput> {
    msg_syslog_set_facility(facility);
    output(ident)
}

/// Uses another facility from now on. The original's
/// `msg_syslog_set_facility()`.
pub fn msg_syslog_set_facility(facility: libc::c_int) {
    FACILITY.store(facility, Ordering::Relaxed);
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

fn priority(severity: Severity) -> libc::c_int {
    let level = match severity {
        Severity::Info => libc::LOG_INFO,
        Severity::Warn => libc::LOG_WARNING,
        Severity::Fatal | Severity::Panic => libc::LOG_CRIT,
    };
    FACILITY.load(Ordering::Relaxed) | level
}

#[cfg(target_os = "linux")]
fn output(ident: &str) -> Box<dyn MsgOutput> {
    use std::io::Write;
    use std::path::Path;
    use std::time::SystemTime;

    use super::local_time::LocalTime;
    use super::log_socket::LogSocket;
    use super::msg::log_text;

    const PATH_LOG: &str = "/dev/log";
    const KINDS: [libc::c_int; 2] = [libc::SOCK_DGRAM, libc::SOCK_STREAM];
    // Its syslog(3) writes universal time, and a newline at the end.
    const IS_MUSL: bool = cfg!(target_env = "musl");

    let head = format!("{ident}[{}]: ", std::process::id());
    let form = move |severity, text: &str, line: &mut Vec<u8>| {
        let now = SystemTime::now();
        let time = match IS_MUSL {
            true => LocalTime::universal(now),
            false => LocalTime::at(now),
        };
        let (priority, stamp) = (priority(severity), time.ctime());
        let _ = write!(line, "<{priority}>{stamp} {head}");
        log_text(severity, text, line);
        if IS_MUSL {
            line.push(b'\n');
        }
    };
    Box::new(LogSocket::new(Path::new(PATH_LOG), &KINDS, Box::new(form)))
}

#[cfg(not(target_os = "linux"))]
fn output(ident: &str) -> Box<dyn MsgOutput> {
    use std::ffi::CString;

    use super::msg::log_text;

    // openlog() keeps the pointer it is given, so the name must stay.
    let ident = CString::new(ident.replace('\0', "?")).expect("no NUL is left");
    let ident = Box::leak(ident.into_boxed_c_str());
    let options = libc::LOG_PID | libc::LOG_NDELAY;
    // SAFETY: `ident` is a NUL-terminated string that is never freed.
    unsafe { libc::openlog(ident.as_ptr(), options, libc::LOG_MAIL) };
    Box::new(|severity: Severity, text: &str| {
        let mut line = Vec::new();
        log_text(severity, text, &mut line);
        if let Ok(line) = CString::new(line) {
            // SAFETY: the format takes one string, and both are NUL-terminated.
            unsafe { libc::syslog(priority(severity), c"%s".as_ptr(), line.as_ptr()) };
        }
    })
}
