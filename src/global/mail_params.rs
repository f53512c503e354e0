//! `mail_params`: the parameters that scache uses, their defaults and limits.
//!
//! [`mail_params_init`] looks up everything that the daemon needs before it
//! can log under its own name; [`ScacheParams`] is the service's own part and
//! comes after that. Both go through the parameters in the order of the
//! original: it decides which of several mistakes is reported, and which
//! parameters a value can refer to. A parameter here that no field is made
//! from is for references only, and so are those of other programs: a table,
//! [`others`].
//!
//! What the builder of a package chooses is in [`build`](super::build).

mod accounts;
mod others;

use std::time::Duration;

use accounts::check_accounts;
use others::others_before;

use super::build;
use super::compat_level::{compat_level_from_string, malformed};
use super::mail_conf::MailConf;
use crate::util::get_hostname::get_hostname;
use crate::util::msg::msg_utf8_enable;
use crate::util::msg_syslog::{msg_syslog_facility, msg_syslog_set_facility};
use crate::util::printable::printable;
use crate::util::sys_pw::Passwd;
use crate::util::valid_hostname::valid_hostname;

/// The default of `syslog_name`, which names the program in the log before
/// the parameters are known, too.
pub const DEF_SYSLOG_NAME: &str = "${multi_instance_name?{$multi_instance_name}:{postfix}}";

/// What every mail daemon has to know, checked.
#[derive(Clone, Debug)]
pub struct MailParams {
    /// `syslog_facility`, as a LOG_ number.
    pub syslog_facility: libc::c_int,
    /// `syslog_name`: what stands before the name of the program in the log.
    pub syslog_name: Vec<u8>,
    /// `maillog_file`: not empty when postlogd(8) takes the place of syslog.
    pub maillog_file: Vec<u8>,
    /// `maillog_file_prefixes`: what a `maillog_file` must start with.
    pub maillog_file_prefixes: Vec<u8>,
    /// `postlog_service_name`: the name of postlogd's socket.
    pub postlog_service_name: Vec<u8>,
    /// `smtputf8_enable`: whether UTF-8 may appear in the log.
    pub smtputf8_enable: bool,
    /// `myhostname`.
    pub myhostname: Vec<u8>,
    /// `queue_directory`: where the daemon runs.
    pub queue_directory: Vec<u8>,
    /// `max_idle`: how long to wait for a client.
    pub max_idle: Duration,
    /// `ipc_timeout`: how long a client may take.
    pub ipc_timeout: Duration,
    /// `daemon_timeout`: how long one round of the event loop may take.
    pub daemon_timeout: Duration,
    /// `mail_owner`: nobody special and nobody else.
    pub mail_owner: Passwd,
}

impl MailParams {
    /// Whether `maillog_file` is where log files are allowed. An error is the
    /// text of a fatal message, for the log that it does not name.
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

/// Looks up and checks what every mail daemon needs. From `smtputf8_enable`
/// on, UTF-8 is allowed in messages if it says so.
///
/// An error is the text of a fatal message.
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

    set_others_before(conf, "smtputf8_enable")?;
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

    set_others_before(conf, "max_use")?;
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
        smtputf8_enable,
        myhostname,
        queue_directory,
        max_idle,
        ipc_timeout,
        daemon_timeout,
        mail_owner,
    })
}

/// What only this service has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScacheParams {
    /// `connection_cache_ttl_limit`: the longest time to keep a session.
    pub ttl_limit: Duration,
    /// `connection_cache_status_update_time`: how often to log statistics.
    pub status_update_time: Duration,
    /// `connection_cache_farewell`: a line that is sent over a session before
    /// it is closed, or nothing.
    pub farewell: Vec<u8>,
    /// `connection_cache_endpoint_limit`: how many sessions to keep under one
    /// endpoint, or 0 for as many as there are.
    pub endpoint_limit: usize,
}

/// The longest farewell, in bytes.
const FAREWELL_MOST: usize = 100;

/// Looks up the service's own parameters. Before, `$process_id` becomes
/// known; after this, nothing is looked up any more.
///
/// An error is the text of a fatal message.
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
    let text = conf.get_mail_conf_str(name, b"", 0)?;
    let shown = printable(&text).to_string();
    if text.len() > FAREWELL_MOST {
        let len = text.len();
        return Err(format!(
            "bad string length {len} > {FAREWELL_MOST}: {name} = {shown}"
        ));
    }
    if text.iter().any(|byte| b"\r\n\0".contains(byte)) {
        let problem = format!("line break or null byte in value: {shown}");
        return Err(bad_value(conf, name, &problem));
    }
    Ok(text)
}

/// Makes the defaults known that the original looks up before a parameter.
fn set_others_before(conf: &mut MailConf, name: &str) -> Result<(), String> {
    others_before(name, conf.mail_version())
        .try_for_each(|other| conf.set_default(other.name, other.default.as_bytes()))
}

/// A string that must not be empty.
fn string(conf: &mut MailConf, name: &str, default: &str) -> Result<Vec<u8>, String> {
    set_others_before(conf, name)?;
    conf.get_mail_conf_str(name, default.as_bytes(), 1)
}

/// A time of at least one second.
fn time(conf: &mut MailConf, name: &str, default: &str) -> Result<Duration, String> {
    set_others_before(conf, name)?;
    let seconds = conf.get_mail_conf_time(name, default, 1)?;
    Ok(Duration::from_secs(seconds.unsigned_abs().into()))
}

/// The text for a value that is wrong, and the file where it should be right.
fn bad_value(conf: &MailConf, name: &str, problem: &str) -> String {
    format!("file {}: parameter {name}: {problem}", conf.path())
}

fn bad_facility(conf: &MailConf, facility: &[u8]) -> String {
    let problem = format!("unrecognized value: {}", printable(facility));
    bad_value(conf, "syslog_facility", &problem)
}

/// Looks up `myhostname` and `mydomain`; each has its default from the other.
/// Returns the host's name.
fn host_names(conf: &mut MailConf) -> Result<Vec<u8>, String> {
    set_others_before(conf, "myhostname")?;
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

/// What the machine calls itself, and a domain if that has none.
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
