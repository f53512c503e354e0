//! A stand-in for postlogd(8), as far as its clients are concerned: a socket.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::client::PATIENCE;

/// The socket in q/public, gone when dropped.
pub struct Postlogd {
    socket: UnixDatagram,
    path: PathBuf,
}

/// A line of the log, taken apart.
#[derive(Debug)]
pub struct Line {
    /// The time, as it was written.
    pub stamp: String,
    /// The rest, with `PID` instead of the number.
    pub text: String,
}

impl Postlogd {
    /// Listens below the directory that a daemon is started in, for anybody.
    pub fn bind(directory: &Path, name: &str) -> Postlogd {
        let path = directory.join("q/public").join(name);
        let socket = UnixDatagram::bind(&path).expect("bind");
        fs::set_permissions(&path, Permissions::from_mode(0o666)).expect("chmod");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Postlogd { socket, path }
    }

    /// The next datagram, as the process of that number sent it.
    pub fn receive(&self, pid: u32) -> Line {
        let mut buffer = [0; 65536];
        let count = self.socket.recv(&mut buffer).expect("a line of the log");
        let line = String::from_utf8_lossy(&buffer[..count]).into_owned();
        let (stamp, text) = line.split_at(15);
        assert!(is_stamp(stamp), "{line}");
        Line {
            stamp: stamp.to_string(),
            text: text.replacen(&format!("[{pid}]"), "[PID]", 1),
        }
    }

    /// Nothing has come that was not received.
    pub fn is_empty(&self) -> bool {
        self.socket.set_nonblocking(true).expect("non-blocking");
        let result = self.socket.recv(&mut [0; 1]);
        self.socket.set_nonblocking(false).expect("blocking");
        matches!(result, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

impl Drop for Postlogd {
    /// (A process that is just being made may have the socket open, too.)
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// Is it of the form `Mmm dd hh:mm:ss`?
fn is_stamp(text: &str) -> bool {
    let form = "Aaa 00 00:00:00".chars();
    form.zip(text.chars()).all(|(form, char)| match form {
        'A' => char.is_ascii_uppercase(),
        'a' => char.is_ascii_lowercase(),
        '0' => char.is_ascii_digit(),
        other => char == other,
    })
}
