//! Tests of the parameters.

use std::path::Path;

use super::*;
use crate::global::mail_version::MailVersion;
use crate::util::get_hostname::get_hostname;
use crate::util::sys_pw::getpwnam;

/// A user that can be mail_owner: this host may have no user postfix.
fn ordinary_user() -> String {
    ["postfix", "mail", "daemon", "nobody"]
        .into_iter()
        .find(|name| getpwnam(name.as_bytes()).is_some_and(|user| user.uid != 0 && user.gid != 0))
        .unwrap()
        .to_string()
}

/// Parameters with a `myhostname`: the name of this host may not be valid.
fn conf(values: &[&str]) -> MailConf {
    conf_without_hostname(&[&["myhostname=mail.example.com"], values].concat())
}

fn conf_without_hostname(values: &[&str]) -> MailConf {
    let mut conf = MailConf::new(Path::new("/conf"), MailVersion::BUILT_IN);
    conf.update(b"mail_owner", ordinary_user().as_bytes());
    conf.update(b"setgid_group", b"bin");
    for value in values {
        conf.update_option(value.as_bytes()).unwrap();
    }
    conf
}

fn params(values: &[&str]) -> MailParams {
    mail_params_init(&mut conf(values)).unwrap()
}

fn fatal(values: &[&str]) -> String {
    mail_params_init(&mut conf(values)).unwrap_err()
}

#[test]
fn nothing_needs_to_be_set() {
    let mut conf = conf(&[]);
    let params = mail_params_init(&mut conf).unwrap();
    assert_eq!(params.syslog_facility, libc::LOG_MAIL);
    assert_eq!(params.syslog_name, b"postfix");
    assert_eq!(params.maillog_file, b"");
    assert_eq!(params.postlog_service_name, b"postlog");
    assert_eq!(params.max_idle, Duration::from_secs(100));
    assert_eq!(params.ipc_timeout, Duration::from_secs(3600));
    assert_eq!(params.daemon_timeout, Duration::from_secs(18000));
    assert_eq!(params.mail_owner.name.to_str(), Ok(&ordinary_user()[..]));
    assert_eq!(
        scache_params_init(&mut conf).unwrap(),
        ScacheParams {
            ttl_limit: Duration::from_secs(2),
            status_update_time: Duration::from_secs(600),
            farewell: b"QUIT".to_vec(),
            endpoint_limit: 0,
        }
    );
}

#[test]
fn the_log_is_named_after_the_instance() {
    assert_eq!(params(&["multi_instance_name=two"]).syslog_name, b"two");
}

#[test]
fn utf8_is_enabled_from_compatibility_level_1() {
    for (level, enabled) in [("0.9", b"no".as_slice()), ("1", b"yes")] {
        let mut conf = conf(&[&format!("compatibility_level={level}")]);
        mail_params_init(&mut conf).unwrap();
        assert_eq!(conf.lookup(b"smtputf8_enable"), Some(enabled), "{level}");
    }
}

#[test]
fn host_and_domain_have_their_defaults_from_each_other() {
    let mut conf = conf(&["myhostname=a.b.c"]);
    mail_params_init(&mut conf).unwrap();
    assert_eq!(conf.lookup(b"mydomain"), Some(&b"b.c"[..]));
    let with_domain = |mut name: Vec<u8>| {
        if !name.contains(&b'.') {
            name.extend_from_slice(b".x.y");
        }
        name
    };
    let params = mail_params_init(&mut conf_without_hostname(&["mydomain=x.y"]));
    let myhostname = params.map(|params| params.myhostname);
    assert_eq!(myhostname, get_hostname().map(with_domain));
}

#[test]
fn the_first_mistake_in_the_order_of_the_original_is_reported() {
    let mut mistakes = [
        ("compatibility_level=", "malformed compatibility level"),
        ("mail_version=", "mail_version"),
        ("maillog_file_prefixes=", "maillog_file_prefixes"),
        ("postlog_service_name=", "postlog_service_name"),
        ("syslog_facility=x", "syslog_facility"),
        ("smtputf8_enable=x", "smtputf8_enable"),
        ("myhostname=", "bad string length 0 < 1: myhostname"),
        ("mydomain=", "mydomain"),
        ("mail_name=", "mail_name"),
        ("syslog_name=", "syslog_name"),
        ("daemon_directory=", "daemon_directory"),
        ("data_directory=", "data_directory"),
        ("command_directory=", "command_directory"),
        ("queue_directory=", "queue_directory"),
        ("max_use=x", "max_use"),
        ("max_idle=x", "max_idle"),
        ("ipc_timeout=x", "ipc_timeout"),
        ("daemon_timeout=x", "daemon_timeout"),
        ("mail_owner=no such user", "mail_owner"),
    ]
    .as_slice();
    while let [(_, expected), rest @ ..] = mistakes {
        let values: Vec<_> = mistakes.iter().map(|(value, _)| *value).collect();
        let text = fatal(&values);
        assert!(text.contains(expected), "{text} is not about {expected}");
        mistakes = rest;
    }
}

#[test]
fn the_owner_is_an_ordinary_user() {
    assert_eq!(
        fatal(&["mail_owner=root"]),
        "file /conf/main.cf: parameter mail_owner: user root has privileged user ID"
    );
    assert_eq!(
        fatal(&["mail_owner=no such user"]),
        "file /conf/main.cf: parameter mail_owner: unknown user name value: no such user"
    );
}

#[test]
fn a_log_file_has_its_place() {
    let check = |values: &[&str]| params(values).check_maillog_file();
    assert_eq!(check(&[]), Ok(()));
    assert_eq!(check(&["maillog_file=/var/log/x"]), Ok(()));
    assert_eq!(check(&["maillog_file=/varx"]), Ok(()));
    let message = "maillog_file value '/x' does not match any prefix in maillog_file_prefixes";
    assert_eq!(check(&["maillog_file=/x"]), Err(message.into()));
    assert_eq!(
        check(&["maillog_file=/x", "maillog_file_prefixes= ,"]),
        Err(message.into())
    );
    assert_eq!(
        check(&["maillog_file=/x", "maillog_file_prefixes=/y,/x"]),
        Ok(())
    );
}

#[test]
fn the_process_is_known_to_the_services_own_parameters() {
    let mut conf = conf(&["connection_cache_ttl_limit=x$process_id"]);
    mail_params_init(&mut conf).unwrap();
    assert_eq!(
        scache_params_init(&mut conf),
        Err(format!(
            "parameter connection_cache_ttl_limit: bad time value or unit: x{}",
            std::process::id()
        ))
    );
}

#[test]
fn a_farewell_is_one_line_that_is_not_too_long() {
    let farewell = |text: &str| {
        let mut conf = conf(&["mail_name=Postfix"]);
        conf.update(b"connection_cache_farewell", text.as_bytes());
        scache_params_init(&mut conf).map(|params| params.farewell)
    };
    assert_eq!(farewell(""), Ok(Vec::new()));
    assert_eq!(farewell("NOOP"), Ok(b"NOOP".to_vec()));
    assert_eq!(farewell("QUIT $mail_name"), Ok(b"QUIT Postfix".to_vec()));
    assert_eq!(farewell(&"x".repeat(100)), Ok(vec![b'x'; 100]));
    let long = format!("{}$mail_name", "x".repeat(94));
    assert_eq!(
        farewell(&long),
        Err(format!(
            "bad string length 101 > 100: connection_cache_farewell = {}Postfix",
            "x".repeat(94)
        ))
    );
    for text in ["QUIT\r", "QUIT\nRSET", "\0"] {
        let error = farewell(text).unwrap_err();
        let problem = "parameter connection_cache_farewell: line break or null byte in value: ";
        assert!(error.ends_with(&format!("{problem}{text}")), "{error}");
    }
}
