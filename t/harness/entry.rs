//! An entry of master.cf: the arguments that master(8) makes from it, and the names
//! of the sockets.

use std::path::{Path, PathBuf};

use super::privilege::is_root;

/// The entry of master.cf that is used unless a test says otherwise.
pub const SCACHE_LINE: &str = "scache unix - - n - 1 scache";

/// One service entry of master.cf.
#[derive(Clone)]
pub struct Entry {
    /// Service name: also the name of the socket.
    pub service: String,
    /// Transport type; only `unix` is listened on.
    pub transport: String,
    /// The socket is in q/private (the default) and not in q/public.
    pub private: bool,
    /// Run as mail_owner (the default). Ignored unless root.
    pub unprivileged: bool,
    /// Run in a chroot jail, the queue directory. Ignored unless root.
    pub chroot: bool,
    /// Process limit; `None` is default_process_limit.
    pub limit: Option<u32>,
    /// The program's name.
    pub command: String,
    /// Its own arguments.
    pub arguments: Vec<String>,
}

impl Entry {
    /// Reads a line of master.cf: service, type, private, unpriv, chroot,
    /// wakeup, maxproc, command and arguments.
    pub fn parse(line: &str) -> Entry {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert!(words.len() >= 8, "master.cf: eight fields wanted: {line}");
        Entry {
            service: words[0].to_string(),
            transport: words[1].to_string(),
            private: words[2] != "n",
            unprivileged: words[3] != "n",
            chroot: words[4] == "y",
            limit: words[6].parse().ok(),
            command: words[7].to_string(),
            arguments: words[8..].iter().map(|word| word.to_string()).collect(),
        }
    }

    /// The argument vector that master(8) makes from it, without argv\[0\].
    pub fn argv(&self, sockets: usize) -> Vec<String> {
        let mut argv: Vec<String> = Vec::new();
        match self.limit {
            Some(0) => argv.push("-z".into()),
            Some(1) => argv.push("-l".into()),
            _ => {}
        }
        if self.service != self.command {
            argv.extend(["-n".into(), self.service.clone()]);
        }
        argv.extend(["-t".into(), self.transport.clone()]);
        if self.unprivileged && is_root() {
            argv.push("-u".into());
        }
        if self.chroot && is_root() {
            argv.push("-c".into());
        }
        if sockets > 1 {
            argv.extend(["-s".into(), sockets.to_string()]);
        }
        argv.extend(self.arguments.iter().cloned());
        argv
    }

    /// The name of its socket of that number, below the directory of the daemon.
    pub fn socket_path(&self, directory: &Path, number: usize) -> PathBuf {
        let class = if self.private {
            "q/private"
        } else {
            "q/public"
        };
        let name = match number {
            0 => self.service.clone(),
            _ => format!("{}.{}", self.service, number + 1),
        };
        directory.join(class).join(name)
    }
}
