//! `options`: the command line and the environment of a child of master(8). A part
//! of the original's `multi_server_main`. Functions fail with the text of a fatal
//! message.

use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::global::mail_conf::MailConf;
use crate::global::mail_params::DEF_SYSLOG_NAME;
use crate::global::mail_version::MailVersion;
use crate::global::maillog_client::{mail_task, maillog_client_init, MailLog};
use crate::msg_info;
use crate::util::getopt::Getopt;
use crate::util::msg::{msg_more_verbose, msg_verbose};
use crate::util::printable::printable;
use crate::util::split_nameval::split_nameval;
use crate::util::strtol::strtol;

/// The system name in the log, unless MAIL_LOGTAG or main.cf sets another.
const EARLY_SYSLOG_NAME: &str = "postfix";

/// The options with a value, for [`Getopt`].
pub const WITH_VALUE: &[u8] = b"imnost";

/// The environment variables from master(8), and argv\[0\].
#[derive(Clone, Debug)]
pub struct Environment {
    /// The base name of argv\[0\].
    pub process_name: String,
    /// `MAIL_LOGTAG`: the system name in the log.
    pub log_tag: Option<String>,
    /// `MAIL_DEBUG`: as `-D`.
    pub debug: bool,
    /// `GENERATION`: the process generation, in octal.
    pub generation: Option<String>,
}

/// The options of the command line.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `-c`: queue_directory becomes the root.
    pub chroot: bool,
    /// `-d`: stdin may be a terminal.
    pub by_hand: bool,
    /// `-D`: run debugger_command.
    pub debug: bool,
    /// `-l`: the process limit is 1.
    pub limit_one: bool,
    /// `-n`: the name of the service.
    pub service_name: Option<Vec<u8>>,
    /// `-s`: number of listening sockets.
    pub socket_count: Option<usize>,
    /// `-S`: serve stdin and stdout, once.
    pub single: bool,
    /// `-t`: the transport type.
    pub transport: Option<Vec<u8>>,
    /// `-u`: become mail_owner.
    pub unprivileged: bool,
    /// `-V`: log to stderr as well.
    pub to_stderr: bool,
    /// The first argument that is not an option.
    pub argument: Option<Vec<u8>>,
}

/// Returns the version of Postfix from `-o mail_version=...`, otherwise the one that
/// is compiled in. It is needed to read main.cf, before the options take effect.
pub fn mail_version(options: Getopt) -> MailVersion {
    let values = options.filter_map(|(letter, value)| value.filter(|_| letter == b'o'));
    let version = values
        .filter_map(|value| match split_nameval(&value) {
            Ok((b"mail_version", version)) => Some(MailVersion::parse(version)),
            _ => None,
        })
        .last();
    version.flatten().unwrap_or(MailVersion::BUILT_IN)
}

impl Environment {
    /// Reads the environment; `MAIL_VERBOSE` counts as one `-v`.
    pub fn read(argv0: Option<&OsString>) -> Environment {
        let name = argv0.and_then(|argv0| Path::new(argv0).file_name());
        if env::var_os("MAIL_VERBOSE").is_some() {
            msg_more_verbose();
        }
        Environment {
            process_name: name.map_or("unknown".into(), |name| name.to_string_lossy().into_owned()),
            log_tag: text("MAIL_LOGTAG"),
            debug: env::var_os("MAIL_DEBUG").is_some(),
            generation: text("GENERATION"),
        }
    }

    /// Starts logging as the environment sets, before main.cf is read.
    pub fn log(&self) {
        self.log_as(&self.early_task(), libc::LOG_MAIL, false);
    }

    /// Changes the name in the log, and also logs to stderr if requested. postlogd(8)
    /// is sent the early name until main.cf has been read.
    pub fn log_as(&self, task: &str, facility: libc::c_int, to_stderr: bool) {
        let log = MailLog::from_environment(facility);
        let log_task = match log {
            MailLog::Syslog(_) => task.to_string(),
            MailLog::Postlog { .. } => self.early_task(),
        };
        maillog_client_init(&log_task, &log, to_stderr.then_some(task));
    }

    fn early_task(&self) -> String {
        let name = self.log_tag.as_deref().unwrap_or(EARLY_SYSLOG_NAME);
        mail_task(name, &self.process_name)
    }

    /// Also logs to stderr, under the name of this instance of the mail system.
    fn log_to_stderr(&self, conf: &MailConf) -> Result<(), String> {
        let name = match &self.log_tag {
            Some(tag) => tag.clone(),
            None => lossy(&conf.eval(DEF_SYSLOG_NAME.as_bytes())?),
        };
        let task = mail_task(&name, &self.process_name);
        self.log_as(&task, libc::LOG_MAIL, true);
        Ok(())
    }

    /// The process generation as a number.
    pub fn generation(&self) -> Result<u32, String> {
        let Some(text) = &self.generation else {
            return Ok(0);
        };
        let digits = text.bytes().all(|digit| digit.is_ascii_digit());
        if !digits || text.is_empty() {
            return Err(format!("bad generation: {text}"));
        }
        // As sscanf("%o"), which stops at a digit that is not octal.
        let octal = text.bytes().take_while(|digit| *digit < b'8');
        let generation = octal.fold(0u32, |number, digit| number << 3 | u32::from(digit - b'0'));
        if msg_verbose() > 0 {
            msg_info!("process generation: {text} ({generation:o})");
        }
        Ok(generation)
    }
}

impl Options {
    /// Parses the command line; `-o`, `-i` and `-m` update `conf`, and `-v` and `-V`
    /// take effect at once.
    pub fn parse(
        mut getopt: Getopt,
        conf: &mut MailConf,
        environment: &Environment,
    ) -> Result<Options, String> {
        let mut options = Options::default();
        for (letter, value) in getopt.by_ref() {
            match value {
                Some(value) => options.value(letter, value, conf)?,
                None => options.flag(letter, conf, environment)?,
            }
        }
        options.argument = getopt.argument;
        Ok(options)
    }

    /// Fails if the service cannot be run with these options.
    pub fn check(&self, service_name: &str) -> Result<(), String> {
        if let Some(argument) = &self.argument {
            return Err(format!(
                "unexpected command-line argument: {}",
                printable(argument)
            ));
        }
        if self.single {
            return Ok(());
        }
        if !self.limit_one {
            return Err(format!(
                "service {service_name} requires a process limit of 1"
            ));
        }
        match self.transport.as_deref() {
            None => Err("no transport type specified".into()),
            Some(name) if name.eq_ignore_ascii_case(b"unix") => Ok(()),
            Some(other) => Err(format!("unsupported transport type: {}", printable(other))),
        }
    }

    fn flag(
        &mut self,
        letter: u8,
        conf: &MailConf,
        environment: &Environment,
    ) -> Result<(), String> {
        match letter {
            b'c' => self.chroot = true,
            b'd' => self.by_hand = true,
            b'D' => self.debug = true,
            b'l' => self.limit_one = true,
            b'S' => self.single = true,
            b'u' => self.unprivileged = true,
            b'v' => msg_more_verbose(),
            b'V' => {
                self.to_stderr = true;
                environment.log_to_stderr(conf)?;
            }
            // No process limit: `check` finds that `-l` is missing.
            b'z' => {}
            _ => return Err(invalid_option(letter)),
        }
        Ok(())
    }

    fn value(&mut self, letter: u8, value: Vec<u8>, conf: &mut MailConf) -> Result<(), String> {
        match letter {
            b'i' => conf.update(b"max_idle", &value),
            b'm' => conf.update(b"max_use", &value),
            b'n' => self.service_name = Some(value),
            b'o' => conf.update_option(&value)?,
            b's' => {
                let count = usize::try_from(strtol(&value).value).unwrap_or(0);
                if count == 0 {
                    return Err(format!("invalid socket_count: {}", lossy(&value)));
                }
                self.socket_count = Some(count);
            }
            _ => self.transport = Some(value),
        }
        Ok(())
    }
}

fn invalid_option(letter: u8) -> String {
    format!("invalid option: {}", printable(&[letter]))
}

fn lossy(bytes: &[u8]) -> String {
    printable(bytes).to_string()
}

fn text(name: &str) -> Option<String> {
    env::var_os(name).map(|value| lossy(value.as_bytes()))
}
