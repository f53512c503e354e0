//! `maillog_client`: where a mail program logs.
//!
//! To syslog(3), or to postlogd(8) when main.cf has a `maillog_file`; and to
//! stderr as well when asked for. Connections are made at once, so that they
//! work after a chroot.

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

/// How master(8) says where to log: the socket of postlogd(8), if it is that,
/// and the name of the host.
const POSTLOG_SERVICE: &str = "POSTLOG_SERVICE";
const POSTLOG_HOSTNAME: &str = "POSTLOG_HOSTNAME";

/// Where syslogd listens: on Linux, and on the BSDs.
const SYSLOG_SOCKETS: [&str; 2] = ["/dev/log", "/var/run/log"];

/// Where to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailLog {
    /// To the system's log, under this facility of syslog(3).
    Syslog(libc::c_int),
    /// To postlogd(8), on this socket and as this host.
    Postlog {
        /// The datagram socket.
        service: PathBuf,
        /// The host's name, of which the first label goes to the log.
        hostname: String,
    },
}

impl MailLog {
    /// What master(8) says about it, for use before main.cf has been read; the
    /// facility is for syslog.
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

    /// The socket of a postlogd(8) below this queue directory, and a name for
    /// this host.
    pub fn postlog(queue_directory: &[u8], service_name: &[u8], myhostname: &str) -> MailLog {
        MailLog::Postlog {
            // As text: a name that begins with a slash is no other place.
            service: OsString::from_vec([queue_directory, b"/public/", service_name].concat())
                .into(),
            hostname: myhostname.to_string(),
        }
    }

    /// What a program that is started from here finds in its environment
    /// instead of what master(8) said, and, with no value, what it does not.
    pub fn environment(&self) -> [(&'static str, Option<&OsStr>); 2] {
        let (service, hostname) = match self {
            MailLog::Syslog(_) => (None, None),
            MailLog::Postlog { service, hostname } => {
                (Some(service.as_os_str()), Some(OsStr::new(hostname)))
            }
        };
        [(POSTLOG_SERVICE, service), (POSTLOG_HOSTNAME, hostname)]
    }

    /// The lines of the watchdog for this log, and for stderr if wanted, each with
    /// its descriptor. The connection is opened now, before chroot(2), and is
    /// never closed; there is none with a syslogd that wants a stream. The lines
    /// have no time: syslogd adds it, postlogd(8) does not.
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

/// A connection for datagrams that does not wait for their reader. None if there
/// is no such socket.
fn connect(path: &Path) -> Option<OwnedFd> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.connect(path).ok()?;
    socket.set_nonblocking(true).ok()?;
    Some(socket.into())
}

fn first_label(hostname: &str) -> &str {
    hostname.split('.').next().unwrap_or(hostname)
}

/// A variable of the environment; an empty one is as good as none.
fn non_empty(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// The name of a program in the log. The original's `mail_task()`.
pub fn mail_task(syslog_name: &str, process_name: &str) -> String {
    format!("{syslog_name}/{process_name}")
}

/// Logs as `task` from now on; and to stderr as somebody, if at all. The
/// original's `maillog_client_init()`.
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

/// Lines on stderr.
fn msg_vstream_init(task: &str) -> MsgOutput {
    let task = task.to_string();
    let mut line = Vec::with_capacity(LOG_LINE_SIZE);
    Box::new(move |severity, text| {
        line.clear();
        // There is nowhere to tell that stderr does not work.
        let _ = writeln!(line, "{task}: {}{text}", severity.prefix());
        let _ = std::io::stderr().write_all(&line);
    })
}

/// Datagrams to postlogd(8), which are waited for. Its socket is master(8)'s and
/// so outlives it. Without one, each message is a new attempt to connect, but a
/// connection stays the only one, as in the original.
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
            // There is nowhere to tell that the log does not work.
            let _ = socket.send(&line);
        }
    })
}

/// The connection with postlogd(8); None where there is no such socket.
fn msg_logger_connect(service: &Path) -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.connect(service).ok()?;
    Some(socket)
}
