//! A stand-in for postlogd(8): binds its socket, and receives the log of the daemon.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::client::PATIENCE;
use super::log_text::has_form;

/// The socket in q/public, removed when dropped.
pub struct Postlogd {
    socket: UnixDatagram,
    path: PathBuf,
}

/// A line of the log, split.
#[derive(Debug)]
pub struct Line {
    /// The time.
    pub stamp: String,
    /// The rest, with `PID` in place of the process id.
    pub text: String,
}

impl Postlogd {
    /// Binds the socket below the directory of a daemon, with mode 666.
    pub fn bind(directory: &Path, name: &str) -> Postlogd {
        let path = directory.join("q/public").join(name);
        let socket = UnixDatagram::bind(&path).expect("bind");
        fs::set_permissions(&path, Permissions::from_mode(0o666)).expect("chmod");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Postlogd { socket, path }
    }

    /// Receives a datagram of the process with that id.
    pub fn receive(&self, pid: u32) -> Line {
        let mut buffer = [0; 65536];
        let count = self.socket.recv(&mut buffer).expect("a line of the log");
        let line = String::from_utf8_lossy(&buffer[..count]).into_owned();
        let (stamp, text) = line.split_at(15);
        assert!(has_form(stamp, "Aaa 00 00:00:00"), "{line}");
        Line {
            stamp: stamp.to_string(),
            text: text.replacen(&format!("[{pid}]"), "[PID]", 1),
        }
    }

    /// Returns true if all datagrams that came have been received.
    pub fn is_empty(&self) -> bool {
        self.socket.set_nonblocking(true).expect("non-blocking");
        let result = self.socket.recv(&mut [0; 1]);
        self.socket.set_nonblocking(false).expect("blocking");
        matches!(result, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

impl Drop for Postlogd {
    /// Shuts the socket down. Closing it is not enough, because a process that another test
    /// is starting may have inherited it.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}
