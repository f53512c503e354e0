//! A stand-in for master(8): makes a configuration directory and a queue directory,
//! and starts the daemon with the arguments, the descriptors and the environment
//! that master(8) gives it for a line of master.cf.
//!
//! [`Setup`] has the options, [`Setup::start`] starts the daemon,
//! [`Daemon::end`](super::daemon::Daemon::end) ends it.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use super::daemon::Daemon;
use super::directory::Directory;
use super::entry::{Entry, SCACHE_LINE};
use super::kind::Program;
use super::sys;

/// The first lines of every main.cf. The accounts exist on every system. The host name is
/// set because that of the machine may not be valid.
const MAIN_CF: &str = "compatibility_level = 3.6\nmyhostname = mail.example.com\n\
    mail_owner = daemon\ndefault_privs = nobody\nsetgid_group = bin\n";

/// Soft and hard limit of open files, unless a test says otherwise.
const OPEN_FILES: (u64, u64) = (1024, 4096);

/// How to start the daemon.
#[derive(Clone)]
pub struct Setup {
    binary: PathBuf,
    entry: Entry,
    base: String,
    main_cf: String,
    options: Vec<String>,
    argv: Option<Vec<String>>,
    env: Vec<(OsString, OsString)>,
    env_removed: Vec<OsString>,
    nofile: Option<(u64, u64)>,
    sockets: usize,
    listener: Option<Arc<UnixListener>>,
    status_on_a_pipe: bool,
    own_version: bool,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup::new()
    }
}

/// The program under test: `$SCACHE`, else the one that cargo built.
pub fn binary() -> PathBuf {
    match std::env::var_os("SCACHE") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_BIN_EXE_scache")),
    }
}

impl Setup {
    /// The program under test with [`SCACHE_LINE`], and with -V: tests read its log
    /// from stderr.
    pub fn new() -> Setup {
        Setup {
            binary: binary(),
            entry: Entry::parse(SCACHE_LINE),
            base: MAIN_CF.to_string(),
            main_cf: String::new(),
            options: vec!["-V".into()],
            argv: None,
            env: Vec::new(),
            env_removed: Vec::new(),
            nofile: None,
            sockets: 1,
            listener: None,
            status_on_a_pipe: false,
            own_version: false,
        }
    }

    /// Uses main.cf, and master.cf with its one entry, of this directory.
    pub fn configuration(mut self, directory: &Path) -> io::Result<Setup> {
        self.base = fs::read_to_string(directory.join("main.cf"))?;
        let master_cf = fs::read_to_string(directory.join("master.cf"))?;
        // All lines but the first continue the one entry.
        let lines = master_cf.lines().filter(|line| !line.starts_with('#'));
        Ok(self.line(&lines.collect::<Vec<&str>>().join(" ")))
    }

    /// Another program instead of the one under test.
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Setup {
        self.binary = path.into();
        self
    }

    /// A line of master.cf instead of [`SCACHE_LINE`].
    pub fn line(mut self, line: &str) -> Setup {
        self.entry = Entry::parse(line);
        self
    }

    /// Changes the entry of master.cf.
    pub fn entry(mut self, change: impl FnOnce(&mut Entry)) -> Setup {
        change(&mut self.entry);
        self
    }

    /// Adds a line to main.cf, after the common ones and queue_directory.
    pub fn main_cf(mut self, line: &str) -> Setup {
        self.main_cf.push_str(line);
        self.main_cf.push('\n');
        self
    }

    /// Adds an argument before those of master.cf (as `postfix -v` does).
    pub fn option(mut self, option: &str) -> Setup {
        self.options.push(option.to_string());
        self
    }

    /// Removes -V.
    pub fn without_stderr_log(mut self) -> Setup {
        self.options.retain(|option| option != "-V");
        self
    }

    /// Uses these arguments and no others.
    pub fn argv(mut self, argv: &[&str]) -> Setup {
        self.argv = Some(argv.iter().map(|argument| argument.to_string()).collect());
        self
    }

    pub fn without_env(mut self, name: &str) -> Setup {
        self.env_removed.push(name.into());
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Setup {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Keeps the version of Postfix that the program was built for. Otherwise this
    /// program is told to behave as the version that most expectations were recorded
    /// from.
    pub fn own_version(mut self) -> Setup {
        self.own_version = true;
        self
    }

    /// Soft and hard limit of open files.
    pub fn nofile(mut self, soft: u64, hard: u64) -> Setup {
        self.nofile = Some((soft, hard));
        self
    }

    /// Number of sockets to listen on; the second is called SERVICE.2 and so on.
    pub fn sockets(mut self, count: usize) -> Setup {
        self.sockets = count;
        self
    }

    /// The socket to listen on, instead of a new one: the next process after `postfix
    /// reload` has that of the one before.
    pub fn listener(mut self, listener: Arc<UnixListener>) -> Setup {
        self.listener = Some(listener);
        self
    }

    /// Uses a pipe for the status messages, and not a pair of sockets.
    pub fn status_on_a_pipe(mut self) -> Setup {
        self.status_on_a_pipe = true;
        self
    }

    /// Makes the directory as [`Setup::start`] does, for a test that adds something
    /// to it before [`Setup::start_in`].
    pub fn prepare(&self) -> io::Result<Directory> {
        let directory = Directory::new()?;
        self.populate(directory.path())?;
        Ok(directory)
    }

    /// Starts the daemon as master(8) does.
    pub fn start(self) -> io::Result<Daemon> {
        let directory = self.prepare()?;
        self.start_in(directory)
    }

    /// Starts the daemon in a directory of [`Setup::prepare`].
    pub fn start_in(self, directory: impl Into<Arc<Directory>>) -> io::Result<Daemon> {
        self.start_with(directory.into(), Stdio::null(), None)
    }

    /// Starts the daemon with `stdio` as standard input and output, for -S.
    pub fn start_on(self, stdio: OwnedFd) -> io::Result<Daemon> {
        let directory = self.prepare()?;
        self.start_with(
            directory.into(),
            Stdio::from(stdio.try_clone()?),
            Some(stdio),
        )
    }

    /// Starts the daemon in a directory of [`Setup::prepare`], with a pipe as stderr
    /// that nobody reads. Also returns the pipe.
    pub fn start_unheard(self, directory: Directory) -> io::Result<(Daemon, OwnedFd)> {
        let (read, write) = sys::pipe()?;
        let daemon = self.start_to(directory.into(), Stdio::null(), None, Stdio::from(write))?;
        Ok((daemon, read))
    }

    fn start_with(
        self,
        directory: Arc<Directory>,
        stdin: Stdio,
        stdout: Option<OwnedFd>,
    ) -> io::Result<Daemon> {
        self.start_to(directory, stdin, stdout, Stdio::piped())
    }

    fn start_to(
        self,
        directory: Arc<Directory>,
        stdin: Stdio,
        stdout: Option<OwnedFd>,
        stderr: Stdio,
    ) -> io::Result<Daemon> {
        fs::metadata(&self.binary).map_err(|error| self.cannot_run(error))?;
        let most = sys::open_files_limit()?;
        let own = match &self.listener {
            Some(_) => Vec::new(),
            None => self.listen(directory.path())?,
        };
        let listeners: Vec<&UnixListener> =
            self.listener.as_deref().into_iter().chain(&own).collect();
        let (flow_read, flow_write) = sys::pipe()?;
        let (status_read, status_write) = self.status()?;
        let ends = [flow_read.as_fd(), flow_write.as_fd(), status_write.as_fd()];
        let sockets = listeners.iter().map(|listener| listener.as_fd());
        let fds = ends
            .into_iter()
            .chain(sockets)
            .map(sys::moved_up)
            .collect::<io::Result<Vec<_>>>()?;
        let mut command = self.command(directory.path());
        command.stdin(stdin).stderr(stderr);
        command.stdout(stdout.map_or_else(Stdio::null, Stdio::from));
        let usual = (OPEN_FILES.0.min(most), OPEN_FILES.1.min(most));
        sys::hand_over(&mut command, &fds, self.nofile.unwrap_or(usual));
        let child = command.spawn().map_err(|error| self.cannot_run(error))?;
        Ok(Daemon::new(child, directory, status_read, &self.entry))
    }

    /// The read end and the write end of the status pipe, which is a pair of sockets
    /// in master(8).
    fn status(&self) -> io::Result<(OwnedFd, OwnedFd)> {
        if self.status_on_a_pipe {
            return sys::pipe();
        }
        let (read, write) = UnixStream::pair()?;
        Ok((read.into(), write.into()))
    }

    fn cannot_run(&self, error: io::Error) -> io::Error {
        io::Error::new(
            error.kind(),
            format!("cannot run {}: {error}", self.binary.display()),
        )
    }

    /// Makes main.cf and the queue directory. The time of main.cf is set back, because the
    /// C program reads a file again that is younger than two seconds.
    fn populate(&self, directory: &Path) -> io::Result<()> {
        for name in ["q", "q/private", "q/public", "q/pid", "data"] {
            let path = directory.join(name);
            fs::create_dir(&path)?;
            fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        }
        let path = directory.join("main.cf");
        let base = directory.display();
        let directories = format!("queue_directory = {base}/q\ndata_directory = {base}/data\n");
        fs::write(&path, format!("{}{directories}{}", self.base, self.main_cf))?;
        File::options()
            .write(true)
            .open(&path)?
            .set_modified(SystemTime::now() - Duration::from_secs(3600))
    }

    /// Makes the sockets to listen on.
    pub fn listen(&self, directory: &Path) -> io::Result<Vec<UnixListener>> {
        let listen = |number| {
            let listener = UnixListener::bind(self.entry.socket_path(directory, number))?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        (0..self.sockets).map(listen).collect()
    }

    fn version(&self) -> Vec<String> {
        static PROGRAM: OnceLock<Program> = OnceLock::new();
        match self.own_version {
            true => Vec::new(),
            false => PROGRAM.get_or_init(|| Program::of(&binary())).as_recorded(),
        }
    }

    fn command(&self, directory: &Path) -> Command {
        let mut command = Command::new(&self.binary);
        match &self.argv {
            Some(argv) => command.args(argv),
            None => command
                .args(self.version())
                .args(&self.options)
                .args(self.entry.argv(self.sockets)),
        };
        let queue = directory.join("q");
        command.env_clear().env("LANG", "C").env("TZ", "UTC");
        command.env("MAIL_CONFIG", directory).env("GENERATION", "1");
        command
            .env("MAIL_LOGTAG", "postfix")
            .env("POSTLOG_HOSTNAME", "localhost");
        command.env("POSTLOG_SERVICE", queue.join("public/postlog"));
        command.current_dir(queue);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        for name in &self.env_removed {
            command.env_remove(name);
        }
        command
    }
}
