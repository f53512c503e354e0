//! `mail_params`: the parameters of scache, their defaults and limits. The original's
//! `mail_params`.
//!
//! [`mail_params_init`] looks up the parameters of all daemons, and
//! [`scache_params_init`] those of the service, both in the order of the C program.
//! The order determines which of several mistakes is reported, and which parameters a
//! value can refer to. Parameters without a field, and those in `defaults`, are looked
//! up only because other values can refer to them. Functions fail with the text of a
//! fatal message.
//!
//! Defaults that are chosen at build time are in [`build`].

mod accounts;
mod defaults;

use std::time::Duration;

use accounts::check_accounts;

use super::build;
use super::compat_level::{compat_level_from_string, malformed};
use super::mail_conf::MailConf;
use crate::util::get_hostname::get_hostname;
use crate::util::msg::msg_utf8_enable;
use crate::util::msg_syslog::{msg_syslog_facility, msg_syslog_set_facility};
use crate::util::printable::printable;
use crate::util::sys_pw::Passwd;
use crate::util::valid_hostname::valid_hostname;

/// The default of `syslog_name`, which is also used for logging before the
/// parameters are known.
pub const DEF_SYSLOG_NAME: &str = "${multi_instance_name?{$multi_instance_name}:{postfix}}";

/// The parameters of all daemons.
#[derive(Clone, Debug)]
pub struct MailParams {
    /// `syslog_facility`, as a LOG_ number.
    pub syslog_facility: libc::c_int,
    /// `syslog_name`: the text before the name of the program in the log.
    pub syslog_name: Vec<u8>,
    /// `maillog_file`: if not empty, the log goes to postlogd(8) instead of syslog.
    pub maillog_file: Vec<u8>,
    /// `maillog_file_prefixes`: the allowed beginnings of `maillog_file`.
    pub maillog_file_prefixes: Vec<u8>,
    /// `postlog_service_name`: the name of postlogd's socket.
    pub postlog_service_name: Vec<u8>,
    /// `myhostname`.
    pub myhostname: Vec<u8>,
    /// `queue_directory`: the working directory of the daemon.
    pub queue_directory: Vec<u8>,
    /// `max_idle`: maximum time without clients.
    pub max_idle: Duration,
    /// `ipc_timeout`: maximum time to wait for a client in the middle of a request.
    pub ipc_timeout: Duration,
    /// `daemon_timeout`: maximum time of one round of the event loop.
    pub daemon_timeout: Duration,
    /// `mail_owner`: the account of the daemon.
    pub mail_owner: Passwd,
}

impl MailParams {
    /// Fails if `maillog_file` is not where log files are allowed.
    pub fn check_maillog_file(&self) -> Result<(), String> {
        let allowed = self
            .maillog_file_prefixes
            .split(|c| b", \t\r\n".contains(c))
            .any(|prefix| !prefix.is_empty() && self.maillog_file.starts_with(prefix));
        if self.maillog_file.is_empty() || allowed {
            return Ok(());
        }
        Err(format!(
            "maillog_file value '{}' does not match any prefix in maillog_file_prefixes",
            printable(&self.maillog_file)
        ))
    }
}

/// Looks up and checks the parameters of all daemons. When `smtputf8_enable` is known,
/// allows UTF-8 in messages if it is set. The original's `mail_params_init()`.
pub fn mail_params_init(conf: &mut MailConf) -> Result<MailParams, String> {
    let level = conf.get_mail_conf_str("compatibility_level", b"0", 0)?;
    compat_level_from_string(&level).ok_or_else(|| malformed(&level))?;

    string(conf, "mail_version", build::MAIL_VERSION)?;
    let facility = string(conf, "syslog_facility", "mail")?;
    conf.get_mail_conf_str("multi_instance_name", b"", 0)?;
    let maillog_file = conf.get_mail_conf_str("maillog_file", b"", 0)?;
    let maillog_file_prefixes = string(conf, "maillog_file_prefixes", "/var, /dev/stdout")?;
    let postlog_service_name = string(conf, "postlog_service_name", "postlog")?;
    let syslog_facility =
        msg_syslog_facility(&facility).ok_or_else(|| bad_facility(conf, &facility))?;
    msg_syslog_set_facility(syslog_facility);

    set_preceding_defaults(conf, "smtputf8_enable")?;
    let smtputf8_enable = conf.get_mail_conf_bool(
        "smtputf8_enable",
        "${{$compatibility_level} <level {1} ? {no} : {yes}}",
    )?;
    msg_utf8_enable(smtputf8_enable);

    let myhostname = host_names(conf)?;

    string(conf, "mail_name", "Postfix")?;
    let syslog_name = string(conf, "syslog_name", DEF_SYSLOG_NAME)?;
    let owner_name = string(conf, "mail_owner", build::MAIL_OWNER)?;
    let group_name = string(conf, "setgid_group", build::SETGID_GROUP)?;
    string(conf, "myorigin", "$myhostname")?;
    string(conf, "daemon_directory", build::DAEMON_DIRECTORY)?;
    string(conf, "data_directory", build::DATA_DIRECTORY)?;
    string(conf, "command_directory", build::COMMAND_DIRECTORY)?;
    string(conf, "meta_directory", build::META_DIRECTORY)?;
    let queue_directory = string(conf, "queue_directory", build::QUEUE_DIRECTORY)?;
    string(conf, "shlib_directory", build::SHLIB_DIRECTORY)?;
    let privs_name = string(conf, "default_privs", build::DEFAULT_PRIVS)?;
    string(conf, "mail_release_date", build::MAIL_RELEASE_DATE)?;

    set_preceding_defaults(conf, "max_use")?;
    conf.get_mail_conf_int("max_use", 100, 1)?;
    let max_idle = time(conf, "max_idle", "100s")?;
    let ipc_timeout = time(conf, "ipc_timeout", "3600s")?;
    let daemon_timeout = time(conf, "daemon_timeout", "18000s")?;
    let mail_owner = check_accounts(conf, &privs_name, &owner_name, &group_name)?;

    Ok(MailParams {
        syslog_facility,
        syslog_name,
        maillog_file,
        maillog_file_prefixes,
        postlog_service_name,
        myhostname,
        queue_directory,
        max_idle,
        ipc_timeout,
        daemon_timeout,
        mail_owner,
    })
}

/// The parameters of this service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScacheParams {
    /// `connection_cache_ttl_limit`: maximum time to keep a session.
    pub ttl_limit: Duration,
    /// `connection_cache_status_update_time`: time between reports of statistics.
    pub status_update_time: Duration,
    /// `connection_cache_farewell`: a line to send over a session before it is
    /// closed; none if empty.
    pub farewell: Vec<u8>,
    /// `connection_cache_endpoint_limit`: maximum number of sessions per endpoint;
    /// no limit if 0.
    pub endpoint_limit: usize,
}

/// Maximum length of the farewell, in bytes.
const MAX_FAREWELL: usize = 100;

/// Looks up and checks the parameters of this service, whose values can refer to
/// `$process_id`.
pub fn scache_params_init(conf: &mut MailConf) -> Result<ScacheParams, String> {
    conf.update(b"process_id", std::process::id().to_string().as_bytes());
    Ok(ScacheParams {
        ttl_limit: time(conf, "connection_cache_ttl_limit", "2s")?,
        status_update_time: time(conf, "connection_cache_status_update_time", "600s")?,
        farewell: farewell(conf)?,
        endpoint_limit: conf
            .get_mail_conf_int("connection_cache_endpoint_limit", 0, 0)?
            .unsigned_abs() as usize,
    })
}

fn farewell(conf: &mut MailConf) -> Result<Vec<u8>, String> {
    let name = "connection_cache_farewell";
    let text = conf.get_mail_conf_str(name, b"QUIT", 0)?;
    let shown = printable(&text).to_string();
    if text.len() > MAX_FAREWELL {
        let len = text.len();
        return Err(format!(
            "bad string length {len} > {MAX_FAREWELL}: {name} = {shown}"
        ));
    }
    if text.iter().any(|byte| b"\r\n\0".contains(byte)) {
        let problem = format!("line break or null byte in value: {shown}");
        return Err(bad_value(conf, name, &problem));
    }
    Ok(text)
}

/// Sets the defaults of the parameters that the C program looks up just before
/// parameter `name`.
fn set_preceding_defaults(conf: &mut MailConf, name: &str) -> Result<(), String> {
    defaults::preceding(name, conf.mail_version())
        .try_for_each(|param| conf.set_default(param.name, param.default.as_bytes()))
}

/// Looks up a string that must not be empty.
fn string(conf: &mut MailConf, name: &str, default: &str) -> Result<Vec<u8>, String> {
    set_preceding_defaults(conf, name)?;
    conf.get_mail_conf_str(name, default.as_bytes(), 1)
}

/// Looks up a time of at least one second.
fn time(conf: &mut MailConf, name: &str, default: &str) -> Result<Duration, String> {
    set_preceding_defaults(conf, name)?;
    let seconds = conf.get_mail_conf_time(name, default, 1)?;
    Ok(Duration::from_secs(seconds.unsigned_abs().into()))
}

/// The message about a bad value.
fn bad_value(conf: &MailConf, name: &str, problem: &str) -> String {
    format!("file {}: parameter {name}: {problem}", conf.path())
}

fn bad_facility(conf: &MailConf, facility: &[u8]) -> String {
    let problem = format!("unrecognized value: {}", printable(facility));
    bad_value(conf, "syslog_facility", &problem)
}

/// Looks up `myhostname` and `mydomain`; the default of each depends on the other.
/// Returns `myhostname`.
/// The original's `check_mydomainname()`: also looks up both parameters.
fn host_names(conf: &mut MailConf) -> Result<Vec<u8>, String> {
    set_preceding_defaults(conf, "myhostname")?;
    let default = match conf.lookup(b"myhostname") {
        Some(_) => Vec::new(),
        None => default_hostname(conf)?,
    };
    let myhostname = conf.get_mail_conf_str("myhostname", &default, 1)?;
    let domain = match myhostname.iter().position(|&c| c == b'.') {
        Some(dot) => &myhostname[dot + 1..],
        None => b"localdomain",
    };
    let mydomain = conf.get_mail_conf_str("mydomain", domain, 1)?;
    for (name, value) in [("myhostname", &myhostname), ("mydomain", &mydomain)] {
        if !valid_hostname(value) {
            let problem = format!("bad parameter value: {}", printable(value));
            return Err(bad_value(conf, name, &problem));
        }
    }
    Ok(myhostname)
}

/// The name of the host, with a domain if it has none.
/// The original's `check_myhostname()`.
fn default_hostname(conf: &MailConf) -> Result<Vec<u8>, String> {
    let mut name = get_hostname()?;
    if !name.contains(&b'.') {
        let domain = conf.lookup_eval("mydomain")?;
        name.push(b'.');
        name.extend(domain.unwrap_or_else(|| b"localdomain".to_vec()));
    }
    Ok(name)
}

#[cfg(test)]
mod tests;
