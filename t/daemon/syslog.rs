//! Tests that log lines reach syslogd in the form that it expects, also after it was
//! restarted. (Priorities and names are tested in t/options.)

use std::fs::{self, Permissions};
use std::io::Read;
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use super::harness::client::{Client, PATIENCE};
use super::harness::daemon::Daemon;
use super::harness::log_text::{has_form, SYSLOG_END};
use super::harness::master::{binary, Setup};
use super::harness::namespace;
use super::{ask, connect};

/// A syslogd whose socket is /dev/log for the daemon; removed when dropped.
pub struct Syslogd {
    socket: Socket,
    path: PathBuf,
}

enum Socket {
    Datagram(UnixDatagram),
    /// The listener, and the connection that was accepted.
    Stream(UnixListener, Option<UnixStream>),
}

impl Syslogd {
    pub fn datagram(directory: &Path) -> Syslogd {
        Syslogd::new(directory, |path| {
            let socket = UnixDatagram::bind(path).expect("bind");
            socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            Socket::Datagram(socket)
        })
    }

    fn stream(directory: &Path) -> Syslogd {
        Syslogd::new(directory, |path| {
            Socket::Stream(UnixListener::bind(path).expect("bind"), None)
        })
    }

    fn new(directory: &Path, bind: fn(&Path) -> Socket) -> Syslogd {
        let path = directory.join("dev/log");
        let socket = bind(&path);
        fs::set_permissions(&path, Permissions::from_mode(0o666)).expect("chmod");
        Syslogd { socket, path }
    }

    /// Receives a line of the process with that id, with `PID` in place of the id and
    /// `TIME` in place of the time.
    pub fn receive(&mut self, pid: u32) -> String {
        let line = match &mut self.socket {
            Socket::Datagram(socket) => {
                let mut buffer = [0; 65536];
                let count = socket.recv(&mut buffer).expect("a line of the log");
                buffer[..count].to_vec()
            }
            Socket::Stream(listener, connection) => {
                let connection = connection.get_or_insert_with(|| accept(listener));
                let mut line = Vec::new();
                while line.last() != Some(&0) {
                    let mut byte = [0];
                    connection.read_exact(&mut byte).expect("a line of the log");
                    line.push(byte[0]);
                }
                line
            }
        };
        let line = String::from_utf8(line).expect("text");
        let (priority, rest) = line.split_at(line.find('>').expect("a priority") + 1);
        let (time, rest) = rest.split_at(15);
        assert!(has_form(time, "Aaa _0 00:00:00"), "{line}");
        format!("{priority}TIME{rest}").replacen(&format!("[{pid}]"), "[PID]", 1)
    }
}

impl Drop for Syslogd {
    /// Shuts the sockets down. Closing them is not enough, because a process that another
    /// test is starting may have inherited them.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        let _ = match &self.socket {
            Socket::Datagram(socket) => socket.shutdown(Shutdown::Both),
            Socket::Stream(_, Some(connection)) => connection.shutdown(Shutdown::Both),
            Socket::Stream(_, None) => Ok(()),
        };
    }
}

fn accept(listener: &UnixListener) -> UnixStream {
    let (connection, _) = listener.accept().expect("accept");
    let timeout = connection.set_read_timeout(Some(PATIENCE));
    timeout.expect("a timeout");
    connection
}

/// Starts a daemon with that syslogd, in a mount namespace. None if this cannot be
/// done; then the test is skipped.
pub fn start(setup: Setup, syslogd: fn(&Path) -> Syslogd) -> Option<(Syslogd, Daemon)> {
    let directory = setup.prepare().expect("a directory");
    fs::create_dir(directory.path().join("dev")).expect("mkdir");
    let mount = format!("mount --bind {}/dev /dev", directory.path().display());
    let script = namespace::script(directory.path(), &binary(), &mount)?;
    let syslogd = syslogd(directory.path());
    let daemon = setup.binary(script).start_in(directory).expect("start");
    Some((syslogd, daemon))
}

/// Makes the daemon log a warning with this name.
fn provoke(client: &mut Client, name: &str) {
    ask(client, &format!("request={name} ."), "status=1 .");
}

/// The line with that warning, without the NUL byte that ends it in a stream.
fn warning(name: &str) -> String {
    let text = format!("warning: unrecognized request: \"{name}\", ignored");
    format!("<20>TIME postfix/scache[PID]: {text}{SYSLOG_END}")
}

#[test]
fn a_datagram_is_a_line_and_nothing_else() {
    let Some((mut syslogd, daemon)) = start(Setup::new(), Syslogd::datagram) else {
        return;
    };
    provoke(&mut connect(&daemon), "one");
    assert_eq!(syslogd.receive(daemon.pid()), warning("one"));
    assert_eq!(daemon.end().expect("end").status_text(), "exit 0");
}

#[test]
#[cfg_attr(target_env = "musl", ignore = "its syslog(3) knows datagrams only")]
fn in_a_stream_a_nul_byte_ends_a_line() {
    let Some((mut syslogd, daemon)) = start(Setup::new(), Syslogd::stream) else {
        return;
    };
    let mut client = connect(&daemon);
    for name in ["one", "two"] {
        provoke(&mut client, name);
        let line = syslogd.receive(daemon.pid());
        assert_eq!(line, format!("{}\0", warning(name)));
    }
}

#[test]
#[cfg_attr(target_env = "musl", ignore = "its syslog(3) knows datagrams only")]
fn a_syslogd_that_was_restarted_gets_the_next_line_whatever_its_socket_is() {
    let Some((mut syslogd, daemon)) = start(Setup::new(), Syslogd::datagram) else {
        return;
    };
    let mut client = connect(&daemon);
    provoke(&mut client, "one");
    assert_eq!(syslogd.receive(daemon.pid()), warning("one"));
    for (next, end) in [
        (Syslogd::datagram as fn(&Path) -> Syslogd, ""),
        (Syslogd::stream, "\0"),
        (Syslogd::stream, "\0"),
        (Syslogd::datagram, ""),
    ] {
        drop(syslogd);
        provoke(&mut client, "lost");
        syslogd = next(daemon.directory());
        provoke(&mut client, "two");
        let line = syslogd.receive(daemon.pid());
        assert_eq!(line, format!("{}{end}", warning("two")));
    }
}
