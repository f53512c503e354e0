//! `multi_server`: the skeleton of a server with many clients in one process. The
//! first part of the original's `multi_server.c`: initialization, in its order.
//!
//! A failure is fatal: the process logs one line with the problem, waits for a second,
//! so that master(8) does not start the next process at once, and exits with status 1.

use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::io::IsTerminal;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::panic;
use std::path::PathBuf;
use std::process::{exit, Command};
use std::time::Duration;

use super::event_loop::{EventLoop, Limits, MultiService};
use super::master_proto::{MasterFds, MasterPipe};
use super::options::{mail_version, Environment, Options, WITH_VALUE};
use crate::global::build;
use crate::global::mail_conf::MailConf;
use crate::global::mail_params::{mail_params_init, MailParams};
use crate::global::mail_version::SCACHE_VERSION;
use crate::global::maillog_client::{mail_task, maillog_client_init, MailLog};
use crate::util::chroot_uid::chroot_uid;
use crate::util::getopt::Getopt;
use crate::util::local_time::tzset;
use crate::util::msg::msg_verbose;
use crate::util::open_limit::open_limit;
use crate::util::poll_fd::{read_wait, write_wait};
use crate::util::printable::printable;
use crate::util::stream::Stream;
use crate::util::strerror::strerror;
use crate::util::wait::{run as run_task, Task, Wait};
use crate::util::watchdog::{watchdog_output, Watchdog};
use crate::{msg_fatal, msg_info, msg_panic, msg_warn};

/// The name of stdin in messages.
const UNKNOWN_STREAM: &str = "unknown_stream";

/// Minimum number of open files; a lower limit is logged as a warning.
const FEW_OPEN_FILES: usize = 256;

/// Minimum daemon_timeout, in seconds: one for each of the watchdog's three alarms.
const MIN_DAEMON_TIMEOUT: u64 = 3;

/// Runs a service from exec to exit. `init` looks up its parameters, and makes it.
/// The original's `multi_server_main()`.
pub fn multi_server_main<S: MultiService>(
    init: impl FnOnce(&mut MailConf) -> Result<S, String>,
) -> ! {
    panic::set_hook(Box::new(|info| msg_panic!("{info}")));
    if let Err(text) = run(init) {
        msg_fatal!("{text}");
    }
    exit(0)
}

fn run<S: MultiService>(
    init: impl FnOnce(&mut MailConf) -> Result<S, String>,
) -> Result<(), String> {
    let master_fds = MasterFds::check();
    // The Rust runtime already ignores SIGPIPE.
    // SAFETY: ignoring a signal installs no handler.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let mut args = env::args_os();
    let environment = Environment::read(args.next().as_ref());
    let process_name = &environment.process_name;
    tzset();
    environment.log();
    if msg_verbose() > 0 {
        msg_info!("daemon started");
    }

    let options = Getopt::new(args.map(OsString::into_vec), WITH_VALUE);
    let mut conf = MailConf::new(&config_directory(), mail_version(options.clone()));
    conf.update(b"process_name", process_name.as_bytes());
    conf.load()?;
    let options = Options::parse(options, &mut conf, &environment)?;
    if conf.mail_version().sets_process_name_last() {
        conf.update(b"process_name", process_name.as_bytes());
    }
    let service_name = options
        .service_name
        .as_deref()
        .unwrap_or(process_name.as_bytes());
    conf.update(b"service_name", service_name);
    let service_name = printable(service_name).to_string();

    let params = mail_params_init(&mut conf)?;
    let log = log_as_configured(&params, &environment, options.to_stderr)?;
    if msg_verbose() > 0 {
        let version = SCACHE_VERSION.trim_matches('\0');
        msg_info!("{version}, for Postfix {}", build::MAIL_VERSION);
    }
    if std::io::stdin().is_terminal() && !options.single && !options.by_hand {
        let task = log_task(&params, process_name);
        maillog_client_init(&task, &log, Some(process_name));
        return Err("do not run this command by hand".into());
    }
    let service = init(&mut conf)?;
    options.check(&service_name)?;
    let generation = environment.generation()?;
    if options.debug || environment.debug {
        debug_process(&mut conf, &params, &log)?;
    }
    if !options.single {
        let task = log_task(&params, process_name);
        watchdog_output(log.watchdog_lines(&task, options.to_stderr));
    }
    drop_privileges(&options, &params)?;
    let open_files = open_file_limit();
    match options.single {
        true => serve_stdio(service),
        false => serve_clients(
            service,
            &options,
            &params,
            master_fds,
            open_files,
            service_name,
            generation,
        ),
    }
}

fn config_directory() -> PathBuf {
    env::var_os("MAIL_CONFIG").map_or_else(|| build::CONFIG_DIRECTORY.into(), PathBuf::from)
}

/// Starts logging as main.cf sets. Returns the destination.
fn log_as_configured(
    params: &MailParams,
    environment: &Environment,
    to_stderr: bool,
) -> Result<MailLog, String> {
    let task = log_task(params, &environment.process_name);
    let log = if params.maillog_file.is_empty() {
        MailLog::Syslog(params.syslog_facility)
    } else {
        // A bad maillog_file is reported in the log that is open already.
        environment.log_as(&task, params.syslog_facility, to_stderr);
        params.check_maillog_file()?;
        let hostname = printable(&params.myhostname).to_string();
        MailLog::postlog(
            &params.queue_directory,
            &params.postlog_service_name,
            &hostname,
        )
    };
    maillog_client_init(&task, &log, to_stderr.then_some(&task));
    Ok(log)
}

fn log_task(params: &MailParams, process_name: &str) -> String {
    mail_task(&printable(&params.syslog_name).to_string(), process_name)
}

/// Runs debugger_command and waits for it. The original's `debug_process()`.
fn debug_process(conf: &mut MailConf, params: &MailParams, log: &MailLog) -> Result<(), String> {
    let command = conf.get_mail_conf_str("debugger_command", b"", 0)?;
    if command.is_empty() {
        return Err("no debugger_command variable set up".into());
    }
    msg_info!("running: {}", printable(&command));
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(OsStr::from_bytes(&command));
    shell.env("MAIL_LOGTAG", OsStr::from_bytes(&params.syslog_name));
    for (name, value) in log.environment() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    // As in the C program. std would reset SIGPIPE to its default.
    // SAFETY: signal() is async-signal-safe, and the only call in the closure.
    unsafe {
        shell.pre_exec(|| {
            libc::signal(libc::SIGPIPE, libc::SIG_IGN);
            Ok(())
        })
    };
    // A failure is not fatal, as in the C program.
    let _ = shell.status();
    Ok(())
}

/// Changes the working directory to queue_directory, and root directory and user as the
/// options request.
fn drop_privileges(options: &Options, params: &MailParams) -> Result<(), String> {
    let queue_directory = OsStr::from_bytes(&params.queue_directory);
    env::set_current_dir(queue_directory).map_err(|err| {
        format!(
            "chdir(\"{}\"): {}",
            printable(&params.queue_directory),
            strerror(&err)
        )
    })?;
    let root = CString::new(queue_directory.as_bytes()).map_err(|err| err.to_string())?;
    chroot_uid(
        options.chroot.then_some(&root),
        options.unprivileged.then_some(&params.mail_owner),
    )
}

/// Serves one request on stdin, and the requests that were read with it: option `-S`.
fn serve_stdio<S: MultiService>(service: S) -> Result<(), String> {
    // SAFETY: both are open, as the Rust runtime opens /dev/null for those that are
    // not; and from here on they have no other user in this process.
    let [input, output] = [0, 1].map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    let stream = Stream::with_output(input, output, UNKNOWN_STREAM.into());
    let mut client = S::Client::default();
    let mut task: Task = Box::pin(async {
        if stream.next_request().await {
            service.service(&stream, &mut client).await;
        }
    });
    while !run_task(&mut task) {
        wait_for_stdio(&stream)?;
    }
    drop(task);
    service.exit();
    Ok(())
}

/// Waits for the event that the request waits for, without a limit, as the C program
/// does.
fn wait_for_stdio(stream: &Stream) -> Result<(), String> {
    let waited = match stream.wait() {
        Wait::Yield => Ok(true),
        Wait::Request | Wait::Input => read_wait(stream.as_fd(), Duration::MAX),
        Wait::Output => write_wait(stream.output(), Duration::MAX),
    };
    waited.map_err(|err| format!("poll: {}", strerror(&err)))?;
    Ok(())
}

/// Returns the maximum number of open files, and logs a warning if it is low.
fn open_file_limit() -> usize {
    let limit = open_limit();
    if limit < FEW_OPEN_FILES {
        msg_warn!("could allocate space for only {limit} open files");
    }
    limit
}

fn serve_clients<S: MultiService>(
    service: S,
    options: &Options,
    params: &MailParams,
    master_fds: MasterFds,
    open_files: usize,
    service_name: String,
    generation: u32,
) -> Result<(), String> {
    let (status, listeners) = master_fds.take(options.socket_count.unwrap_or(1))?;
    let master = MasterPipe::new(status, generation);
    let limits = Limits {
        ipc_timeout: params.ipc_timeout,
        max_idle: params.max_idle,
        open_files,
    };
    let path = format!("{service_name} socket");
    let event_loop = EventLoop::new(&service, limits, &path, &master, listeners)?;
    let seconds = params.daemon_timeout.as_secs();
    if seconds < MIN_DAEMON_TIMEOUT {
        return Err(format!(
            "invalid daemon_timeout: {seconds} (min {MIN_DAEMON_TIMEOUT})"
        ));
    }
    let watchdog = Watchdog::new(params.daemon_timeout)
        .map_err(|err| format!("watchdog_create: sigaction(SIGALRM): {}", strerror(&err)))?;
    event_loop
        .event_loop(&watchdog)
        .map_err(|err| format!("event_loop: epoll_wait: {}", strerror(&err)))
}
