//! `maillog_client`: sets up logging. The original's `maillog_client`, and its
//! `msg_logger` and `msg_vstream`.
//!
//! A mail program logs to syslog(3), or to postlogd(8) if main.cf has a
//! `maillog_file`, and also to stderr if requested. Connections are made at once,
//! so that they work after chroot(2). A message that cannot be logged is lost.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::fd::{IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::util::local_time::LocalTime;
use crate::util::msg::{log_text, msg_output, msg_output_reset, MsgOutput, LOG_LINE_SIZE};
use crate::util::msg_syslog::msg_syslog_init;
use crate::util::watchdog::WATCHDOG_TIMEOUT;

/// Environment variables from master(8): the socket of postlogd(8), if postlogd(8) is
/// used, and the name of the host.
const POSTLOG_SERVICE: &str = "POSTLOG_SERVICE";
const POSTLOG_HOSTNAME: &str = "POSTLOG_HOSTNAME";

/// The sockets of syslogd on Linux and on the BSDs.
const SYSLOG_SOCKETS: [&str; 2] = ["/dev/log", "/var/run/log"];

/// A destination of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailLog {
    /// The system's log, with this facility of syslog(3).
    Syslog(libc::c_int),
    /// postlogd(8).
    Postlog {
        /// Its datagram socket.
        service: PathBuf,
        /// The name of the host; log lines have its first label.
        hostname: String,
    },
}

impl MailLog {
    /// The destination that the environment sets, for use before main.cf is read.
    /// `facility` is for syslog(3).
    pub fn from_environment(facility: libc::c_int) -> MailLog {
        match non_empty(POSTLOG_SERVICE) {
            None => MailLog::Syslog(facility),
            Some(service) => MailLog::Postlog {
                service: service.into(),
                hostname: non_empty(POSTLOG_HOSTNAME).map_or("amnesiac".into(), |name| {
                    name.to_string_lossy().into_owned()
                }),
            },
        }
    }

    /// postlogd(8), with its socket below `queue_directory`.
    pub fn postlog(queue_directory: &[u8], service_name: &[u8], myhostname: &str) -> MailLog {
        MailLog::Postlog {
            // Not Path::join: a name that begins with a slash is not absolute.
            service: OsString::from_vec([queue_directory, b"/public/", service_name].concat())
                .into(),
            hostname: myhostname.to_string(),
        }
    }

    /// The environment of a child process: variables to set, or to remove if None.
    pub fn environment(&self) -> [(&'static str, Option<&OsStr>); 2] {
        let (service, hostname) = match self {
            MailLog::Syslog(_) => (None, None),
            MailLog::Postlog { service, hostname } => {
                (Some(service.as_os_str()), Some(OsStr::new(hostname)))
            }
        };
        [(POSTLOG_SERVICE, service), (POSTLOG_HOSTNAME, hostname)]
    }

    /// The lines that the watchdog writes to this log, and to stderr if requested, each
    /// with its descriptor. The connection to the log is made at once, before chroot(2),
    /// and never closed. If it cannot be made, or syslogd has a stream socket, there is
    /// no line for the log. The lines have no time: syslogd adds it, postlogd(8) does
    /// not.
    pub fn watchdog_lines(&self, task: &str, to_stderr: bool) -> Vec<(RawFd, Vec<u8>)> {
        let text = format!("{task}[{}]: {WATCHDOG_TIMEOUT}", std::process::id());
        let (socket, line) = match self {
            MailLog::Syslog(facility) => (
                SYSLOG_SOCKETS
                    .iter()
                    .find_map(|path| connect(path.as_ref())),
                format!("<{}>{text}\n", facility | libc::LOG_CRIT),
            ),
            MailLog::Postlog { service, hostname } => (
                connect(service),
                format!("{} {text}", first_label(hostname)),
            ),
        };
        let socket = socket.map(|socket| (socket.into_raw_fd(), line));
        let stderr = (libc::STDERR_FILENO, format!("{task}: {WATCHDOG_TIMEOUT}\n"));
        let lines = socket.into_iter().chain(to_stderr.then_some(stderr));
        lines.map(|(fd, line)| (fd, line.into_bytes())).collect()
    }
}

/// Connects a non-blocking datagram socket. None if it cannot be connected.
fn connect(path: &Path) -> Option<OwnedFd> {
    let socket = msg_logger_connect(path)?;
    socket.set_nonblocking(true).ok()?;
    Some(socket.into())
}

fn first_label(hostname: &str) -> &str {
    hostname.split('.').next().unwrap_or(hostname)
}

/// An environment variable. None if it is not set or empty.
fn non_empty(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// The name of a program in the log. The original's `mail_task()`.
pub fn mail_task(syslog_name: &str, process_name: &str) -> String {
    format!("{syslog_name}/{process_name}")
}

/// Sets the outputs for messages: `log`, under the name `task`, and stderr, under the
/// name `stderr`, unless None. The original's `maillog_client_init()`.
pub fn maillog_client_init(task: &str, log: &MailLog, stderr: Option<&str>) {
    msg_output_reset();
    msg_output(match log {
        MailLog::Syslog(facility) => msg_syslog_init(task, *facility),
        MailLog::Postlog { service, hostname } => msg_logger_init(task, service, hostname),
    });
    if let Some(task) = stderr {
        msg_output(msg_vstream_init(task));
    }
}

/// An output that writes lines to stderr. The original's `msg_vstream_init()`.
fn msg_vstream_init(task: &str) -> MsgOutput {
    let task = task.to_string();
    let mut line = Vec::with_capacity(LOG_LINE_SIZE);
    Box::new(move |severity, text| {
        line.clear();
        // An error of stderr cannot be logged.
        let _ = writeln!(line, "{task}: {}{text}", severity.prefix());
        let _ = std::io::stderr().write_all(&line);
    })
}

/// An output that sends datagrams to postlogd(8), and waits while its buffer is full.
/// As in the C program, each message is another attempt to connect until one succeeds.
/// There is no reconnect: the socket of postlogd(8) belongs to master(8), and stays when
/// postlogd(8) is restarted.
/// The original's `msg_logger_init()` and `msg_logger_print()`: the closure prints.
fn msg_logger_init(task: &str, service: &Path, hostname: &str) -> MsgOutput {
    let head = format!("{} {task}[{}]: ", first_label(hostname), std::process::id());
    let service = service.to_path_buf();
    let mut socket = msg_logger_connect(&service);
    let mut line = Vec::with_capacity(LOG_LINE_SIZE);
    Box::new(move |severity, text| {
        let stamp = LocalTime::at(SystemTime::now()).log_stamp();
        line.clear();
        // Writing to memory does not fail.
        let _ = write!(line, "{stamp} {head}");
        log_text(severity, text, &mut line);
        if socket.is_none() {
            socket = msg_logger_connect(&service);
        }
        if let Some(socket) = &socket {
            // An error of the log cannot be logged.
            let _ = socket.send(&line);
        }
    })
}

/// Connects to postlogd(8). None if that fails.
/// The original's `msg_logger_connect()`.
fn msg_logger_connect(service: &Path) -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.connect(service).ok()?;
    Some(socket)
}
